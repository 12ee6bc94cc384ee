"""Fetches by POP3."""

from __future__ import annotations

import base64
from typing import Self

from benchmarks.clients.connection import Peer, Refused, Server


class Pop3(Peer):
    @classmethod
    async def open(cls, server: Server, user: str) -> Self:
        peer = await cls.connect(server.host, server.pop3)
        await peer.ok()
        plain = base64.b64encode(f"\0{user}\0{server.password}".encode())
        await peer.command(b"AUTH PLAIN " + plain)
        return peer

    async def ok(self) -> bytes:
        line = await self.line()
        if not line.startswith(b"+OK"):
            raise Refused(f"POP3: {line[:200]!r}")
        return line

    async def command(self, words: bytes) -> bytes:
        self.transport.write(words + b"\r\n")
        return await self.ok()

    async def lines(self) -> bytes:
        """What follows +OK, up to the dot, which is not with it."""
        await self.ok()
        if self.buffer.startswith(b".\r\n") or (len(self.buffer) < 3 and await self._is_empty()):
            del self.buffer[:3]
            return b""
        return (await self.until(b"\r\n.\r\n"))[:-3]

    async def _is_empty(self) -> bool:
        while len(self.buffer) < 3:
            await self.more()
        return self.buffer.startswith(b".\r\n")

    async def quit(self) -> None:
        await self.command(b"QUIT")
        self.close()
