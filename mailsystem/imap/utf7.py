"""Modified UTF-7, the spelling of mailbox names on the wire (RFC 3501 5.1.3). Only the canonical form is accepted."""

from __future__ import annotations

import binascii
import re

from mailsystem.mail.errors import Rejected

_SHIFTED = re.compile(r"[^\x20-\x7e]+|&")
_SHIFT = re.compile(rb"&([A-Za-z0-9+,]*)-")
_PLAIN = re.compile(r"[\x20-\x25\x27-\x7e]*")


def encode(text: str) -> bytes:
    """`Entwürfe` is `Entw&APw-rfe`. Surrogates cannot be encoded and raise `UnicodeEncodeError`."""
    if _PLAIN.fullmatch(text):
        return text.encode("ascii")
    return _SHIFTED.sub(_shift, text).encode("ascii")


def decode(wire: bytes) -> str:
    """The text of a name. Raises `Rejected` for anything `encode` would not have written."""
    if b"&" not in wire:
        if wire.isascii():
            return wire.decode("ascii")
        raise Rejected("mailbox name is not modified UTF-7")
    pieces: list[str] = []
    at = 0
    try:
        for shift in _SHIFT.finditer(wire):
            pieces.append(wire[at : shift.start()].decode("ascii"))
            pieces.append(_unshift(shift[1]))
            at = shift.end()
        pieces.append(wire[at:].decode("ascii"))
        text = "".join(pieces)
        if encode(text) == wire:
            return text
    except (UnicodeError, binascii.Error):
        pass
    raise Rejected("mailbox name is not modified UTF-7")


def _shift(match: re.Match[str]) -> str:
    if match[0] == "&":
        return "&-"
    base64 = binascii.b2a_base64(match[0].encode("utf-16-be"), newline=False).decode("ascii")
    return "&" + base64.rstrip("=").replace("/", ",") + "-"


def _unshift(base64: bytes) -> str:
    if not base64:
        return "&"
    padded = base64.replace(b",", b"/") + b"=" * (-len(base64) % 4)
    return binascii.a2b_base64(padded).decode("utf-16-be")
