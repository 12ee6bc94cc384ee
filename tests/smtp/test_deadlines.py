"""Time: whole commands, whole messages and their pace, and that no slow client is cut who is only slow."""

from __future__ import annotations

import asyncio
import base64

import pytest
from smtp_door import PASSWORD, Client, House

from mailsystem.net import Connection
from mailsystem.smtp.conversation import TooSlow
from mailsystem.smtp.receiving import Reception
from mailsystem.store import Spool


async def trickle(client: Client, octets: bytes, *, every: float) -> None:
    """An octet now and then, until the door has enough."""
    try:
        for octet in octets:
            await client.send(bytes([octet]))
            await asyncio.sleep(every)
    except ConnectionError:
        pass


async def cut(client: Client, house: House, octets: bytes, *, every: float) -> None:
    """The door gives up on this client, although it is never silent."""
    sending = asyncio.create_task(trickle(client, octets, every=every))
    async with asyncio.timeout(5):
        assert (await client.reply()).startswith("421 4.4.2")
        assert await client.rest() == b""
    sending.cancel()
    await asyncio.wait([sending])
    (told,) = await house.until_told("disconnected")
    assert told["reason"] == "too slow"
    assert await house.kept("ann@example.org") == []


@pytest.mark.parametrize("before", [b"", b"NOOP\r\nNO"], ids=["from the start", "behind a command"])
async def test_a_command_has_to_come_whole_in_time(before: bytes, house: House) -> None:
    async with house.door(timeout=0.3) as door, await Client.connect(door) as client:
        await client.send(before)
        if before:
            assert (await client.reply()).startswith("250")
        await cut(client, house, b"X" * 200, every=0.03)


async def test_a_login_has_to_come_whole_in_time(house: House) -> None:
    async with house.door(timeout=0.3) as door, await Client.connect(door) as client:
        assert (await client.say("AUTH PLAIN")).startswith("334")
        await cut(client, house, b"A" * 200, every=0.03)


async def test_what_a_login_took_is_not_taken_from_the_next_command(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RFC 5321 4.5.3.2.7: a whole five minutes for each command."""
    loop, read = asyncio.get_running_loop(), Connection.read
    now, late = loop.time, 0.0
    patience: list[float] = []

    async def noting(connection: Connection, timeout: float) -> bytes:
        patience.append(timeout)
        return await read(connection, timeout)

    monkeypatch.setattr(loop, "time", lambda: now() + late)
    monkeypatch.setattr(Connection, "read", noting)
    async with house.door(timeout=300.0) as door, await Client.connect(door) as client:
        assert (await client.say("AUTH PLAIN")).startswith("334")
        before, late = len(patience), 200.0
        secret = base64.b64encode(f"\0ann@example.org\0{PASSWORD}".encode())
        assert (await client.say(secret)).startswith("235")
        assert (await client.say("NOOP")).startswith("250")
        assert min(patience[before:]) > 250


async def test_who_goes_on_is_not_cut(house: House) -> None:
    async with house.door(timeout=2.0) as door, await Client.connect(door) as client:
        for _ in range(6):
            await asyncio.sleep(0.4)
            assert (await client.say("NOOP")).startswith("250")


async def test_a_message_has_to_come_whole_in_time(house: House) -> None:
    async with house.door(data_total=0.3) as door, await Client.connect(door) as client:
        await client.begin()
        await cut(client, house, b"x" * 200, every=0.03)


async def test_a_message_in_chunks_has_to_come_whole_in_time(house: House) -> None:
    async with house.door(data_total=0.3) as door, await Client.connect(door) as client:
        await client.send(b"MAIL FROM:<>\r\nRCPT TO:<ann@example.org>\r\nBDAT 1\r\nx")
        assert [(await client.reply())[:3] for _ in range(3)] == ["250"] * 3
        await asyncio.sleep(0.35)  # between chunks as within them
        await client.send(b"BDAT 10\r\nx")
        assert (await client.reply()).startswith("421 4.4.2")
        assert await client.rest() == b""


@pytest.mark.parametrize("verb", [b"DATA\r\n", b"BDAT 5000 LAST\r\n"])
async def test_a_message_below_the_rate_is_cut(verb: bytes, house: House) -> None:
    async with house.door(minimum_rate=10_000, rate_grace=0.2) as door, await Client.connect(door) as client:
        await client.send(b"MAIL FROM:<>\r\nRCPT TO:<ann@example.org>\r\n" + verb)
        assert [(await client.reply())[:3] for _ in range(2)] == ["250"] * 2
        if verb.startswith(b"DATA"):
            assert (await client.reply()).startswith("354")
        await cut(client, house, b"x" * 200, every=0.03)


async def test_a_message_above_the_rate_takes_its_time(house: House) -> None:
    async with house.door(minimum_rate=100, rate_grace=0.05) as door, await Client.connect(door) as client:
        await client.begin()
        for _ in range(5):
            await client.send(b"x" * 98 + b"\r\n")
            await asyncio.sleep(0.05)
        assert (await client.say(b".")).startswith("250")


async def test_our_own_disk_is_not_held_against_the_client(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async def slow(spool: Spool) -> None:
        await asyncio.sleep(0.3)

    monkeypatch.setattr(Spool, "flush", slow)
    async with house.door(minimum_rate=1_000_000, rate_grace=0.2) as door, await Client.connect(door) as client:
        await client.begin()
        await client.send(b"x" * 100_000)
        await asyncio.sleep(0.35)
        monkeypatch.undo()
        await client.send(b"y" * 100_000 + b"\r\n.\r\n")
        assert (await client.reply()).startswith("250")


def test_patience_is_the_least_that_any_rule_leaves(house: House) -> None:
    class Rules:
        kind, data_timeout, data_total, minimum_rate, rate_grace = "mx", 300.0, 600.0, 100.0, 30.0

    reception = Reception(Rules(), house.store.contents.spool(), binary=False, now=1000.0)  # type: ignore[arg-type]
    assert reception.patience(1000.0) == 30.0
    reception.came(octets=4000, waited=10.0)
    assert reception.patience(1010.0) == 30.0
    reception.came(octets=1_000_000, waited=0.0)
    assert reception.patience(1010.0) == 300.0
    assert reception.patience(1599.0) == 1.0
    with pytest.raises(TooSlow):
        reception.patience(1600.0)
