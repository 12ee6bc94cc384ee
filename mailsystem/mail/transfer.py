"""Content-Transfer-Encoding (RFC 2045 6) undone piece by piece, so that a body of any size fits into little memory.

Takes any octets and never raises: what is no base64 is passed over, what is no quoted-printable is left as it is.
"""

from __future__ import annotations

import binascii
import re
from typing import Final, Protocol

_NOT_BASE64: Final = bytes(set(range(256)) - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="))
_LONGEST_LINE: Final = 64 << 10
"""Octets that may come without a line end before they are decoded without it."""
_OPEN_ESCAPE = re.compile(rb"=(?:[0-9A-Fa-f]?|[ \t\r]{0,100})\Z")


class Decoder(Protocol):
    """Undoes one encoding."""

    def feed(self, piece: bytes) -> bytes:
        """What can be said after this piece too."""
        ...

    def close(self) -> bytes:
        """The rest: there are no more pieces."""
        ...


class Identity:
    """7bit, 8bit, binary: octets stand for themselves."""

    def feed(self, piece: bytes) -> bytes:
        return piece

    def close(self) -> bytes:
        return b""


class Base64:
    """RFC 2045 6.8, up to the padding; a cut end is dropped as far as it says no whole octet."""

    def __init__(self) -> None:
        self._held = b""
        self._ended = False

    def feed(self, piece: bytes) -> bytes:
        if self._ended:
            return b""
        text, padding, _ = (self._held + piece.translate(None, _NOT_BASE64)).partition(b"=")
        self._held = b""
        if padding:
            self._ended = True
            return _quanta(text)
        whole = len(text) & ~3
        self._held = text[whole:]
        return binascii.a2b_base64(text[:whole])

    def close(self) -> bytes:
        held, self._held = self._held, b""
        return _quanta(held)


def _quanta(text: bytes) -> bytes:
    """What a last piece of base64 says, which may be cut."""
    if len(text) % 4 == 1:
        text = text[:-1]
    return binascii.a2b_base64(text + b"=" * (-len(text) % 4))


class QuotedPrintable:
    """RFC 2045 6.7, line by line."""

    def __init__(self) -> None:
        self._held = b""

    def feed(self, piece: bytes) -> bytes:
        text = self._held + piece
        at = text.rfind(b"\n") + 1
        if not at and len(text) > _LONGEST_LINE:
            begun = _OPEN_ESCAPE.search(text, len(text) - 102)
            at = begun.start() if begun is not None else len(text)
        self._held = text[at:]
        return binascii.a2b_qp(text[:at])

    def close(self) -> bytes:
        held, self._held = self._held, b""
        return binascii.a2b_qp(held)


_DECODERS: Final[dict[str, type[Identity] | type[Base64] | type[QuotedPrintable]]] = {
    "7bit": Identity,
    "8bit": Identity,
    "binary": Identity,
    "base64": Base64,
    "quoted-printable": QuotedPrintable,
}


def decoder(encoding: str) -> Decoder | None:
    """A fresh decoder for an encoding in lower case; None for one that is not known."""
    kind = _DECODERS.get(encoding)
    return None if kind is None else kind()
