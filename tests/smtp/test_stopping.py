"""When the program ends: who is told, what is still taken, and who is cut off."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest
from smtp_door import Client, House

from mailsystem.mail.envelope import Envelope
from mailsystem.store import Spool
from mailsystem.telemetry import Trace


async def test_idle_sessions_are_told_and_closed(house: House) -> None:
    async with AsyncExitStack() as stack:
        door = await stack.enter_async_context(house.door())
        idle = [await Client.connect(door) for _ in range(3)]
        assert (await idle[1].say("MAIL FROM:<a@example.net>")).startswith("250")
        assert (await idle[2].say("AUTH LOGIN")).startswith("334")
        async with asyncio.timeout(2):
            await stack.aclose()
        for client in idle:
            assert (await client.reply()).startswith("421 4.3.2")
            assert await client.rest() == b""
            await client.close()
        with pytest.raises(OSError):
            await Client.connect(door)
    assert [told["reason"] for told in house.told("disconnected")] == ["stopping"] * 3


async def ending(stack: AsyncExitStack) -> asyncio.Task[None]:
    """The program has begun to end, and cannot while a client is in its DATA."""
    closing = asyncio.create_task(stack.aclose())
    await asyncio.sleep(0.05)
    assert not closing.done()
    return closing


async def test_an_open_data_is_finished(house: House) -> None:
    async with AsyncExitStack() as stack:
        door = await stack.enter_async_context(house.door(grace=5))
        client = await Client.connect(door)
        await client.begin()
        await client.send(b"first half\r\n")
        closing = await ending(stack)
        await client.send(b"second half\r\n")
        await asyncio.sleep(0.05)
        assert (await client.say(b".")).startswith("250 2.0.0 ok, queued as")
        assert (await client.reply()).startswith("421 4.3.2")
        assert await client.rest() == b""
        await client.close()
        async with asyncio.timeout(2):
            await closing
    assert await house.received("ann@example.org") == [b"first half\r\nsecond half\r\n"]


async def test_no_other_transaction_is_begun(house: House) -> None:
    async with AsyncExitStack() as stack:
        door = await stack.enter_async_context(house.door(grace=5))
        client = await Client.connect(door)
        await client.begin()
        closing = await ending(stack)
        await client.send(b"x\r\n.\r\nMAIL FROM:<a@example.net>\r\nRCPT TO:<ann@example.org>\r\nDATA\r\n")
        assert (await client.reply()).startswith("250")
        assert (await client.reply()).startswith("421 4.3.2")
        assert await client.rest() == b""
        await client.close()
        await closing
    assert len(await house.kept("ann@example.org")) == 1


async def test_a_data_that_does_not_end_is_cut_after_the_grace(house: House) -> None:
    async with AsyncExitStack() as stack:
        door = await stack.enter_async_context(house.door(grace=0.2))
        client = await Client.connect(door)
        await client.begin()
        await client.send(b"half\r\n")
        async with asyncio.timeout(2):
            await stack.aclose()
        assert await client.rest() == b""
        await client.close()
    assert await house.kept("ann@example.org") == []
    assert house.told("disconnected")[0]["reason"] == "cut off"
    assert not house.told("bug")


async def test_a_delivery_under_way_is_waited_for(house: House) -> None:
    begun = asyncio.Event()

    class Slow:
        async def deliver(self, envelope: Envelope, spool: Spool, *, trace: Trace, sender: object = None) -> str:
            begun.set()
            await asyncio.sleep(0.2)
            return "slow"

    house.delivery = Slow()
    async with AsyncExitStack() as stack:
        door = await stack.enter_async_context(house.door(grace=5))
        client = await Client.connect(door)
        await client.begin()
        await client.send(b"x\r\n.\r\n")
        await begun.wait()
        await stack.aclose()
        assert await client.reply() == "250 2.0.0 ok, queued as slow"
        assert (await client.reply()).startswith("421 4.3.2")
        await client.close()
