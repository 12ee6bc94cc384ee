"""The queue: who is tried when, by whom, and what is left to be told."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Mapping

import pytest

from mailsystem.mail.address import Address
from mailsystem.mail.envelope import Notification
from mailsystem.mail.errors import InUse
from mailsystem.mail.mailbox import INBOX
from mailsystem.mail.outgoing import Attempt, State
from mailsystem.store import QUEUE, Drop, Job, Leaving, Settled, Store, mark_reported, open_store
from mailsystem.store.database import Sql, Unit
from mailsystem.store.outbound import LEASE, _agenda


class Hours:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.at = 1_000_000.0

    def now(self) -> float:
        return self.at


@pytest.fixture
def hours() -> Hours:
    return Hours()


@pytest.fixture
async def store(tmp_path, hours: Hours) -> AsyncIterator[Store]:
    async with open_store(tmp_path, clock=hours) as store:
        yield store


@pytest.fixture
async def other(tmp_path, hours: Hours, store: Store) -> AsyncIterator[Store]:
    """The same store as a second process has it."""
    async with open_store(tmp_path, clock=hours) as other:
        yield other


def to(*addresses: str) -> Mapping[Address, Notification]:
    return {Address.parse(each): Notification() for each in addresses}


async def leave(
    store: Store,
    *addresses: str,
    ident: str = "abc",
    drops: tuple[Drop, ...] = (),
    sender: str = "ann@example.org",
) -> None:
    spool = store.contents.spool()
    spool.write(b"Subject: hello\r\n\r\nworld\r\n")
    path = Address.parse(sender) if sender else Address.NULL
    leaving = Leaving(ident, path, to(*addresses), lifetime=86_400)
    await store.mailboxes.deliver(drops, spool, prefix=b"Received: from here\r\n", leaving=[leaving])


def came_of(job: Job, state: State, *, due: float = 0, report: bool = False) -> list[Settled]:
    return [
        Settled(Attempt(each.address, state, "2.0.0", "250 ok", "mx.example.net"), due, report)
        for each in job.recipients
    ]


async def test_what_leaves_is_queued_in_the_transaction_that_delivers(store: Store) -> None:
    ann = await store.accounts.ensure("ann@example.org")
    heard = store.bell.rung
    await leave(store, "bob@example.net", "carl@example.com", drops=(Drop(ann.id),))
    assert store.bell.sounded(heard, QUEUE)
    assert [domain for domain, _ in await store.outbound.agenda()] == ["example.com", "example.net"]
    with pytest.raises(Exception, match="no such mailbox"):
        await leave(store, "dora@example.de", drops=(Drop(ann.id, "nowhere"),))
    assert len(await store.outbound.agenda()) == 2


async def test_a_job_is_one_message_for_one_domain(store: Store) -> None:
    await leave(store, "bob@example.net", "Carl@example.net", "dora@example.com", ident="first")
    await leave(store, "bob@example.net", ident="second")
    jobs = await store.outbound.take("example.net", most=5)
    assert [(job.message.ident, [str(each.address) for each in job.recipients]) for job in jobs] == [
        ("first", ["bob@example.net", "Carl@example.net"]),
        ("second", ["bob@example.net"]),
    ]
    assert jobs[0].message.sender == Address.parse("ann@example.org")
    assert await store.contents.read(jobs[0].message.content) == (
        b"Received: from here\r\nSubject: hello\r\n\r\nworld\r\n"
    )
    assert jobs[0].message.signature is None


async def test_a_hundred_recipients_go_at_once(store: Store) -> None:
    await leave(store, *(f"p{n}@example.net" for n in range(250)))
    sizes = [len(job.recipients) for _ in range(4) for job in await store.outbound.take("example.net")]
    assert sizes == [100, 100, 50]


async def test_what_is_taken_is_nobody_elses_until_the_lease_ends(store: Store, other: Store, hours: Hours) -> None:
    await leave(store, "bob@example.net")
    [job] = await store.outbound.take("example.net")
    assert await other.outbound.take("example.net") == []
    assert await other.outbound.agenda() == [("example.net", hours.now() + LEASE)]
    assert await other.outbound.reclaim() == 0  # who took it lives
    hours.at += LEASE
    [again] = await other.outbound.take("example.net")
    assert again.message == job.message


async def test_what_a_dead_process_took_is_due_at_once(store: Store) -> None:
    await leave(store, "bob@example.net")
    store.outbound._process = _dead(store.outbound._process)
    assert len(await store.outbound.take("example.net")) == 1
    assert await store.outbound.take("example.net") == []
    assert await store.outbound.reclaim() == 1
    assert len(await store.outbound.take("example.net")) == 1


def _dead(name: str) -> str:
    """This process's name, had it been started at another time."""
    return name.rpartition(" ")[0] + " 1"


