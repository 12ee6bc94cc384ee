"""A message as it is read: its header fields and parts, and the text and HTML that people see (RFC 2046 5.1).

`read` takes any octets and never raises. Parts are decoded when they are asked for, each up to a limit.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Final

from mailsystem.mail.attachment import of_tree
from mailsystem.mail.content import MAX_HEADER, scan
from mailsystem.mail.header import fields, of_structure, token
from mailsystem.mail.hypertext import Page, page_of
from mailsystem.mail.part import Part, text_of
from mailsystem.mail.piece import Piece, pieces
from mailsystem.mail.words import decoded

__all__ = ["MOST_TEXT", "MOST_TEXTS", "Piece", "Reading", "read"]

MOST_TEXT: Final = 4 << 20
"""Octets of one part that are read as text: nobody writes more."""
MOST_TEXTS: Final = 100
"""Text parts of one message that are read."""
_HTML: Final = ("html", "xhtml", "xhtml+xml")


class Reading:
    """One message; see `read`."""

    def __init__(self, octets: bytes) -> None:
        self.octets: Final = octets
        facts = scan(octets)
        self.root: Final = Part.load(facts.parts)
        self._bodystructure = facts.bodystructure
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
        return list(pieces(self.root))

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
        """The parts that come with the text or are shown within it, as `attachment` tells them from it."""
        found = {each.part for each in of_tree(self.root, self._bodystructure)}
        for piece in self.pieces:
            if piece.section in found and not piece.foreign:
                yield piece


def read(octets: bytes) -> Reading:
    """Look at a message. Lines may end in CRLF or LF."""
    return Reading(octets)
