"""What stands before the SMTP door: messages an hour, block lists, greylisting. A real name server of our own answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import dns.asyncresolver
import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest
from vault import TestClock

from mailsystem.mail.address import Address
from mailsystem.mail.envelope import Envelope, Peer
from mailsystem.mail.errors import NoSuchRecipient, Rejected, TooMany, Unavailable
from mailsystem.policy import blocklists
from mailsystem.policy.blocklists import Lookup, is_listing, question, resolving
from mailsystem.policy.gate import Gatekeeper
from mailsystem.policy.meter import address_of
from mailsystem.store import Caps, Store, open_store
from mailsystem.telemetry import Event, Trace
from mailsystem.telemetry.log import level_of

SUE = Address("sue", "example.net")
ANN = Address("ann", "example.org")
SPAMMER = Peer("9.9.9.9", 25)
FRIEND = Peer("2620:fe::fe", 25)
HERE = Peer("127.0.0.1", 25)


@pytest.fixture
def clock() -> TestClock:
    return TestClock()


@pytest.fixture
async def store(tmp_path: Path, clock: TestClock) -> AsyncIterator[Store]:
    async with open_store(tmp_path, clock=clock) as store:
        yield store


def message(peer: Peer, login: str | None = None) -> Envelope:
    return Envelope(sender=SUE, recipients=(ANN,), peer=peer, helo="client", protocol="ESMTP", login=login)


class NameServer(asyncio.DatagramProtocol):
    """Answers what it knows, NXDOMAIN to the rest, or nothing at all while it is `silent`."""

    def __init__(self, names: dict[str, str]) -> None:
        self.names = names
        self.asked: list[str] = []
        self.silent = False
        self.broken = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        asked = dns.message.from_wire(data)
        name = asked.question[0].name
        self.asked.append(name.to_text())
        if self.silent:
            return
        answer = dns.message.make_response(asked)
        answer.flags |= dns.flags.RA
        if self.broken:
            answer.set_rcode(dns.rcode.SERVFAIL)
        elif (address := self.names.get(name.to_text())) is not None:
            answer.answer.append(dns.rrset.from_text(name, 60, "IN", "A", address))
        else:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        self.transport.sendto(answer.to_wire(), addr)


@asynccontextmanager
async def answering(names: dict[str, str]) -> AsyncIterator[tuple[NameServer, Lookup]]:
    loop = asyncio.get_running_loop()
    transport, server = await loop.create_datagram_endpoint(lambda: NameServer(names), local_addr=("127.0.0.1", 0))
    resolver = dns.asyncresolver.Resolver(configure=False)
    resolver.nameservers = ["127.0.0.1"]
    resolver.port = transport.get_extra_info("sockname")[1]
    try:
        yield server, resolving(resolver)
    finally:
        transport.close()


async def test_nothing_is_asked_of_anybody_by_default(clock: TestClock) -> None:
    gate = Gatekeeper(clock)
    for peer in (SPAMMER, FRIEND, HERE, Peer("unix", 0)):
        for _ in range(200):
            await gate.connect(peer)
            await gate.sender(peer, None, SUE)
            await gate.recipient(peer, None, SUE, ANN)
            await gate.message(message(peer))


# Messages an hour


async def test_a_login_may_send_so_many_messages_an_hour(clock: TestClock) -> None:
    gate = Gatekeeper(clock, messages_per_hour_login=3, messages_per_hour_address=1)
    for n in range(3):
        peer = Peer(f"192.0.2.{n}", 1)
        await gate.sender(peer, "ann@example.org", ANN)
        await gate.message(message(peer, "ann@example.org"))
    for peer in (Peer("198.51.100.1", 1), HERE):
        with pytest.raises(TooMany):
            await gate.sender(peer, "ann@example.org", ANN)
        with pytest.raises(TooMany):
            await gate.message(message(peer, "ann@example.org"))
    await gate.sender(peer, "bob@example.org", ANN)
    clock.time += 1200
    await gate.sender(peer, "ann@example.org", ANN)


async def test_an_address_may_send_so_many_messages_an_hour(clock: TestClock) -> None:
    gate = Gatekeeper(clock, messages_per_hour_address=2)
    for host in ("2001:db8::1", "2001:db8::2"):
        await gate.message(message(Peer(host, 1)))
    with pytest.raises(TooMany):
        await gate.sender(Peer("2001:db8::3", 1), None, SUE)
    await gate.sender(Peer("2001:db8:0:1::1", 1), None, SUE)
    for _ in range(10):
        await gate.message(message(HERE))
        await gate.message(message(Peer("2001:db8::3", 1), "ann@example.org"))


# Block lists


async def test_who_is_listed_is_refused_unless_logged_in(clock: TestClock) -> None:
    async with answering({"9.9.9.9.two.example.": "127.0.0.2"}) as (server, lookup):
        gate = Gatekeeper(clock, block_lists=["one.example", "two.example"], lookup=lookup)
        await gate.connect(SPAMMER)
        await gate.sender(SPAMMER, None, SUE)
        with pytest.raises(Rejected, match=r"9\.9\.9\.9 is listed by two\.example"):
            await gate.recipient(SPAMMER, None, SUE, ANN)
        await gate.recipient(SPAMMER, "ann@example.org", SUE, ANN)
        await gate.recipient(SPAMMER, None, SUE, Address("Postmaster", "example.org"))
        await gate.recipient(FRIEND, None, SUE, ANN)
        for host in ("127.0.0.1", "10.0.0.1", "192.168.1.1", "fe80::1", "unix"):
            await gate.recipient(Peer(host, 1), None, SUE, ANN)
        assert sorted(server.asked[:2]) == ["9.9.9.9.one.example.", "9.9.9.9.two.example."]
        assert len(server.asked) == 4


async def test_an_answer_is_remembered_for_a_while(clock: TestClock) -> None:
    async with answering({"9.9.9.9.one.example.": "127.0.0.2"}) as (server, lookup):
        gate = Gatekeeper(clock, block_lists=["one.example"], lookup=lookup)
        for _ in range(3):
            await gate.recipient(FRIEND, None, SUE, ANN)
            with pytest.raises(Rejected):
                await gate.recipient(SPAMMER, None, SUE, ANN)
        assert len(server.asked) == 2
        server.names.clear()
        clock.time += blocklists.REMEMBERED + 1
        await gate.recipient(SPAMMER, None, SUE, ANN)


@pytest.mark.parametrize("fault", ["silent", "broken"])
async def test_mail_goes_on_when_dns_is_down(clock: TestClock, monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    monkeypatch.setattr(blocklists, "TIMEOUT", 0.2)
    events: list[Event] = []
    async with answering({"9.9.9.9.one.example.": "127.0.0.2"}) as (server, lookup):
        setattr(server, fault, True)
        gate = Gatekeeper(clock, block_lists=["one.example"], lookup=lookup, trace=Trace([events.append]))
        await gate.recipient(SPAMMER, None, SUE, ANN)
        assert [event.name for event in events] == ["block list failed"]
        setattr(server, fault, False)
        asked = len(server.asked)
        await gate.recipient(SPAMMER, None, SUE, ANN)
        assert len(server.asked) == asked, "a list that is down is let rest"
        clock.time += blocklists.DOWN_FOR + 1
        with pytest.raises(Rejected):
            await gate.recipient(SPAMMER, None, SUE, ANN)


@pytest.mark.parametrize(
    ("answer", "listed"),
    [
        ("127.0.0.2", True),
        ("127.0.0.11", True),
        ("127.1.2.3", True),
        ("127.0.0.1", False),
        ("127.255.255.254", False),
        ("203.0.113.80", False),
        ("nonsense", False),
    ],
)
def test_only_a_listing_counts_as_one(answer: str, listed: bool) -> None:
    assert is_listing(answer) is listed


def test_an_address_is_asked_for_backwards() -> None:
    four, six, mapped = (
        address_of("192.0.2.99"),
        address_of("2001:db8:1:2:3:4:567:89ab"),
        address_of("::ffff:192.0.2.99"),
    )
    assert four
    assert six
    assert mapped == four
    assert question(four, "bad.example") == "99.2.0.192.bad.example."
    reverse = "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2"  # RFC 5782 2.4
    assert question(six, "ugly.example") == f"{reverse}.ugly.example."


# Greylisting


async def test_a_stranger_is_asked_to_come_again(store: Store, clock: TestClock) -> None:
    gate = Gatekeeper(clock, greylist=store.greylist)
    with pytest.raises(Unavailable, match="try again in 5 minutes"):
        await gate.recipient(Peer("9.9.9.9", 1), None, SUE, ANN)
    clock.time += 290
    with pytest.raises(Unavailable, match=r"try again in 1 minute$"):
        await gate.recipient(Peer("9.9.9.10", 1), None, Address("Sue", "example.net"), Address("ANN", "example.org"))
    clock.time += 10
    await gate.recipient(Peer("9.9.9.11", 1), None, SUE, ANN)
    with pytest.raises(Unavailable):
        await gate.recipient(Peer("9.9.8.9", 1), None, SUE, ANN)


async def test_a_list_with_a_sender_for_every_message_waits_once(store: Store, clock: TestClock) -> None:
    gate = Gatekeeper(clock, greylist=store.greylist)
    with pytest.raises(Unavailable):
        await gate.recipient(FRIEND, None, Address("bounce-17-4bc2=ann", "lists.example"), ANN)
    clock.time += 300
    for local in ("bounce-18-00ff=ann", "BOUNCE-19-77a=ann", "bounce-20-1=ann+detail"):
        await gate.recipient(FRIEND, None, Address(local, "lists.example"), ANN)
    with pytest.raises(Unavailable):
        await gate.recipient(FRIEND, None, Address("bounce-21-1=bob", "lists.example"), ANN)


async def test_a_bounce_is_a_triplet_like_any(store: Store, clock: TestClock) -> None:
    gate = Gatekeeper(clock, greylist=store.greylist)
    with pytest.raises(Unavailable):
        await gate.recipient(FRIEND, None, Address.NULL, ANN)
    clock.time += 300
    await gate.recipient(FRIEND, None, Address.NULL, ANN)


async def test_who_logged_in_and_who_is_here_is_not_let_wait(store: Store, clock: TestClock) -> None:
    gate = Gatekeeper(clock, greylist=store.greylist)
    await gate.recipient(SPAMMER, "ann@example.org", ANN, ANN)
    await gate.recipient(HERE, None, SUE, ANN)
    await gate.recipient(Peer("::1", 1), None, SUE, ANN)
    await gate.recipient(SPAMMER, None, SUE, Address("postmaster", "example.org"))


# Recipients on other servers

AWAY = Address.parse("Bob@example.net")


async def test_a_suppressed_address_is_refused_and_the_admin_sees_why(clock: TestClock, store: Store) -> None:
    events: list[Event] = []
    ann = await store.accounts.add("ann@example.org", None)
    gate = Gatekeeper(clock, suppression=store.suppression, sending=store.sending, trace=Trace([events.append]))
    await gate.relay(ann, AWAY, [])
    for _ in range(3):
        await store.suppression.note_failure(AWAY.key, "5.1.1")
    with pytest.raises(NoSuchRecipient, match="suppressed since its server refused it 3 times in a row"):
        await gate.relay(ann, AWAY, [])
    await store.suppression.add("eve@example.net", "a lawyer wrote")
    with pytest.raises(NoSuchRecipient) as told:
        await gate.relay(ann, Address.parse("eve@example.net"), [])
    assert "lawyer" not in str(told.value)
    assert [(event.name, event.data["recipient"], event.data["reason"]) for event in events] == [
        ("suppressed", "Bob@example.net", ""),
        ("suppressed", "eve@example.net", "a lawyer wrote"),
    ]


async def test_the_caps_of_a_day_are_told_before_the_message_comes(clock: TestClock, store: Store) -> None:
    events: list[Event] = []
    ann = await store.accounts.add("ann@example.org", None)
    caps = Caps(strangers=2)
    gate = Gatekeeper(clock, sending=store.sending, caps=caps, trace=Trace([events.append]))
    await gate.relay(ann, AWAY, [])
    await gate.relay(ann, AWAY, [Address.parse("bob@example.net"), Address.parse("eve@example.net")])
    for _ in range(3):
        with pytest.raises(TooMany, match="try again tomorrow"):
            await gate.relay(ann, AWAY, [Address.parse(f"p{n}@example.net") for n in range(2)])
    [event] = events
    assert (event.name, event.data["login"], level_of(event)) == ("capped", "ann@example.org", "warning")
    await store.sending.count(ann.id, ["p0@example.net", "p1@example.net"], caps)
    with pytest.raises(TooMany):
        await gate.relay(ann, AWAY, [])
    await gate.relay(ann, Address.parse("P0@example.net"), [])
    clock.time += 86_400
    await gate.relay(ann, AWAY, [])


async def test_a_gate_without_caps_lets_everybody_write_to_anybody(clock: TestClock, store: Store) -> None:
    ann = await store.accounts.add("ann@example.org", None)
    many = [Address.parse(f"p{n}@example.net") for n in range(2000)]
    await Gatekeeper(clock).relay(ann, AWAY, many)
    await Gatekeeper(clock, sending=store.sending).relay(ann, AWAY, many)
