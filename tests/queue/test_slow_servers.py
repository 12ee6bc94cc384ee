"""Servers that take their time, by weakness or on purpose, do not hold up the mail for others; nor does a long queue."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from vault import TestClock

from mailsystem.delivery import Delivery
from mailsystem.directory import AccountsDirectory
from mailsystem.mail.address import Address
from mailsystem.mail.envelope import Notification
from mailsystem.mail.outgoing import Attempt, Outgoing, State, Waiting
from mailsystem.queue.letter import Letter
from mailsystem.queue.reporting import Reporter
from mailsystem.queue.schedule import Schedule
from mailsystem.queue.worker import Worker, working
from mailsystem.store import QUEUE, Leaving, Selection, Store, open_store
from mailsystem.store.outbound import LEASE, Outbound
from mailsystem.telemetry import Trace

PATIENCE = 30.0


class Others:
    """Servers of which those of `.slow` never answer."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.reached = asyncio.Event()

    async def send(
        self, message: Outgoing, recipients: Sequence[Waiting], letter: Letter, *, domain: str
    ) -> list[Attempt]:
        self.asked.append(domain)
        if domain.endswith(".slow"):
            await asyncio.Event().wait()
        self.reached.set()
        return [Attempt(each.address, State.SENT, "2.0.0", "250 ok", "mx.test") for each in recipients]

    async def until(self, count: int) -> None:
        while len(self.asked) < count:  # noqa: ASYNC110 - nothing rings for it
            await asyncio.sleep(0.01)

    async def close(self) -> None: ...


async def leave(store: Store, *recipients: str) -> None:
    spool = store.contents.spool()
    spool.write(b"Subject: hello\r\n\r\nworld\r\n")
    to = {Address.parse(each): Notification() for each in recipients}
    leaving = [Leaving("abc", Address.parse("ann@example.org"), to, lifetime=86_400.0)]
    await store.mailboxes.deliver((), spool, prefix=b"", leaving=leaving)


@asynccontextmanager
async def sending(store: Store, others: Others) -> AsyncIterator[None]:
    """Workers of one process that has two connections, and counts who has one for long as slow."""
    directory, trace = AccountsDirectory(store, default_domain="example.org"), Trace()
    delivery = Delivery(store, directory, hostname="mail.example.org")
    reporter = Reporter(store, delivery, trace, hostname="mail.example.org", schedule=Schedule())
    worker = Worker(store, others, reporter, trace, schedule=Schedule(), at_once=2, slow_after=0.05)
    async with working(worker, reporter, grace=0.0):
        yield


async def test_slow_servers_keep_no_connection_from_others(store: Store) -> None:
    others = Others()
    await leave(store, *(f"bob@{number}.slow" for number in range(5)))
    await leave(store, "bob@quick.test")
    async with sending(store, others), asyncio.timeout(PATIENCE):
        await others.reached.wait()
    assert sorted(others.asked) == ["0.slow", "1.slow", "2.slow", "3.slow", "4.slow", "quick.test"]


async def test_even_of_slow_servers_there_are_not_more_than_ten_times_as_many(store: Store) -> None:
    others = Others()
    await leave(store, *(f"bob@{number}.slow" for number in range(25)))
    async with sending(store, others):
        async with asyncio.timeout(PATIENCE):
            while len(others.asked) < 20:  # noqa: ASYNC110 - nothing rings for it
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.3)
    assert len(others.asked) == 20


async def test_a_clock_that_is_set_ahead_doubles_no_mail(tmp_path: Path) -> None:
    """As that of a machine that wakes up: the lease is over, and the message is still being handed on."""
    clock, others = TestClock(), Others()
    async with open_store(tmp_path, clock=clock) as store:
        await leave(store, "bob@one.slow", "eve@one.slow")
        async with sending(store, others), asyncio.timeout(PATIENCE):
            await others.until(1)
            clock.time += 2 * LEASE
            await leave(store, "bob@quick.test")
            await others.reached.wait()
            while any(  # noqa: ASYNC110 - it is taken again, and nothing rings for that
                each.due <= clock.time
                for each in (await store.oversight.listing(Selection(domain="one.slow"))).messages[0].recipients
            ):
                await asyncio.sleep(0.01)
            await leave(store, "cid@quick.test")
            await others.until(3)
    assert others.asked == ["one.slow", "quick.test", "quick.test"]


async def test_a_queue_that_takes_long_to_look_at_is_not_looked_at_all_the_time(store: Store) -> None:
    looks: list[float] = []
    loop = asyncio.get_running_loop()

    class Long(Outbound):
        async def agenda(self) -> list[tuple[str, float]]:
            looks.append(loop.time())
            await asyncio.sleep(0.02)
            return await super().agenda()

    slow = dataclasses.replace(store, outbound=Long(store.outbound._database, clock=store.clock))
    async with sending(slow, Others()), asyncio.timeout(PATIENCE):
        while len(looks) < 10:
            store.bell.ring({QUEUE})
            await asyncio.sleep(0.001)
    assert min(later - earlier for earlier, later in itertools.pairwise(looks)) >= 0.06
