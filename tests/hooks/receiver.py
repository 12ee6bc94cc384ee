"""Somebody who is told: an HTTP server that takes, refuses, hangs, redirects, or is away, as a test has it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

PATIENCE = 30.0


@dataclass
class Got:
    """A request that came."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]


@dataclass
class Receiver:
    """What came, and what is answered to it: a status line with header fields, or None for nothing at all."""

    port: int = 0
    got: list[Got] = field(default_factory=list)
    answers: list[str | None] = field(default_factory=list)
    """Of the next requests; after them all are taken."""
    always: str | None = "204 No Content"
    _came: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    async def until(self, wanted: Callable[[Sequence[Got]], Any]) -> list[Got]:
        """Wait for what is wanted of all that came."""
        async with asyncio.timeout(PATIENCE), self._came:
            await self._came.wait_for(lambda: wanted(self.got))
        return self.got

    async def count(self, number: int) -> list[Got]:
        return await self.until(lambda got: len(got) >= number)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            fields = dict(line.split(": ", 1) for line in head[1:] if line)
            headers = {name.lower(): value for name, value in fields.items()}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            answer = self.answers.pop(0) if self.answers else self.always
            async with self._came:
                self.got.append(Got(head[0].split(" ")[1], headers, body))
                self._came.notify_all()
            if answer is None:
                await reader.read()  # until the other side has had enough
            else:
                writer.write(f"HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".encode())
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def receiving(receiver: Receiver) -> AsyncIterator[Receiver]:
    """Listen, at the same port as before if there was one."""
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", receiver.port)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
