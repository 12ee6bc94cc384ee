"""A message as it is read: its header fields and parts, and the text and HTML that people see (RFC 2046 5.1).

`read` takes any octets and never raises. Parts are decoded when they are asked for, each up to a limit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from mailsystem.mail.content import MAX_HEADER, scan
from mailsystem.mail.header import fields, of_structure, token
from mailsystem.mail.hypertext import Page, page_of
from mailsystem.mail.part import Part, text_of
from mailsystem.mail.words import decoded

MOST_TEXT: Final = 4 << 20
"""Octets of one part that are read as text: nobody writes more."""
MOST_TEXTS: Final = 100
"""Text parts of one message that are read."""
_HTML: Final = ("html", "xhtml", "xhtml+xml")


@dataclass(frozen=True, slots=True)
class Piece:
    """A part and where it stands."""

    section: str
    """Its number as IMAP counts (RFC 9051 6.4.5), such as `1.2`."""
    part: Part
    depth: int
    """Parts around it."""
    within: str
    """The type of the multipart around it, such as `alternative`; empty for the message itself."""
    foreign: bool
    """Whether it belongs to a message within this one."""


class Reading:
    """One message; see `read`."""

    def __init__(self, octets: bytes) -> None:
        self.octets: Final = octets
        facts = scan(octets)
        self.root: Final = Part.load(facts.parts)
        self.fields: Final = fields(octets[: min(facts.header_size, MAX_HEADER)])
        """Name as written and raw value, in order."""

    def values(self, name: str) -> list[bytes]:
        """All raw values of a field, without regard to case."""
        wanted = name.lower().encode()
        return [value for one, value in self.fields if one.lower() == wanted]

    def header(self, name: str) -> str | None:
        """The first field of that name as people read it: unfolded, its encoded words decoded."""
        found = self.values(name)
        return decoded(found[0]) if found else None

    @cached_property
    def pieces(self) -> list[Piece]:
        """All parts, parents before children."""
        found: list[Piece] = []
        waiting = [Piece("" if self.root.children else "1", self.root, 0, "", False)]
        while waiting:
            piece = waiting.pop()
            found.append(piece)
            part = piece.part
            within = part.subtype if part.type == "multipart" else ""
            below: list[Piece] = []
            for number, child in enumerate(part.children, 1):
                prefix = f"{piece.section}." if piece.section else ""
                # RFC 9051 6.4.5: a multipart that is the whole of a message has the number of that message.
                inside = part.type == "message" and child.type == "multipart"
                section = piece.section if inside else f"{prefix}{number}"
                foreign = piece.foreign or part.type == "message"
                below.append(Piece(section, child, piece.depth + 1, within, foreign))
            waiting.extend(reversed(below))
        return found

    def field_of(self, part: Part, name: str) -> bytes | None:
        """The first MIME field of that name in a part's header, unfolded."""
        start, end = part.header
        return of_structure(self.octets[start : min(end, start + MAX_HEADER)]).get(name.lower().encode())

    def disposition(self, part: Part) -> str:
        """`inline`, `attachment`, or what else is said (RFC 2183); empty where nothing is."""
        value = self.field_of(part, "Content-Disposition")
        read = token(value) if value else None
        return read[0] if read else ""

    def body(self, part: Part, most: int = MOST_TEXT) -> bytes:
        """The first octets of a part as they stand there."""
        start, end = part.body
        return self.octets[start : min(end, start + most)]

    def text(self, part: Part) -> str:
        """A text part decoded, with plain line ends; of one that is too long its beginning."""
        return text_of(part, self.body(part)).replace("\r\n", "\n")

    @cached_property
    def texts(self) -> list[Piece]:
        """The text parts that are there to be read: those of messages within this one and attachments are not."""
        found = []
        for piece in self.pieces:
            part = piece.part
            if (
                part.type == "text"
                and not piece.foreign
                and (part.subtype == "plain" or part.subtype in _HTML)
                and not part.filename
                and self.disposition(part) != "attachment"
            ):
                found.append(piece)
                if len(found) == MOST_TEXTS:
                    break
        return found

    @cached_property
    def plain(self) -> list[Piece]:
        """Those of them that are plain text."""
        return [piece for piece in self.texts if piece.part.subtype == "plain"]

    @cached_property
    def htmls(self) -> list[Piece]:
        """Those of them that are HTML."""
        return [piece for piece in self.texts if piece.part.subtype in _HTML]

    @cached_property
    def pages(self) -> list[tuple[Piece, Page]]:
        """The HTML parts as they are read."""
        return [(piece, page_of(self.text(piece.part))) for piece in self.htmls]

    @cached_property
    def written(self) -> str:
        """The plain text of the message, its parts one after the other; empty where it has none."""
        return "\n".join(self.text(piece.part).rstrip("\n") for piece in self.plain).strip("\n")

    @cached_property
    def shown(self) -> str:
        """The text that its HTML shows; empty where it has none."""
        return "\n\n".join(page.text for _, page in self.pages).strip("\n")

    def attachments(self) -> Iterator[Piece]:
        """The parts that are no text to be read and hold no parts: files, pictures, messages within this one."""
        read = {id(piece.part) for piece in self.texts}
        for piece in self.pieces:
            holds_parts = piece.part.type == "multipart" and piece.part.children
            if not (holds_parts or piece.foreign or id(piece.part) in read):
                yield piece


def read(octets: bytes) -> Reading:
    """Look at a message. Lines may end in CRLF or LF."""
    return Reading(octets)
