"""Webhooks: who tells them, as the settings have it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

from mailsystem import __version__
from mailsystem.app.startup import StartupError
from mailsystem.directory.sink import SINK_LOGIN
from mailsystem.hooks.worker import Means, Worker, headers, telling
from mailsystem.mail.errors import NoSuchMailbox, NoSuchRecipient, TooMany
from mailsystem.mail.kept import Kept
from mailsystem.mail.mailbox import ContentId, Flag, Mailbox, MailboxId, ModSeq, Uid
from mailsystem.mail.space import space_of
from mailsystem.mail.webhook import ARRIVED, BODY, TEST, Include, new_secret
from mailsystem.queue.schedule import Schedule
from mailsystem.settings import Settings
from mailsystem.store import Delivery, Store, Webhook
from mailsystem.telemetry import Trace

if TYPE_CHECKING:
    from mailsystem.hooks.posting import Outcome, Poster
    from mailsystem.hooks.telling import Telling

_MAILPIT: Final = "wh_mailpit"
"""The id of the webhook that a setting names."""
_MOST_BETWEEN: Final = 4 * 3600.0
"""Seconds between two tries, at most."""


@asynccontextmanager
async def hooks(store: Store, settings: Settings, trace: Trace, *, sink: bool) -> AsyncIterator[None]:
    """Tell webhooks for as long as this is open."""
    own = settings.webhooks

    def bring() -> Means:
        from mailsystem.finding.finder import Finder

        return Means(
            Finder(store, store.journal.recipients if sink and settings.journal.days else None),
            teller(store),
            poster(settings, sink=sink),
        )

    schedule = Schedule(first=own.retry_first, most=max(_MOST_BETWEEN, own.retry_first))
    worker = Worker(
        store,
        trace.at("hooks"),
        bring=bring,
        next_try=schedule.next_try,
        lifetime=own.lifetime,
        timeout=own.timeout,
        grace=min(settings.grace, own.timeout),
    )
    if sink:
        await _as_mailpit(store, settings.sink.webhook)
    async with telling(worker):
        yield


async def _as_mailpit(store: Store, url: str) -> None:
    """Have that address be told of each message that comes, and no other that earlier settings named. Raises `StartupError`."""
    try:
        before = await store.webhooks.find(_MAILPIT)
    except NoSuchRecipient:
        if url:
            await store.accounts.ensure(SINK_LOGIN)
            try:
                await store.webhooks.add(
                    SINK_LOGIN, url, [ARRIVED], secret=new_secret(), include=Include.MAILPIT, most=BODY, ident=_MAILPIT
                )
            except TooMany as error:
                raise StartupError(
                    f"{error}, so that sink.webhook has no room; see `mailsystem webhook list`"
                ) from None
        return
    with suppress(NoSuchRecipient):  # another process was as quick
        if not url:
            await store.webhooks.remove(_MAILPIT)
        elif before.url != url or before.disabled is not None:
            await store.webhooks.change(_MAILPIT, {"url": url, "disabled": None})


def teller(store: Store) -> Telling:
    """Makes up what is told: of a message, what lists of the interface show."""
    from mailsystem.hooks.telling import Telling

    async def summary(hook: Webhook, delivery: Delivery) -> dict[str, Any]:
        from mailsystem.web import letters

        here = Mailbox(hook.account, delivery.mailbox_id, delivery.mailbox, "", 0, Uid(0), delivery.modseq)
        if hook.include is Include.MAILPIT:
            announced = await asyncio.to_thread(_announced)
            return await announced(store, here, delivery, in_space=bool(space_of(hook.login)))
        told = None
        with suppress(NoSuchMailbox):
            told = (await letters.summaries(store, here, [delivery.uid])).get(delivery.uid)
        if told is None:
            known = json.loads(delivery.detail)
            told = await letters.departed(
                store,
                here,
                {
                    Kept.UID: delivery.uid,
                    Kept.MODSEQ: ModSeq(delivery.modseq),
                    Kept.FLAGS: frozenset(map(Flag, known["flags"])),
                    Kept.INTERNALDATE: known["received"],
                    Kept.SIZE: known["size"],
                    Kept.CONTENT: delivery.content,
                },
            )
        return told.model_dump(mode="json", by_alias=True)

    return Telling(store, summary)


def _announced() -> Callable[..., Awaitable[dict[str, Any]]]:
    """What makes it up for Mailpit's webhook; it may take its time to be brought in."""
    from mailsystem.web.mailpit.announcing import announced

    return announced


def poster(settings: Settings, *, sink: bool) -> Poster:
    """Hands over what is told."""
    from mailsystem.hooks.posting import Poster

    return Poster(
        private=reaches_private(settings, sink=sink),
        timeout=settings.webhooks.timeout,
        name=f"mailsystem-webhook/{__version__}",
    )


def reaches_private(settings: Settings, *, sink: bool) -> bool:
    """Whether receivers may be on this machine and its network."""
    return sink if settings.webhooks.private is None else settings.webhooks.private


async def tried(store: Store, settings: Settings, hook: Webhook) -> Outcome:
    """What a receiver says to something that only tries whether it comes. It goes at once, past all that waits.

    Whether that may go to this machine or its network is what a server would say, but for the data of a sink.
    """
    now = store.clock.now()
    delivery = Delivery(0, TEST, MailboxId(0), "", ModSeq(0), Uid(0), ContentId(0), "{}", now, now, 0, False, None, "")
    body = await teller(store).body(hook, delivery)
    sink = hook.login == SINK_LOGIN or not await store.accounts.domains()
    return await poster(settings, sink=sink).post(hook.url, headers(hook, delivery, now, body), body)
