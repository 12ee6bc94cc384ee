"""What is kept of a message, thing by thing: whoever reads many messages asks for the things it needs and no others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum, auto
from typing import Any, TypeAlias


class Kept(Enum):
    """One thing that is known of every message without looking into it."""

    __hash__ = object.__hash__  # there is one of each; Enum's own hashes the name, in Python

    UID = auto()
    MODSEQ = auto()
    FLAGS = auto()
    """A frozenset of `Flag`."""
    INTERNALDATE = auto()
    """Seconds since the epoch."""
    SIZE = auto()
    """Octets of the whole message."""
    CONTENT = auto()
    """Its `ContentId`."""
    SAVEDATE = auto()
    """Seconds since the epoch; 0 where that is not known."""
    HEADER_SIZE = auto()
    """Octets of the header block with its blank line."""
    ENVELOPE = auto()
    """As IMAP writes it, and so are the next two."""
    BODY = auto()
    BODYSTRUCTURE = auto()
    PARTS = auto()
    """The parts of the message with their offsets, as `Part.load` reads them."""
    HEAD = auto()
    """The header block with its blank line; None where that is long: read it alone."""
    REST = auto()
    """The octets behind `HEAD`; None where the message is large or lies elsewhere: read it alone."""
    PREVIEW = auto()
    """Its first words; None where nobody has read it yet."""


Columns: TypeAlias = Mapping[Kept, Sequence[Any]]
"""Things of several messages: for each thing one value per message, all in the same order."""
