"""Mail that is in the queue for an address to which nothing is sent any more."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from mailsystem.delivery import Delivery
from mailsystem.directory import AccountsDirectory
from mailsystem.mail.address import Address
from mailsystem.mail.envelope import Notification
from mailsystem.mail.mailbox import INBOX, MessageSet
from mailsystem.mail.outgoing import Attempt, Outgoing, State, Waiting
from mailsystem.queue.letter import Letter
from mailsystem.queue.reporting import Reporter
from mailsystem.queue.schedule import Schedule
from mailsystem.queue.worker import Worker, working
from mailsystem.store import Leaving, Store, Want
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


async def test_it_fails_with_a_report_and_the_others_get_theirs(store: Store, tmp_path: Path) -> None:
    await store.accounts.add_domain("example.org")
    ann = await store.accounts.add("ann@example.org", None)
    directory = AccountsDirectory(store, default_domain="example.org")
    schedule, trace, other = Schedule(), Trace(), Taken()
    delivery = Delivery(store, directory, hostname="mail.example.org")
    reporter = Reporter(store, delivery, trace, hostname="mail.example.org", schedule=schedule)
    worker = Worker(store, other, reporter, trace, schedule=schedule)
    await store.suppression.add("bob@example.net")
    for _ in range(3):
        await store.suppression.note_failure("eve@example.com", "5.1.1")
    [before] = await store.suppression.of(["eve@example.com"])
    await leave(store, "Bob@example.net", "dan@example.net", "eve@example.com")
    async with working(worker, reporter, grace=5.0):
        await until_idle(store)
    assert other.recipients == ["dan@example.net"]
    inbox = await store.mailboxes.find(ann.id, INBOX)
    told = ""
    async for slice_ in store.mailboxes.fetch(ann.id, inbox.id, MessageSet(((1, 0xFFFFFFFF),)), Want.RAW):
        told += "".join((one.raw or b"").decode() for one in slice_)
    for address in ("Bob@example.net", "eve@example.com"):
        assert f"Final-Recipient: rfc822; {address}" in told
    assert "Status: 5.1.1" in told
    assert "dan@example.net" not in told.partition("Subject: hello")[0]
    assert await store.suppression.of(["eve@example.com"]) == [before], "what was not asked is no further failure"
