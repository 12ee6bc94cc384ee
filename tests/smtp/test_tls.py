"""STARTTLS and implicit TLS: what is forgotten, what is offered, and what is an attack."""

from __future__ import annotations

import asyncio
import base64
import ssl

import pytest
from outside import Certificates
from smtp_door import PASSWORD, Client, House

from mailsystem.smtp.server import _offered

LOGIN = "ann@example.org"
PLAIN = base64.b64encode(f"\0{LOGIN}\0{PASSWORD}".encode()).decode()


async def start(client: Client, tls: ssl.SSLContext) -> None:
    assert (await client.say("STARTTLS")).startswith("220 2.0.0")
    await client.writer.start_tls(tls, server_hostname="localhost")


async def test_what_is_offered_is_put_together_once_for_each_state(house: House, certificates: Certificates) -> None:
    _offered.cache_clear()
    async with house.door(tls=certificates.server()) as door:
        told = []
        for _ in range(3):
            async with await Client.connect(door, hello=False) as client:
                await client.reply()
                in_clear = await client.say("EHLO here.example")
                await start(client, certificates.client())
                told.append((in_clear, await client.say("EHLO here.example")))
        assert len(set(told)) == 1
        assert _offered.cache_info().misses == 2


async def test_starttls_secures_and_forgets(house: House, certificates: Certificates) -> None:
    async with house.door(tls=certificates.server()) as door, await Client.connect(door, hello=False) as client:
        await client.reply()
        assert "STARTTLS" in await client.say("EHLO in.clear.example")
        assert (await client.say(f"AUTH PLAIN {PLAIN}")).startswith("235")
        assert (await client.say("MAIL FROM:<in@clear.example>")).startswith("250")
        assert (await client.say("STARTTLS now")).startswith("501 5.5.4")
        await start(client, certificates.client())
        assert (await client.say("RCPT TO:<ann@example.org>")).startswith("503")
        assert (await client.say("MAIL FROM:<a@example.net>")).startswith("503 5.5.1 say EHLO")
        offer = await client.say("EHLO under.tls.example")
        assert "STARTTLS" not in offer
        assert "AUTH SCRAM-SHA-256 PLAIN LOGIN" in offer, "the login in clear is forgotten"
        assert (await client.say("STARTTLS")).startswith("503 5.5.1")
        assert (await client.mail(b"x\r\n.\r\n")).startswith("250")
        assert (await client.say(f"AUTH PLAIN {PLAIN}")).startswith("235")
        assert (await client.mail(b"x\r\n.\r\n", parameters=" SMTPUTF8")).startswith("250")
        assert (await client.say("QUIT")).startswith("221")
    first, second = await house.kept(LOGIN)
    assert b"from under.tls.example " in first
    assert b"with ESMTPS id" in first
    assert b"(using TLSv1." in first
    assert b"with UTF8SMTPSA id" in second
    assert house.told("secured")[0]["tls"].startswith("TLSv1.")


async def test_tls_from_the_first_octet(house: House, certificates: Certificates) -> None:
    async with (
        house.door(tls=certificates.server(), implicit_tls=True) as door,
        await Client.connect(door, hello=False, tls=certificates.client()) as client,
    ):
        await client.reply()
        offer = await client.say("EHLO client.example")
        assert "STARTTLS" not in offer
        assert "AUTH SCRAM-SHA-256 PLAIN LOGIN" in offer
        raw = b"x" * 100_000 + b"\r\n"
        assert (await client.mail(raw * 10 + b".\r\n")).startswith("250")
        assert (await client.say("QUIT")).startswith("221")
    assert await house.received(LOGIN) == [raw * 10]
    assert b"with ESMTPS id" in (await house.kept(LOGIN))[0]


@pytest.mark.parametrize("behind", [b"RSET\r\n", b"MAIL FROM:<evil@example.net>\r\n", b"NOO", b"\r\n", b"\0"], ids=repr)
async def test_what_is_injected_behind_starttls_ends_the_session(
    behind: bytes, house: House, certificates: Certificates
) -> None:
    async with house.door(tls=certificates.server()) as door, await Client.connect(door) as client:
        await client.send(b"STARTTLS\r\n" + behind)
        assert (await client.reply()).startswith("503 5.5.1")
        assert await client.rest() == b""
    assert house.told("attacked")[0]["octets"] == len(behind)
    assert not house.told("secured")


async def test_replies_before_starttls_come_before_it(house: House, certificates: Certificates) -> None:
    async with house.door(tls=certificates.server()) as door, await Client.connect(door) as client:
        await client.send(b"RSET\r\nRSET\r\nSTARTTLS\r\n")
        assert [(await client.reply())[:3] for _ in range(3)] == ["250", "250", "220"]
        await client.writer.start_tls(certificates.client(), server_hostname="localhost")
        assert (await client.say("NOOP")).startswith("250")


async def test_a_handshake_that_fails_ends_the_session_and_nothing_else(
    house: House, certificates: Certificates
) -> None:
    async with house.door(tls=certificates.server()) as door:
        async with await Client.connect(door) as client:
            assert (await client.say("STARTTLS")).startswith("220")
            await client.send(b"EHLO this is no handshake\r\n" * 10)
            rest = await client.rest()
            assert b"250" not in rest
        stranger = ssl.create_default_context()
        async with await Client.connect(door) as client:
            with pytest.raises(ssl.SSLCertVerificationError):
                await start(client, stranger)
        await house.until_told("handshake failed", 2)
        async with await Client.connect(door) as client:
            await start(client, certificates.client())
            assert (await client.say("NOOP")).startswith("250")
    assert not house.told("bug")


async def test_a_client_that_vanishes_under_tls_delivers_nothing(house: House, certificates: Certificates) -> None:
    async with house.door(tls=certificates.server()) as door:
        client = await Client.connect(door)
        await start(client, certificates.client())
        await client.say("EHLO x")
        await client.begin()
        await client.send(b"half a mess")
        await asyncio.sleep(0.01)
        client.reset()
        await client.close()
        await house.until_told("disconnected")
    assert await house.kept(LOGIN) == []
    assert not house.told("bug")
