"""What a message says, as a search sees it: header fields and text parts, decoded and folded.

A needle is found as a substring, in any case and whatever its spelling in Unicode (RFC 3501 6.4.4, RFC 5051). However large
a message is, it is looked through in pieces of about a mebibyte, each of which is decoded by itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from mailsystem.mail.decomposition import decomposed
from mailsystem.mail.header import fields
from mailsystem.mail.part import Part, text_of, utf8_of
from mailsystem.mail.words import decoded, is_beyond_ascii

PIECE: Final = 1 << 20
"""Octets that are decoded at once."""
MOST_TEXT: Final = 32 << 20
"""Octets of one part that are looked through. Nobody writes more than that: it is a log or a database in a part that calls
itself text, and reading the rest would hold up whoever searches for as long as all their mail takes."""


def fold(text: str) -> str:
    """Text in the one spelling in which needles are looked for.

    As i;unicode-casemap (RFC 5051) does: case is gone, and composed, wide or ligated characters are taken apart.
    """
    if text.isascii():
        return text.lower()
    return decomposed(decomposed(text).casefold())


def run_of(needle: str) -> bytes:
    """A folded needle as octets, if it is one run of letters and digits of ASCII; else nothing.

    Such a one stands in text that is all ASCII where its octets stand, whatever becomes of line breaks and white space.
    """
    return needle.encode() if needle.isascii() and needle.isalnum() else b""


@dataclass(frozen=True, slots=True)
class Words:
    """What BODY or TEXT looks for."""

    needle: str
    """Folded."""
    headers: bool
    """Whether it may stand in the headers too, of the message and of its parts: TEXT."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Octets [start, end) of a message that can be read as text by themselves."""

    start: int
    end: int
    part: Part | None
    """The text part that they are of; None for a header block."""
    in_body: bool
    """Whether they belong to the body for BODY: the text of parts, and the headers of messages within this one."""
    continues: bool = False
    """It begins within the piece before; its first line is cut off."""
    filename: str | None = None
    """Of the part whose header block it is: what people see of an attachment, decoded."""


def pieces(root: Part, longest: int) -> Iterator[Piece]:
    """All that is text in a message, in the order in which it stands there.

    Pieces of one part overlap by so much that a needle of `longest` characters is whole in one of them.
    """
    waiting: list[tuple[Part, bool]] = [(root, False)]
    while waiting:
        part, in_body = waiting.pop()
        yield from _cut(part.header, None, in_body, longest, part.filename)
        if part.children:
            # Headers of a message within this one are read by people as its text, those of parts are not.
            is_message = part.type == "message"
            waiting.extend((child, is_message) for child in reversed(part.children))
        elif part.type in ("text", "message", "multipart"):
            yield from _cut(part.body, part, True, longest)


def _cut(
    octets: tuple[int, int], part: Part | None, in_body: bool, longest: int, filename: str | None = None
) -> Iterator[Piece]:
    start, end = octets
    end = min(end, start + MOST_TEXT)
    # A character takes up to 16 octets: four of them in UTF-8, each as `=C3`, and soft line breaks between.
    overlap = 4096 + 16 * longest
    size = max(PIECE, 4 * overlap)
    at = start
    while at < end:
        stop = min(at + size, end)
        yield Piece(at, stop, part, in_body, at > start, filename)
        if stop == end:
            return
        at = stop - overlap


def blocks(cut: Iterable[Piece]) -> Iterator[list[Piece]]:
    """Pieces that stand close to each other together, so that a file is read in few large steps."""
    block: list[Piece] = []
    for piece in cut:
        if block and piece.end - block[0].start > PIECE:
            yield block
            block = []
        block.append(piece)
    if block:
        yield block


def text_in(piece: Piece, octets: bytes) -> str:
    """A piece decoded and folded."""
    if piece.part is not None:
        return fold(text_of(piece.part, _from_line_on(piece, octets)))
    lines = [
        f"{name.decode('ascii', 'replace')}: {decoded(value)}" for name, value in fields(_from_line_on(piece, octets))
    ]
    if piece.filename:
        lines.append(piece.filename)  # the field may spell it in the way of RFC 2231
    return fold("\n".join(lines))


def words_in(piece: Piece, octets: bytes) -> bytes:
    """The words of a piece in UTF-8: as in `text_in`, but not folded yet, and with other white space between them."""
    if piece.part is not None:
        return utf8_of(piece.part, _from_line_on(piece, octets))
    return b"\n".join([b"%b %b" % field for field in fields_in(piece, octets)])


