"""The worker: takes what is due, has it signed and sent, and notes what came of it.

Any number of workers, in any number of processes, share one queue: a job that one has taken is nobody else's. Each domain is
given a bounded number of connections at a time, so that a slow one holds up nobody else.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterable, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from math import inf
from typing import Final, Protocol

from mailsystem.mail.address import Address
from mailsystem.mail.errors import MailError
from mailsystem.mail.outgoing import Attempt, OutboundId, Outgoing, State, Waiting
from mailsystem.queue.letter import Letter, letter_of
from mailsystem.queue.reporting import Reporter, wants_report
from mailsystem.queue.schedule import Schedule
from mailsystem.store import QUEUE, Job, Settled, Store
from mailsystem.telemetry import Trace

LONGEST: Final = 3000.0
"""Seconds that one job may take: less than the lease of what it took, so that nobody else begins it meanwhile."""
_LOOK_EVERY: Final = 60.0
"""Seconds after which the queue is looked at even if nothing was heard of it."""
SLOW_AFTER: Final = 60.0
"""Seconds after which a job counts as one of a server that is slow: such servers must not hold up the mail for all others, and
whoever wants to could put up as many of them as there are connections."""
_MOST_SLOW: Final = 10
"""Times as many jobs as otherwise, the slow ones included."""
_REST: Final = 3.0
"""Times as long as a look took, nobody looks again."""
_LONGEST_REST: Final = 1.0
_TAKE_OVER_EVERY: Final = 5.0
"""Seconds after which it is seen that another process has died, and what it had taken is due again."""
_DRAWN_OUT: Final = "4.4.7"
_NOBODY: Final = "5.1.1"
_FAULT: Final = "something went wrong here"


class Sender(Protocol):
    """Hands messages to other servers."""

    async def send(
        self, message: Outgoing, recipients: Sequence[Waiting], letter: Letter, *, domain: str
    ) -> list[Attempt]:
        """Try to hand one message on to recipients in one domain; one attempt for each of them."""
        ...

    async def close(self) -> None: ...


class Signing(Protocol):
    """Signs messages (DKIM)."""

    async def signature(
        self,
        octets: AsyncIterable[bytes],
        sender: Address,
        *,
        authenticated: bool,
        about: Mapping[str, object],
    ) -> bytes:
        """The fields that go in front; none where there is nothing to sign with. `about` goes into its events."""
        ...


class Worker:
    """Everything of one process that works at the queue."""

    def __init__(
        self,
        store: Store,
        sender: Sender,
        reporter: Reporter,
        trace: Trace,
        *,
        schedule: Schedule,
        signing: Signing | None = None,
        per_domain: int = 5,
        at_once: int = 50,
        slow_after: float = SLOW_AFTER,
    ) -> None:
        """`per_domain` and `at_once` are connections; those of jobs that have taken more than `slow_after` seconds come on
        top."""
        self._store = store
        self._sender = sender
        self._reporter = reporter
        self._trace = trace
        self._schedule = schedule
        self._signing = signing
        self._per_domain = per_domain
        self._at_once = at_once
        self._busy: Counter[str] = Counter()
        self._slow_after = slow_after
        self._drains: set[asyncio.Task[None]] = set()
        self._under_way: set[tuple[OutboundId, Address]] = set()
        self._slow: set[asyncio.Task[None] | None] = set()
        self._changed = asyncio.Event()
        self._stopping = False

    async def run(self) -> None:
        """Work until it is cancelled."""
        loop, reclaimed = asyncio.get_running_loop(), -inf
        while True:
            if loop.time() - reclaimed >= _TAKE_OVER_EVERY:
                await self._guarded(self._store.outbound.reclaim())
                reclaimed = loop.time()
            heard = self._store.bell.rung
            self._changed.clear()
            wait, began = _LOOK_EVERY, loop.time()
            try:
                wait = await self._look()
            except MailError as error:
                self._trace.event("store failed", what="queue", reason=str(error))
            except Exception as error:  # whatever it is, mail goes on
                self._trace.bug(error, where="queue")
            # Where mail waits for thousands of domains, whatever happens would be a reason to look at all of them again.
            await asyncio.sleep(min(_REST * (loop.time() - began), _LONGEST_REST))
            await self._sleep(heard, min(wait, _TAKE_OVER_EVERY))

    async def _look(self) -> float:
        """Begin what is due; returns the seconds until the next is."""
        agenda = sorted(await self._store.outbound.agenda(), key=_by_due)
        now, wait = self._store.clock.now(), _LOOK_EVERY
        for domain, due in agenda:
            if due > now:
                wait = min(wait, due - now)
                break
            if not self._has_room:
                break
            if self._busy[domain] < self._per_domain:
                self._begin(domain)
        return wait

    @property
    def _has_room(self) -> bool:
        most = _MOST_SLOW * self._at_once
        return len(self._drains) - len(self._slow) < self._at_once and len(self._drains) < most

    async def _sleep(self, heard: int, wait: float) -> None:
        waits = [
            asyncio.ensure_future(self._store.bell.wait(heard, QUEUE)),
            asyncio.ensure_future(self._changed.wait()),
        ]
        try:
            await asyncio.wait(waits, timeout=max(wait, 0.05), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waits:
                each.cancel()

    def _begin(self, domain: str) -> None:
        self._busy[domain] += 1
        task = asyncio.create_task(self._drain(domain))
        self._drains.add(task)
        task.add_done_callback(lambda done: self._ended(domain, done))

    def _ended(self, domain: str, task: asyncio.Task[None]) -> None:
        self._busy[domain] -= 1
        if not self._busy[domain]:
            del self._busy[domain]
        self._drains.discard(task)
        self._changed.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            self._trace.bug(error, where="queue")

    async def _drain(self, domain: str) -> None:
        """All that is due for one domain, one message after the other."""
        while not self._stopping:
            try:
                jobs = await self._store.outbound.take(domain)
            except MailError as error:
                self._trace.event("store failed", what="queue", reason=str(error))
                await asyncio.sleep(1)  # the disk may have room again
                return
            except Exception as error:
                self._trace.bug(error, where="queue")
                await asyncio.sleep(_TAKE_OVER_EVERY)  # whatever it is about this domain, the others go on meanwhile
                return
            if not jobs:
                return
            self._changed.set()  # there may be more of it than one connection should carry
            for job in jobs:
                with self._timed(), self._only_once(job) as mine:
                    if mine.recipients:
                        await self._handle(mine)

    @contextmanager
    def _only_once(self, job: Job) -> Iterator[Job]:
        """What of a job is not under way already: a clock that was set ahead ends the lease of what is still being tried."""
        mine = replace(
            job,
            recipients=tuple(each for each in job.recipients if (job.message.id, each.address) not in self._under_way),
        )
        begun = {(job.message.id, each.address) for each in mine.recipients}
        self._under_way |= begun
        try:
            yield mine
        finally:
            self._under_way -= begun

    @contextmanager
    def _timed(self) -> Iterator[None]:
        """One job; others may begin if it takes long."""
        task: asyncio.Task[None] | None = asyncio.current_task()

        def late() -> None:
            self._slow.add(task)
            self._changed.set()

        timer = asyncio.get_running_loop().call_later(self._slow_after, late)
        try:
            yield
        finally:
            timer.cancel()
            self._slow.discard(task)

    async def _handle(self, job: Job) -> None:
        try:
            attempts = await self._tried(job)
        except asyncio.CancelledError:
            await self._guarded(self._store.outbound.give_back(job))
            raise
        await self._settle(job, attempts)

    async def _tried(self, job: Job) -> list[Attempt]:
        try:
            refused = await self._refused(job)
            recipients = [each for each in job.recipients if each.address not in {one.address for one in refused}]
            if not recipients:
                return refused
            message = await self._signed(job.message)
            letter = await letter_of(self._store.contents, message)
            async with asyncio.timeout(LONGEST):
                return [*refused, *await self._sender.send(message, recipients, letter, domain=job.domain)]
        except TimeoutError:
            return _put_off(job, "4.4.2", "took too long")
        except MailError as error:
            return _put_off(job, "4.3.0", str(error))
        except Exception as error:
            self._trace.bug(error, id=job.message.ident)
            return _put_off(job, "4.3.0", _FAULT)

    async def _refused(self, job: Job) -> list[Attempt]:
        """Who was suppressed since, or is forwarded to: the sender hears why, and nobody is asked once more in vain."""
        why = {
            one.address: one.told for one in await self._store.suppression.of(to.address.key for to in job.recipients)
        }
        return [
            Attempt(to.address, State.FAILED, _NOBODY, why[to.address.key])
            for to in job.recipients
            if to.address.key in why
        ]

    async def _signed(self, message: Outgoing) -> Outgoing:
        if message.signature is not None or self._signing is None:
            return message
        octets = (await letter_of(self._store.contents, message)).octets()
        signature = await self._signing.signature(
            octets,
            message.sender,
            authenticated=bool(message.login),
            about={"id": message.ident, "contents": [message.content]},
        )
        # Kept before it is used: whatever is tried later is the same message.
        await self._store.outbound.sign(message.id, signature)
        return replace(message, signature=signature)

    async def _settle(self, job: Job, attempts: Sequence[Attempt]) -> None:
        now = self._store.clock.now()
        message = job.message
        tried = max(each.attempts for each in job.recipients) + 1
        # One time for all, or what goes together now would come apart.
        due = self._schedule.next_try(tried, now, expires=message.expires)
        waiting = {each.address: each for each in job.recipients}
        settled = [
            Settled(attempt, due, report=wants_report(message, waiting[attempt.address], attempt.state))
            for attempt in (self._at_the_end(message, each, now) for each in attempts)
        ]
        await self._noted(job, settled)
        for one in settled:
            self._told(message, one)
        late = any(
            one.attempt.state is State.WAITING and not waiting[one.attempt.address].delay_told for one in settled
        )
        if late and self._schedule.is_delay_due(message.arrived, now):
            with suppress(MailError):  # merely a courtesy
                await self._reporter.delayed(message)

    async def _noted(self, job: Job, settled: Sequence[Settled]) -> None:
        """The other side has answered: this must not get lost, or it would be asked again."""
        while True:
            try:
                if await self._store.outbound.settle(job, settled):
                    self._reporter.look()
                return
            except MailError as error:
                self._trace.event("store failed", what="queue", reason=str(error))
                await asyncio.sleep(5)

    def _at_the_end(self, message: Outgoing, attempt: Attempt, now: float) -> Attempt:
        """Once its time is over, what would be tried again has failed."""
        if attempt.state is not State.WAITING or now < message.expires:
            return attempt
        return replace(attempt, state=State.FAILED, status=_DRAWN_OUT)

    def _told(self, message: Outgoing, one: Settled) -> None:
        attempt = one.attempt
        name = {State.FAILED: "failed", State.WAITING: "deferred"}.get(attempt.state, "sent")
        self._trace.event(
            name,
            id=message.ident,
            contents=[message.content],
            sender=str(message.sender),
            recipient=str(attempt.address),
            remote=attempt.remote,
            ip=attempt.ip,
            tls=attempt.tls,
            status=attempt.status,
            reply=attempt.reply,
            **({"next": one.due} if attempt.state is State.WAITING else {}),
        )

    async def _guarded(self, what: object) -> None:
        with suppress(MailError):
            await what  # type: ignore[misc]

    async def stop(self, grace: float) -> None:
        """Take nothing more, and give what is on its way `grace` seconds."""
        self._stopping = True
        if self._drains:
            _, late = await asyncio.wait(self._drains, timeout=grace)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)
        await self._sender.close()


@asynccontextmanager
async def working(worker: Worker, reporter: Reporter, *, grace: float) -> AsyncIterator[None]:
    """Work at the queue until this is left: then what is on its way is finished, within `grace` seconds."""
    tasks = [asyncio.create_task(worker.run()), asyncio.create_task(reporter.run())]
    try:
        yield
    finally:
        tasks[0].cancel()
        await worker.stop(grace)
        tasks[1].cancel()
        await asyncio.wait(tasks)


def _by_due(entry: tuple[str, float]) -> float:
    return entry[1]


def _put_off(job: Job, status: str, why: str) -> list[Attempt]:
    return [Attempt(each.address, State.WAITING, status, why) for each in job.recipients]
