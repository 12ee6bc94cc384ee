"""Submission (RFC 6409): who may send, as whom, and what a message is given that it came without."""

from __future__ import annotations

import email.utils
import re

import pytest
from outside import Certificates
from smtp_door import PASSWORD, Client, House, play
from test_login import plain

from mailsystem.mail.envelope import Peer
from mailsystem.net import Bound

LOGIN = "ann@example.org"


async def logged_in(door: Bound) -> Client:
    client = await Client.connect(door)
    assert (await client.say(f"AUTH PLAIN {plain()}")).startswith("235")
    return client


async def test_nobody_sends_without_a_login(house: House) -> None:
    async with house.door(kind="submission") as door, await Client.connect(door) as client:
        await play(
            client,
            """
            C: MAIL FROM:<ann@example.org>
            S: 530 5.7.0 log in first
            C: RCPT TO:<ann@example.org>
            S: 503 5.5.1
            C: DATA
            S: 503 5.5.1
            C: BDAT 2 LAST
            C:
            S: 503 5.5.1
            C: NOOP
            S: 250
            """,
        )
        await play(client, f"C: AUTH PLAIN {plain()}\nS: 235\nC: MAIL FROM:<ann@example.org>\nS: 250 2.1.0")


async def test_nobody_logs_in_in_clear(
    house: House, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Peer, "is_loopback", property(lambda peer: False))
    async with (
        house.door(kind="submission", tls=certificates.server()) as door,
        await Client.connect(door, hello=False) as client,
    ):
        await client.reply()
        offer = await client.say("EHLO me")
        assert "AUTH" not in offer
        assert "STARTTLS" in offer
        assert "REQUIRETLS" not in offer
        await play(client, "C: MAIL FROM:<ann@example.org>\nS: 530 5.7.0 say STARTTLS")
        await play(client, f"C: AUTH PLAIN {plain()}\nS: 538 5.7.11")
        assert (await client.say("STARTTLS")).startswith("220")
        await client.writer.start_tls(certificates.client(), server_hostname="localhost")
        offer = await client.say("EHLO me")
        assert "-AUTH " in offer
        assert "REQUIRETLS" in offer
        await play(client, f"C: AUTH PLAIN {plain()}\nS: 235\nC: MAIL FROM:<ann@example.org> REQUIRETLS\nS: 250 2.1.0")
        await play(client, "C: RCPT TO:<ann@example.org>\nS: 250\nC: BDAT 0 LAST\nS: 250 2.0.0")
    (raw,) = await house.kept(LOGIN)
    assert b" with ESMTPSA id " in raw
    assert b"(using TLSv1." in raw


async def test_senders_are_those_of_the_login(house: House) -> None:
    async with house.door(kind="submission") as door, await logged_in(door) as client:
        await play(
            client,
            """
            C: MAIL FROM:<bob@example.org>
            S: 553 5.7.1
            C: MAIL FROM:<ann@example.net>
            S: 553 5.7.1
            C: MAIL FROM:<ANN@example.org>
            S: 250 2.1.0
            C: RSET
            S: 250
            C: MAIL FROM:<>
            S: 250 2.1.0
            C: RCPT TO:<somebody@elsewhere.example>
            S: 550 5.7.1 relaying denied
            C: RCPT TO:<bob@example.org>
            S: 250 2.1.5
            """,
        )


@pytest.mark.parametrize("kind", ["mx", "lmtp"])
async def test_logins_are_for_submission(kind: str, house: House) -> None:
    hello = "LHLO" if kind == "lmtp" else "EHLO"
    async with (
        house.door(kind=kind, offer_auth=False) as door,
        await Client.connect(door, hello=False) as client,
    ):
        await client.reply()
        assert "AUTH" not in await client.say(f"{hello} me")
        await play(client, f"C: AUTH PLAIN {plain()}\nS: 503 5.5.1\nC: AUTH\nS: 503 5.5.1")
        await play(client, "C: MAIL FROM:<anybody@example.net>\nS: 250\nC: RCPT TO:<ann@example.org>\nS: 250")
    assert not house.told("logged in")
    assert PASSWORD not in repr(house.events)
    assert plain() not in repr(house.events)


FIELDS = rb"Date: ([^\r]+)\r\nMessage-ID: <([0-9a-f]+)@mx\.example\.org>\r\n"


