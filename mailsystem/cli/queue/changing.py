"""What is done with mail that waits: `mailsystem queue retry`, `hold`, `release` and `drop`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated

import typer

from mailsystem.cli.accounts import Refused, confirm, with_store
from mailsystem.cli.options import AsJson, Config, DataDir, Yes, examples
from mailsystem.cli.queue.selecting import (
    Everything,
    FromSender,
    Id,
    Recipient,
    ToDomain,
    amount,
    one_of_them,
    selection,
    unknown,
)
from mailsystem.cli.terminal import print_json, say

if TYPE_CHECKING:
    from mailsystem.settings import Settings
    from mailsystem.store import Changed, Selection, Store

Bounce = Annotated[
    bool, typer.Option("--bounce", help="Tell the sender that it has failed, instead of dropping it in silence.")
]
_AT_ONCE = 1000
Change = Callable[["Store", "Selection"], Awaitable["Changed"]]

retry_epilog = examples(
    "mailsystem queue retry 5f0c3a9d1be27764",
    "mailsystem queue retry --domain example.net",
    "mailsystem queue retry --all",
)
hold_epilog = examples(
    "mailsystem queue hold --sender ann@example.org",
    "mailsystem queue hold 5f0c3a9d1be27764 bob@example.net",
)
release_epilog = examples("mailsystem queue release --all", "mailsystem queue release 5f0c3a9d1be27764")
drop_epilog = examples(
    "mailsystem queue drop 5f0c3a9d1be27764",
    "mailsystem queue drop 5f0c3a9d1be27764 bob@example.net --bounce",
    "mailsystem queue drop --sender ann@example.org --yes",
)


def retry(
    ident: Id = None,
    recipient: Recipient = None,
    domain: ToDomain = None,
    sender: FromSender = None,
    everything: Everything = False,
    json: AsJson = False,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Try mail now that would be tried later. What is held stays held."""
    one_of_them(ident, recipient, domain, sender, everything)
    which = selection(ident, recipient, domain=domain, sender=sender)

    async def work(store: Store, settings: Settings) -> Changed:
        changed = await _changed(store, which, lambda store, which: store.oversight.retry(which), _nothing_to_retry)
        return await _noted("retried", changed, store, settings)

    changed = with_store(config, data_dir, work)
    _tell(changed, "tried now: ", json=json, nothing="nothing waits to be tried again")


def hold(
    ident: Id = None,
    recipient: Recipient = None,
    domain: ToDomain = None,
    sender: FromSender = None,
    everything: Everything = False,
    json: AsJson = False,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Keep mail in the queue without trying it, until it is released. What comes later is not held."""
    one_of_them(ident, recipient, domain, sender, everything)
    which = selection(ident, recipient, domain=domain, sender=sender)

    async def work(store: Store, settings: Settings) -> Changed:
        changed = await _changed(store, which, lambda store, which: store.oversight.hold(which), "is held already")
        return await _noted("held", changed, store, settings)

    changed = with_store(config, data_dir, work)
    _tell(changed, "held: ", json=json, nothing="nothing waits that is not held")


def release(
    ident: Id = None,
    recipient: Recipient = None,
    domain: ToDomain = None,
    sender: FromSender = None,
    everything: Everything = False,
    json: AsJson = False,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Let mail go on that was held; it is tried now."""
    one_of_them(ident, recipient, domain, sender, everything)
    which = selection(ident, recipient, domain=domain, sender=sender)

    async def work(store: Store, settings: Settings) -> Changed:
        changed = await _changed(store, which, lambda store, which: store.oversight.release(which), "is not held")
        return await _noted("released", changed, store, settings)

    changed = with_store(config, data_dir, work)
    _tell(changed, "released: ", json=json, nothing="nothing is held", late=False)


def drop(
    ident: Id = None,
    recipient: Recipient = None,
    domain: ToDomain = None,
    sender: FromSender = None,
    everything: Everything = False,
    bounce: Bounce = False,
    yes: Yes = False,
    json: AsJson = False,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Take mail out of the queue for good: nobody gets it, and without --bounce nobody hears of that.

    Mail that is being tried at that moment may still arrive; --bounce leaves it alone.
    """
    one_of_them(ident, recipient, domain, sender, everything)
    which = selection(ident, recipient, domain=domain, sender=sender)

    async def work(store: Store, settings: Settings) -> Changed:
        await _must_be_there(store, which)
        there = await store.oversight.count(which)
        if not there.recipients:
            return there
        confirm(f"{'Give up' if bounce else 'Drop'} mail for {amount(there)}?", yes=yes)
        if not bounce:
            return await _noted("dropped", await store.oversight.drop(which), store, settings)
        changed = await _changed(
            store, which, lambda store, which: store.oversight.give_up(which), "is being tried now"
        )
        return await _noted("given up", changed, store, settings)

    changed = with_store(config, data_dir, work)
    _tell(changed, "given up: " if bounce else "dropped: ", json=json, nothing="nothing waits that could be taken out")


async def _changed(store: Store, which: Selection, change: Change, otherwise: str | Callable[[bool], str]) -> Changed:
    """The change; where one message was named and nothing could be done, `otherwise` says why. Raises `Refused`."""
    await _must_be_there(store, which)
    changed = await change(store, which)
    if not changed.recipients and which.ident is not None:
        if callable(otherwise):
            there = await store.oversight.count(which)
            otherwise = otherwise(there.taken > 0)
        raise Refused(f"{which.ident} {otherwise.format(id=which.ident)}")
    return changed


async def _noted(name: str, changed: Changed, store: Store, settings: Settings) -> Changed:
    """Keep in the journal of each message that somebody has done this to it."""
    from mailsystem.telemetry.journal import Entry

    if settings.journal.days:
        now = store.clock.now()
        entries = [
            Entry(name, now, [one.content], (), {"door": "queue", "id": one.ident, "recipients": one.recipients})
            for one in changed.touched
        ]
        for start in range(0, len(entries), _AT_ONCE):
            await store.journal.write(entries[start : start + _AT_ONCE])
    return changed


async def _must_be_there(store: Store, which: Selection) -> None:
    """Raises `Refused` for a message that does not wait, or not for that recipient."""
    if which.ident is None or (await store.oversight.count(which)).recipients:
        return
    found = await store.oversight.show(which.ident)
    if not found:
        raise Refused(unknown(which.ident))
    if which.recipient is not None:
        raise Refused(
            f"{which.ident} does not wait for {which.recipient}; see for whom: mailsystem queue show {which.ident}"
        )
    raise Refused(f"{which.ident} waits for nobody who fits; see for whom: mailsystem queue show {which.ident}")


def _nothing_to_retry(taken: bool) -> str:
    return "is being tried now" if taken else "is held; to let it go on run: mailsystem queue release {id}"


def _tell(changed: Changed, what: str, *, json: bool, nothing: str, late: bool = True) -> None:
    if json:
        print_json({"messages": changed.messages, "recipients": changed.recipients, "trying": changed.taken})
    elif not changed.recipients:
        say(nothing)
    else:
        still = (
            f"; {changed.taken:,} of them are being tried now and may still get it" if late and changed.taken else ""
        )
        say(f"{what}{amount(changed)}{still}")
