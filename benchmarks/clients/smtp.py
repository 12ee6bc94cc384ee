"""Sends by SMTP or LMTP, with PIPELINING where it is offered."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Self

from benchmarks.clients.connection import Peer, Refused, Server


class Sent(NamedTuple):
    """When one message was sent, in seconds of `time.monotonic`."""

    begun: float
    written: float
    """All of it, up to the dot."""
    answered: float
    """By 250."""


class Smtp(Peer):
    lmtp = False
    pipelines = False

    @classmethod
    async def open(cls, server: Server) -> Self:
        peer = await cls.connect(server.host, server.smtp)
        peer.lmtp = server.lmtp
        await peer.reply(b"220")
        peer.transport.write(b"LHLO client.example.org\r\n" if server.lmtp else b"EHLO client.example.org\r\n")
        peer.pipelines = b"PIPELINING" in (await peer.reply(b"250")).upper()
        return peer

    async def reply(self, code: bytes) -> bytes:
        """A whole reply. Raises `Refused` for any other code."""
        said = b""
        while True:
            line = await self.line()
            said += line
            if line[3:4] != b"-":
                break
        if line[:3] != code:
            raise Refused(f"SMTP: {code.decode()} was expected: {said[:200]!r}")
        return said

    async def _open_data(self, recipients: Sequence[str]) -> None:
        commands = [
            b"MAIL FROM:<sender@example.org>\r\n",
            *(b"RCPT TO:<%b>\r\n" % each.encode() for each in recipients),
        ]
        if self.pipelines:
            self.transport.write(b"".join(commands) + b"DATA\r\n")
            for _ in commands:
                await self.reply(b"250")
        else:
            for command in commands:
                self.transport.write(command)
                await self.reply(b"250")
            self.transport.write(b"DATA\r\n")
        await self.reply(b"354")

    async def send(self, recipients: Sequence[str], letter: bytes) -> Sent:
        """One message, which ends with CRLF and has no line that begins with a dot."""
        begun = time.monotonic()
        await self._open_data(recipients)
        self.transport.write(letter + b".\r\n")
        written = time.monotonic()
        for _ in recipients if self.lmtp else (0,):
            await self.reply(b"250")
        return Sent(begun, written, time.monotonic())

    async def stream(self, recipient: str, pieces: Iterable[bytes]) -> None:
        """One message in pieces, of which only few are in memory at once."""
        await self._open_data([recipient])
        for piece in pieces:
            self.transport.write(piece)
            await self.drain()
        self.transport.write(b".\r\n")
        await self.reply(b"250")

    async def quit(self) -> None:
        self.transport.write(b"QUIT\r\n")
        await self.reply(b"221")
        self.close()
