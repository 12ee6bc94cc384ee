"""Parts and where they stand: the one place that numbers them, as IMAP does (RFC 9051 6.4.5.1)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mailsystem.mail.part import Part


@dataclass(frozen=True, slots=True)
class Piece:
    """A part and where it stands."""

    section: str
    """Its number as IMAP counts, such as `1.2`; empty for a multipart that is the whole message."""
    part: Part
    depth: int
    """Parts around it."""
    within: str
    """The subtype of the multipart around it, such as `alternative`; empty for the message itself, and for one within it."""
    foreign: bool
    """Whether it belongs to a message within this one."""

    @property
    def is_numbered(self) -> bool:
        """Whether it has a number of its own: a multipart that is all of a message within this one goes by that one's."""
        return self.part.type != "multipart" or not self.depth or bool(self.within)


def pieces(root: Part) -> Iterator[Piece]:
    """All parts of a message, parents before children, in their order."""
    waiting = [Piece("" if root.type == "multipart" else "1", root, 0, "", False)]
    while waiting:
        piece = waiting.pop()
        yield piece
        part = piece.part
        within = part.subtype if part.type == "multipart" else ""
        foreign = piece.foreign or part.type == "message"
        below: list[Piece] = []
        for number, child in enumerate(part.children, 1):
            inside = part.type == "message" and child.type == "multipart"
            section = piece.section if inside else numbered(piece.section, number)
            below.append(Piece(section, child, piece.depth + 1, within, foreign))
        waiting.extend(reversed(below))


def numbered(section: str, number: int) -> str:
    """What the so-manieth part within a section is called."""
    return f"{section}.{number}" if section else str(number)
