"""Servers that answer by chance, and messages of any octets: what is said to be sent was, and nothing is changed."""

from __future__ import annotations

import asyncio
import contextlib
import random
from pathlib import Path

import pytest
from other_side import Letter, Rig, outgoing, relaying, waiting
from smtp_door import housed

from mailsystem.mail.envelope import Peer
from mailsystem.mail.outgoing import State
from mailsystem.net import connect
from mailsystem.queue.client import Session, Timeouts
from mailsystem.queue.content import Content
from mailsystem.queue.transaction import CHUNK, Transaction
from mailsystem.store import Store
from mailsystem.telemetry import Trace

QUICK = Timeouts(connect=1, greeting=0.2, command=0.2, commands=1, data=0.2, block=0.2, end=0.2, quit=0.1, message=1)
GOOD = {
    b"EHLO": b"250-mx.b.test\r\n250-%b\r\n250 8BITMIME\r\n",
    b"DATA": b"354 go\r\n",
    b"QUIT": b"221 bye\r\n",
}
BAD = [
    b"", b"", b"250 ok\r\n", b"250 2.1.0 ok\r\n", b"354 go\r\n", b"421 bye\r\n", b"450 4.2.1 later\r\n", b"452 4.5.3 many\r\n",
    b"550 5.1.1 no\r\n", b"552 many\r\n", b"250-half\r\n", b"250 ok\r\n250 ok\r\n", b"nonsense\r\n", b"\r\n", b"\xff\xfe", b"2",
    b"250-a\r\n550 b\r\n", b"999 x\r\n", b"220 hello\r\n",
]  # fmt: skip


class Moody:
    """Answers properly, most of the time; knows whether it has ever had a whole message."""

    def __init__(self, chance: random.Random, sanity: float) -> None:
        self.chance = chance
        self.sanity = sanity
        self.whole = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            self.say(writer, b"220 mx.b.test\r\n")
            while line := await reader.readline():
                verb = line[:4].upper()
                if verb == b"BDAT":
                    await reader.readexactly(int(line.split()[1]))
                    self.whole = True
                answer = GOOD.get(verb, b"250 ok\r\n")
                if verb == b"EHLO":
                    answer %= self.chance.choice([b"PIPELINING", b"CHUNKING", b"PIPELINING\r\n250-CHUNKING", b"HELP"])
                said = self.say(writer, answer)
                if said is None:
                    break
                if verb == b"DATA" and said.startswith(b"354"):
                    await reader.readuntil(b"\r\n.\r\n")
                    self.whole = True
                    self.say(writer, b"250 ok\r\n")
        writer.transport.abort()

    def say(self, writer: asyncio.StreamWriter, good: bytes) -> bytes | None:
        said = good if self.chance.random() < self.sanity else self.chance.choice(BAD)
        if said == b"" and self.chance.random() < 0.5:
            return None
        writer.write(said)
        return said


@pytest.mark.parametrize("sanity", [0.95, 0.8, 0.4])
async def test_whatever_a_server_answers_each_recipient_has_one_outcome(store: Store, sanity: float) -> None:
    """And nobody has got what no server ever had whole."""

    async def once(seed: int, rig: Rig, moody: Moody) -> set[State]:
        attempts = await rig.send("a@b.test", "b@b.test", "c@b.test")
        assert [str(attempt.address) for attempt in attempts] == ["a@b.test", "b@b.test", "c@b.test"]
        states = {attempt.state for attempt in attempts}
        if states & {State.SENT, State.RELAYED}:
            assert moody.whole, seed
        for attempt in attempts:
            assert attempt.status[0] == {State.FAILED: "5", State.WAITING: "4"}.get(attempt.state, "2"), (seed, attempt)
        return states

    seen: set[State] = set()
    for seed in range(30):
        moody = Moody(random.Random(seed), sanity)
        server = await asyncio.start_server(moody.serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with relaying(store, port, timeouts=QUICK, longest=2.0) as rig:
            seen |= await once(seed, rig, moody)
        server.close()
    assert State.WAITING in seen
    assert State.RELAYED in seen or sanity < 0.5


@pytest.mark.parametrize("chunking", [True, False])
async def test_a_message_of_any_lines_arrives_as_it_is(tmp_path: Path, chunking: bool) -> None:
    chance = random.Random(7)
    sent = []
    async with housed(tmp_path) as house, house.door() as door:
        session = Session(await connect(door.host, door.port), "mx.b.test", hostname="a.test", trace=Trace())
        assert session.connection.peer == Peer(door.host, door.port)
        await session.greet()
        if not chunking:
            del session.extensions["CHUNKING"]
        for number in range(60):
            words = [b".", b"..", b"", b"a", b".a", b"a.", b"\xc3\xbc" * 300, b"x" * chance.choice([1, 900, 5000])]
            lines = [chance.choice(words) for _ in range(chance.choice([0, 1, 3, 20, 200]))]
            octets = b"Subject: %d\r\n\r\n" % number + b"".join(line + b"\r\n" for line in lines)
            if number == 0:
                octets += (b"." * 76 + b"\r\n") * (2 * CHUNK // 78 + 5)
            at = sorted(chance.randrange(len(octets)) for _ in range(chance.choice([0, 1, 5])))
            pieces = [octets[start:end] for start, end in zip([0, *at], [*at, len(octets)], strict=True)]
            transaction = Transaction(session, Content(outgoing(), Letter(*pieces)), waiting("ann@example.org"))
            await transaction.run()
            assert transaction.was_taken
            assert session.in_step
            sent.append(octets)
        await session.quit()
        assert await house.received("ann@example.org") == sent
