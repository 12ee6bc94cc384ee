"""The inbox of tests that are coroutines: nothing that it waits for stops the loop."""

from __future__ import annotations

import asyncio
from contextlib import closing
from email.message import EmailMessage

import aiosmtplib
import pytest
import trio
from freezegun import freeze_time

from mailsystem.testing import AsyncInbox, Inbox, MailFailure
from mailsystem.testing.postbox import Postbox


async def send(amail: AsyncInbox, subject: str = "Hello") -> None:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "app@example.net", amail.address, subject
    message.set_content("It works.")
    where = amail.server
    await aiosmtplib.send(message, hostname=where.host, port=where.port("smtp"), start_tls=False)


async def test_what_comes_is_awaited(amail: AsyncInbox) -> None:
    async def later() -> None:
        await asyncio.sleep(0.05)
        await send(amail)

    # If waiting stopped the loop, it would never be sent.
    task = asyncio.create_task(later())
    message = await amail.expect(subject="Hello", timeout=30)
    await task
    assert message.to == [amail.address]
    assert [each.id for each in await amail.messages()] == [message.id]
    assert (await amail.latest()).id == message.id
    assert [each.id for each in await amail.expect(count=1, order="newest", timeout=1) and await amail.messages()]


async def test_what_does_not_come_is_told(amail: AsyncInbox) -> None:
    await send(amail, "Welcome")
    with pytest.raises(MailFailure, match="subject is not like 'Reset'"):
        await amail.expect(subject="Reset", timeout=0.05)
    with pytest.raises(MailFailure, match="expected no message"):
        await amail.none(subject="Welcome", within=600)
    await amail.none(subject="Reset", within=0.01)
    amail.idle()
    await amail.none(subject="Reset", within=10_000)


async def test_a_block_waits_for_what_comes_of_it(amail: AsyncInbox) -> None:
    await send(amail)
    async with amail.expecting(subject="Hello", count=2) as got:
        await asyncio.gather(send(amail), send(amail))
    assert len(got.messages) == 2
    assert len(await amail.messages()) == 3
    await amail.clear()
    assert await amail.messages() == []


async def test_waiting_can_be_cancelled(amail: AsyncInbox) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await amail.expect(timeout=600)
    await send(amail)
    assert (await amail.expect()).subject == "Hello"


async def test_a_message_is_delivered(amail: AsyncInbox) -> None:
    message = await amail.deliver(b"Subject: Hello\r\n\r\nIt works.\r\n", from_="bob@example.net")
    assert message.envelope.mail_from == "bob@example.net"


async def test_time_runs_out_where_the_clock_stands_still(amail: AsyncInbox) -> None:
    with freeze_time("2020-01-01"):
        with pytest.raises(MailFailure, match="none came"):
            await amail.expect(timeout=0.05)
        await amail.none()
        await amail.deliver(b"Subject: Hello\r\n\r\n")
        assert (await amail.expect()).arrived.year == 2020


def test_tasks_of_trio_wait_too(amail: AsyncInbox) -> None:
    async def main() -> None:
        with pytest.raises(MailFailure, match="none came"):
            await amail.expect(timeout=0.05)
        async with trio.open_nursery() as nursery, amail.expecting(subject="Hello") as got:
            # If waiting stopped the loop, it would never be sent.
            nursery.start_soon(amail.deliver, b"Subject: Hello\r\n\r\n")
            with pytest.raises(MailFailure, match="expected no message"):
                await amail.none(within=30)
        assert got.message.subject == "Hello"
        await amail.clear()
        await amail.none()

    trio.run(main)


async def test_who_stops_the_loop_is_told(box: Postbox) -> None:
    with closing(Inbox(box)) as mail:
        with pytest.raises(MailFailure, match="none came") as caught:
            mail.expect(timeout=0.01)
        assert "await amail.expect" in caught.value.__notes__[0]
        with pytest.raises(MailFailure) as caught:
            await AsyncInbox(box).expect(timeout=0.01)
        assert not hasattr(caught.value, "__notes__")
