"""STLS and TLS from the first octet."""

from __future__ import annotations

import asyncio
import contextlib
import ssl

import pytest
import trustme
from pop3_door import Door, Opening

MESSAGE = b"Subject: one\r\n\r\nbody\r\n"
Contexts = tuple[ssl.SSLContext, ssl.SSLContext]


@pytest.fixture(scope="module")
def contexts() -> Contexts:
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(server)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    return server, trusting


async def test_stls_starts_the_session_anew(open_door: Opening, contexts: Contexts) -> None:
    """RFC 2595 4."""
    server, trusting = contexts
    door = await open_door(tls=server)
    await door.post(MESSAGE)
    client = await door.connect()
    assert b"STLS" in await client.listing(b"CAPA")
    await client.ok(b"USER ann")
    assert await client.say(b"STLS now") == b"-ERR too many arguments"
    await client.ok(b"STLS")
    await client.start_tls(trusting)
    assert b"STLS" not in await client.listing(b"CAPA")
    assert await client.say(b"PASS x") == b"-ERR USER first", "the name was said in clear"
    assert await client.say(b"STLS") == b"-ERR TLS is on already"
    await client.log_in()
    assert await client.many(b"RETR 1") == MESSAGE
    await client.ok(b"QUIT")
    assert await client.rest() == b""


async def test_there_is_no_stls_without_a_certificate_or_after_login(open_door: Opening, contexts: Contexts) -> None:
    door = await open_door()
    client = await door.connect()
    assert b"STLS" not in await client.listing(b"CAPA")
    assert await client.say(b"STLS") == b"-ERR no TLS here"
    door = await open_door(tls=contexts[0])
    client = await door.connect()
    await client.log_in()
    assert b"STLS" not in await client.listing(b"CAPA")
    assert await client.say(b"STLS") == b"-ERR STLS is not possible now"


@pytest.mark.parametrize("behind", [b"USER eve\r\n", b"NOOP\r\n", b"x", b"\0" * 300_000])
async def test_what_comes_in_one_segment_behind_stls_is_an_attack(
    behind: bytes, open_door: Opening, contexts: Contexts
) -> None:
    door = await open_door(tls=contexts[0])
    client = await door.connect()
    await client.send(b"CAPA\r\nSTLS\r\n" + behind)
    answer = await client.rest()
    assert answer.endswith(b"\r\n.\r\n-ERR nothing may follow STLS\r\n")
    assert b"begin TLS" not in answer
    [event] = door.told("attacked")
    assert event["reason"] == "octets in clear behind STLS"
    assert door.told("disconnected")[0]["reason"] == event["reason"]


async def test_a_handshake_that_fails_ends_the_session_and_is_told(open_door: Opening, contexts: Contexts) -> None:
    door = await open_door(tls=contexts[0])
    client = await door.connect()
    await client.ok(b"STLS")
    await client.send(b"USER ann\r\n" * 10)
    try:
        rest = await client.rest()
    except ConnectionResetError:
        rest = b""
    assert b"+OK" not in rest
    assert (await door.until_told("disconnected"))[0]["reason"].startswith("TLS handshake failed")


async def test_tls_from_the_first_octet(open_door: Opening, contexts: Contexts) -> None:
    server, trusting = contexts
    door = await open_door(tls=server, implicit_tls=True)
    large = MESSAGE + b".x\r\n" * 500_000
    await door.post(large)
    client = await door.connect(tls=trusting)
    assert b"STLS" not in await client.listing(b"CAPA")
    assert await client.say(b"STLS") == b"-ERR no TLS here"
    await client.log_in()
    assert await client.many(b"RETR 1") == large
    await client.ok(b"QUIT")
    assert door.told("connected")[0]["tls"].startswith("TLSv1.")


async def test_an_octet_in_clear_is_nothing_to_implicit_tls(open_door: Opening, contexts: Contexts) -> None:
    door = await open_door(tls=contexts[0], implicit_tls=True)
    client = await door.connect(greeted=False)
    await client.send(b"USER ann\r\n")
    with contextlib.suppress(ConnectionResetError):
        assert b"+OK" not in await client.rest()
    assert door.told("connected") == []
    assert len(await door.until_told("handshake failed")) == 1


async def test_a_silent_handshake_does_not_hold_the_end_up(open_door: Opening, contexts: Contexts) -> None:
    door = await open_door(tls=contexts[0], grace=0.05)
    client = await door.connect()
    await client.ok(b"STLS")
    await asyncio.sleep(0.02)


async def test_a_door_under_tls_is_one_door_more(open_door: Opening, contexts: Contexts) -> None:
    clear = await open_door()
    secure: Door = await open_door(tls=contexts[0], implicit_tls=True)
    first = await clear.client()
    second = await secure.connect(tls=contexts[1])
    await second.ok(b"USER ann")
    assert (await second.say(b"PASS x")).startswith(b"-ERR [AUTH]")
    await first.ok(b"QUIT")
    await second.log_in()