@pytest.mark.parametrize(
    ("message", "given"),
    [
        (b"Subject: x\r\n\r\nbody\r\n", ["Date", "Message-ID"]),
        (b"\r\nDate: in the body\r\nMessage-ID: too\r\n", ["Date", "Message-ID"]),
        (b"Date: Mon, 1 Jan 2024 00:00:00 +0000\r\n\r\n", ["Message-ID"]),
        (b"Subject: x\r\nMESSAGE-id: <a@b>\r\n\r\nDate: no\r\n", ["Date"]),
        (b"Message-ID: <a@b>\r\nX: y\r\ndate: x\r\n\r\n", []),
        (b"X-Date: y\r\nSubject: x\r\n Date: folded\r\n\r\n", ["Date", "Message-ID"]),
        (b"X: " + b"y" * 300_000 + b"\r\nDate: x\r\nMessage-ID: <a@b>\r\n\r\n", []),
        (b"", ["Date", "Message-ID"]),
    ],
    ids=lambda value: repr(value)[:30],
)
@pytest.mark.parametrize("how", ["DATA", "BDAT in many chunks"])
async def test_a_message_is_given_what_it_came_without(
    message: bytes, given: list[str], how: str, house: House
) -> None:
    async with house.door(kind="submission", recipient_limit=10) as door, await logged_in(door) as client:
        if how == "DATA":
            await client.begin(sender=LOGIN)
            await client.send(message + b".\r\n")
        else:
            by = max(1, len(message) // 200)
            pieces = [message[at : at + by] for at in range(0, len(message), by)]
            await play(client, f"C: MAIL FROM:<{LOGIN}>\nS: 250\nC: RCPT TO:<{LOGIN}>\nS: 250")
            await client.send(b"".join(b"BDAT %d\r\n%s" % (len(piece), piece) for piece in pieces) + b"BDAT 0 LAST\r\n")
            for piece in pieces:
                assert await client.reply() == f"250 2.0.0 {len(piece)} octets"
        ident = (await client.reply()).split()[-1]
    (raw,) = await house.kept(LOGIN)
    prefix = raw[: len(raw) - len(message)]
    assert raw.endswith(message), "not an octet of it is changed"
    lines = prefix.decode().split("\r\n")
    assert [name for name in ("Date", "Message-ID") if any(line.startswith(f"{name}: ") for line in lines)] == given
    if len(given) == 2:
        found = re.search(FIELDS + rb"\Z", prefix)
        assert found
        assert email.utils.parsedate_to_datetime(found[1].decode())
        assert found[2].decode() == ident


async def test_others_mail_is_given_nothing(house: House) -> None:
    async with house.door() as door, await Client.connect(door) as client:
        assert (await client.mail(b"Subject: x\r\n\r\n.\r\n")).startswith("250")
    assert b"Message-ID" not in (await house.kept(LOGIN))[0]


DEVICE = b"Subject: scan\nX: y\r\n\rbody\r\r\nend\n.\nMAIL FROM:<evil@example.net>\n"
REPAIRED = b"Subject: scan\r\nX: y\r\n\r\nbody\r\n\r\nend\r\n.\r\nMAIL FROM:<evil@example.net>\r\n"


@pytest.mark.parametrize("by", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("how", ["DATA", "BDAT"])
async def test_old_devices_are_understood_where_that_was_asked_for(by: int, how: str, house: House) -> None:
    async with house.door(kind="submission", bare_newline="normalize") as door, await logged_in(door) as client:
        pieces = [DEVICE[at : at + by] for at in range(0, len(DEVICE), by)]
        if how == "DATA":
            await client.begin(sender=LOGIN)
            for piece in pieces:
                await client.send(piece)
            await client.send(b"\r\n.\r\n")
        else:
            await play(client, f"C: MAIL FROM:<{LOGIN}>\nS: 250\nC: RCPT TO:<{LOGIN}>\nS: 250")
            await client.send(b"".join(b"BDAT %d\r\n%s" % (len(piece), piece) for piece in pieces))
            for _ in pieces:
                assert (await client.reply()).startswith("250 2.0.0")
            await client.send(b"BDAT 2 LAST\r\n\r\n")
        assert (await client.reply()).startswith("250 2.0.0 ok")
        assert (await client.say("NOOP")).startswith("250")
    (raw,) = await house.kept(LOGIN)
    assert raw.endswith(b"\r\n" + REPAIRED + b"\r\n")


async def test_a_last_cr_is_repaired_too_and_binary_content_is_not(house: House) -> None:
    async with house.door(kind="submission", bare_newline="normalize") as door, await logged_in(door) as client:
        for parameter in ("", " BODY=BINARYMIME"):
            await play(client, f"C: MAIL FROM:<{LOGIN}>{parameter}\nS: 250\nC: RCPT TO:<{LOGIN}>\nS: 250")
            await client.send(b"BDAT 4 LAST\r\n\ny\n\r")
            assert (await client.reply()).startswith("250")
    repaired, binary = await house.kept(LOGIN)
    assert repaired.endswith(b">\r\n\r\ny\r\n\r\n")
    assert binary.endswith(b">\r\n\ny\n\r")


@pytest.mark.parametrize("kind", ["mx", "lmtp"])
async def test_nothing_is_repaired_that_was_not_submitted(kind: str, house: House) -> None:
    async with (
        house.door(kind=kind, bare_newline="normalize") as door,
        await Client.connect(door, hello=False) as client,
    ):
        await client.reply()
        await client.say("LHLO me" if kind == "lmtp" else "EHLO me")
        assert (await client.mail(b"x\ny\r\n.\r\n")).startswith("550 5.6.0")
