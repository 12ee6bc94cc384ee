"""A message as it goes to another server: its signatures in front, no Return-Path, and no line end but CRLF."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from mailsystem.mail.outgoing import Outgoing
from mailsystem.store import Contents

_RETURN_PATH: Final = b"Return-Path:"
_LINE_END: Final = re.compile(rb"\r\n|\r|\n")


@dataclass(frozen=True, slots=True)
class Letter:
    """What is sent of a message; it can be read again and again, a slice at a time."""

    contents: Contents
    message: Outgoing
    start: int
    """Where what is sent begins in the content."""

    @property
    def size(self) -> int:
        """Octets to be sent, as far as they can be told before each is read: SIZE is an estimate (RFC 1870 5)."""
        return self.message.size - self.start + len(self.message.signature or b"")

    async def octets(self) -> AsyncIterator[bytes]:
        """Everything, in slices. Raises `Unavailable` where it cannot be read."""
        if self.message.signature:
            yield self.message.signature
        stream = self.contents.stream(self.message.content, self.start)
        if self.message.body == "BINARYMIME":
            async for piece in stream:
                yield piece
            return
        newlines = Newlines()
        async for piece in stream:
            if whole := newlines.feed(piece):
                yield whole
        if rest := newlines.close():
            yield rest


class Newlines:
    """Makes CRLF of every CR and LF on its own, piece by piece (RFC 5321 2.3.8: nothing else may be sent)."""

    def __init__(self) -> None:
        self._cr = False

    def feed(self, piece: bytes) -> bytes:
        if self._cr:
            piece = b"\r" + piece
        self._cr = piece.endswith(b"\r")
        if self._cr:
            piece = piece[:-1]
        if piece.count(b"\r\n") == piece.count(b"\n") == piece.count(b"\r"):
            return piece
        return _LINE_END.sub(b"\r\n", piece)

    def close(self) -> bytes:
        """What is left: there are no more pieces."""
        return b"\r\n" if self._cr else b""


async def letter_of(contents: Contents, message: Outgoing) -> Letter:
    """Raises `Unavailable`."""
    # Whoever delivers for good writes the Return-Path (RFC 5321 4.4), and that is not us: ours stands in the first line.
    head = await contents.read(message.content, 0, 1024)
    start = head.index(b"\r\n") + 2 if head.startswith(_RETURN_PATH) else 0
    return Letter(contents, message, start)
