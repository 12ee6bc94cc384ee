"""A running POP3 door over a real store, and clients that play dialogs with it: what the fixtures give."""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from argon2 import PasswordHasher
from peer import Peer, Told

from mailsystem.directory import AccountsDirectory
from mailsystem.mail.account import Account
from mailsystem.mail.errors import MailboxExists
from mailsystem.net import Bound
from mailsystem.pop3 import serving
from mailsystem.store import Store, open_store
from mailsystem.store.maildrops import Listed
from mailsystem.telemetry import Event, Trace

PASSWORD = " pässword  1234567 "
PASSWORD_HASH = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
"""As cheap as can be: the cost of a real one is somebody else's test."""
INLINE_LIMIT = 65536


def unstuffed(wire: bytes) -> bytes:
    """A multi-line response, without its status line, as a client that splits at CRLF alone reads it."""
    assert wire.endswith(b"\r\n.\r\n") or wire == b".\r\n", wire[-40:]
    return re.sub(rb"(^|\r\n)\.", rb"\1", wire[:-3])


class Client(Peer):
    """One POP3 client."""

    async def ok(self, line: bytes) -> bytes:
        answer = await self.say(line)
        assert answer.startswith(b"+OK"), (line, answer)
        return answer

    async def many(self, line: bytes) -> bytes:
        """One command and the message that answers it, unstuffed."""
        await self.ok(line)
        self._held[:0] = b"\r\n"
        wire = await self.up_to(b"\r\n.\r\n")
        assert wire is not None, "the answer breaks off"
        return unstuffed(wire[2:])

    async def listing(self, line: bytes) -> list[bytes]:
        return (await self.many(line)).split(b"\r\n")[:-1]

    async def log_in(self, login: str = "ann@example.org", password: str = PASSWORD) -> bytes:
        await self.ok(b"USER " + login.encode())
        return await self.ok(b"PASS " + password.encode())

    async def start_tls(self, trusting: ssl.SSLContext) -> None:
        await self.writer.start_tls(trusting, server_hostname="localhost")


@dataclass
class Door(Told):
    """A door, the store behind it, and everything that was said to the trace."""

    store: Store
    bound: Bound
    ann: Account
    events: list[Event]
    clients: AsyncExitStack

    async def connect(self, *, greeted: bool = True, tls: ssl.SSLContext | None = None, limit: int = 1 << 20) -> Client:
        host = "localhost" if tls else None
        reader, writer = await asyncio.open_connection(
            self.bound.host, self.bound.port, ssl=tls, server_hostname=host, limit=limit
        )
        client = Client(reader, writer)
        self.clients.push_async_callback(client.close)
        if greeted:
            assert (await client.line()).startswith(b"+OK")
        return client

    async def client(self) -> Client:
        """One that has logged in as Ann."""
        client = await self.connect()
        await client.log_in()
        return client

    async def post(self, *messages: bytes, login: str = "ann@example.org") -> None:
        """Put messages into an INBOX, in this order; they are committed together."""
        account = await self.store.accounts.find(login)

        async def append(raw: bytes) -> None:
            spool = self.store.contents.spool()
            try:
                for start in range(0, len(raw), 1 << 18):
                    spool.write(raw[start : start + (1 << 18)])
                    if spool.wants_flush:
                        await spool.flush()
                await self.store.mailboxes.append(account.id, "INBOX", spool)
            finally:
                spool.discard()

        if max(map(len, messages)) > INLINE_LIMIT:
            for raw in messages:
                await append(raw)
        else:
            await asyncio.gather(*map(append, messages))

    async def kept(self) -> Sequence[Listed]:
        """What is in Ann's INBOX."""
        return (await self.store.maildrops.listing(self.ann.id)).messages

    async def play(self, script: str) -> None:
        """Let clients say the lines after `C:` and hear those after `S:`, in order; `C2:` and `S2:` are another client's.

        What is heard may end in `*` for anything. The greeting is heard by itself. `S: <closed>` is the end of the stream.
        """
        clients: dict[str, Client] = {}
        for line in script.strip().splitlines():
            told = re.fullmatch(r"\s*([CS])(\d*): ?(.*)", line)
            if told is None:
                assert not line.strip() or line.strip().startswith("#"), line
                continue
            who, number, text = told.groups()
            if number not in clients:
                clients[number] = await self.connect()
            client = clients[number]
            if who == "C":
                await client.send(text.encode() + b"\r\n")
            elif text == "<closed>":
                assert await client.rest() == b"", line
            else:
                heard = (await client.line()).decode()
                expected = re.escape(text).replace(r"\*", ".*") if text.endswith("*") else re.escape(text)
                assert re.fullmatch(expected, heard), f"{line.strip()!r}, but heard {heard!r}"


Opening = Callable[..., Awaitable[Door]]


@asynccontextmanager
async def opened(directory: Path, **options: Any) -> AsyncIterator[Door]:
    """A door to the store in `directory`, where Ann and Bob live."""
    events: list[Event] = []
    async with open_store(directory, inline_limit=INLINE_LIMIT, spool_limit=INLINE_LIMIT * 2, indexed=False) as store:
        people = AccountsDirectory(store, default_domain="example.org")
        people._renewing = False  # nor is what a first login makes of a password
        for login in ("ann@example.org", "bob@example.org", "jörg@example.org"):
            with contextlib.suppress(MailboxExists):
                await store.accounts.add(login, PASSWORD_HASH, mailboxes=[("Junk", "\\Junk")])
        ann = await store.accounts.find("ann@example.org")
        options = {"host": "127.0.0.1", "port": 0, "grace": 1.0, "hostname": "mx.example.org", **options}
        async with (
            AsyncExitStack() as clients,
            serving(store, people, Trace([events.append], lines=True), **options) as bound,
        ):
            yield Door(store, bound, ann, events, clients)
