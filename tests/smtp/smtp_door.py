"""What the SMTP tests share: a real store with people, doors before it, raw clients, and dialogs in writing."""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import messages

from mailsystem.delivery import Delivery
from mailsystem.directory import AccountsDirectory, hash_password
from mailsystem.mail.mailbox import MessageSet
from mailsystem.net import Bound
from mailsystem.smtp.server import serving
from mailsystem.store import Store, open_store
from mailsystem.telemetry import Event, Trace

PATIENCE = 10.0
PASSWORD = "correct horse"
ALL = MessageSet(((1, 0xFFFFFFFF),))


@dataclass
class House:
    """A store, those who live in it, and everything that was said to the trace."""

    store: Store
    directory: AccountsDirectory
    events: list[Event] = field(default_factory=list)
    delivery: Any = None
    """What doors carry mail to, where it is not the real thing."""

    @asynccontextmanager
    async def door(self, **options: Any) -> AsyncIterator[Bound]:
        """An SMTP door on a free port; with the options of `serving`."""
        trace = Trace([self.events.append], lines=True)
        delivery = self.delivery or Delivery(self.store, self.directory, hostname="mx.example.org")
        place: dict[str, Any] = {"host": "127.0.0.1", "port": 0, "hostname": "mx.example.org"}
        async with serving(self.store, self.directory, delivery, trace, **{**place, **options}) as bound:
            yield bound

    async def kept(self, login: str) -> list[bytes]:
        """The messages in somebody's INBOX, trace fields and all, oldest first."""
        account = (await self.store.accounts.find(login)).id
        mailbox = (await self.store.mailboxes.find(account, "INBOX")).id
        found = []
        for message in await self.store.mailboxes.messages(account, mailbox, ALL):
            found.append(await self.store.contents.read(message.content))  # noqa: PERF401
        return found

    async def received(self, login: str) -> list[bytes]:
        """The same as they were sent."""
        return [messages.received(raw) for raw in await self.kept(login)]

    def told(self, name: str) -> list[dict[str, Any]]:
        """The data of every event of that name."""
        return [dict(event.data) for event in self.events if event.name == name]

    async def until_told(self, name: str, count: int = 1) -> list[dict[str, Any]]:
        async with asyncio.timeout(PATIENCE):
            while len(found := self.told(name)) < count:  # noqa: ASYNC110 - a sink is no place for an Event
                await asyncio.sleep(0.005)
        return found


_hashed: dict[str, str] = {}  # made once: it takes its time on purpose


@asynccontextmanager
async def housed(path: Path) -> AsyncIterator[House]:
    async with open_store(path / "data", inline_limit=16384, spool_limit=65536) as store:
        await store.accounts.add_domain("example.org")
        hashed = _hashed.get(PASSWORD) or _hashed.setdefault(PASSWORD, await hash_password(PASSWORD))
        for login in ("ann@example.org", "bob@example.org", "postmaster@example.org"):
            await store.accounts.add(login, hashed)
        yield House(store, AccountsDirectory(store, default_domain="example.org"))


class Client:
    """A raw SMTP client: it says the octets it is told to say."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def connect(cls, door: Bound, *, hello: bool = True, tls: ssl.SSLContext | None = None) -> Self:
        """With `hello`, the greeting is read and EHLO said."""
        name = "localhost" if tls else None
        reader, writer = await asyncio.open_connection(door.host, door.port, ssl=tls, server_hostname=name)
        client = cls(reader, writer)
        if hello:
            assert (await client.reply()).startswith("220 ")
            assert (await client.say("EHLO client.example")).startswith("250")
        return client

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            await self.writer.wait_closed()

    def reset(self) -> None:
        """Vanish without a goodbye."""
        self.writer.transport.abort()

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def line(self) -> str:
        """The next reply line, without its CRLF; empty at the end."""
        line = await asyncio.wait_for(self.reader.readline(), PATIENCE)
        assert line.endswith(b"\r\n") or not line, line
        return line[:-2].decode("ascii")

    async def reply(self) -> str:
        """The next reply; a multi-line one with its lines joined by line feeds. Empty at the end."""
        lines = [await self.line()]
        while lines[-1][3:4] == "-":
            lines.append(await self.line())
        return "\n".join(lines)

    async def say(self, line: str | bytes) -> str:
        await self.send((line.encode() if isinstance(line, str) else line) + b"\r\n")
        return await self.reply()

    async def begin(self, *recipients: str, sender: str = "sue@example.net", parameters: str = "") -> None:
        """A transaction up to the go-ahead for DATA."""
        assert (await self.say(f"MAIL FROM:<{sender}>{parameters}")).startswith("250 2.1.0 ")
        for recipient in recipients or ("ann@example.org",):
            assert (await self.say(f"RCPT TO:<{recipient}>")).startswith("250 2.1.5 ")
        assert (await self.say("DATA")).startswith("354 ")

    async def mail(self, octets: bytes, *recipients: str, parameters: str = "") -> str:
        """A whole transaction; `octets` are all that follows DATA, with dots and end."""
        await self.begin(*recipients, parameters=parameters)
        await self.send(octets)
        return await self.reply()

    async def rest(self) -> bytes:
        """Everything up to the end of the connection."""
        try:
            return await asyncio.wait_for(self.reader.read(-1), PATIENCE)
        except ConnectionError:
            return b""


async def play(client: Client, dialog: str) -> None:
    """Play a dialog: `C:` lines are sent, those in a row in one segment; `S:` lines are how the replies begin.

    `S: -` is the end of the connection; `<CR>`, `<LF>`, `<NUL>` and `<FF>` are the octets of these names.
    """
    octets = {b"<CR>": b"\r", b"<LF>": b"\n", b"<NUL>": b"\0", b"<FF>": b"\xff"}
    waiting = b""
    for number, line in enumerate(dialog.strip().splitlines(), 1):
        who, _, text = line.strip().partition(" ")
        if who == "C:":
            said = text.encode()
            for name, octet in octets.items():
                said = said.replace(name, octet)
            waiting += said + b"\r\n"
            continue
        assert who == "S:", f"line {number}: {line}"
        if waiting:
            await client.send(waiting)
            waiting = b""
        if text == "-":
            assert await client.rest() == b"", f"line {number}: still there"
        else:
            heard = await client.line()
            assert heard.startswith(text), f"line {number}: {text!r} expected, heard {heard!r}"
    assert not waiting


def enhanced(line: str) -> bool:
    """Whether a final reply line has the enhanced status code that belongs to it (RFC 2034 4)."""
    return re.match(r"([245])\d\d[ -]\1\.\d{1,3}\.\d{1,3} ", line) is not None
