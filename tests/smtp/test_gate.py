"""The gate before the door: asked at every step, and believed."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from smtp_door import Client, House, play
from test_login import plain

from mailsystem.mail.address import Address
from mailsystem.mail.envelope import Envelope, Peer
from mailsystem.mail.errors import OverQuota, Rejected, TooMany, Unavailable


class Gate:
    """Writes down what it is asked, and refuses one step."""

    def __init__(self, step: str = "", error: Exception | None = None) -> None:
        self.step = step
        self.error = error
        self.asked: list[tuple[Any, ...]] = []

    def _answer(self, step: str, *facts: Any) -> None:
        self.asked.append((step, *facts))
        if self.error and step == self.step:
            raise self.error

    async def connect(self, peer: Peer) -> None:
        self._answer("connect", peer.host)

    async def sender(self, peer: Peer, login: str | None, sender: Address) -> None:
        self._answer("sender", peer.host, login, str(sender))

    async def recipient(self, peer: Peer, login: str | None, sender: Address, recipient: Address) -> None:
        self._answer("recipient", peer.host, login, str(sender), str(recipient))

    async def message(self, envelope: Envelope) -> None:
        self._answer("message", [str(each) for each in envelope.recipients])


async def test_it_is_asked_at_every_step(house: House) -> None:
    gate = Gate()
    async with house.door(gate=gate) as door, await Client.connect(door) as client:
        await play(client, f"C: AUTH PLAIN {plain()}\nS: 235\nC: MAIL FROM:<a@example.net>\nS: 250")
        await play(client, "C: RCPT TO:<nobody@example.org>\nS: 550 5.1.1\nC: RCPT TO:<bob@example.org>\nS: 250")
        await play(client, "C: DATA\nS: 354\nC: x\nC: .\nS: 250")
    assert gate.asked == [
        ("connect", "127.0.0.1"),
        ("sender", "127.0.0.1", "ann@example.org", "a@example.net"),
        ("recipient", "127.0.0.1", "ann@example.org", "a@example.net", "bob@example.org"),
        ("message", ["bob@example.org"]),
    ]


@pytest.mark.parametrize(
    ("error", "greeting"),
    [
        (Rejected("listed by dnsbl.example"), "554 5.7.1 listed by dnsbl.example"),
        (TooMany(), "421 4.7.0 too many"),
        (Unavailable(), "421 4.3.0"),
        (OverQuota(), "421 4.2.2"),
        (KeyError("hunter2"), "421 4.3.0"),
    ],
    ids=repr,
)
async def test_who_is_not_let_in_is_told_instead_of_greeted(error: Exception, greeting: str, house: House) -> None:
    async with house.door(gate=Gate("connect", error)) as door, await Client.connect(door, hello=False) as client:
        heard = await client.reply()
        assert heard.startswith(greeting)
        assert "hunter2" not in heard
        assert await client.rest() == b""
    assert house.told("refused")[0]["command"] == "CONNECT"
    assert bool(house.told("bug")) == isinstance(error, KeyError)


@pytest.mark.parametrize(
    ("step", "error", "dialog"),
    [
        ("sender", Rejected(), "C: MAIL FROM:<a@example.net>\nS: 550 5.7.1"),
        ("sender", TooMany("too many this hour"), "C: MAIL FROM:<a@example.net>\nS: 451 4.7.0 too many this hour"),
        ("recipient", Unavailable("come back"), "C: RCPT TO:<ann@example.org>\nS: 450 4.7.1 come back"),
        ("recipient", TooMany(), "C: RCPT TO:<ann@example.org>\nS: 452 4.5.3"),
        ("message", Rejected("spam"), "C: BDAT 0 LAST\nS: 554 5.7.1 spam"),
        ("message", Rejected("spam"), "C: DATA\nS: 354\nC: x\nC: .\nS: 554 5.7.1 spam"),
        ("message", TooMany(), "C: DATA\nS: 354\nC: x\nC: .\nS: 451 4.7.0"),
        ("message", KeyError("hunter2"), "C: DATA\nS: 354\nC: x\nC: .\nS: 451 4.3.0"),
    ],
    ids=repr,
)
async def test_what_it_refuses_is_refused(step: str, error: Exception, dialog: str, house: House) -> None:
    gate = Gate(step, error)
    async with house.door(gate=gate) as door, await Client.connect(door) as client:
        if step != "sender":
            await play(client, "C: MAIL FROM:<a@example.net>\nS: 250")
        if step == "message":
            await play(client, "C: RCPT TO:<ann@example.org>\nS: 250")
        await play(client, dialog)
        gate.error = None
        await play(client, "C: RSET\nS: 250")
        assert (await client.mail(b"x\r\n.\r\n")).startswith("250")
    assert len(await house.kept("ann@example.org")) == 1


async def test_one_who_is_full_is_known_at_once(house: House) -> None:
    class Full(type(house.directory)):  # type: ignore[misc]
        async def resolve(self, address: Address, **facts: object) -> Any:
            raise OverQuota

    house.directory = Full(house.store, default_domain="example.org")
    async with house.door() as door, await Client.connect(door) as client:
        await play(
            client, "C: MAIL FROM:<a@example.net>\nS: 250\nC: RCPT TO:<ann@example.org>\nS: 452 4.2.2 over quota"
        )


@pytest.mark.parametrize("early", [b"EHLO spammer\r\n", b"E", b"\x16\x03\x01"])
async def test_who_speaks_before_the_greeting_is_sent_away(early: bytes, house: House) -> None:
    async with house.door(greeting_delay=5.0) as door, await Client.connect(door, hello=False) as client:
        await client.send(early)
        assert (await client.reply()).startswith("554 5.5.1")
        assert await client.rest() == b""


async def test_who_waits_for_the_greeting_is_greeted(house: House) -> None:
    begun = asyncio.get_running_loop().time()
    async with house.door(greeting_delay=0.1) as door, await Client.connect(door) as client:
        assert asyncio.get_running_loop().time() - begun >= 0.1
        assert (await client.mail(b"x\r\n.\r\n")).startswith("250")


async def test_who_waits_is_let_go_when_the_program_ends(house: House) -> None:
    async with house.door(greeting_delay=30.0) as door:
        client = await Client.connect(door, hello=False)
        await asyncio.sleep(0.02)
    assert (await client.reply()).startswith("421 4.3.2")
    assert await client.rest() == b""
    await client.close()