def fields_in(piece: Piece, octets: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The fields in a piece of a header block: the name, and the words of its value as `words_in` has them."""
    octets = _from_line_on(piece, octets)
    found = fields(octets)
    if octets.isascii() and b"=?" not in octets:
        yield from found  # nine of ten headers, in which nothing is to be decoded
    else:
        for name, value in found:
            if not value.isascii() or b"=?" in value:
                value = decoded(value).encode()
            yield name if name.isascii() else name.decode("ascii", "replace").encode(), value
    if piece.filename:
        yield b"", piece.filename.encode("utf-8", "surrogatepass")


def _from_line_on(piece: Piece, octets: bytes) -> bytes:
    """Octets of a piece from where base64, quoted-printable and fields can be read anew. Nothing is lost, see the overlap."""
    return octets[octets.find(b"\n") + 1 :] if piece.continues else octets


def found_in(wanted: Iterable[Words], block: Iterable[Piece], octets: bytes, start: int) -> set[Words]:
    """Those of the `wanted` that stand in these pieces; `octets` is the message from `start` on."""
    missing = set(wanted)
    found: set[Words] = set()
    for piece in block:
        looked_for = missing if piece.in_body else {words for words in missing if words.headers}
        if looked_for:
            text = text_in(piece, octets[piece.start - start : piece.end - start])
            here = {words for words in looked_for if words.needle in text}
            found |= here
            missing -= here
    return found


_RECORD = re.compile(rb'\["([^"]*+)","[^"]*+",[0-9]++,([0-9]++),([0-9]++),[0-9]++,"([^"]*+)",(?:null|"([^"]*+)"),')
_WRITTEN_SO: Final = frozenset(map(chr, range(0x20, 0x7F))) - set('"\\')
"""Characters that JSON writes as they are, as the names of files stand in the tree."""
_LOOSE: Final = {" ": rb"[ \t\r\n]*", ":": rb"[ \t\r\n]*:[ \t\r\n]*"}
_ENCODED_WORD = re.compile(rb"=\?")
_AS_THEY_ARE: Final = frozenset([b"7bit", b"8bit", b"binary"])


def at_once(wanted: Iterable[Words], parts: bytes, octets: bytes) -> dict[Words, bool]:
    """Those of the `wanted` of which the octets of a whole message tell, as they are, whether they stand in it.

    `parts` is the tree as `Part.dump` gives it. Nothing is decoded for that: of the mail of most people it answers most.
    """
    if not octets.isascii() or _ENCODED_WORD.search(octets) or b"\\u" in parts:
        return {}
    records = _RECORD.findall(parts)
    if len(records) != parts.count(b"[") - 1 or not all(map(_is_plain, records)):
        return {}
    lower, names = octets.lower(), parts.lower()
    kind, start, end, _, _ = records[0]
    told: dict[Words, bool] = {}
    for words in wanted:
        patterns = _patterns(words.needle)
        if patterns is None:
            continue
        loose, exact = patterns
        if not (loose.search(lower) or loose.search(names)):
            told[words] = False
        elif len(records) == 1 and kind == b"text" and exact.search(lower, int(start), int(end)):
            told[words] = True
    return told


@lru_cache(maxsize=64)
def _patterns(needle: str) -> tuple[re.Pattern[bytes], re.Pattern[bytes]] | None:
    """What stands in plain octets wherever the needle stands in their text, and what that is at the least where it surely does.

    White space is all that changes: by folds, at ends of lines, and around the colon behind the name of a field. Patterns find
    short octets, and such as are not there, in a fraction of the time that `in` takes.
    """
    if not _WRITTEN_SO.issuperset(needle) or not needle.strip(" "):
        return None
    pieces = (_LOOSE.get(character) or re.escape(character.encode()) for character in needle)
    return re.compile(b"".join(pieces)), re.compile(re.escape(needle.encode()))


def _is_plain(record: tuple[bytes, ...]) -> bool:
    """Whether the text of a part, if it is one, is its octets in lower case, as long as they are ASCII."""
    kind, _, _, encoding, charset = record
    return kind not in (b"text", b"message", b"multipart") or (
        encoding in _AS_THEY_ARE and (not charset or is_beyond_ascii(charset.decode("ascii", "replace")))
    )
