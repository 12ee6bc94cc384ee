"""The names of mailboxes, as the doors use them: each call is one unit, committed or read on one snapshot when it returns."""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import Final

from mailsystem.mail.clock import Clock
from mailsystem.mail.mailbox import AccountId, ContentId, Mailbox
from mailsystem.mail.rights import EVERY, Rights
from mailsystem.store import brief, names, rights, sharing
from mailsystem.store.database import Database, Unit
from mailsystem.store.rows import Copied

_FEW: Final = 100
"""Mailboxes that are listed where we stand."""


class Naming:
    """What every account calls its mailboxes, and those that others share with it."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def list(self, account: AccountId) -> list[Mailbox]:
        """All mailboxes of its own by name, INBOX first."""
        return await self._database.read(names.all_of(account))

    async def visible(self, account: AccountId) -> Sequence[tuple[Mailbox, Rights]]:
        """All that the account may look up, its own first, and what it may do there; `shown` is how it calls each."""

        def unit(few: bool) -> Unit[list[tuple[Mailbox, Rights]]]:
            yield from brief.few(few, names.beyond(account, _FEW))
            yield from brief.few(few, rights.beyond(account, _FEW))
            own = yield from names.all_of(account)
            return [*((mailbox, EVERY) for mailbox in own), *(yield from rights.shared_with(account))]

        return await brief.read(self._database, unit)

    async def named(self, account: AccountId, called: Sequence[str]) -> tuple[Sequence[Mailbox], Set[str]]:
        """Its own mailboxes with one of these names, and those of the names that have others below them."""
        return await self._database.read(names.named(account, called), brief=len(called) <= _FEW)

    async def find(self, account: AccountId, name: str) -> Mailbox:
        """Raises `NoSuchMailbox`."""
        mailbox, _ = await self._database.read(rights.found(account, name), brief=True)
        return mailbox

    async def create(self, account: AccountId, name: str, special_use: str | None = None) -> Mailbox:
        """Make a mailbox and those above it. Raises `MailboxExists`, `NotPermitted`, `SyntaxFault`, `TooMany`."""
        return await self._database.write(sharing.create(account, name, special_use, self._clock.now()))

    async def delete(self, account: AccountId, name: str) -> Sequence[ContentId]:
        """Drop a mailbox with its messages, which are told. Raises `NoSuchMailbox`, and `NotPermitted` for INBOX."""
        return await self._database.write(sharing.delete(account, name, self._clock.now()))

    async def rename(self, account: AccountId, old: str, new: str) -> Copied | None:
        """Rename with all below it, or empty INBOX. Raises `NoSuchMailbox`, `MailboxExists`, `NotPermitted`, `SyntaxFault`."""
        return await self._database.write(sharing.rename(account, old, new, self._clock.now()))

    async def subscriptions(self, account: AccountId) -> Sequence[str]:
        """Subscribed names, whether they exist or not."""
        return await self._database.read(names.subscriptions(account))

    async def subscribe(self, account: AccountId, name: str, on: bool) -> None:
        """Subscribe to a name, or unsubscribe from it."""
        unit = names.subscribe(account, [name]) if on else names.unsubscribe(account, name)
        await self._database.write(unit)
