"""A message as it is put on the wire, and what it demands of whoever takes it."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Final, Protocol

from mailsystem.mail.outgoing import Outgoing

_MOST_HEADER: Final = 256 << 10
"""Octets of a header that are looked through."""
_WAIVED: Final = re.compile(rb"\nTLS-Required:[ \t]*No[ \t]*\r\n", re.IGNORECASE)


class Octets(Protocol):
    """Where the octets of a message come from."""

    @property
    def size(self) -> int:
        """How many are to be sent."""
        ...

    def octets(self) -> AsyncIterator[bytes]:
        """All of them, in pieces; from the beginning each time. Unless it is binary, lines end in CRLF and in nothing else."""
        ...


class Content:
    """One message on its way out. What it demands is looked up once, and only where somebody has to know."""

    def __init__(self, message: Outgoing, source: Octets) -> None:
        self.message = message
        self.size = source.size
        self._source = source
        self._eight_bit: bool | None = None
        self._utf8_header: bool | None = None

    @property
    def is_binary(self) -> bool:
        """Whether it has no lines that could be mended (RFC 3030 3)."""
        return self.message.body == "BINARYMIME"

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """Its octets, none of the pieces empty. Unless it is binary its last line ends, as it must for a dot to follow."""
        last = b"\n"
        async with aclosing(self._read()) as octets:
            async for piece in octets:
                yield piece
                last = piece[-1:]
        if last != b"\n" and not self.is_binary:
            yield b"\r\n"

    async def _read(self) -> AsyncGenerator[bytes, None]:
        octets = self._source.octets()
        try:
            async for piece in octets:
                if piece:
                    yield piece
        finally:
            if isinstance(octets, AsyncGenerator):
                await octets.aclose()

    async def has_eight_bit(self) -> bool:
        """Whether any octet has its highest bit set."""
        if self._eight_bit is None:
            self._eight_bit = False
            async with aclosing(self._read()) as octets:
                async for piece in octets:
                    if not piece.isascii():
                        self._eight_bit = True
                        break
        return self._eight_bit

    async def has_utf8_header(self) -> bool:
        """Whether the header is not of ASCII (RFC 6532): of the header fields of parts nobody asks."""
        if self._utf8_header is None:
            self._utf8_header = False
            text = b""
            async with aclosing(self.pieces()) as octets:
                async for piece in octets:
                    text = text[-3:] + piece
                    header, end, _ = text.partition(b"\r\n\r\n")
                    if not header.isascii():
                        self._utf8_header = True
                    if end or self._utf8_header:
                        break
        return self._utf8_header

    async def waives_tls(self) -> bool:
        """Whether its header says that it shall rather arrive than be protected (RFC 8689 3)."""
        text = b"\n"
        async with aclosing(self.pieces()) as octets:
            async for piece in octets:
                text += piece
                if len(text) > _MOST_HEADER or b"\r\n\r\n" in text:
                    break
        return _WAIVED.search(text.partition(b"\r\n\r\n")[0] + b"\r\n") is not None


class Stuffing:
    """Puts a dot before each line that begins with one (RFC 5321 4.5.2), in pieces of any size."""

    __slots__ = ("_fresh",)

    def __init__(self) -> None:
        self._fresh = True  # a line begins here

    def feed(self, piece: bytes) -> bytes:
        """The next octets, in which LF ends a line."""
        if not piece:
            return b""
        fresh, self._fresh = self._fresh, piece.endswith(b"\n")
        if b"." not in piece:
            return piece
        stuffed = piece.replace(b"\n.", b"\n..")
        return b"." + stuffed if fresh and piece.startswith(b".") else stuffed
