"""A conversation in lines: bounded lines come in, answers leave together, octets that were promised leave to the last one."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Final, NoReturn

from mailsystem.net.connection import Closed, Connection
from mailsystem.net.lines import Lines
from mailsystem.telemetry import Trace
from mailsystem.telemetry.trace import SERVER

FLUSH_AT: Final = 64 * 1024
"""Octets of answers that are collected before they leave."""


class Conversation:
    """One peer that speaks in lines of at most `longest` octets. What is said to it is traced; what it says, by its door."""

    __slots__ = ("_buffered", "_lines", "_out", "connection", "trace")

    def __init__(self, connection: Connection, trace: Trace, *, longest: int) -> None:
        self.connection = connection
        self.trace = trace
        self._lines = Lines(longest)
        self._out: list[bytes] = []
        self._buffered = 0

    async def hear(self, patience: Callable[[], float]) -> bytes:
        """The next line. What was said leaves before anything is waited for, and each wait asks how long it may be.

        Raises `SyntaxFault` for a line that is too long, `Closed`, `TimeoutError`, `Stopping`.
        """
        while (line := self._lines.next()) is None:
            await self.flush()
            self._lines.feed(await self.connection.read(patience()))
        return line

    def say(self, line: bytes) -> None:
        """Say one line; its end is added. It leaves with the next `flush`."""
        self.send(line + b"\r\n")
        self.trace.line(SERVER, line)

    def send(self, data: bytes) -> None:
        self._out.append(data)
        self._buffered += len(data)

    async def flush(self) -> None:
        """Hand over what was said, and wait while the peer does not take it."""
        if self._out:
            data = self._out[0] if len(self._out) == 1 else b"".join(self._out)
            self._out.clear()
            self._buffered = 0
            self.connection.write(data)
            del data
        try:
            await self.connection.drain()
        except TimeoutError:
            self.cut("client takes nothing")

    async def flush_if_much(self) -> None:
        if self._buffered > FLUSH_AT:
            await self.flush()

    async def pass_on(self, octets: AsyncGenerator[bytes, None], promised: int) -> None:
        """So many octets, as they are, in constant memory.

        What cannot be read is refused before the first of them (`MailError`). Later there is no word that the peer would
        not take for a part of them: then the connection ends.
        """
        sent = 0
        async with aclosing(octets):
            chunk = await anext(octets, None)
            try:
                while chunk is not None and sent + len(chunk) <= promised:
                    self.send(chunk)
                    sent += len(chunk)
                    await self.flush_if_much()
                    chunk = await anext(octets, None)
            except Closed:
                raise
            except Exception as error:
                self.trace.event("answer broke off", error=type(error).__name__)
                self.cut("answer not finished")
        if chunk is not None or sent != promised:
            self.cut("answer not as long as was said")
        if self.trace.wants_lines:
            self.trace.line(SERVER, b"[%d octets]" % sent)

    def cut(self, why: str) -> NoReturn:
        """Hang up at once: an answer that was begun cannot be finished."""
        self.connection.abort()
        raise Closed(why)
