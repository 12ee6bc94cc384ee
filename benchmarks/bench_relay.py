"""The relay: small messages over one connection to a sink that only answers, beside aiosmtplib where that is installed.

CPU is that of the sending process alone: the sink is another one.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from importlib.util import find_spec
from multiprocessing.connection import Connection as Pipe

from mailsystem.mail.address import Address
from mailsystem.mail.mailbox import ContentId
from mailsystem.mail.outgoing import OutboundId, Outgoing, State, Waiting
from mailsystem.net import connect
from mailsystem.queue.client import Session
from mailsystem.queue.content import Content
from mailsystem.queue.transaction import Transaction
from mailsystem.telemetry import Trace

REPEATS = 5
MESSAGES = 2_000
SENDER, RECIPIENT = "ann@a.test", "bob@b.test"
RAW = b"From: ann@a.test\r\nTo: bob@b.test\r\nSubject: benchmark\r\n\r\n" + b"The quick brown fox jumps.\r\n" * 60
OFFERS = {
    "nothing offered": b"",
    "PIPELINING": b"250-PIPELINING\r\n",
    "PIPELINING, CHUNKING": b"250-PIPELINING\r\n250-CHUNKING\r\n",
}


class Sink(asyncio.Protocol):
    """Takes everything and keeps nothing."""

    def __init__(self, offer: bytes) -> None:
        self.offer = offer
        self.buffer = b""
        self.data = False
        self.chunk = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self.transport = transport
        transport.write(b"220 sink.test ESMTP\r\n")

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        answers = []
        while True:
            if self.chunk:
                if len(self.buffer) < self.chunk:
                    break
                self.buffer, self.chunk = self.buffer[self.chunk :], 0
                answers.append(b"250 2.0.0 ok\r\n")
                continue
            end = b"\r\n.\r\n" if self.data else b"\r\n"
            line, found, rest = self.buffer.partition(end)
            if not found:
                break
            self.buffer = rest
            answers.append(self.answer(line))
        if answers:
            self.transport.write(b"".join(answers))

    def answer(self, line: bytes) -> bytes:
        if self.data:
            self.data = False
            return b"250 2.0.0 ok\r\n"
        if line == b"DATA":
            self.data = True
            return b"354 go on\r\n"
        if line.startswith(b"BDAT"):
            self.chunk = int(line.split()[1])
            return b""
        if line.startswith(b"EHLO"):
            return b"250-sink.test\r\n" + self.offer + b"250 8BITMIME\r\n"
        return b"250 2.1.0 ok\r\n"


def sink(pipe: Pipe, offer: bytes) -> None:
    async def run() -> None:
        server = await asyncio.get_running_loop().create_server(lambda: Sink(offer), "127.0.0.1", 0)
        pipe.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


class Letter:
    size = len(RAW)

    async def octets(self) -> AsyncIterator[bytes]:
        yield RAW


async def ours(port: int, count: int) -> None:
    session = Session(await connect("127.0.0.1", port), "sink.test", hostname="a.test", trace=Trace())
    await session.greet()
    message = Outgoing(OutboundId(1), "q", ContentId(1), Address.parse(SENDER), "", len(RAW), 0.0, 0.0)
    recipients = [Waiting(Address.parse(RECIPIENT), State.WAITING, 0.0)]
    for _ in range(count):
        transaction = Transaction(session, Content(message, Letter()), recipients)
        await transaction.run()
        assert transaction.was_taken
    await session.abort("done")


async def theirs(port: int, count: int) -> None:
    import aiosmtplib

    client = aiosmtplib.SMTP(hostname="127.0.0.1", port=port, use_tls=False, start_tls=False, local_hostname="a.test")
    await client.connect()
    for _ in range(count):
        await client.sendmail(SENDER, [RECIPIENT], RAW)
    client.close()


async def measured(send: Callable[[int, int], Awaitable[None]], port: int) -> tuple[float, float]:
    """Messages per second, and CPU microseconds per message."""
    start, cpu = time.perf_counter(), time.process_time()
    await send(port, MESSAGES)
    return MESSAGES / (time.perf_counter() - start), (time.process_time() - cpu) / MESSAGES * 1e6


def main() -> None:
    clients = {"ours": ours} | ({"aiosmtplib": theirs} if find_spec("aiosmtplib") else {})
    print(f"{len(RAW)} octets, one connection{'':18}{'messages/s':>12}{'µs CPU':>9}{'ratio':>8}{'CPU':>7}")
    for name, offer in OFFERS.items():
        here, there = multiprocessing.get_context("spawn").Pipe()
        process = multiprocessing.get_context("spawn").Process(target=sink, args=(there, offer), daemon=True)
        process.start()
        try:
            port = here.recv()
            found: dict[str, list[tuple[float, float]]] = {client: [] for client in clients}
            for _ in range(REPEATS):
                for client, send in clients.items():
                    found[client].append(asyncio.run(measured(send, port)))
        finally:
            process.terminate()
            process.join()
        medians = {
            client: [statistics.median(each) for each in zip(*rows, strict=True)] for client, rows in found.items()
        }
        base = medians["ours"]
        for client, (rate, cpu) in medians.items():
            print(f"{name:24}{client:20}{rate:>12.0f}{cpu:>9.0f}{rate / base[0]:>8.2f}{cpu / base[1]:>7.2f}")


if __name__ == "__main__":
    main()
