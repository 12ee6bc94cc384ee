"""Tags that mail has when it comes into a sink, as the settings have it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from mailsystem.app.startup import StartupError
from mailsystem.directory.sink import SINK_LOGIN
from mailsystem.settings import Settings
from mailsystem.store import Store
from mailsystem.telemetry import Trace

if TYPE_CHECKING:
    from mailsystem.hooks.tagging import Brought
    from mailsystem.mail.mailbox import Flag
    from mailsystem.mail.query import Query


def brought(settings: Settings) -> Brought | None:
    """What finds the tags that mail brings with it; None where nothing is looked for."""
    own = settings.tags
    if not (own.header or own.addresses or own.logins):
        return None
    from mailsystem.hooks.tagging import Brought

    return Brought(header=own.header, addresses=own.addresses, logins=own.logins, title=own.title)


@asynccontextmanager
async def tagging(store: Store, settings: Settings, trace: Trace) -> AsyncIterator[None]:
    """Give what comes the tags that rules have for it, for as long as this is open. Raises `StartupError`."""
    rules = _rules(settings, store.clock.now())
    if not rules:
        yield
        return
    from mailsystem.finding.finder import Finder
    from mailsystem.hooks.tagging import Ruling, ruled

    everybody = await store.accounts.ensure(SINK_LOGIN)
    async with ruled(Ruling(store, Finder(store), everybody, rules, trace.at("hooks"))):
        yield


def _rules(settings: Settings, now: float) -> dict[Query, frozenset[Flag]]:
    if not settings.tags.rules:
        return {}
    from mailsystem.mail.query import QueryFault, parse
    from mailsystem.mail.tags import keywords_of

    found: dict[Query, frozenset[Flag]] = {}
    for rule in settings.tags.rules:
        tags, _, search = rule.partition("=")
        keywords = keywords_of(tags.split(","))
        if not keywords:
            raise StartupError(
                f"tags.rules: {tags.strip()[:40]} is no tag: those have letters, digits, blanks and -_.@"
            )
        try:
            query = parse(search, now=now)
        except QueryFault as error:
            raise StartupError(f"tags.rules: {search.strip()[:80]}: {error}") from None
        found[query] = found.get(query, frozenset()) | keywords
    return found
