"""What is too old or too much goes, the oldest first; what is flagged stays; nothing goes without being told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from vault import TestClock, Vault, letter, post, spooled

from mailsystem.mail.errors import NoSuchMailbox
from mailsystem.mail.keeping import Keep
from mailsystem.mail.mailbox import FLAGGED, MessageSet
from mailsystem.store import FlagOp, messages, open_store
from mailsystem.store import retention as module
from mailsystem.telemetry import Event, Trace

DAY = 86_400.0


@dataclass
class Ear:
    """A trace and what it heard."""

    events: list[Event] = field(default_factory=list)

    @property
    def trace(self) -> Trace:
        return Trace([self.events.append])


@pytest.fixture
def clock() -> TestClock:
    return TestClock()


@pytest.fixture
def ear() -> Ear:
    return Ear()


async def opened(tmp_path: Path, clock: TestClock, keep: Keep) -> AsyncIterator[Vault]:
    async with (
        open_store(tmp_path, clock=clock, keep=keep) as here,
        open_store(tmp_path, clock=clock, keep=keep) as there,
    ):
        ann = await here.accounts.add("ann@example.org", None, mailboxes=[("Archive", "\\Archive")])
        yield Vault(here, there, ann, clock, tmp_path)


@pytest.fixture
async def days(tmp_path: Path, clock: TestClock) -> AsyncIterator[Vault]:
    """A week is kept."""
    async for vault in opened(tmp_path, clock, Keep(age=7 * DAY)):
        yield vault


@pytest.fixture
async def three(tmp_path: Path, clock: TestClock) -> AsyncIterator[Vault]:
    """Three messages are kept."""
    async for vault in opened(tmp_path, clock, Keep(messages=3)):
        yield vault


async def uids(vault: Vault, mailbox: str = "INBOX") -> list[int]:
    return list((await vault.there.mailboxes.open(vault.ann.id, mailbox, claim_recent=False)).uids)


async def pin(vault: Vault, *which: int) -> None:
    inbox = await vault.here.mailboxes.find(vault.ann.id, "INBOX")
    await vault.here.mailboxes.set_flags(vault.ann.id, inbox.id, MessageSet.of(which), FlagOp.ADD, frozenset({FLAGGED}))


async def counters_are_right(vault: Vault) -> None:
    summary = await vault.there.accounts.summary(vault.ann.login)
    boxes = await vault.there.mailboxes.statuses(await vault.there.mailboxes.list(vault.ann.id))
    assert (summary.messages, summary.size) == (sum(box.messages for box in boxes), sum(box.size for box in boxes))


async def test_everything_stays_where_nothing_is_said(vault: Vault, ear: Ear) -> None:
    await post(vault, "one", "two")
    vault.clock.time += 10_000 * DAY
    assert await vault.here.retention.enforce(ear.trace) == 0
    assert await uids(vault) == [1, 2]


async def test_what_is_too_old_goes_and_is_seen_to_go_at_another_process(days: Vault, ear: Ear) -> None:
    await post(days, "one")
    days.clock.time += 4 * DAY
    await post(days, "two")
    inbox = await days.there.mailboxes.find(days.ann.id, "INBOX")
    days.clock.time += 3 * DAY - 1
    assert await days.here.retention.enforce(ear.trace) == 0
    days.clock.time += 1
    assert await days.here.retention.enforce(ear.trace) == 1
    assert await uids(days) == [2]
    changes = await days.there.mailboxes.changes(days.ann.id, inbox.id, inbox.modseq)
    assert list(changes.vanished) == [1]
    await counters_are_right(days)


async def test_the_age_counts_from_when_it_came_not_from_what_its_date_says(days: Vault, ear: Ear) -> None:
    spool = spooled(days.here, letter("of long ago"))
    await days.here.mailboxes.append(days.ann.id, "INBOX", spool, internaldate=days.clock.now() - 1000 * DAY)
    assert await days.here.retention.enforce(ear.trace) == 0
    days.clock.time += 7 * DAY
    assert await days.here.retention.enforce(ear.trace) == 1


async def test_it_is_told_what_went_and_why_and_counted(days: Vault, ear: Ear) -> None:
    [one] = await post(days, "one")
    days.clock.time += 8 * DAY
    await days.here.retention.enforce(ear.trace)
    [event] = ear.events
    assert (event.name, event.data["why"], event.data["mailbox"]) == ("expired", "age", "INBOX")
    assert (event.data["account"], event.data["contents"], event.data["uids"]) == (days.ann.id, [one.content], [1])
    [gone] = (await days.there.retention.outlook(days.ann.id)).gone
    assert (gone.why, gone.messages, gone.octets) == ("age", 1, len(letter("one")))
    assert gone.day <= days.clock.now() < gone.day + DAY


async def test_the_oldest_of_all_mailboxes_go_first(three: Vault, ear: Ear) -> None:
    for subject, mailbox in (("a", "Archive"), ("b", "INBOX"), ("c", "Archive"), ("d", "INBOX"), ("e", "INBOX")):
        await post(three, subject, mailbox=mailbox)
        three.clock.time += 1
    assert await three.here.retention.enforce(ear.trace) == 2
    assert (await uids(three, "Archive"), await uids(three)) == ([2], [2, 3])
    assert {event.data["why"] for event in ear.events} == {"messages"}
    await counters_are_right(three)


async def test_what_is_flagged_never_goes_and_what_is_newer_goes_instead(three: Vault, ear: Ear) -> None:
    await post(three, "1", "2", "3", "4", "5")
    await pin(three, 1, 3)
    assert await three.here.retention.enforce(ear.trace) == 2
    assert await uids(three) == [1, 3, 5]
    await pin(three, 5)
    await post(three, "6", "7")
    assert await three.here.retention.enforce(ear.trace) == 2
    assert await uids(three) == [1, 3, 5]


async def test_only_flagged_messages_are_left_alone_however_many(three: Vault, ear: Ear) -> None:
    await post(three, *"123456")
    await pin(three, *range(1, 7))
    assert await three.here.retention.enforce(ear.trace) == 0
    assert (await three.here.retention.outlook(three.ann.id)).pinned == 6


async def test_octets_are_limited(tmp_path: Path, clock: TestClock, ear: Ear) -> None:
    size = len(letter("1"))
    async for vault in opened(tmp_path, clock, Keep(octets=2 * size + 1)):
        await post(vault, *"1234")
        assert await vault.here.retention.enforce(ear.trace) == 2
        assert await uids(vault) == [3, 4]
        assert ear.events[0].data["why"] == "octets"


async def test_more_than_one_transaction_takes_goes_all_the_same(three: Vault, ear: Ear) -> None:
    await post(three, "x")
    inbox = await three.here.mailboxes.find(three.ann.id, "INBOX")
    for _ in range(11):  # doubles them
        await three.here.mailboxes.copy(three.ann.id, inbox.id, MessageSet(((1, 0xFFFFFFFF),)), "INBOX")
    assert await three.here.retention.enforce(ear.trace) == 2048 - 3
    assert await uids(three) == [2046, 2047, 2048]
    assert len(ear.events) > 1
    await counters_are_right(three)


async def test_two_processes_that_look_at_once_take_nothing_twice(three: Vault, ear: Ear) -> None:
    await post(three, *"123456789")
    went = await asyncio.gather(three.here.retention.enforce(ear.trace), three.there.retention.enforce(ear.trace))
    assert sum(went) == 6
    assert await uids(three) == [7, 8, 9]
    assert sum(gone.messages for gone in (await three.here.retention.outlook(three.ann.id)).gone) == 6


async def test_a_maildrop_in_use_stays_as_it_is(three: Vault, ear: Ear) -> None:
    await post(three, *"12345")
    lease = await three.there.maildrops.acquire(three.ann.id)
    assert await three.here.retention.enforce(ear.trace) == 0
    await three.there.maildrops.release(lease)
    assert await three.here.retention.enforce(ear.trace) == 2


async def test_what_goes_next_is_told_before_it_goes(days: Vault) -> None:
    await post(days, "one", "two")
    days.clock.time += 6 * DAY
    await post(days, "three")
    await pin(days, 2)
    outlook = await days.there.retention.outlook(days.ann.id)
    assert [(old.uid, old.why) for old in outlook.next] == [(1, None), (3, None)]
    assert (outlook.messages, outlook.pinned, outlook.keep.age) == (3, 1, 7 * DAY)
    days.clock.time += DAY
    outlook = await days.there.retention.outlook(days.ann.id)
    assert [(old.uid, old.why) for old in outlook.next] == [(1, "age"), (3, None)]


async def test_what_is_kept_by_a_space_differs(days: Vault, ear: Ear) -> None:
    space = await days.here.spaces.add("ci-1", ttl=100 * DAY, keep=Keep(age=0, messages=1))
    for subject in ("one", "two"):
        await days.here.mailboxes.append(space.account.id, "INBOX", spooled(days.here, letter(subject)))
    days.clock.time += 30 * DAY
    assert await days.here.retention.enforce(ear.trace) == 1
    assert [event.data["why"] for event in ear.events] == ["messages"]


async def test_of_an_account_that_is_gone_nothing_is_left(days: Vault, ear: Ear) -> None:
    await post(days, "one")
    days.clock.time += 8 * DAY
    await days.here.retention.enforce(ear.trace)
    await days.here.accounts.remove(days.ann.login)
    assert await days.here.retention.enforce(ear.trace) == 0
    assert (await days.here.retention.outlook(days.ann.id)).gone == []
    with pytest.raises(NoSuchMailbox):
        await days.here.mailboxes.find(days.ann.id, "INBOX")


async def test_counts_of_long_ago_are_forgotten(days: Vault, ear: Ear) -> None:
    await post(days, "one")
    days.clock.time += 8 * DAY
    await days.here.retention.enforce(ear.trace)
    days.clock.time += 30 * DAY
    await days.here.retention.forget()
    days.clock.time -= 29 * DAY
    assert (await days.here.retention.outlook(days.ann.id)).gone == []


async def test_no_more_goes_than_is_too_much_once_it_goes(
    three: Vault, monkeypatch: pytest.MonkeyPatch, ear: Ear
) -> None:
    await post(three, *"abcde")
    inbox = await three.here.mailboxes.find(three.ann.id, "INBOX")
    deleted = module._retire

    def retire(*known: Any) -> Any:
        # Between the look and the deed somebody else makes room.
        yield from messages.expunge(three.ann.id, inbox.id, MessageSet.of([4, 5]), 0.0, marked=False)
        return (yield from deleted(*known))

    monkeypatch.setattr(module, "_retire", retire)
    assert await three.here.retention.enforce(ear.trace) == 0
    assert await uids(three) == [1, 2, 3]
