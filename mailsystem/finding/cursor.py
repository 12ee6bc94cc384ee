"""Where a page of what was found ends, so that the next one goes on there, whatever has come or gone since."""

from __future__ import annotations

import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from math import isfinite
from typing import Final, NamedTuple, NewType

from mailsystem.mail.errors import SyntaxFault

Cursor = NewType("Cursor", str)
"""Opaque to whoever holds it; of letters, digits, `-` and `_`."""

_PLACE: Final = struct.Struct(">dQQ")


class Place(NamedTuple):
    """A message among all of an account: the order in which they are found, backwards."""

    date: float
    """INTERNALDATE, in seconds since the epoch."""
    mailbox: int
    uid: int


def cursor_at(place: Place) -> Cursor:
    """What leads to the messages behind this one."""
    return Cursor(urlsafe_b64encode(_PLACE.pack(*place)).decode())


def place_of(cursor: Cursor) -> Place:
    """The message to which a cursor leads. Raises `SyntaxFault`."""
    try:
        place = Place(*_PLACE.unpack(urlsafe_b64decode(cursor.encode("ascii"))))
    except (ValueError, struct.error):
        raise SyntaxFault("bad cursor") from None
    if not isfinite(place.date):
        raise SyntaxFault("bad cursor")
    return place
