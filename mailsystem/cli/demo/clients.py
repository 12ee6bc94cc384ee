"""The people of the demonstration: small SMTP, POP3 and IMAP clients that speak over real sockets."""

from __future__ import annotations

import asyncio
import base64
import re
import ssl
from collections.abc import Callable
from typing import Final

from mailsystem.net import Bound
from mailsystem.telemetry.flow import Flow

PATIENCE: Final = 30.0
"""Seconds after which an answer that does not come is a failure."""

_COUNT = re.compile(rb"[#=]([0-9]+)")
_LITERAL = re.compile(rb"\{([0-9]+)\}\r\n\Z")


class NoAnswer(Exception):
    """The server did not say what it had to say; the text says what was waited for."""


async def until(flow: Flow, come: Callable[[], bool]) -> None:
    """Wait for what is said between others. Raises `NoAnswer`."""
    try:
        async with asyncio.timeout(PATIENCE):
            while not come():
                await flow.news()
    except TimeoutError:
        raise NoAnswer("one server waited in vain for the other") from None


class Client:
    """One end of a connection. Its lane in the flow is known by the address that it connects from."""

    def __init__(self, lane: str, bound: Bound, flow: Flow) -> None:
        self.lane = lane
        self._bound = bound
        self._flow = flow
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter | None = None

    async def connect(self) -> None:
        self._reader, self._writer = await asyncio.open_connection(self._bound.host, self._bound.port)
        host, port = self._writer.get_extra_info("sockname")[:2]
        self._flow.name(f"[{host}]:{port}" if ":" in host else f"{host}:{port}", self.lane)

    async def say(self, data: bytes) -> None:
        """Say a line, or several octets that end in one."""
        if self._writer is None:
            raise NoAnswer(f"{self.lane} is not connected")
        self._writer.write(data + b"\r\n")
        await self._writer.drain()

    async def line(self) -> bytes:
        """The server's next line, with the octets of its literals."""
        try:
            async with asyncio.timeout(PATIENCE):
                line = await self._reader.readuntil(b"\r\n")
                while literal := _LITERAL.search(line):
                    line += await self._reader.readexactly(int(literal[1])) + await self._reader.readuntil(b"\r\n")
                return line
        except (TimeoutError, asyncio.IncompleteReadError):
            raise NoAnswer(f"{self.lane} waited in vain for the server") from None

    async def exactly(self, octets: int) -> bytes:
        try:
            async with asyncio.timeout(PATIENCE):
                return await self._reader.readexactly(octets)
        except (TimeoutError, asyncio.IncompleteReadError):
            raise NoAnswer(f"{self.lane} waited in vain for {octets} octets") from None

    async def secure(self, trusting: ssl.SSLContext) -> None:
        """Go on under TLS, with a server that proves who it is."""
        if self._writer is not None:
            await self._writer.start_tls(trusting, server_hostname="localhost")

    async def line_with(self, mark: bytes) -> bytes:
        """The next line that has `mark` in it."""
        while mark not in (line := await self.line()):
            pass
        return line

    async def close(self) -> None:
        """Wait for the server to hang up, then do the same."""
        try:
            async with asyncio.timeout(PATIENCE):
                await self._reader.read()
        except (TimeoutError, ConnectionError):
            pass
        finally:
            self.hang_up()

    def hang_up(self) -> None:
        """At once; harmless where that has happened."""
        if self._writer is not None:
            self._writer.close()


class Smtp(Client):
    async def reply(self, code: bytes) -> bytes:
        """A whole reply, which must have that code."""
        while (line := await self.line())[3:4] == b"-":
            pass
        if not line.startswith(code):
            raise NoAnswer(
                f"{self.lane} wanted {code.decode()}, the server said {line.decode(errors='replace').strip()}"
            )
        return line

    async def ask(self, line: bytes, code: bytes) -> None:
        await self.say(line)
        await self.reply(code)

    async def log_in(self, login: str, password: str) -> None:
        """By the mechanism of RFC 4616, which is for use under TLS."""
        await self.ask(b"AUTH PLAIN " + base64.b64encode(f"\0{login}\0{password}".encode()), b"235")


class Pop3(Client):
    async def ask(self, line: bytes, *, many: bool = False) -> bytes:
        """The first line of the answer, and with `many` all that follows."""
        await self.say(line)
        return await self.answer(many=many)

    async def answer(self, *, many: bool = False) -> bytes:
        first = await self.line()
        if not first.startswith(b"+OK"):
            raise NoAnswer(f"{self.lane} wanted +OK, the server said {first.decode(errors='replace').strip()}")
        while many and await self.line() != b".\r\n":
            pass
        return first


class Counted(Client):
    """One that speaks POP1 or POP2: what it is sent is as long as it was told."""

    async def reply(self, begin: bytes) -> bytes:
        line = await self.line()
        if not line.startswith(begin):
            raise NoAnswer(
                f"{self.lane} wanted {begin.decode()}, the server said {line.decode(errors='replace').strip()}"
            )
        return line

    async def ask(self, line: bytes, begin: bytes) -> int:
        """The number in the answer, where it has one."""
        await self.say(line)
        found = _COUNT.match(await self.reply(begin))
        return int(found[1]) if found else 0

    async def fetch(self, line: bytes, octets: int) -> bytes:
        """So much mail."""
        await self.say(line)
        return await self.exactly(octets)


class Imap(Client):
    def __init__(self, lane: str, bound: Bound, flow: Flow) -> None:
        super().__init__(lane, bound, flow)
        self._commands = 0

    async def ask(self, command: bytes) -> list[bytes]:
        """Every line of the answer, the tagged one last."""
        tag = await self._start(command)
        lines = [await self.line()]
        while not lines[-1].startswith(tag + b" "):
            lines.append(await self.line())
        if not lines[-1].startswith(tag + b" OK"):
            raise NoAnswer(f"{self.lane} wanted OK, the server said {lines[-1].decode(errors='replace').strip()}")
        return lines

    async def idle(self) -> None:
        """From now on the server may speak (RFC 2177)."""
        await self._start(b"IDLE")
        await self.line_with(b"+")

    async def done(self) -> None:
        """Ask again from now on."""
        await self.say(b"DONE")
        await self.line_with(b" OK")

    async def _start(self, command: bytes) -> bytes:
        self._commands += 1
        tag = b"a%d" % self._commands
        await self.say(tag + b" " + command)
        return tag
