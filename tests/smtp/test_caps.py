"""What somebody who logged in may send to other servers: told at RCPT, and counted where the message is accepted."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from smtp_door import Client, House
from test_login import plain

from mailsystem.delivery import Delivery
from mailsystem.policy.gate import Gatekeeper
from mailsystem.store import Caps, Selection, Standing
from mailsystem.telemetry import Trace

ANN = "ann@example.org"


@asynccontextmanager
async def logged_in(house: House, caps: Caps) -> AsyncIterator[Client]:
    store = house.store
    trace = Trace([house.events.append])
    gate = Gatekeeper(store.clock, suppression=store.suppression, sending=store.sending, caps=caps, trace=trace)
    house.delivery = Delivery(store, house.directory, hostname="mx.example.org", caps=caps)
    async with house.door(kind="submission", relaying=True, gate=gate) as door, await Client.connect(door) as client:
        assert (await client.say(f"AUTH PLAIN {plain(ANN)}")).startswith("235")
        yield client


async def to(client: Client, *recipients: str) -> list[str]:
    """The replies to RCPT."""
    assert (await client.say(f"MAIL FROM:<{ANN}>")).startswith("250")
    return [await client.say(f"RCPT TO:<{each}>") for each in recipients]


async def data(client: Client) -> str:
    assert (await client.say("DATA")).startswith("354")
    return await client.say("Subject: hello\r\n\r\nworld\r\n.")


async def test_who_reaches_the_cap_hears_it_at_rcpt_and_the_others_get_theirs(house: House) -> None:
    async with logged_in(house, Caps(recipients=2)) as client:
        first, second, third, here = await to(
            client, "p1@example.net", "p2@example.net", "p3@example.net", "bob@example.org"
        )
        assert [first[:3], second[:3], here[:3]] == ["250", "250", "250"]
        assert third == ("452 4.5.3 you may write to 2 people on other servers in a day; try again tomorrow (UTC)")
        assert (await data(client)).startswith("250")
        [only] = await to(client, "p1@example.net")
        assert only.startswith("452 4.5.3")
        assert (await client.say("RSET")).startswith("250")
        assert [each[:3] for each in await to(client, "bob@example.org")] == ["250"], (
            "who lives here is no matter of caps"
        )
    ann = await house.store.accounts.find(ANN)
    assert await house.store.sending.standing(ann.id) == Standing(2, 2)
    [queued] = (await house.store.oversight.listing(Selection())).messages
    assert [str(each.address) for each in queued.recipients] == ["p1@example.net", "p2@example.net"]
    assert len(await house.kept("bob@example.org")) == 1
    assert [each["login"] for each in house.told("capped")] == [ANN]


async def test_people_here_take_no_room_from_strangers_elsewhere(house: House) -> None:
    async with logged_in(house, Caps(strangers=1)) as client:
        replies = await to(client, "bob@example.org", "postmaster@example.org", "p1@example.net", "p2@example.net")
        assert [each[:9] for each in replies] == ["250 2.1.5", "250 2.1.5", "250 2.1.5", "452 4.5.3"]


async def test_two_sessions_at_once_do_not_get_past_the_cap(house: House) -> None:
    caps = Caps(recipients=1)
    async with logged_in(house, caps) as one, logged_in(house, caps) as other:
        for client, address in ((one, "p1@example.net"), (other, "p2@example.net")):
            assert [each[:3] for each in await to(client, address)] == ["250"], "there is room yet"
        assert (await data(one)).startswith("250")
        refused = await data(other)
        assert refused.startswith("451 4.7.0 you may write to 1 person on other servers in a day")
    assert (await house.store.oversight.listing(Selection())).total == 1


async def test_a_suppressed_address_is_refused_at_rcpt(house: House) -> None:
    for _ in range(3):
        await house.store.suppression.note_failure("p1@example.net", "5.1.1")
    async with logged_in(house, Caps()) as client:
        first, second = await to(client, "P1@example.net", "p2@example.net")
        assert first == (
            "550 5.1.1 nothing is sent there any more: suppressed since its server refused it 3 times in a row, last with 5.1.1"
        )
        assert second.startswith("250")
