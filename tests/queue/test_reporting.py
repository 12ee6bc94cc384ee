"""Reports: whatever is the matter with one of them, the others are made; and one tells of all that it can."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

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
from mailsystem.store import Leaving, Selection, Store
from mailsystem.telemetry import Trace

PATIENCE = 30.0


class Others:
    """Other servers, all of which answer alike."""

    def __init__(self, state: State = State.FAILED) -> None:
        self.state = state
        self.asked: list[tuple[Outgoing, str]] = []

    async def send(
        self, message: Outgoing, recipients: Sequence[Waiting], letter: Letter, *, domain: str
    ) -> list[Attempt]:
        self.asked += [(message, str(each.address)) for each in recipients]
        status = "5.7.1" if self.state is State.FAILED else "4.7.1"
        return [Attempt(each.address, self.state, status, "no", "mx.test") for each in recipients]  # type: ignore[arg-type]

    async def close(self) -> None: ...


@pytest.fixture
async def ann(store: Store) -> Account:
    await store.accounts.add_domain("example.org")
    return await store.accounts.add("ann@example.org", None)


async def leave(store: Store, ident: str, sender: str, *recipients: str, **more: Any) -> None:
    spool = store.contents.spool()
    spool.write(b"Subject: hello\r\n\r\nworld\r\n")
    to = {Address.parse(each): Notification() for each in recipients}
    leaving = [Leaving(ident, Address.parse(sender), to, lifetime=86_400.0, **more)]
    await store.mailboxes.deliver((), spool, prefix=b"", leaving=leaving)


@asynccontextmanager
async def sending(store: Store, others: Others, schedule: Schedule | None = None) -> AsyncIterator[None]:
    """Workers and reports of one process."""
    directory, trace = AccountsDirectory(store, default_domain="example.org"), Trace()
    delivery = Delivery(store, directory, hostname="mail.example.org")
    schedule = schedule or Schedule()
    reporter = Reporter(store, delivery, trace, hostname="mail.example.org", schedule=schedule)
    worker = Worker(store, others, reporter, trace, schedule=schedule)
    async with working(worker, reporter, grace=5.0):
        yield


async def inbox(store: Store, person: Account) -> list[str]:
    box = await store.mailboxes.find(person.id, INBOX)
    kept = await store.mailboxes.messages(person.id, box.id, MessageSet.parse("1:*"))
    return [(await store.contents.read(message.content)).decode() for message in kept]


async def some(store: Store, person: Account) -> list[str]:
    """What somebody has, once there is something."""
    async with asyncio.timeout(PATIENCE):
        while not (found := await inbox(store, person)):  # noqa: ASYNC110 - it may come by more than one bell
            await asyncio.sleep(0.02)
        return found


async def all_tried(store: Store, ident: str, times: int) -> None:
    """Wait until every recipient of a message was tried so often."""
    async with asyncio.timeout(PATIENCE):
        while any(  # noqa: ASYNC110 - the bell says nothing of it
            one.attempts < times or one.is_taken for one in (await store.oversight.show(ident))[0].recipients
        ):
            await asyncio.sleep(0.02)


async def test_a_report_that_cannot_be_delivered_holds_up_no_other(store: Store, ann: Account) -> None:
    await store.accounts.set_alias("list@example.org", ["no address at all"])
    await leave(store, "first", "list@example.org", "bob@example.net")
    await leave(store, "second", "ann@example.org", "bob@example.net")
    async with sending(store, Others()):
        [report] = await some(store, ann)
    assert "Final-Recipient: rfc822; bob@example.net" in report
    [kept] = await store.oversight.show("first")
    assert not kept.recipients[0].reported, "it is tried again later"


async def test_one_notice_of_delay_tells_of_all_domains(store: Store, ann: Account) -> None:
    wanted = [f"bob@{name}.example" for name in "abcdef"]
    await leave(store, "late", "ann@example.org", *wanted)
    async with sending(store, Others(State.WAITING), Schedule(first=3600.0, notice=3600.0)):
        await all_tried(store, "late", 1)
    assert await inbox(store, ann) == []
    others = Others(State.WAITING)
    async with sending(store, others, Schedule(first=3600.0, notice=1e-6)):
        await store.oversight.retry(Selection())
        await all_tried(store, "late", 2)
        [notice] = await some(store, ann)
    assert notice.count("Action: delayed") == len(wanted)
    assert len(await inbox(store, ann)) == 1


@pytest.mark.parametrize("require_tls", [True, False])
async def test_a_report_must_stay_under_tls_if_what_it_reports_on_had_to(store: Store, *, require_tls: bool) -> None:
    await leave(store, "abc", "eve@example.com", "bob@example.net", require_tls=require_tls)
    others = Others()
    async with sending(store, others):
        async with asyncio.timeout(PATIENCE):
            while len(others.asked) < 2:  # noqa: ASYNC110 - nothing rings for it
                await asyncio.sleep(0.02)
    report, to = others.asked[1]
    assert (report.sender, to) == (Address.NULL, "eve@example.com")
    assert report.require_tls == require_tls


@pytest.mark.parametrize(
    ("login", "ret", "whole"),
    [("ann@example.org", None, True), ("ann@example.org", "HDRS", False), ("", None, False), ("", "FULL", True)],
)
async def test_whose_sender_nobody_vouches_for_gets_the_header_back_unless_they_asked_for_more(
    store: Store, ann: Account, login: str, ret: str | None, *, whole: bool
) -> None:
    await leave(store, "abc", "ann@example.org", "bob@example.net", login=login, ret=ret)
    async with sending(store, Others()):
        [report] = await some(store, ann)
    assert "Subject: hello" in report
    assert ("\r\nworld\r\n" in report) == whole


async def test_what_had_to_stay_under_tls_never_comes_back_whole(store: Store, ann: Account) -> None:
    """RFC 8689 5: as if RET=HDRS had been said, even where RET=FULL was."""
    await leave(
        store, "abc", "ann@example.org", "bob@example.net", login="ann@example.org", ret="FULL", require_tls=True
    )
    async with sending(store, Others()):
        [report] = await some(store, ann)
    assert "Subject: hello" in report
    assert "\r\nworld\r\n" not in report
