"""Telling: every webhook has a task of its own, which notes what is new and tells one thing after the other.

What is told is told at least once: it goes from the queue when the receiver has taken it, and by its id the receiver knows what
it has had already. What is not taken is tried again, ever more rarely, and meanwhile nothing that came later goes before it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from mailsystem.mail.errors import MailError
from mailsystem.mail.mailbox import MailboxId
from mailsystem.mail.webhook import TEST, signature
from mailsystem.store import HOOKS, Delivery, Store, Webhook
from mailsystem.store.bell import Topic
from mailsystem.telemetry import Trace

if TYPE_CHECKING:
    from mailsystem.finding.finder import Finder
    from mailsystem.hooks.posting import Outcome, Poster
    from mailsystem.hooks.telling import Telling

GONE: Final = 410
"""A receiver that says so wants to hear no more."""
_LOOK_EVERY: Final = 60.0
"""Seconds after which it is looked although no bell rang."""
_TURN: Final = 30.0
"""Seconds for which a hook is ours beyond what one POST may take."""
_NOT_OURS: Final = 5.0
_FAULT: Final = 5.0
"""Seconds to wait where the store fails."""

NextTry = Callable[[int, float], float]
"""When to try again, after so many failures and at that time."""


class Means(NamedTuple):
    """What it takes to tell; all of it is brought in when there is somebody to be told."""

    finder: Finder
    telling: Telling
    poster: Poster


class Worker:
    """All webhooks of one store; of several processes each tells those that no other does."""

    def __init__(
        self,
        store: Store,
        trace: Trace,
        *,
        bring: Callable[[], Means],
        next_try: NextTry,
        lifetime: float,
        timeout: float,
        grace: float,
    ) -> None:
        """`bring` may take its time, in a thread. `lifetime` is how long something is tried, `timeout` how long one try may
        take, and `grace` how long one that is on its way at the end, all in seconds."""
        self._store = store
        self._bring = bring
        self._means: Means | None = None
        self._trace = trace
        self._next_try = next_try
        self._lifetime = lifetime
        self._turn = timeout + _TURN
        self._grace = grace
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._ended = asyncio.Event()

    async def run(self) -> None:
        """Work until it is cancelled. Without webhooks it does nothing but wait for one."""
        try:
            while True:
                heard = self._store.bell.rung
                self._ended.clear()
                try:
                    for number in await self._store.webhooks.at_work():
                        if number not in self._tasks:
                            self._begin(number)
                except MailError as error:
                    self._trace.event("store failed", what="webhooks", reason=str(error))
                    await asyncio.sleep(_FAULT)
                await self._rest(heard, _LOOK_EVERY, HOOKS)
        finally:
            for task in self._tasks.values():
                task.cancel()
            if self._tasks:
                await asyncio.wait(self._tasks.values())

    def _begin(self, number: int) -> None:
        def ended(task: asyncio.Task[None]) -> None:
            del self._tasks[number]
            # It may have been woken again just when it went.
            self._ended.set()

        task = self._tasks[number] = asyncio.create_task(self._serve(number))
        task.add_done_callback(ended)

    async def _serve(self, number: int) -> None:
        """One hook, until it rests or is gone."""
        try:
            while True:
                heard = self._store.bell.rung
                wait, about = _FAULT, [HOOKS]
                try:
                    hook = await self._store.webhooks.look(number)
                    if hook is None:
                        return
                    about.append((hook.account, MailboxId(0)))
                    wait = await self._step(hook)
                except MailError as error:
                    self._trace.event("store failed", what="webhook", reason=str(error))
                except Exception as error:  # whatever it is about this one, the others go on
                    self._trace.bug(error, where="hooks")
                    about.clear()
                if wait > 0:
                    await self._sleep(heard, wait, about)
        finally:
            with suppress(MailError):
                await self._store.webhooks.release(number)

    async def _step(self, hook: Webhook) -> float:
        """Note what is new, and tell the next thing if it is due. Returns the seconds until something is."""
        store = self._store.webhooks
        if not await store.claim(hook.number, self._turn):
            return _NOT_OURS
        means = await self._brought()
        from mailsystem.hooks.looking import note

        await note(self._store, means.finder, hook, lifetime=self._lifetime)
        delivery = await store.next(hook.number)
        if delivery is None:
            return _LOOK_EVERY
        now = self._store.clock.now()
        if now < hook.due:
            return hook.due - now
        telling = asyncio.create_task(self._tell(means, hook, delivery))
        try:
            await asyncio.shield(telling)
        except asyncio.CancelledError:
            # What is on its way may arrive yet; or it is told once more the next time.
            await asyncio.wait([telling], timeout=self._grace)
            telling.cancel()
            await asyncio.wait([telling])
            raise
        return 0.0

    async def _brought(self) -> Means:
        if self._means is None:
            means = await asyncio.to_thread(self._bring)
            self._means = self._means or means
        return self._means

    async def _tell(self, means: Means, hook: Webhook, delivery: Delivery) -> None:
        body = await means.telling.body(hook, delivery)
        now = self._store.clock.now()
        outcome = await means.poster.post(hook.url, headers(hook, delivery, now, body), body)
        await self._settle(hook, delivery, outcome)

    async def _settle(self, hook: Webhook, delivery: Delivery, outcome: Outcome) -> None:
        store = self._store.webhooks
        about = {"hook": hook.id, "what": delivery.kind, "id": ident(hook, delivery)}
        if delivery.content:
            about["contents"] = [delivery.content]  # type: ignore[assignment]
        if outcome.taken:
            await store.told(hook.number, delivery.number, outcome.status or 0)
            self._trace.event("webhook told", **about, status=outcome.status)
            return
        now = self._store.clock.now()
        due = max(self._next_try(hook.failures + 1, now), now + outcome.later)
        disable = f"the receiver says {GONE}" if outcome.status == GONE else None
        given_up = await store.not_told(
            hook.number, delivery.number, outcome.status, outcome.said, due, disable=disable
        )
        self._trace.event("webhook put off", **about, reason=outcome.said, next=due)
        if given_up:
            self._trace.event("webhook gave up", hook=hook.id, deliveries=given_up, reason=outcome.said)
        if disable:
            self._trace.event("webhook rests", hook=hook.id, reason=disable)

    async def _sleep(self, heard: int, wait: float, about: list[Topic]) -> None:
        if not about:
            await asyncio.sleep(wait)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(min(wait, _LOOK_EVERY)):
                await self._store.bell.wait(heard, *about)

    async def _rest(self, heard: int, wait: float, about: Topic) -> None:
        waits = {asyncio.create_task(self._store.bell.wait(heard, about)), asyncio.create_task(self._ended.wait())}
        try:
            await asyncio.wait(waits, timeout=wait, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waits:
                each.cancel()


def ident(hook: Webhook, delivery: Delivery) -> str:
    """The id of a delivery, the same however often it is tried."""
    what = delivery.number if delivery.kind != TEST else f"test_{delivery.noted:.3f}"
    return f"msg_{hook.id.removeprefix('wh_')}_{what}"


def headers(hook: Webhook, delivery: Delivery, now: float, body: bytes) -> dict[str, str]:
    """What Standard Webhooks 1.0 has beside the body: an id, a time, and a signature of all three."""
    id_, timestamp = ident(hook, delivery), int(now)
    return {
        "webhook-id": id_,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signature(hook.secret, id_, timestamp, body),
    }


@asynccontextmanager
async def telling(worker: Worker) -> AsyncIterator[None]:
    """Tell until this is left; what is on its way then may arrive within the grace."""
    task = asyncio.create_task(worker.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
