"""A little name server on loopback: it knows what it is told, and can be slow, silent or broken where that is wanted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final, cast

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

TTL: Final = 60
_SOA: Final = "ns.invalid. hostmaster.invalid. 1 3600 600 86400 60"
_MOST_ALIASES: Final = 12
_TRIES: Final = 20
_IDLE: Final = 10.0


class NameServer:
    """Answers from `records`: names to lines such as `MX 10 mail.a.test.` or `A 127.0.0.1`, which may change at any time.

    It gives the whole way from an alias to what it stands for, as the name server of a provider does.
    """

    def __init__(self, records: Mapping[str, Sequence[str]], *, ttl: int = TTL) -> None:
        self.records = dict(records)
        self.ttl = ttl
        self.failing: set[str] = set()
        """Names for which it answers SERVFAIL."""
        self.silent: set[str] = set()
        """Names for which it does not answer."""
        self.delays: dict[str, float] = {}
        """Seconds that an answer takes, by name."""
        self.asked: list[tuple[str, str]] = []
        """Name and kind of every question, for whoever wants to know."""

    async def reply(self, octets: bytes, most: int) -> bytes | None:
        """The answer to what came, in so many octets; None where there is none."""
        try:
            asked = dns.message.from_wire(octets)
        except dns.exception.DNSException:
            return None
        if asked.flags & dns.flags.QR or len(asked.question) != 1:
            return None
        name = text_of(asked.question[0].name)
        self.asked.append((name, dns.rdatatype.to_text(asked.question[0].rdtype)))
        if name in self.silent:
            return None
        await asyncio.sleep(self.delays.get(name, 0))
        answer = dns.message.make_response(asked, recursion_available=True)
        self.fill(answer, name)
        try:
            return answer.to_wire(max_size=most)
        except dns.exception.TooBig:
            answer.answer, answer.authority = [], []
            answer.flags |= dns.flags.TC
            return answer.to_wire(max_size=most)

    def fill(self, answer: dns.message.Message, name: str) -> None:
        """Put into the answer what is known of the name."""
        if name in self.failing:
            answer.set_rcode(dns.rcode.SERVFAIL)
            return
        wanted = dns.rdatatype.to_text(answer.question[0].rdtype)
        for _ in range(_MOST_ALIASES):
            lines = self.records.get(name, ())
            found = [line.split(" ", 1)[1] for line in lines if line.split(" ", 1)[0] == wanted]
            if found:
                answer.answer.append(dns.rrset.from_text_list(name + ".", self.ttl, "IN", wanted, found))
                return
            alias = next((line.split(" ", 1)[1] for line in lines if line.startswith("CNAME ")), None)
            if alias is None:
                below = any(known.endswith("." + name) for known in self.records)
                if name not in self.records and not below:
                    answer.set_rcode(dns.rcode.NXDOMAIN)
                answer.authority.append(dns.rrset.from_text(".", self.ttl, "IN", "SOA", _SOA))
                return
            answer.answer.append(dns.rrset.from_text(name + ".", self.ttl, "IN", "CNAME", alias))
            name = alias.rstrip(".").lower()
        answer.answer = []
        answer.set_rcode(dns.rcode.SERVFAIL)


def text_of(name: dns.name.Name) -> str:
    return name.to_text(omit_final_dot=True).lower()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: NameServer) -> None:
        self._server = server
        self._answering: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        for task in self._answering:
            task.cancel()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        task = asyncio.create_task(self._answer(data, addr))
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    async def _answer(self, data: bytes, addr: tuple[str, int]) -> None:
        said = await self._server.reply(data, _size(data))
        if said is not None and not self._transport.is_closing():
            self._transport.sendto(said, addr)


def _size(question: bytes) -> int:
    """Octets that the other side takes in a datagram (RFC 6891 6.2.3)."""
    try:
        return max(512, dns.message.from_wire(question).payload)
    except dns.exception.DNSException:
        return 512


@asynccontextmanager
async def answering(server: NameServer, host: str = "127.0.0.1") -> AsyncIterator[tuple[str, int]]:
    """It listens, by UDP and TCP, for as long as this is open; gives its address and port."""
    streams: set[asyncio.Task[None]] = set()

    async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = cast("asyncio.Task[None]", asyncio.current_task())
        streams.add(task)
        try:
            # Whoever cancels it is below, and waits for its end.
            with suppress(OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await _conversation(server, reader, writer)
        finally:
            streams.discard(task)
            writer.close()

    transport, listener, port = await _listen(server, host, accepted)
    try:
        yield host, port
    finally:
        transport.close()
        listener.close()
        for task in streams:
            task.cancel()
        if streams:
            await asyncio.wait(streams)


async def _listen(
    server: NameServer, host: str, accepted: object
) -> tuple[asyncio.DatagramTransport, asyncio.Server, int]:
    loop = asyncio.get_running_loop()
    for left in reversed(range(_TRIES)):
        transport, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(server), local_addr=(host, 0))
        port: int = transport.get_extra_info("sockname")[1]
        try:
            listener = await asyncio.start_server(accepted, host, port)  # type: ignore[arg-type]
        except OSError:
            transport.close()  # somebody else has that port for TCP
            if not left:
                raise
        else:
            return transport, listener, port
    raise AssertionError


async def _conversation(server: NameServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Questions by TCP, each with its length in front (RFC 1035 4.2.2)."""
    while True:
        async with asyncio.timeout(_IDLE):
            length = int.from_bytes(await reader.readexactly(2), "big")
            question = await reader.readexactly(length)
        said = await server.reply(question, 65_535)
        if said is None:
            return
        writer.write(len(said).to_bytes(2, "big") + said)
        await writer.drain()
