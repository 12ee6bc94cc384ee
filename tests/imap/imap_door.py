"""A running IMAP door over a real store, and clients that play dialogs with it: what the fixtures give."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from typing import NamedTuple

from argon2 import PasswordHasher

from mailsystem.mail.account import Account
from mailsystem.mail.mailbox import Flag
from mailsystem.net import Bound
from mailsystem.store import Appended, Store
from mailsystem.telemetry import Event

PASSWORD = "pässword-1234567"
PATIENCE = 10.0
SPECIAL = (
    ("Drafts", "\\Drafts"),
    ("Sent", "\\Sent"),
    ("Junk", "\\Junk"),
    ("Trash", "\\Trash"),
    ("Archive", "\\Archive"),
)
PASSWORD_HASH = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
"""As cheap as can be: the cost of a real one is somebody else's test."""


class Answer(NamedTuple):
    """All that came in answer to one command."""

    untagged: list[bytes]
    """Each without its line end; literals stand in place, with their `{n}` and CRLF."""
    tagged: bytes
    """Without the tag."""

    @property
    def status(self) -> str:
        return self.tagged.split()[0].decode()

    @property
    def code(self) -> str:
        """The response code of the tagged line, empty if it has none."""
        found = re.match(rb"(?:OK|NO|BAD) \[([^\]]*)\]", self.tagged)
        return found[1].decode() if found else ""


class Client:
    """One client, octet by octet."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self._tags = 0

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def line(self) -> bytes:
        """The next line without its line end; empty at the end of the stream."""
        async with asyncio.timeout(PATIENCE):
            return (await self.reader.readline()).removesuffix(b"\r\n")

    async def response(self) -> bytes:
        """The next line with the literals in it and what follows them."""
        async with asyncio.timeout(PATIENCE):
            whole = b""
            while True:
                whole += await self.reader.readline()
                found = re.search(rb"\{(\d+)\}\r\n\Z", whole)
                if found is None:
                    return whole.removesuffix(b"\r\n")
                whole += await self.reader.readexactly(int(found[1]))

    async def say(self, command: str | bytes) -> Answer:
        """Run one command. `{n}` literals that wait for a `+` are not understood here: use `{n+}` or `send`."""
        self._tags += 1
        tag = b"t%d" % self._tags
        await self.send(tag + b" " + (command.encode() if isinstance(command, str) else command) + b"\r\n")
        return await self.answer(tag)

    async def answer(self, tag: bytes) -> Answer:
        """Read up to the line that is tagged so."""
        untagged: list[bytes] = []
        while True:
            response = await self.response()
            if response.startswith(tag + b" "):
                return Answer(untagged, response[len(tag) + 1 :])
            if not response:
                raise EOFError(untagged)
            untagged.append(response)

    async def ok(self, command: str | bytes) -> list[bytes]:
        """Run a command that must succeed; its untagged responses."""
        answer = await self.say(command)
        assert answer.status == "OK", (command, answer)
        return answer.untagged

    async def rest(self) -> bytes:
        """Everything until the server closes."""
        async with asyncio.timeout(PATIENCE):
            return await self.reader.read()

    async def close(self) -> None:
        self.writer.close()
        with suppress(OSError, ssl.SSLError):
            await self.writer.wait_closed()


@dataclass
class Door:
    """A running IMAP door and everything behind it."""

    store: Store
    bound: Bound
    people: dict[str, Account]
    """`ann` and `bob`, both of example.org."""
    events: list[Event]
    clients: AsyncExitStack
    served: AsyncExitStack

    @property
    def account(self) -> Account:
        """Ann's."""
        return self.people["ann"]

    async def stop(self) -> None:
        """End the program."""
        await self.served.aclose()

    async def until(self, event: str) -> None:
        """Wait until the trace has told of this."""
        async with asyncio.timeout(PATIENCE):
            while not self.named(event):  # noqa: ASYNC110 - a trace cannot be waited for
                await asyncio.sleep(0.005)

    async def connect(self) -> Client:
        """A client that has not even read the greeting."""
        client = Client(*await asyncio.open_connection(self.bound.host, self.bound.port))
        self.clients.push_async_callback(client.close)
        return client

    async def client(self, login: str = "ann", mailbox: str | None = None) -> Client:
        """A client that is logged in and, if so wished, in a mailbox."""
        client = await self.connect()
        await client.line()
        await client.ok(f'LOGIN {login} "{PASSWORD}"')
        if mailbox is not None:
            await client.ok(f"SELECT {mailbox}")
        return client

    async def put(
        self,
        raw: bytes = b"Subject: x\r\n\r\nhello\r\n",
        *flags: str,
        mailbox: str = "INBOX",
        internaldate: float | None = None,
    ) -> Appended:
        """Put a message into one of Ann's mailboxes behind the door's back."""
        spool = self.store.contents.spool()
        try:
            spool.write(raw)
            return await self.store.mailboxes.append(
                self.account.id, mailbox, spool, flags=frozenset(map(Flag, flags)), internaldate=internaldate
            )
        finally:
            spool.discard()

    async def dialog(self, script: str, **clients: Client) -> None:
        """Play a script: `C1: …` is said by client 1, `S1: …` must be what it hears next; `...` stands for anything.

        A number is logged in as Ann when it is first used; pass other clients as `c3=…`.
        """
        players = {name.removeprefix("c"): client for name, client in clients.items()}
        for line in filter(None, map(str.strip, script.splitlines())):
            who, _, text = line.partition(": ") if ": " in line else (line.removesuffix(":"), "", "")
            number = who[1:]
            if number not in players:
                players[number] = await self.client()
            if who[0] == "C":
                await players[number].send(text.encode() + b"\r\n")
            else:
                assert who[0] == "S", line
                heard = (await players[number].line()).decode()
                wanted = ".*".join(map(re.escape, text.split("...")))
                assert re.fullmatch(wanted, heard), f"{line!r} was wanted, heard {heard!r}"

    def lines(self) -> list[str]:
        """What the trace says went over the wire."""
        return [f"{event.data['who']}: {event.data['text']}" for event in self.events if event.name == "line"]

    def named(self, name: str) -> list[Event]:
        return [event for event in self.events if event.name == name]


Opening = Callable[..., Awaitable[Door]]
