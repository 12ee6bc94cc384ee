"""POP1, POP2 and POP3 before one store, and clients that play dialogs with them: what the fixtures give."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from argon2 import PasswordHasher
from peer import Peer, Told

from mailsystem import pop1, pop2, pop3
from mailsystem.directory import AccountsDirectory
from mailsystem.mail.account import Account
from mailsystem.mail.errors import InUse, MailboxExists
from mailsystem.mail.mailbox import Message
from mailsystem.net import Bound
from mailsystem.policy.guard import Guard
from mailsystem.store import Store, open_store
from mailsystem.telemetry import Event, Trace

PASSWORD = " pässword  12\\34 "
QUOTED = PASSWORD.replace("\\", "\\\\").replace(" ", "\\ ")
"""As POP2 wants it."""
PASSWORD_HASH = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
INLINE_LIMIT = 65536
DOORS = {"pop1": pop1.serving, "pop2": pop2.serving, "pop3": pop3.serving}


@dataclass
class House(Told):
    """Three doors, the store behind them, and everything that was said to the trace."""

    store: Store
    bound: dict[str, Bound]
    ann: Account
    events: list[Event]
    clients: AsyncExitStack

    async def connect(self, door: str, *, greeted: bool = True) -> Peer:
        place = self.bound[door]
        client = Peer(*await asyncio.open_connection(place.host, place.port, limit=1 << 20))
        self.clients.push_async_callback(client.close)
        if greeted:
            assert (await client.line()).startswith(b"+")
        return client

    async def client(self, door: str, login: str = "ann@example.org") -> Peer:
        """One that has logged in."""
        client = await self.connect(door)
        if door == "pop2":
            assert (await client.say(f"HELO {login} {QUOTED}".encode())).startswith(b"#")
        else:
            assert (await client.say(b"USER " + login.encode())).startswith(b"+OK")
            assert (await client.say(b"PASS " + PASSWORD.encode())).startswith(b"+OK")
        return client

    async def post(self, *messages: bytes, mailbox: str = "INBOX") -> None:
        """Put messages into a mailbox of Ann's, one after the other."""
        for raw in messages:
            spool = self.store.contents.spool()
            try:
                for start in range(0, len(raw), 1 << 18):
                    spool.write(raw[start : start + (1 << 18)])
                    if spool.wants_flush:
                        await spool.flush()
                await self.store.mailboxes.append(self.ann.id, mailbox, spool)
            finally:
                spool.discard()

    async def kept(self, name: str = "INBOX") -> list[Message]:
        """What is in a mailbox of Ann's."""
        from mailsystem.mail.mailbox import MessageSet

        mailbox = await self.store.mailboxes.find(self.ann.id, name)
        return list(await self.store.mailboxes.messages(self.ann.id, mailbox.id, MessageSet(((1, 0xFFFFFFFF),))))

    async def free(self) -> None:
        """Wait until the maildrop can be locked, and lock it for a moment."""
        async with asyncio.timeout(5):
            while True:
                with contextlib.suppress(InUse):
                    await self.store.maildrops.release(await self.store.maildrops.acquire(self.ann.id))
                    return
                await asyncio.sleep(0.01)

    def lines(self) -> list[str]:
        """Everything that was said, by both sides, as the trace has it."""
        return [f"{event.data['who']}: {event.data['text']}" for event in self.events if event.name == "line"]

    async def play(self, door: str, script: str) -> None:
        """Let a client say what stands after `C:` and hear what stands after `S:`, greeting included.

        `*` is anything. `S: <n octets>` is so much mail, `S: <closed>` the end of the stream.
        """
        client = await self.connect(door, greeted=False)
        for line in script.strip().splitlines():
            told = re.fullmatch(r"\s*([CS]): ?(.*)", line)
            if told is None:
                assert not line.strip(), line
                continue
            who, text = told.groups()
            if who == "C":
                await client.send(text.encode() + b"\r\n")
            elif text == "<closed>":
                assert await client.rest() == b"", line
            elif octets := re.fullmatch(r"<(\d+) octets>", text):
                await client.exactly(int(octets[1]))
            else:
                heard = (await client.line()).decode()
                expected = re.escape(text).replace(r"\*", ".*")
                assert re.fullmatch(expected, heard), f"{line.strip()!r}, but heard {heard!r}"


Opening = Callable[..., Awaitable[House]]


@asynccontextmanager
async def opened(directory: Path, **options: Any) -> AsyncIterator[House]:
    """All three generations before the store in `directory`, where Ann and Bob live."""
    events: list[Event] = []
    async with open_store(directory, inline_limit=INLINE_LIMIT, spool_limit=INLINE_LIMIT * 2, indexed=False) as store:
        people = AccountsDirectory(store, default_domain="example.org")
        people._renewing = False  # nor is what a first login makes of a password
        guard = Guard(people, store.clock, default_domain="example.org")
        for login in ("ann@example.org", "bob@example.org"):
            with contextlib.suppress(MailboxExists):
                await store.accounts.add(login, PASSWORD_HASH, mailboxes=[("Junk", "\\Junk")])
        ann = await store.accounts.find("ann@example.org")
        options = {"host": "127.0.0.1", "port": 0, "grace": 1.0, "hostname": "USC-ISIF.ARPA", **options}
        async with AsyncExitStack() as stack, AsyncExitStack() as clients:
            bound = {
                name: await stack.enter_async_context(
                    serving(store, guard, Trace([events.append], lines=True), **options)
                )
                for name, serving in DOORS.items()
            }
            yield House(store, bound, ann, events, clients)
