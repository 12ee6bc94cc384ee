"""What tests of the POP doors share: a client on the loop of its door, which reads octet by octet, and what the door told."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from mailsystem.telemetry import Event

PATIENCE = 10.0


class Peer:
    """One client; dialects are made of it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self._held = bytearray()

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def up_to(self, mark: bytes) -> bytes | None:
        """All up to and with `mark`; None if the stream ends before."""
        looked = 0
        async with asyncio.timeout(PATIENCE):
            while (at := self._held.find(mark, looked)) < 0:
                looked = max(0, len(self._held) - len(mark) + 1)
                if not await self._more():
                    return None
        return self._taken(at + len(mark))

    async def _more(self) -> bool:
        data = await self.reader.read(1 << 20)
        self._held += data
        return bool(data)

    def _taken(self, octets: int) -> bytes:
        found = bytes(self._held[:octets])
        del self._held[:octets]
        return found

    async def line(self) -> bytes:
        """The next line without its line end; empty at the end of the stream."""
        line = await self.up_to(b"\r\n")
        assert line is not None or not self._held, self._held
        return line[:-2] if line is not None else b""

    async def say(self, line: bytes) -> bytes:
        """One command and the line that answers it."""
        await self.send(line + b"\r\n")
        return await self.line()

    async def exactly(self, octets: int) -> bytes:
        async with asyncio.timeout(PATIENCE):
            while len(self._held) < octets:
                assert await self._more(), "the stream ends too soon"
        return self._taken(octets)

    async def rest(self) -> bytes:
        """All until the server closes."""
        async with asyncio.timeout(PATIENCE):
            while await self._more():
                pass
        return self._taken(len(self._held))

    def vanish(self) -> None:
        """Be gone without a goodbye."""
        self.writer.transport.abort()

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()


class Told:
    """What was said to a trace."""

    events: list[Event]

    def told(self, name: str) -> list[dict[str, Any]]:
        """The data of every event of that name."""
        return [dict(event.data) for event in self.events if event.name == name]

    async def until_told(self, name: str, count: int = 1) -> list[dict[str, Any]]:
        async with asyncio.timeout(PATIENCE):
            while len(found := self.told(name)) < count:  # noqa: ASYNC110
                await asyncio.sleep(0.002)
        return found
