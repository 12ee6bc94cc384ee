"""The other side: a server that says what its script says, and whatever else a relay needs to find it."""

from __future__ import annotations

import asyncio
import contextlib
import random
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from mailsystem.mail.address import Address
from mailsystem.mail.envelope import Notification
from mailsystem.mail.mailbox import ContentId
from mailsystem.mail.outgoing import Attempt, OutboundId, Outgoing, State, Waiting
from mailsystem.queue.hosts import Hosts
from mailsystem.queue.opening import trusting
from mailsystem.queue.relay import Relay
from mailsystem.queue.resolving import Answer, Record
from mailsystem.store import Store
from mailsystem.store.tls_levels import TlsLevels
from mailsystem.telemetry import Event, Trace

PATIENCE = 10.0
MAIL = b"From: ann@a.test\r\nSubject: hello\r\n\r\nfirst line\r\n.second line\r\n"


def outgoing(sender: str = "ann@a.test", **options: Any) -> Outgoing:
    about: dict[str, Any] = {"login": "", "size": len(MAIL), "arrived": 0.0, "expires": 1e12}
    address = Address.parse(sender) if sender else Address.NULL
    return Outgoing(OutboundId(1), "q1", ContentId(1), address, **{**about, **options})


def waiting(*addresses: str, asked: Notification | None = None) -> list[Waiting]:
    return [
        Waiting(Address.parse(one), State.WAITING, 0.0, asked=asked or Notification())
        for one in addresses or ("bob@b.test",)
    ]


class Letter:
    """Octets to be sent, in the pieces that were given."""

    def __init__(self, *pieces: bytes, fails: Exception | None = None) -> None:
        self.pieces = pieces or (MAIL,)
        self.size = sum(map(len, self.pieces))
        self.fails = fails

    async def octets(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            await asyncio.sleep(0)
            yield piece
        if self.fails is not None:
            raise self.fails


class Table:
    """DNS, as a test would have it."""

    def __init__(self, records: Mapping[tuple[str, str], Sequence[Record]]) -> None:
        self.records = records

    async def ask(self, name: str, kind: str) -> Answer:
        found = self.records.get((name, kind))
        known = any(each == name for each, _ in self.records)
        return Answer(tuple(found or ()), exists=known)

    async def close(self) -> None: ...


def table(**hosts: Sequence[str]) -> Table:
    """For b.test, its hosts by the first label of their names, the preferred first, and their addresses."""
    records: dict[tuple[str, str], list[Record]] = {("b.test", "MX"): []}
    for at, (label, addresses) in enumerate(hosts.items()):
        name = f"{label}.b.test"
        records["b.test", "MX"].append(Record(name, at))
        records[name, "A"] = [Record(address) for address in addresses if ":" not in address]
        records[name, "AAAA"] = [Record(address) for address in addresses if ":" in address]
    return Table(records)


@dataclass
class Server:
    """Plays one script for each who connects, and takes note of what was not in it."""

    scripts: list[str]
    tls: ssl.SSLContext | None = None
    port: int = 0
    heard: list[bytes] = field(default_factory=list)
    """Messages, as they came over the wire."""
    faults: list[str] = field(default_factory=list)
    connections: int = 0
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    _tasks: set[asyncio.Task[Any]] = field(default_factory=set)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        number = self.connections
        self.connections += 1
        try:
            if number >= len(self.scripts):
                self.faults.append(f"connection {number + 1} was not expected")
                return
            for line in self.scripts[number].splitlines():
                if line.strip() and not await self._step(line.strip(), reader, writer):
                    return
            if left := await asyncio.wait_for(reader.read(1000), PATIENCE):
                self.faults.append(f"connection {number + 1}: {left!r} was not expected")
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError) as error:
            self.faults.append(f"connection {number + 1}: {type(error).__name__}")
        except TimeoutError:
            self.faults.append(f"connection {number + 1}: still waiting")
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _step(self, line: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """False where the script ends the connection."""
        who, _, text = line.partition(" ")
        match who:
            case "S:":
                writer.write(_octets(text) + b"\r\n")
            case "raw":
                writer.write(_octets(text))
            case "C:":
                heard = (await asyncio.wait_for(reader.readuntil(b"\r\n"), PATIENCE))[:-2].decode()
                if heard != text and not (text.endswith("…") and heard.startswith(text[:-1])):
                    self.faults.append(f"{text!r} expected, heard {heard!r}")
                    return False
            case "message":
                octets = await asyncio.wait_for(reader.readuntil(b"\r\n"), PATIENCE)
                while octets != b".\r\n" and not octets.endswith(b"\r\n.\r\n"):
                    octets += await asyncio.wait_for(reader.readuntil(b"\r\n"), PATIENCE)
                self.heard.append(octets)
            case "octets":
                self.heard.append(await asyncio.wait_for(reader.readexactly(int(text)), PATIENCE))
            case "nothing":
                # What is pipelined would be here already: this is how a wait for an answer shows.
                with contextlib.suppress(TimeoutError):
                    self.faults.append(f"{await asyncio.wait_for(reader.read(1), 0.1)!r} came too early")
            case "tls":
                await writer.drain()
                assert self.tls is not None
                await writer.start_tls(self.tls)
            case "drop":
                await writer.drain()
                writer.close()
                return False
            case "reset":
                writer.transport.abort()
                return False
            case "hang":
                await writer.drain()
                await asyncio.sleep(PATIENCE)
                return False
            case "sleep":
                await writer.drain()
                await asyncio.sleep(float(text))
            case "forever":
                with contextlib.suppress(ConnectionError):
                    while True:
                        writer.write(_octets(text) * 1000)
                        await writer.drain()
                return False
            case _:
                raise AssertionError(line)
        return True


@asynccontextmanager
async def server(
    *scripts: str, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None, strict: bool = True
) -> AsyncIterator[Server]:
    """With `strict`, every script must have been played to its end."""
    playing = Server(list(scripts), tls)
    listening = await asyncio.start_server(playing._serve, host, port)
    playing.port = listening.sockets[0].getsockname()[1]
    try:
        yield playing
        for task in list(playing._tasks):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(task), 2)
    finally:
        listening.close()
        for task in list(playing._tasks):
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*playing._tasks, return_exceptions=True)
    if strict:
        assert not playing.faults
        assert playing.connections == len(scripts)


