"""The relay against our own door and against scripted servers: whom it asks, what it says, what comes of it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from other_side import MAIL, PATIENCE, Letter, Table, relaying, server, table
from smtp_door import housed

from mailsystem.mail.errors import Unavailable
from mailsystem.mail.outgoing import State
from mailsystem.queue.client import Timeouts
from mailsystem.queue.resolving import Answer, LookupFailed, Record
from mailsystem.store import Store

HELLO = "S: 220 mx.b.test ESMTP\nC: EHLO a.test\n"
CONTENT = "C: MAIL…\nS: 250 ok\nC: RCPT…\nS: 250 ok\nC: DATA\nS: 354 go\nmessage\nS: 250 taken\n"
CONTENT_WITH_HELLO = f"S: 250 mx.b.test\n{CONTENT}"
BYE = "C: QUIT\nS: 221 bye\n"
TAKEN = f"{HELLO}{CONTENT_WITH_HELLO}{BYE}"


async def test_our_own_door_takes_what_the_relay_brings(tmp_path: Path) -> None:
    async with housed(tmp_path) as house, house.door() as door, relaying(house.store, door.port) as rig:
        [attempt] = await rig.send("ann@example.org")
        assert (attempt.state, attempt.status, attempt.remote, attempt.ip) == (
            State.SENT,
            "2.0.0",
            "mx.b.test",
            "127.0.0.1",
        )
        assert attempt.reply.startswith("250 2.0.0 ok, queued as ")
        assert attempt.is_of_remote
        assert await house.received("ann@example.org") == [MAIL]


async def test_it_pipelines_and_chunks(store: Store) -> None:
    script = f"""
        S: 220 mx.b.test ESMTP
        C: EHLO a.test
        S: 250-mx.b.test hello
        S: 250-PIPELINING
        S: 250-SIZE 1000000
        S: 250 CHUNKING
        C: MAIL FROM:<ann@a.test> SIZE={len(MAIL)}
        C: RCPT TO:<bob@b.test>
        nothing
        S: 250 2.1.0 ok
        S: 250 2.1.5 ok
        C: BDAT {len(MAIL)} LAST
        octets {len(MAIL)}
        S: 250 2.0.0 taken
        C: QUIT
        S: 221 bye
    """
    async with server(script) as peer, relaying(store, peer.port, idle=0.0) as rig:
        [attempt] = await rig.send()
        assert (attempt.state, attempt.reply) == (State.RELAYED, "250 2.0.0 taken")
    assert peer.heard == [MAIL]


# Whom it asks


REFUSED = "S: 421 busy\ndrop"


async def test_the_next_address_and_the_next_host_are_asked_where_one_is_of_no_use(store: Store) -> None:
    dns = table(mx=["127.0.0.9", "127.0.0.1"], other=["127.0.0.2"])
    async with (
        server(REFUSED) as first,
        server(TAKEN, host="127.0.0.2", port=first.port),
        relaying(store, first.port, dns=dns) as rig,
    ):
        [attempt] = await rig.send()
        await rig.relay.close()
    assert (attempt.state, attempt.remote, attempt.ip) == (State.RELAYED, "other.b.test", "127.0.0.2")


@pytest.mark.parametrize("lost", ["", HELLO, f"{HELLO}S: 250 mx.b.test\nC: MAIL…\n"])
async def test_the_next_host_is_asked_where_one_hangs_up_early(store: Store, lost: str) -> None:
    dns = table(mx=["127.0.0.1"], other=["127.0.0.2"])
    async with (
        server(f"{lost}drop") as first,
        server(TAKEN, host="127.0.0.2", port=first.port),
        relaying(store, first.port, dns=dns) as rig,
    ):
        [attempt] = await rig.send()
        await rig.relay.close()
    assert attempt.remote == "other.b.test"


@pytest.mark.parametrize(
    "answers",
    [
        "C: MAIL…\nS: 451 greylisted\nC: QUIT\nS: 221 bye\n",
        "C: MAIL…\nS: 250 ok\nC: RCPT…\nS: 550 no\nC: QUIT\nS: 221 bye\n",
        "C: MAIL…\nS: 250 ok\nC: RCPT…\nS: 250 ok\nC: DATA\nS: 354 go\nmessage\ndrop",
    ],
)
async def test_no_other_host_is_asked_where_one_has_answered_or_may_have_the_message(
    store: Store, answers: str
) -> None:
    dns = table(mx=["127.0.0.1"], other=["127.0.0.2"])
    async with (
        server(f"{HELLO}S: 250 mx.b.test\n{answers}") as first,
        server(host="127.0.0.2", port=first.port),
        relaying(store, first.port, dns=dns) as rig,
    ):
        [attempt] = await rig.send()
        await rig.relay.close()
    assert attempt.remote == "mx.b.test"


async def test_one_that_may_do_better_counts_for_more_than_one_that_never_will(store: Store) -> None:
    dns = table(mx=["127.0.0.1"], other=["127.0.0.2"])
    never, later = "S: 554 no\ndrop", "S: 421 later\ndrop"
    for one, two, state in (
        (never, later, State.WAITING),
        (later, never, State.WAITING),
        (never, never, State.FAILED),
    ):
        async with (
            server(one) as first,
            server(two, host="127.0.0.2", port=first.port),
            relaying(store, first.port, dns=dns) as rig,
        ):
            [attempt] = await rig.send()
        assert attempt.state is state
        assert attempt.reply == ("421 later" if state is State.WAITING else "554 no")


async def test_a_host_that_is_down_is_said(store: Store) -> None:
    async with server() as peer:
        port = peer.port
    async with relaying(store, port) as rig:
        [attempt] = await rig.send()
    assert (attempt.state, attempt.status, attempt.remote) == (State.WAITING, "4.4.1", "mx.b.test")
    assert attempt.reply == f"no connection to mx.b.test (127.0.0.1 port {port}): connection refused"


async def test_a_host_that_never_answers_is_given_up_in_time(store: Store) -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        port = deaf.getsockname()[1]
        with contextlib.ExitStack() as full:
            for _ in range(3):  # more than wait for their turn: the next is not even told that it has to
                filler = full.enter_context(socket.socket())
                filler.setblocking(False)
                filler.connect_ex(("127.0.0.1", port))
            async with relaying(store, port, timeouts=Timeouts(connect=0.2, greeting=0.2)) as rig:
                [attempt] = await rig.send()
    assert attempt.state is State.WAITING
    assert attempt.reply == f"no connection to mx.b.test (127.0.0.1 port {port}): no answer within 0.2 s"


async def test_no_more_addresses_are_tried_than_are_of_use(store: Store) -> None:
    many = [f"127.0.1.{n}" for n in range(1, 9)]
    async with server() as peer:
        port = peer.port
    async with relaying(store, port, dns=table(mx=many, other=many)) as rig:
        [attempt] = await rig.send()
    assert attempt.state is State.WAITING
    assert attempt.remote == "other.b.test"


async def test_ipv6_that_leads_nowhere_costs_nothing(store: Store) -> None:
    async with server(TAKEN) as peer, relaying(store, peer.port, dns=table(mx=["100::1", "127.0.0.1"])) as rig:
        [attempt] = await rig.send()
        await rig.relay.close()
    assert (attempt.state, attempt.ip) == (State.RELAYED, "127.0.0.1")


async def test_a_domain_that_takes_no_mail_fails_and_one_that_dns_does_not_know_now_waits(store: Store) -> None:
    class Silent(Table):
        async def ask(self, name: str, kind: str) -> Answer:
            raise LookupFailed("no answer")

    null = Table({("b.test", "MX"): [Record(".")]})
    for dns, state, status in ((null, State.FAILED, "5.1.10"), (Silent({}), State.WAITING, "4.4.3")):
        async with relaying(store, 1, dns=dns) as rig:
            attempts = await rig.send("bob@b.test", "eve@b.test")
        assert [(attempt.state, attempt.status, attempt.remote) for attempt in attempts] == [(state, status, "")] * 2


# Sessions that are kept


async def test_the_next_message_goes_over_the_same_connection(store: Store) -> None:
    async with server(f"{HELLO}{CONTENT_WITH_HELLO}{CONTENT}{BYE}") as peer, relaying(store, peer.port) as rig:
        assert [(await rig.send())[0].state for _ in range(2)] == [State.RELAYED] * 2
        await rig.relay.close()
    assert len(peer.heard) == 2


async def test_a_connection_that_nobody_needs_is_closed_politely(store: Store) -> None:
    async with server(TAKEN) as peer, relaying(store, peer.port, idle=0.05) as rig:
        await rig.send()
        async with asyncio.timeout(PATIENCE):
            while not rig.told("disconnected"):  # noqa: ASYNC110 - a sink is no place for an Event
                await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    "end", ["drop", "reset", "S: 421 idle for too long\ndrop", "C: MAIL…\ndrop", "C: MAIL…\nS: 421 idle\ndrop"]
)
async def test_a_connection_that_grew_old_is_no_fault_of_the_host(store: Store, end: str) -> None:
    async with server(f"{HELLO}{CONTENT_WITH_HELLO}{end}", TAKEN) as peer, relaying(store, peer.port) as rig:
        await rig.send()
        await asyncio.sleep(0.05)
        [attempt] = await rig.send()
        await rig.relay.close()
    assert attempt.state is State.RELAYED
    assert len(peer.heard) == 2


async def test_a_message_that_may_have_arrived_over_a_kept_connection_is_not_sent_again_at_once(store: Store) -> None:
    lost = CONTENT.replace("S: 250 taken", "drop")
    async with server(f"{HELLO}{CONTENT_WITH_HELLO}{lost}") as peer, relaying(store, peer.port) as rig:
        await rig.send()
        [attempt] = await rig.send()
    assert attempt.state is State.WAITING
    assert attempt.reply.endswith("may have taken it")


async def test_no_connection_is_used_for_ever(store: Store) -> None:
    offer = CONTENT_WITH_HELLO.replace("S: 250 mx.b.test", "S: 250-mx.b.test\nS: 250 LIMITS MAILMAX=2")
    async with server(f"{HELLO}{offer}{CONTENT}{BYE}", TAKEN) as peer, relaying(store, peer.port) as rig:
        for _ in range(3):
            await rig.send()
        await rig.relay.close()
    assert peer.connections == 2


async def test_messages_at_the_same_time_have_connections_of_their_own(store: Store) -> None:
    slow = TAKEN.replace("S: 250 mx", "sleep 0.2\nS: 250 mx")
    async with server(*[slow] * 5) as peer, relaying(store, peer.port) as rig:
        results = await asyncio.gather(*(rig.send() for _ in range(5)))
        await rig.relay.close()
    assert [attempt.state for [attempt] in results] == [State.RELAYED] * 5
    assert peer.connections == 5


async def test_one_message_has_its_time_for_all_hosts_together(store: Store) -> None:
    dns = table(mx=["127.0.0.1"], other=["127.0.0.2"])
    async with (
        server(f"{HELLO}hang", strict=False) as first,
        server(host="127.0.0.2", port=first.port),
        relaying(store, first.port, dns=dns, longest=0.3) as rig,
    ):
        [attempt] = await rig.send()
    assert (attempt.state, attempt.reply) == (State.WAITING, "timeout: no answer from mx.b.test")


async def test_what_has_arrived_for_some_is_told_even_if_the_rest_cannot_be_read(store: Store) -> None:
    class Once(Letter):
        async def octets(self) -> AsyncIterator[bytes]:
            async for piece in super().octets():
                yield piece
            self.fails = Unavailable("the disk is full")

    hello = f"{HELLO}S: 250-mx.b.test\nS: 250-8BITMIME\nS: 250 LIMITS RCPTMAX=1\n"
    script = f"{hello}{CONTENT}C: MAIL…\nS: 250 ok\nC: RCPT…\nS: 250 ok\nC: DATA\nS: 354 go\nmessage\n"
    async with server(script, strict=False) as peer, relaying(store, peer.port) as rig:
        first, second = await rig.send("a@b.test", "b@b.test", letter=Once(), body="8BITMIME")
    assert first.state is State.RELAYED
    assert (second.state, second.status, second.reply) == (State.WAITING, "4.3.0", "the disk is full")
    assert len(peer.heard) == 1


async def test_what_has_arrived_for_some_is_told_even_if_the_rest_is_cut_off(store: Store) -> None:
    hello = f"{HELLO}S: 250-mx.b.test\nS: 250-8BITMIME\nS: 250 LIMITS RCPTMAX=1\n"
    script = f"{hello}{CONTENT}C: MAIL…\nhang\n"
    async with server(script, strict=False) as peer, relaying(store, peer.port) as rig:
        sending = asyncio.create_task(rig.send("a@b.test", "b@b.test"))
        async with asyncio.timeout(PATIENCE):
            while sum(line.startswith("C: MAIL") for line in rig.lines) < 2:  # noqa: ASYNC110 - nothing rings for it
                await asyncio.sleep(0.01)
        sending.cancel()
        first, second = await sending
    assert first.state is State.RELAYED
    assert (second.state, second.status) == (State.WAITING, "4.3.2")


async def test_what_nobody_has_answered_is_cut_off_as_if_it_had_not_been_tried(store: Store) -> None:
    async with server(f"{HELLO}hang", strict=False) as peer, relaying(store, peer.port) as rig:
        sending = asyncio.create_task(rig.send())
        async with asyncio.timeout(PATIENCE):
            while not any(line.startswith("C: EHLO") for line in rig.lines):  # noqa: ASYNC110 - nothing rings for it
                await asyncio.sleep(0.01)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending


@pytest.mark.parametrize(("octets", "body"), [(MAIL, ""), (MAIL + b"caf\xc3\xa9\r\n", " BODY=8BITMIME")])
async def test_eight_bits_are_told_of_though_the_sender_said_nothing(store: Store, octets: bytes, body: str) -> None:
    script = f"""{HELLO}S: 250-mx.b.test\nS: 250 8BITMIME
        C: MAIL FROM:<ann@a.test>{body}\nS: 250 ok\nC: RCPT…\nS: 250 ok\nC: DATA\nS: 354 go\nmessage\nS: 250 taken\n{BYE}"""
    async with server(script) as peer, relaying(store, peer.port) as rig:
        [attempt] = await rig.send(letter=Letter(octets))
        await rig.relay.close()
    assert attempt.state is State.RELAYED
