"""What a message says, as SEARCH sees it: header fields and text parts, decoded and folded. Sans-IO.

A needle is found as a substring, in any case and whatever its spelling in Unicode (RFC 3501 6.4.4, RFC 5051). However large
a message is, it is looked through in pieces of about a mebibyte, each of which is decoded by itself.
"""

from __future__ import annotations

import datetime
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from mailsystem.imap.structure import picker
from mailsystem.mail.content import Part, text_of
from mailsystem.mail.header import fields, unfolded, without_comments
from mailsystem.mail.words import decoded

PIECE: Final = 1 << 20
"""Octets that are decoded at once."""
MOST_TEXT: Final = 32 << 20
"""Octets of one part that are looked through. Nobody writes more than that: it is a log or a database in a part that calls
itself text, and reading the rest would hold up whoever searches for as long as all their mail takes."""

_DATE = re.compile(rb"(?<![0-9])([0-9]{1,2})[ \t-]+([A-Za-z]{3})[A-Za-z]*[ \t-]+([0-9]{2,4})(?![0-9])")
_MONTHS: Final = {name: i for i, name in enumerate(b"jan feb mar apr may jun jul aug sep oct nov dec".split(), 1)}


def fold(text: str) -> str:
    """Text in the one spelling in which needles are looked for.

    As i;unicode-casemap (RFC 5051) does: case is gone, and composed, wide or ligated characters are taken apart.
    """
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())


@dataclass(frozen=True, slots=True)
class Words:
    """What BODY or TEXT looks for."""

    needle: str
    """Folded."""
    headers: bool
    """Whether it may stand in the headers too, of the message and of its parts: TEXT."""


class Header:
    """A header block, of which only what is asked for is decoded."""

    __slots__ = ("_values", "block")

    def __init__(self, block: bytes) -> None:
        self.block = block
        self._values: dict[bytes, list[str]] = {}

    def values(self, name: bytes) -> list[str]:
        """What each field of that name (in capitals) says, folded."""
        known = self._values.get(name)
        if known is None:
            known = self._values[name] = [fold(decoded(value)) for value in self._raw(name)]
        return known

    def sent(self) -> datetime.date | None:
        """The day in the Date field, as it was where it was written (RFC 3501 6.4.4: time and zone do not count)."""
        for value in self._raw(b"DATE"):
            return date_of(value)
        return None

    def _raw(self, name: bytes) -> list[bytes]:
        return [value for _, value in fields(picker((name,), False)(self.block))]


def date_of(value: bytes) -> datetime.date | None:
    """The day that a Date field names; None if it names none."""
    found = _DATE.search(without_comments(unfolded(value)))
    if found is None:
        return None
    day, month, year = int(found[1]), _MONTHS.get(found[2].lower(), 0), int(found[3])
    if len(found[3]) < 4:
        # RFC 5322 4.3: two digits below 50 are of this century, the others and three digits count from 1900.
        year += 2000 if len(found[3]) == 2 and year < 50 else 1900
    try:
        return datetime.date(year, month, day)
    except ValueError:
        return None


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


def pieces(root: Part, longest: int) -> Iterator[Piece]:
    """All that is text in a message, in the order in which it stands there.

    Pieces of one part overlap by so much that a needle of `longest` characters is whole in one of them.
    """
    waiting: list[tuple[Part, bool]] = [(root, False)]
    while waiting:
        part, in_body = waiting.pop()
        yield from _cut(part.header, None, in_body, longest)
        if part.children:
            # Headers of a message within this one are read by people as its text, those of parts are not.
            is_message = part.type == "message"
            waiting.extend((child, is_message) for child in reversed(part.children))
        elif part.type in ("text", "message", "multipart"):
            yield from _cut(part.body, part, True, longest)


def _cut(octets: tuple[int, int], part: Part | None, in_body: bool, longest: int) -> Iterator[Piece]:
    start, end = octets
    end = min(end, start + MOST_TEXT)
    # A character takes up to 16 octets: four of them in UTF-8, each as `=C3`, and soft line breaks between.
    overlap = 4096 + 16 * longest
    size = max(PIECE, 4 * overlap)
    at = start
    while at < end:
        stop = min(at + size, end)
        yield Piece(at, stop, part, in_body, at > start)
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
    if piece.continues:
        # From the next line on: there base64 and quoted-printable can be read anew. Nothing is lost, see the overlap.
        octets = octets[octets.find(b"\n") + 1 :]
    if piece.part is not None:
        return fold(text_of(piece.part, octets))
    lines = [f"{name.decode('ascii', 'replace')}: {decoded(value)}" for name, value in fields(octets)]
    return fold("\n".join(lines))


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