async def test_a_job_that_was_given_back_is_due_at_once(store: Store) -> None:
    await leave(store, "bob@example.net")
    [job] = await store.outbound.take("example.net")
    await store.outbound.give_back(job)
    assert len(await store.outbound.take("example.net")) == 1


async def test_a_message_that_all_have_taken_leaves_nothing_behind(store: Store, hours: Hours) -> None:
    await leave(store, "bob@example.net", "carl@example.com")
    for domain in ("example.net", "example.com"):
        [job] = await store.outbound.take(domain)
        assert await store.outbound.settle(job, came_of(job, State.SENT)) == []
    assert await store.outbound.agenda() == []
    assert await store.outbound.recipients(job.message.id) is None
    hours.at += 8 * 86_400
    assert await store.contents.sweep(grace=7 * 86_400) == 1


async def test_the_sweep_leaves_what_waits(store: Store, hours: Hours) -> None:
    ann = await store.accounts.ensure("ann@example.org")
    await leave(store, "bob@example.net", drops=(Drop(ann.id),))
    await store.accounts.remove("ann@example.org")
    hours.at += 8 * 86_400
    assert await store.contents.sweep(grace=7 * 86_400) == 0
    [job] = await store.outbound.take("example.net")
    assert b"hello" in await store.contents.read(job.message.content)


async def test_who_has_to_wait_is_tried_when_it_is_due(store: Store, hours: Hours) -> None:
    await leave(store, "bob@example.net")
    [job] = await store.outbound.take("example.net")
    await store.outbound.settle(job, came_of(job, State.WAITING, due=hours.now() + 600))
    assert await store.outbound.take("example.net") == []
    hours.at += 600
    [job] = await store.outbound.take("example.net")
    [bob] = job.recipients
    assert (bob.attempts, bob.reply, bob.remote, bob.is_taken) == (1, "250 ok", "mx.example.net", True)


async def test_a_report_waits_for_recipients_that_have_not_been_tried(store: Store, hours: Hours) -> None:
    await leave(store, "bob@example.net", "carl@example.com", "dora@example.de")
    [first] = await store.outbound.take("example.net")
    [second] = await store.outbound.take("example.com")
    [third] = await store.outbound.take("example.de")
    assert await store.outbound.settle(first, came_of(first, State.FAILED, report=True)) == []
    assert await store.outbound.to_report() == ([], hours.now() + 60)
    assert await store.outbound.settle(second, came_of(second, State.WAITING, due=hours.now() + 600)) == []
    assert await store.outbound.settle(third, came_of(third, State.FAILED, report=True)) == [third.message.id]
    message, failed = await store.outbound.unreported(third.message.id) or pytest.fail("nothing to report")
    assert [str(each.address) for each in failed] == ["bob@example.net", "dora@example.de"]
    assert await store.outbound.to_report() == ([message.id], None)


async def test_at_the_end_of_its_time_a_report_waits_for_all_last_tries(store: Store, hours: Hours) -> None:
    await leave(store, "bob@example.net", "carl@example.com", "dora@example.de")
    domains = ("example.net", "example.com", "example.de")
    for domain in domains:
        [job] = await store.outbound.take(domain)
        await store.outbound.settle(job, came_of(job, State.WAITING, due=hours.now() + 86_400))
    hours.at += 86_400
    jobs = [job for domain in domains for job in await store.outbound.take(domain)]
    assert await store.outbound.settle(jobs[0], came_of(jobs[0], State.FAILED, report=True)) == []
    assert await store.outbound.settle(jobs[1], came_of(jobs[1], State.FAILED, report=True)) == []
    assert await store.outbound.to_report() == ([], hours.now() + 60)
    assert await store.outbound.settle(jobs[2], came_of(jobs[2], State.FAILED, report=True)) == [jobs[2].message.id]
    _, failed = await store.outbound.unreported(jobs[2].message.id) or pytest.fail("nothing to report")
    assert len(failed) == 3


