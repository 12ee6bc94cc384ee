"""What is known of a message's octets: `Part`, its MIME tree, and `Facts`, which IMAP tells its clients."""

from __future__ import annotations

import json
from dataclasses import dataclass
from json.encoder import encode_basestring_ascii

from mailsystem.mail.words import text, transferred, utf8


@dataclass(frozen=True, slots=True)
class Part:
    """One node of a message's MIME tree. Offsets count from the start of the whole message, ends are exclusive.

    A multipart has its parts as children, at least one; message/rfc822 and message/global have one, the message inside.
    """

    type: str
    """Lower case, like `subtype`."""
    subtype: str
    header: tuple[int, int]
    """Its header block with the blank line."""
    body: tuple[int, int]
    """Without the line break that belongs to the delimiter (RFC 2046 5.1.1)."""
    lines: int
    """Line ends in the body."""
    encoding: str
    """Content-Transfer-Encoding in lower case."""
    charset: str | None
    """Of text, in lower case, as it is named."""
    filename: str | None
    """Decoded, at most 255 characters, as somebody else chose it: it may hold slashes."""
    children: tuple[Part, ...] = ()

    def dump(self) -> bytes:
        """The tree as a flat JSON list, parents before children."""
        records = []
        waiting = [self]
        while waiting:
            part = waiting.pop()
            waiting.extend(reversed(part.children))
            records.append(
                record(
                    part.type,
                    part.subtype,
                    part.header[0],
                    part.header[1],
                    part.body[1],
                    part.lines,
                    part.encoding,
                    part.charset,
                    part.filename,
                    len(part.children),
                )
            )
        return f"[{','.join(records)}]".encode()

    @classmethod
    def load(cls, dumped: bytes) -> Part:
        """The tree back from `dump`."""
        made: list[Part] = []
        for type_, subtype, start, body, end, lines, encoding, charset, filename, children in reversed(
            json.loads(dumped)
        ):
            inside = tuple(reversed(made[len(made) - children :])) if children else ()
            del made[len(made) - children :]
            made.append(cls(type_, subtype, (start, body), (body, end), lines, encoding, charset, filename, inside))
        [root] = made
        return root


def record(
    type_: str,
    subtype: str,
    start: int,
    body: int,
    end: int,
    lines: int,
    encoding: str,
    charset: str | None,
    filename: str | None,
    children: int,
) -> str:
    """One node in `Part.dump`'s list."""
    # Types and encodings are tokens, which need no escapes.
    return (
        f'["{type_}","{subtype}",{start},{body},{end},{lines},"{encoding}",'
        f"{'null' if charset is None else encode_basestring_ascii(charset)},"
        f"{'null' if filename is None else encode_basestring_ascii(filename)},{children}]"
    )


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a message once it was scanned."""

    size: int
    header_size: int
    """Octets of the header block with its blank line."""
    envelope: bytes
    """These three as they go into a FETCH response, from parenthesis to parenthesis."""
    bodystructure: bytes
    body: bytes
    """BODYSTRUCTURE without its extension data."""
    parts: bytes
    """`Part.dump` of the whole message; `Part.load` gives the tree."""


def text_of(part: Part, octets: bytes) -> str:
    """The body of a text part as text: transfer encoding and charset undone; what does not decode is replaced."""
    return text(transferred(octets, part.encoding), part.charset)


def utf8_of(part: Part, octets: bytes) -> bytes:
    """What `text_of` gives, in UTF-8."""
    return utf8(transferred(octets, part.encoding), part.charset)
