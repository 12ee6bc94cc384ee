"""A connection to a server: lines, whole replies, and octets as they come."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self, cast


class Refused(Exception):
    """The server did not do what it was asked, or has gone."""


@dataclass(frozen=True, slots=True)
class Server:
    """Where a server listens and who may log in; a port of 0 is a protocol that it does not speak."""

    name: str
    host: str
    smtp: int
    pop3: int
    imap: int
    user: str = "u{n}@bench.test"
    """A login; `{n}` in it stands for any number."""
    password: str = "pw"
    domain: str = "bench.test"
    lmtp: bool = False
    """What listens at `smtp` speaks LMTP."""

    def address(self, user: str) -> str:
        """Where mail for a login is sent."""
        return user if "@" in user else f"{user}@{self.domain}"


class Peer(asyncio.Protocol):
    """One connection. `tap`, when it is set, gets all octets instead of the buffer."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.buffer = bytearray()
        self.tap: Callable[[bytes], None] | None = None
        self.lost: Exception | None = None
        self.waiter: asyncio.Future[None] | None = None
        self._writable: asyncio.Future[None] | None = None

    @classmethod
    async def connect(cls, host: str, port: int) -> Self:
        _, peer = await asyncio.get_running_loop().create_connection(cls, host, port)
        return peer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's own is no subclass

    def data_received(self, data: bytes) -> None:
        if self.tap is not None:
            self.tap(data)
            return
        self.buffer += data
        self.wake()

    def wake(self) -> None:
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = Refused(f"the connection was closed: {exc or 'end of stream'}")
        for future in (self.waiter, self._writable):
            if future is not None and not future.done():
                future.set_exception(self.lost)

    def pause_writing(self) -> None:
        self._writable = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        self._writable = None

    async def drain(self) -> None:
        """Wait until what was written has mostly left."""
        if self._writable is not None:
            await self._writable

    async def more(self) -> None:
        """Wait for octets, or for whoever wakes us."""
        if self.lost is not None:
            raise self.lost
        self.waiter = asyncio.get_running_loop().create_future()
        try:
            await self.waiter
        finally:
            self.waiter = None

    async def until(self, mark: bytes) -> bytes:
        """All up to `mark` and with it."""
        searched = 0
        while (at := self.buffer.find(mark, searched)) < 0:
            searched = max(0, len(self.buffer) - len(mark) + 1)
            await self.more()
        taken = bytes(self.buffer[: at + len(mark)])
        del self.buffer[: at + len(mark)]
        return taken

    async def line(self) -> bytes:
        return await self.until(b"\n")

    async def secure(self) -> None:
        """Begin TLS; certificates are not looked at."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        secured = await asyncio.get_running_loop().start_tls(self.transport, self, context)
        assert secured is not None
        self.transport = secured

    def close(self) -> None:
        self.transport.close()