async def test_a_report_does_not_wait_for_long(store: Store, hours: Hours) -> None:
    await leave(store, "bob@example.net", "carl@example.com")
    [job] = await store.outbound.take("example.net")
    await store.outbound.settle(job, came_of(job, State.FAILED, report=True))
    hours.at += 60
    assert await store.outbound.to_report() == ([job.message.id], None)


async def test_a_report_is_delivered_once_and_with_its_mark(store: Store, other: Store) -> None:
    ann = await store.accounts.ensure("ann@example.org")
    await leave(store, "bob@example.net")
    [job] = await store.outbound.take("example.net")
    await store.outbound.settle(job, came_of(job, State.FAILED, report=True))
    addresses = [each.address for each in job.recipients]
    delivered = 0
    for each in (store, other):
        spool = each.contents.spool()
        spool.write(b"Subject: failed\r\n\r\n")
        try:
            settling = mark_reported(job.message.id, addresses, 0)
            await each.mailboxes.deliver([Drop(ann.id)], spool, settling=settling)
            delivered += 1
        except InUse:
            spool.discard()
    assert delivered == 1
    assert (await store.mailboxes.find(ann.id, INBOX)).uidnext == 2
    assert await store.outbound.recipients(job.message.id) is None


async def test_a_signature_is_kept_for_every_try(store: Store) -> None:
    await leave(store, "bob@example.net")
    [job] = await store.outbound.take("example.net")
    await store.outbound.sign(job.message.id, b"DKIM-Signature: x\r\n")
    message, _ = await store.outbound.recipients(job.message.id) or pytest.fail("it is gone")
    assert message == dataclasses.replace(job.message, signature=b"DKIM-Signature: x\r\n")


async def test_the_agenda_costs_as_much_as_there_are_domains(store: Store) -> None:
    """However much waits for a domain, it is stepped over."""
    seen = []

    def explained() -> Unit[None]:
        agenda = _agenda()
        statement = next(agenda)
        assert isinstance(statement, Sql)
        seen.extend(row[3] for row in (yield Sql(f"EXPLAIN QUERY PLAN {statement.text}")))

    await store.outbound._database.read(explained())
    assert [step for step in seen if "outbound_due" in step]
    assert not [step for step in seen if step.startswith("SCAN") and "outbound_recipients" in step]


async def test_what_the_other_side_says_of_an_address_counts_for_and_against_it(store: Store) -> None:
    async def tried(state: State, remote: str = "mx.example.net") -> set[str]:
        await leave(store, "Bob@example.net")
        [job] = await store.outbound.take("example.net")
        attempt = Attempt(Address.parse("Bob@example.net"), state, "5.1.1", "550 5.1.1 nobody", remote)
        await store.outbound.settle(job, [Settled(attempt, 0.0)])
        return await store.suppression.is_suppressed(["bob@example.net"])

    for state in (State.FAILED, State.FAILED, State.SENT, State.FAILED, State.FAILED):
        assert await tried(state) == set()
    assert await tried(State.FAILED, remote="") == set(), "it was we who gave up"
    assert await tried(State.FAILED) == {"bob@example.net"}


async def test_a_report_that_is_refused_counts_against_nobody(store: Store) -> None:
    bob = Address.parse("bob@example.net")
    for _ in range(4):
        await leave(store, str(bob), sender="")
        [job] = await store.outbound.take("example.net")
        refused = Attempt(bob, State.FAILED, "5.1.1", "550 5.1.1 he has sent you nothing", "mx.example.net")
        await store.outbound.settle(job, [Settled(refused, 0.0)])
    assert await store.suppression.is_suppressed(["bob@example.net"]) == set()
