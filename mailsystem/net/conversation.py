"""A conversation in lines: bounded lines come in, answers leave together, octets that were promised leave to the last one."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, suppress
from typing import Final, NoReturn

from mailsystem.net.connection import Closed, Connection, Injected, Stopping
from mailsystem.net.lines import Lines
from mailsystem.net.patience import Patience
from mailsystem.telemetry import Trace
from mailsystem.telemetry.trace import SERVER

FLUSH_AT: Final = 64 * 1024
"""Octets of answers that are collected before they leave."""
TURN: Final = 64
"""Commands of one peer that may run before the others have a turn, where none of them has to wait."""
_INJECTED: Final = "octets in clear behind STLS"
_WEB: Final = re.compile(rb"(?:GET|HEAD|POST|PUT|DELETE|OPTIONS|CONNECT|PATCH|TRACE) \S+ HTTP/")


class Conversation:
    """One peer that speaks in lines of at most `longest` octets. What is said to it is traced; what it says, by its door."""

    __slots__ = ("_buffered", "_lines", "_longer", "_longest", "_out", "_turns", "connection", "patience", "trace")

    def __init__(
        self,
        connection: Connection,
        trace: Trace,
        patience: Patience,
        *,
        longest: int,
        longer: tuple[bytes, int] = (b"", 0),
    ) -> None:
        """`longer` is a word, and how long lines may be that begin with it."""
        self.connection = connection
        self.trace = trace
        self.patience = patience
        self._longest = longest
        self._longer = longer
        self._lines = Lines(longest, longer=longer)
        self._out: list[bytes] = []
        self._buffered = 0
        self._turns = 0

    async def hold(
        self,
        conversing: Callable[[], Awaitable[str]],
        *,
        farewell: Callable[[Exception], bytes | None],
        leave: Callable[[], Awaitable[None]],
    ) -> None:
        """From greeting to goodbye. `conversing` returns why it is over, unless one of us ends it: then the peer is told
        what `farewell` makes of that. However it ended, `leave` is called.
        """
        self.trace.event("connected", tls=self.connection.secure)
        reason = "quit"
        try:
            reason = await conversing()
        except (Stopping, Injected, TimeoutError) as end:
            match end:
                case Stopping():
                    reason = "server is shutting down"
                case Injected():
                    reason = _INJECTED
                    self.trace.event("attacked", reason=reason)
                case _:
                    reason = "too long without a command"
            if word := farewell(end):
                await self.last_word(word)
        except ConnectionError as end:
            reason = str(end) or "connection lost"
        except asyncio.CancelledError:
            reason = "cancelled"
            raise
        finally:
            await leave()
            self.trace.event("disconnected", reason=reason)

    # Hearing

    async def hear(self, limit: int = 0) -> bytes:
        """The next line, of at most `limit` octets where that is more than usual.

        Only when there is none, what was said leaves: so the answers to commands that came together leave together. Raises
        `SyntaxFault` for a line that is too long, `Closed`, `TimeoutError`, `Stopping`.
        """
        while (line := self._lines.next(limit)) is None:
            await self.flush()
            self._lines.feed(await self.connection.read(self.patience.left()))
        return line

    def mistrust(self, line: bytes) -> None:
        """Have no patience with a browser that was made to talk to us: its form's fields would be understood as commands."""
        if _WEB.match(line):
            self.patience.lose()

    # Saying

    def say(self, line: bytes) -> None:
        """Say one line; its end is added. It leaves with the next `flush`."""
        self.send(line + b"\r\n")
        if self.trace.wants_lines:
            self.trace.line(SERVER, line)

    def send(self, data: bytes) -> None:
        self._out.append(data)
        self._buffered += len(data)

    async def flush(self) -> None:
        """Hand over what was said, and wait while the peer does not take it."""
        self._hand_over()
        if not self.connection.holds_back:
            return
        try:
            await self.connection.drain()
        except TimeoutError:
            self.cut("client takes nothing")

    def _hand_over(self) -> None:
        if self._out:
            data = self._out[0] if len(self._out) == 1 else b"".join(self._out)
            self._out.clear()
            self._buffered = 0
            self.connection.write(data)

    @property
    def much(self) -> bool:
        """Whether enough was said to be flushed."""
        return self._buffered > FLUSH_AT

    async def take_turns(self) -> None:
        """After each command: let what is much leave, and others have a turn."""
        if self.much:
            await self.flush()
        self._turns += 1
        if not self._turns % TURN:
            await asyncio.sleep(0)

    async def last_word(self, line: bytes) -> None:
        """Say it to whoever is still there."""
        self.say(line)
        with suppress(Closed):
            await self.flush()

    async def start_tls(self, tls: ssl.SSLContext, *, saying: bytes) -> None:
        """Say yes in clear, then go on under TLS, with everything forgotten. Raises `Injected`, `Closed`."""
        if self._lines.pending or self.connection.pending:
            # RFC 2595 4 says to discard it; but it is either an attack or a client that would wait for its answer.
            raise Injected
        self.say(saying)
        self._hand_over()
        await self.connection.start_tls(tls)
        self._lines = Lines(self._longest, longer=self._longer)
        self.trace.event("secured", tls=self.connection.secure)

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
                    if self.much:
                        await self.flush()
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