@dataclass
class Rig:
    """A relay, and what it said to the trace."""

    relay: Relay
    levels: TlsLevels
    events: list[Event]

    async def send(
        self, *addresses: str, letter: Letter | None = None, asked: Notification | None = None, **options: Any
    ) -> list[Attempt]:
        letter = letter or Letter()
        message = outgoing(**{"size": letter.size, **options})
        async with asyncio.timeout(PATIENCE):
            return await self.relay.send(message, waiting(*addresses, asked=asked), letter, domain="b.test")

    @property
    def lines(self) -> list[str]:
        return [f"{event.data['who']}: {event.data['text']}" for event in self.events if event.name == "line"]

    def told(self, name: str) -> list[dict[str, Any]]:
        return [dict(event.data) for event in self.events if event.name == name]


@asynccontextmanager
async def relaying(
    store: Store, port: int, *, dns: Table | None = None, trust: ssl.SSLContext | None = None, **options: Any
) -> AsyncIterator[Rig]:
    events: list[Event] = []
    levels = store.tls_levels
    relay = Relay(
        Hosts(dns or table(mx=["127.0.0.1"]), store.clock, hostname="a.test", private=True, chance=random.Random(1)),
        levels,
        Trace([events.append], lines=True),
        hostname="a.test",
        port=port,
        trust=trust or trusting(),
        **options,
    )
    try:
        yield Rig(relay, levels, events)
    finally:
        await relay.close()


def _octets(text: str) -> bytes:
    """Of a script, in which `\\r` and its like stand for octets."""
    return text.encode().decode("unicode_escape").encode("latin-1")
