"""Mail in the queue that goes nowhere: its recipient was suppressed, or an admin gave it up. Its sender is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from mailsystem.delivery import Delivery
from mailsystem.directory import AccountsDirectory
from mailsystem.mail.account import Account
from mailsystem.mail.address import Address
from mailsystem.mail.envelope import Notification
from mailsystem.mail.mailbox import INBOX, MessageSet
from mailsystem.mail.outgoing import Attempt, Outgoing, State, Waiting
from mailsystem.queue.letter import Letter
from mailsystem.queue.reporting import Reporter
from mailsystem.queue.schedule import Schedule
from mailsystem.queue.worker import Worker, working
from mailsystem.store import Leaving, Selection, Store, Want
from mailsystem.telemetry import Trace

ANN = Address.parse("ann@example.org")


class Taken:
    """Another server that takes all it is given."""

    def __init__(self) -> None:
        self.recipients: list[str] = []

    async def send(
        self, message: Outgoing, recipients: Sequence[Waiting], letter: Letter, *, domain: str
    ) -> list[Attempt]:
        self.recipients += [str(each.address) for each in recipients]
        return [Attempt(each.address, State.SENT, "2.0.0", "250 2.0.0 ok", "mx.example.net") for each in recipients]

    async def close(self) -> None: ...


async def leave(store: Store, *recipients: str) -> None:
    spool = store.contents.spool()
    spool.write(b"Subject: hello\r\n\r\nworld\r\n")
    to = {Address.parse(each): Notification() for each in recipients}
    await store.mailboxes.deliver((), spool, prefix=b"", leaving=[Leaving("abc", ANN, to, lifetime=86_400.0)])


async def until_idle(store: Store) -> None:
    async with asyncio.timeout(30):
        heard = store.bell.rung
        while await store.oversight.show("abc"):
            await store.bell.wait(heard)
            heard = store.bell.rung


@asynccontextmanager
async def sending(store: Store, other: Taken) -> AsyncIterator[None]:
    """Workers and reports of one process."""
    directory = AccountsDirectory(store, default_domain="example.org")
    schedule, trace = Schedule(), Trace()
    delivery = Delivery(store, directory, hostname="mail.example.org")
    reporter = Reporter(store, delivery, trace, hostname="mail.example.org", schedule=schedule)
    worker = Worker(store, other, reporter, trace, schedule=schedule)
    async with working(worker, reporter, grace=5.0):
        yield


async def told(store: Store, ann: Account) -> str:
    """All that is in Ann's INBOX."""
    inbox = await store.mailboxes.find(ann.id, INBOX)
    text = ""
    async for slice_ in store.mailboxes.fetch(ann.id, inbox.id, MessageSet(((1, 0xFFFFFFFF),)), Want.RAW):
        text += "".join((one.raw or b"").decode() for one in slice_)
    return text


@pytest.fixture
async def ann(store: Store) -> Account:
    await store.accounts.add_domain("example.org")
    return await store.accounts.add("ann@example.org", None)


async def test_mail_for_a_suppressed_address_fails_with_a_report_and_the_others_get_theirs(
    store: Store, ann: Account
) -> None:
    other = Taken()
    await store.suppression.add("bob@example.net")
    for _ in range(3):
        await store.suppression.note_failure("eve@example.com", "5.1.1")
    [before] = await store.suppression.of(["eve@example.com"])
    await leave(store, "Bob@example.net", "dan@example.net", "eve@example.com")
    async with sending(store, other):
        await until_idle(store)
    assert other.recipients == ["dan@example.net"]
    text = await told(store, ann)
    for address in ("Bob@example.net", "eve@example.com"):
        assert f"Final-Recipient: rfc822; {address}" in text
    assert "Status: 5.1.1" in text
    assert "dan@example.net" not in text
    assert await store.suppression.of(["eve@example.com"]) == [before], "what was not asked is no further failure"


async def test_what_an_admin_gives_up_is_reported_at_once(store: Store, ann: Account) -> None:
    other = Taken()
    await leave(store, "bob@example.net")
    await store.oversight.hold(Selection())
    async with sending(store, other):
        assert (await store.oversight.give_up(Selection())).recipients == 1
        await until_idle(store)
    assert other.recipients == []
    text = await told(store, ann)
    assert "Final-Recipient: rfc822; bob@example.net" in text
    assert "Status: 5.0.0" in text
