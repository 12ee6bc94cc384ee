"""Who is turned away: in all, from one address, and in what words."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from mailsystem.mail.envelope import UNIX, Peer
from mailsystem.net import Bound, Closed, Connection, Limits, Terms, listen
from mailsystem.net.counts import Common
from mailsystem.net.limits import place
from mailsystem.net.listening import TURN, opened
from mailsystem.telemetry import Event, Trace

FULL = b"421 full\r\n"


async def greet(connection: Connection) -> None:
    """Says hello and goes when the peer does."""
    connection.write(b"hello\r\n")
    try:
        await connection.read(10)
    except Closed:
        return


@asynccontextmanager
async def door(limits: Limits, **more: Any) -> AsyncIterator[Bound]:
    async with listen(greet, "127.0.0.1", 0, terms=Terms(limits), full=FULL, grace=1.0, **more) as bound:
        yield bound


async def knock(bound: Bound) -> tuple[bytes, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection(bound.host, bound.port)
    return await reader.readline(), writer


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("nonsense", "nonsense"),
    ],
)
def test_an_ipv6_host_counts_with_its_whole_network(host: str, expected: str) -> None:
    assert place(host) == expected


def test_one_address_has_so_many_and_others_are_not_in_its_way() -> None:
    limits = Limits(0, 2)
    one, neighbour, other = Peer("2001:db8::1", 1), Peer("2001:db8::2", 2), Peer("2001:db8:0:1::1", 3)
    assert limits.enter(one) is None
    assert limits.enter(neighbour) is None
    assert limits.enter(one) == "too many connections from one address"
    assert limits.enter(other) is None
    limits.leave(neighbour)
    assert limits.enter(one) is None
    assert limits.open == 3


def test_this_machine_is_exempt_from_the_limit_of_one_address_but_not_of_all() -> None:
    limits = Limits(3, 1)
    for peer in (Peer("127.0.0.1", 1), Peer("127.0.0.1", 2), Peer(UNIX, 0)):
        assert limits.enter(peer) is None
    assert limits.enter(Peer("::1", 3)) == "too many connections"


def test_nothing_is_kept_of_who_is_gone() -> None:
    limits = Limits(0, 1)
    for number in range(1000):
        peer = Peer(f"10.0.{number >> 8}.{number & 255}", 1)
        assert limits.enter(peer) is None
        limits.leave(peer)
    assert limits.open == 0
    assert not limits._counts._under_way


def test_processes_that_count_together_have_one_limit() -> None:
    common = Common(2, ["connections"])
    here, there = (Limits(4, 2, common.counts("connections")) for _ in range(2))
    one, other = Peer("192.0.2.1", 1), Peer("192.0.2.2", 2)
    common.join(0)
    assert here.enter(one) is None
    common.join(1)
    assert there.enter(one) is None
    assert there.enter(one) == "too many connections from one address"
    assert there.enter(other) is None
    common.join(0)
    assert here.enter(other) is None
    assert here.enter(Peer("192.0.2.3", 3)) == "too many connections"
    here.leave(one)
    common.join(1)
    assert there.enter(one) is None
    assert there.open == here.open == 4


def test_who_has_fewer_connections_is_next() -> None:
    common = Common(3, ["connections"])
    limits = [Limits(0, 0, common.counts("connections")) for _ in range(3)]
    for number in (0, 1):  # the third does not work yet, or has died
        common.join(number)
        common.begin()
        assert not limits[number].ahead
    limits[1].enter(Peer("192.0.2.1", 1))
    assert limits[1].ahead == 1
    common.join(0)
    assert not limits[0].ahead
    for ahead in (0, 1, 2):
        limits[0].enter(Peer("192.0.2.1", 1))
        assert limits[0].ahead == ahead
    common.bury([1])
    assert not limits[0].ahead, "nobody else is there"


def test_of_many_connections_a_process_may_have_a_few_more_than_the_others() -> None:
    common = Common(2, ["connections"])
    here, there = (Limits(0, 0, common.counts("connections")) for _ in range(2))
    peer = Peer("192.0.2.1", 1)
    for number, limits in enumerate((here, there)):
        common.join(number)
        common.begin()
        for _ in range(7):
            limits.enter(peer)
    common.join(0)
    ahead: list[int] = []
    for _ in range(4):
        here.enter(peer)
        ahead.append(here.ahead)
    assert ahead == [0, 0, 1, 2], "of 15 one, of 16 to 18 two"


def test_where_many_come_and_go_nobody_waits_for_a_turn() -> None:
    common, now = Common(2, ["connections"]), [0.0]
    here = Limits(0, 0, common.counts("connections"), clock=lambda: now[0])
    peer = Peer("192.0.2.1", 1)
    for number in (1, 0):
        common.join(number)
        common.begin()
    for _ in range(4):
        here.enter(peer)
        here.leave(peer)
    for _ in range(4):
        here.enter(peer)
    for moment, ahead in ((0.0, 0), (0.9, 0), (1.5, 0), (2.6, 4), (9.0, 4)):
        now[0] = moment
        assert here.ahead == ahead, moment
    here.leave(peer)
    assert here.ahead == 2
    now[0] = 30.0
    assert here.ahead == 3, "long ago"


async def test_a_process_with_more_connections_lets_the_others_go_first_but_leaves_nobody_outside() -> None:
    common = Common(2, ["connections"])
    here = Limits(0, 0, common.counts("connections"))
    common.join(1)
    common.begin()
    common.join(0)
    common.begin()
    here.enter(Peer("192.0.2.1", 1))
    taken: list[int] = []
    with opened("127.0.0.1", 0) as sockets:
        async with listen(greet, "", 0, terms=Terms(here, sockets=[sock.dup() for sock in sockets])) as bound:
            begun = asyncio.get_running_loop().time()
            writers = []
            for _ in range(3):  # nobody else takes them in
                said, writer = await knock(bound)
                assert said == b"hello\r\n"
                taken.append(here.open)
                writers.append(writer)
            assert asyncio.get_running_loop().time() - begun > (1 + 2 + 3) * TURN
            for writer in writers:
                writer.close()
    assert taken == [2, 3, 4]


async def test_one_too_many_is_told_so_and_the_next_is_let_in_when_somebody_leaves() -> None:
    events: list[Event] = []
    limits = Limits(1)
    async with door(limits, trace=Trace([events.append])) as bound:
        said, first = await knock(bound)
        assert said == b"hello\r\n"
        said, second = await knock(bound)
        assert said == FULL
        second.close()
        first.close()
        for _ in range(200):
            if not limits.open:
                break
            await asyncio.sleep(0.01)
        said, third = await knock(bound)
        assert said == b"hello\r\n"
        third.close()
    assert limits.open == 0
    [event] = [event for event in events if event.name == "turned away"]
    assert event.data["reason"] == "too many connections"


async def test_doors_share_one_limit() -> None:
    limits = Limits(1)
    async with door(limits) as one, door(limits) as other:
        said, first = await knock(one)
        assert said == b"hello\r\n"
        said, second = await knock(other)
        assert said == FULL
        first.close()
        second.close()


async def test_a_hundred_who_come_at_once_are_never_more_than_the_limit() -> None:
    limits = Limits(10)
    async with door(limits) as bound:
        came = await asyncio.gather(*(knock(bound) for _ in range(100)))
        assert sorted({said for said, _ in came}) == [FULL, b"hello\r\n"]
        assert sum(said == b"hello\r\n" for said, _ in came) == 10
        for _, writer in came:
            writer.close()


async def test_whoever_is_turned_away_keeps_no_socket_open() -> None:
    async with door(Limits(1)) as bound:
        _, first = await knock(bound)
        with socket.create_connection((bound.host, bound.port), timeout=5) as second:
            second.setblocking(False)
            loop = asyncio.get_running_loop()
            heard = b""
            while more := await loop.sock_recv(second, 100):
                heard += more
            assert heard == FULL
        first.close()
