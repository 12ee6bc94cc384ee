"""Two whole servers that exchange mail: mx.a.test at 127.0.0.1 and mx.b.test at 127.0.0.2, at one port, and a DNS of theirs."""

from __future__ import annotations

import asyncio
import email
import email.policy
import smtplib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from mailsystem.app import Running, running
from mailsystem.app import opened as prepared
from mailsystem.cli.demo.dns import NameServer, answering
from mailsystem.directory import hash_password
from mailsystem.mail.mailbox import INBOX, MessageSet
from mailsystem.settings import Imap, Pop3, Queue, Settings, Smtp, Submission
from mailsystem.store import Store
from mailsystem.telemetry import Event

PASSWORD = "correct-horse"
PATIENCE = 30.0
ZONE = {
    "a.test": ["MX 10 mx.a.test."],
    "mx.a.test": ["A 127.0.0.1"],
    "b.test": ["MX 10 mx.b.test."],
    "mx.b.test": ["A 127.0.0.2"],
}
ADDRESSES = {"a": "127.0.0.1", "b": "127.0.0.2"}


@dataclass
class House:
    """One of the two."""

    name: str
    running: Running
    events: list[Event] = field(default_factory=list)

    @property
    def store(self) -> Store:
        return self.running.store

    def told(self, name: str) -> list[Event]:
        return [event for event in self.events if event.name == name]

    def submit(self, sender: str, to: list[str], message: bytes, **options: Any) -> dict[str, tuple[int, bytes]]:
        """Send as `sender`, who logs in; who was refused, and how. Blocks."""
        place = self.running.bound["submission"]
        with smtplib.SMTP(place.host, place.port, timeout=PATIENCE) as client:
            client.ehlo("laptop.test")
            client.login(sender, PASSWORD)
            return client.sendmail(sender, to, message, **options)

    async def inbox(self, person: str) -> list[bytes]:
        account = await self.store.accounts.find(f"{person}@{self.name}.test")
        box = await self.store.mailboxes.find(account.id, INBOX)
        kept = await self.store.mailboxes.messages(account.id, box.id, MessageSet.parse("1:*"))
        return [await self.store.contents.read(message.content) for message in kept]

    async def one(self, person: str) -> EmailMessage:
        """The first message that somebody gets, as soon as it is there."""
        found = await until(lambda: self.inbox(person))
        return email.message_from_bytes(found[0], policy=email.policy.default)  # type: ignore[return-value]

    async def empty(self) -> None:
        """Wait until nothing is left in the queue."""

        async def left() -> bool:
            return not await self.store.outbound.agenda() and not (await self.store.outbound.to_report())[0]

        await until(left)


async def until(look: Callable[[], Awaitable[Any]]) -> Any:
    """What `look` finds, as soon as it finds something."""
    async with asyncio.timeout(PATIENCE):
        while not (found := await look()):  # noqa: ASYNC110 - what is looked at cannot be waited for
            await asyncio.sleep(0.02)
        return found


def free_port() -> int:
    """One that is free at both addresses."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port = int(first.getsockname()[1])
            try:
                second.bind(("127.0.0.2", port))
            except OSError:
                continue
            return port


class Street:
    """Where the two stand; each is opened when a test wants it."""

    def __init__(self, place: Path, port: int, name_server: tuple[str, int], stack: AsyncExitStack) -> None:
        self.port = port
        self._place = place
        self._name_server = name_server
        self._stack = stack

    async def open(self, name: str, *, people: tuple[str, ...] = (), sink: bool = False, **queue: Any) -> House:
        """Open one of the houses, with its people."""
        host, dns = self._name_server
        wanted: dict[str, Any] = {
            "nameservers": (f"{host}:{dns}",),
            "private_hosts": True,
            "port": self.port,
            "retry_first": 1.0,
        }
        settings = Settings(
            data_dir=self._place / name,
            host=ADDRESSES[name],
            hostname=f"mx.{name}.test",
            smtp=Smtp(port=self.port),
            submission=Submission(port=0),
            pop3=Pop3(port=0),
            imap=Imap(port=0),
            queue=Queue(**{**wanted, **queue}),
        )
        if not sink:
            # Before anybody can come: whoever is not there yet would be refused for good.
            async with prepared(settings) as store:
                await store.accounts.add_domain(f"{name}.test")
                for each in people:
                    await store.accounts.add(f"{each}@{name}.test", await hash_password(PASSWORD))
        events: list[Event] = []
        house = await self._stack.enter_async_context(
            running(settings, sink=sink, own_certificate=True, sinks=[events.append])
        )
        return House(name, house, events)


@asynccontextmanager
async def street(place: Path) -> AsyncIterator[Street]:
    async with answering(NameServer(ZONE)) as name_server, AsyncExitStack() as stack:
        yield Street(place, free_port(), name_server, stack)
