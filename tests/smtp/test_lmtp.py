"""LMTP (RFC 2033): the same door with another greeting, and an answer for every recipient."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from smtp_door import Client, House, play

from mailsystem.directory import AccountsDirectory, Away, Target
from mailsystem.mail.address import Address
from mailsystem.mail.envelope import Envelope
from mailsystem.mail.errors import MailError, OverQuota, Rejected
from mailsystem.net import Bound

GREETED = """
    S: 220 mx.example.org LMTP
    C: LHLO relay.example
    S: 250-mx.example.org
    S: 250-SIZE 52428800
    S: 250-8BITMIME
    S: 250-SMTPUTF8
    S: 250-PIPELINING
    S: 250-CHUNKING
    S: 250-BINARYMIME
    S: 250-DSN
    S: 250-LIMITS RCPTMAX=1000
    S: 250 ENHANCEDSTATUSCODES
"""
BEGIN = """
    C: MAIL FROM:<a@example.net>
    S: 250 2.1.0
    C: RCPT TO:<ann@example.org>
    S: 250 2.1.5
    C: RCPT TO:<nobody@example.org>
    S: 550 5.1.1
    C: RCPT TO:<bob@example.org>
    S: 250 2.1.5
    C: RCPT TO:<ann@example.org>
    S: 250 2.1.5
"""


class Changing(AccountsDirectory):
    """A directory that changes its mind between RCPT and the end of the message."""

    error: MailError | None = None

    async def resolve(
        self, address: Address, *, sending: bool = False, login: str | None = None, octets: int = 0
    ) -> tuple[Target | Away, ...]:
        if self.error and address.local == "bob":
            raise self.error
        return await super().resolve(address, sending=sending)


@pytest.fixture
async def directory(house: House) -> Changing:
    house.directory = changing = Changing(house.store, default_domain="example.org")
    return changing


@pytest.fixture
async def door(directory: Changing, house: House) -> AsyncIterator[Bound]:
    async with house.door(kind="lmtp") as door:
        yield door


async def lmtp(door: Bound) -> Client:
    client = await Client.connect(door, hello=False)
    await play(client, GREETED)
    return client


@pytest.mark.parametrize(
    "message",
    ["C: DATA\nS: 354\nC: x\nC: .", "C: BDAT 0\nS: 250 2.0.0 0 octets\nC: BDAT 2 LAST\nC:"],
    ids=["DATA", "BDAT"],
)
async def test_every_recipient_that_was_taken_is_answered_for(message: str, door: Bound, house: House) -> None:
    async with await lmtp(door) as client:
        await play(client, f"{BEGIN}{message}\n" + "S: 250 2.0.0 ok\n" * 3 + "C: QUIT\nS: 221\nS: -")
    assert len(await house.kept("ann@example.org")) == len(await house.kept("bob@example.org")) == 1
    assert b" with LMTP id " in (await house.kept("bob@example.org"))[0]


@pytest.mark.parametrize(
    ("error", "reply"), [(OverQuota(), "452 4.2.2 over quota"), (KeyError("hunter2"), "451 4.3.0")]
)
async def test_one_who_cannot_have_it_keeps_it_from_nobody(
    error: MailError, reply: str, door: Bound, directory: Changing, house: House
) -> None:
    async with await lmtp(door) as client:
        await play(client, BEGIN)
        directory.error = error
        if isinstance(error, MailError):
            await play(client, f"C: DATA\nS: 354\nC: x\nC: .\nS: 250 2.0.0\nS: {reply}\nS: 250 2.0.0\nC: NOOP\nS: 250")
        else:  # a fault of ours is one for all
            await play(client, "C: DATA\nS: 354\nC: x\nC: .\n" + f"S: {reply}\n" * 3 + "C: NOOP\nS: 250")
    assert len(await house.kept("ann@example.org")) == isinstance(error, MailError)
    assert await house.kept("bob@example.org") == []


async def test_when_nobody_can_have_it_nobody_has_it(door: Bound, directory: Changing, house: House) -> None:
    async with await lmtp(door) as client:
        await play(client, "C: MAIL FROM:<>\nS: 250\nC: RCPT TO:<bob@example.org>\nS: 250")
        directory.error = OverQuota()
        await play(client, "C: DATA\nS: 354\nC: x\nC: .\nS: 452 4.2.2\nC: NOOP\nS: 250")
    assert not house.told("delivered")
    assert not house.told("accepted")
    assert not house.told("bug")


async def test_what_is_wrong_with_the_message_is_told_for_everybody(door: Bound, house: House) -> None:
    async with await lmtp(door) as client:
        await play(client, BEGIN + "C: DATA\nS: 354\nC: bare<LF>\nC: .\n" + "S: 550 5.6.0\n" * 3 + "C: NOOP\nS: 250")
        await play(client, BEGIN + "C: BDAT 3 LAST\nC: <LF>\n" + "S: 550 5.6.0\n" * 3 + "C: NOOP\nS: 250")
        # Before the last chunk nobody is answered for, and afterwards there is nobody.
        await play(client, BEGIN + "C: BDAT 3\nC: <LF>\nS: 550 5.6.0\nC: BDAT 0 LAST\nS: 503 5.5.1\nC: NOOP\nS: 250")
    assert await house.kept("ann@example.org") == []


async def test_a_verdict_against_the_message_is_told_for_everybody(house: House) -> None:
    class Strict:
        async def deliver_each(self, envelope: Envelope, *_: object, **__: object) -> None:
            raise Rejected("no thanks")

    house.delivery = Strict()
    async with house.door(kind="lmtp") as door, await lmtp(door) as client:
        await play(client, BEGIN + "C: DATA\nS: 354\nC: x\nC: .\n" + "S: 554 5.7.1 no thanks\n" * 3 + "C: NOOP\nS: 250")


async def test_lmtp_is_not_smtp_and_smtp_is_not_lmtp(door: Bound, house: House) -> None:
    async with await Client.connect(door, hello=False) as client:
        await play(
            client,
            """
            S: 220
            C: EHLO me
            S: 500 5.5.1
            C: HELO me
            S: 500 5.5.1
            C: MAIL FROM:<a@example.net>
            S: 503 5.5.1
            C: LHLO
            S: 501 5.5.4
            """,
        )
    async with house.door() as mx, await Client.connect(mx) as client:
        await play(client, "C: LHLO me\nS: 500 5.5.1")


async def test_states_are_those_of_lmtp(door: Bound) -> None:
    async with await lmtp(door) as client:
        await play(
            client,
            """
            C: AUTH PLAIN
            S: 503 5.5.1
            C: DATA
            S: 503 5.5.1
            C: MAIL FROM:<a@example.net>
            S: 250
            C: RCPT TO:<ann@elsewhere.example>
            S: 550 5.7.1 relaying denied
            C: DATA
            S: 503 5.5.1
            C: BDAT 2 LAST
            C:
            S: 503 5.5.1
            """,
        )


async def test_utf8_has_its_own_keyword(door: Bound, house: House) -> None:
    async with await lmtp(door) as client:
        await play(client, "C: MAIL FROM:<jörg@example.net> SMTPUTF8\nS: 250\nC: RCPT TO:<ann@example.org>\nS: 250")
        await play(client, "C: BDAT 0 LAST\nS: 250 2.0.0")
    assert b" with UTF8LMTP id " in (await house.kept("ann@example.org"))[0]
