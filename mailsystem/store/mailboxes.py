"""Mailboxes, as the doors use them: each call is one unit, committed or read on one snapshot when it returns."""

from __future__ import annotations

from array import array
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final

from mailsystem.mail.clock import Clock
from mailsystem.mail.errors import NoSuchMailbox, OverQuota, Unavailable
from mailsystem.mail.mailbox import AccountId, Changes, Flag, Mailbox, MailboxId, Message, MessageSet, ModSeq, Status
from mailsystem.store import counting, listing, messages, names
from mailsystem.store.contents import Contents, Spool
from mailsystem.store.database import Database, Unit
from mailsystem.store.rows import Appended, Copied, Drop, Fetched, FlagOp, Opened, Want

_SLICE_ROWS: Final = 1000
_SLICE_OCTETS: Final = 1 << 20
_REMEMBERED: Final = 256
_HISTORY: Final = 50_000
"""Rows of what vanished that are kept for each mailbox: some 2 MiB."""


class Mailboxes:
    """Names, messages and changes of every account.

    UIDs that do not exist (any more) are passed over in silence. A `MessageSet` of UIDs may span holes, so a contiguous pick
    is best given as one range.
    """

    def __init__(self, database: Database, contents: Contents, *, clock: Clock) -> None:
        self._database = database
        self._contents = contents
        self._clock = clock
        self._counts = counting.Counts()
        self._numbered: OrderedDict[tuple[AccountId, MailboxId], Opened] = OrderedDict()

    # -- names

    async def list(self, account: AccountId) -> list[Mailbox]:
        """All mailboxes by name, INBOX first."""
        return await self._database.read(names.all_of(account))

    async def find(self, account: AccountId, name: str) -> Mailbox:
        """Raises `NoSuchMailbox`."""
        return await self._database.read(names.find(account, name))

    async def create(self, account: AccountId, name: str, special_use: str | None = None) -> Mailbox:
        """Make a mailbox and those above it. Raises `MailboxExists`, `SyntaxFault`, `TooMany`."""
        return await self._database.write(names.create(account, name, special_use, self._clock.now()))

    async def delete(self, account: AccountId, name: str) -> None:
        """Drop a mailbox with its messages. Raises `NoSuchMailbox`, and `NotPermitted` for INBOX."""
        await self._database.write(names.delete(account, name, self._clock.now()))

    async def rename(self, account: AccountId, old: str, new: str) -> None:
        """Rename with all below it. Raises `NoSuchMailbox`, `MailboxExists`, `NotPermitted`, `SyntaxFault`."""
        await self._database.write(names.rename(account, old, new, self._clock.now()))

    async def subscriptions(self, account: AccountId) -> Sequence[str]:
        """Subscribed names, whether they exist or not."""
        return await self._database.read(names.subscriptions(account))

    async def subscribe(self, account: AccountId, name: str, on: bool) -> None:
        """Subscribe to a name, or unsubscribe from it."""
        unit = names.subscribe(account, [name]) if on else names.unsubscribe(account, name)
        await self._database.write(unit)

    async def status(self, account: AccountId, name: str) -> Status:
        """Raises `NoSuchMailbox`."""

        def unit() -> Unit[Status]:
            mailbox = yield from names.find(account, name)
            return (yield from listing.counted(mailbox))

        return await self._database.read(unit())

    async def statuses(self, mailboxes: Sequence[Mailbox]) -> Sequence[Status]:
        """What STATUS counts in each of these, all from one snapshot; those that are gone are left out."""
        return await self._counts.read(self._database, mailboxes)

    async def open(self, account: AccountId, name: str, *, claim_recent: bool) -> Opened:
        """What SELECT tells, from one snapshot; with `claim_recent` nobody else sees these as `\\Recent`.

        Raises `NoSuchMailbox`.
        """
        opened = await self._database.read(self._open(account, name))
        mailbox = opened.status.mailbox
        self._numbered[account, mailbox.id] = opened
        self._numbered.move_to_end((account, mailbox.id))
        if len(self._numbered) > _REMEMBERED:
            self._numbered.popitem(last=False)
        if claim_recent and opened.recent:
            # A full disk keeps nobody from reading: then others may see these as recent, too.
            with suppress(Unavailable):
                opened = await self._database.write(self._claim(account, name), durable=False)
        return replace(opened, uids=array("I", opened.uids))

    def _open(self, account: AccountId, name: str) -> Unit[Opened]:
        mailbox = yield from names.find(account, name)
        known = self._numbered.get((account, mailbox.id))
        # The ModSeq tells whether anything changed at all; only who may call it recent is apart from that.
        if known is not None and known.status.mailbox == mailbox and not known.recent:
            return known
        return (yield from listing.numbered(mailbox))

    def _claim(self, account: AccountId, name: str) -> Unit[Opened]:
        mailbox = yield from names.find(account, name)
        opened = yield from listing.numbered(mailbox)
        yield from messages.claim_recent(mailbox)
        return opened

    # -- messages

    async def append(
        self,
        account: AccountId,
        name: str,
        spool: Spool,
        *,
        flags: frozenset[Flag] = frozenset(),
        internaldate: float | None = None,
        prefix: bytes = b"",
    ) -> Appended:
        """Add a message to one mailbox. Raises `NoSuchMailbox` and `OverQuota`."""
        [done] = await self.deliver([Drop(account, name, flags)], spool, internaldate=internaldate, prefix=prefix)
        return done

    async def deliver(
        self, drops: Sequence[Drop], spool: Spool, *, internaldate: float | None = None, prefix: bytes = b""
    ) -> Sequence[Appended]:
        """Add one message, `prefix` in front, to all of these mailboxes or to none; it is kept once.

        Committed and on disk when this returns. Raises `NoSuchMailbox`, `OverQuota` where one of the
        accounts would keep more than it may, and `Unavailable`.
        """
        staged = await self._contents.stage(spool, prefix)
        now = self._clock.now()
        date = now if internaldate is None else internaldate
        try:
            return await self._database.write(messages.deliver(drops, staged, date, now), weight=staged.weight)
        except (NoSuchMailbox, OverQuota):
            await self._contents.unstage(staged, spool)
            raise

    async def messages(self, account: AccountId, mailbox: MailboxId, uids: MessageSet) -> Sequence[Message]:
        """The messages' own rows, by UID."""
        return await self._database.read(listing.listing(account, mailbox, uids))

    async def fetch(
        self, account: AccountId, mailbox: MailboxId, uids: MessageSet, want: Want = Want.NONE
    ) -> AsyncIterator[Sequence[Fetched]]:
        """Messages by UID with what `want` asks for, in slices of at most about 1,000 rows or 1 MiB.

        Each slice is a snapshot of its own, so that a slow reader holds no old one open.
        """
        for portion in listing.portions(uids, _SLICE_ROWS):
            rest = portion
            while rest:
                unit = listing.fetched(account, mailbox, rest, want, _SLICE_ROWS, _SLICE_OCTETS)
                slice_, rest = await self._database.read(unit)
                if slice_:
                    yield slice_

    async def set_flags(
        self,
        account: AccountId,
        mailbox: MailboxId,
        uids: MessageSet,
        op: FlagOp,
        flags: frozenset[Flag],
        *,
        since: ModSeq | None = None,
    ) -> Changes:
        """STORE, with `since` only of what has not changed after it; `messages` are those that did change.

        Raises `NoSuchMailbox`, `TooMany`.
        """
        return await self._database.write(messages.set_flags(account, mailbox, uids, op, flags, since))

    async def copy(self, account: AccountId, mailbox: MailboxId, uids: MessageSet, target: str) -> Copied:
        """Copy with flags and dates. Raises `NoSuchMailbox` and `OverQuota`."""
        now = self._clock.now()
        return await self._database.write(messages.copy(account, mailbox, uids, target, now, leave=True))

    async def move(self, account: AccountId, mailbox: MailboxId, uids: MessageSet, target: str) -> Copied:
        """Copy and remove in one transaction, whatever the quota. Raises `NoSuchMailbox`."""
        now = self._clock.now()
        return await self._database.write(messages.copy(account, mailbox, uids, target, now, leave=False))

    async def expunge(self, account: AccountId, mailbox: MailboxId, uids: MessageSet | None = None) -> Changes:
        """Remove what is marked `\\Deleted`, within `uids` if given."""
        return await self._database.write(messages.expunge(account, mailbox, uids, self._clock.now()))

    async def changes(self, account: AccountId, mailbox: MailboxId, since: ModSeq) -> Changes:
        """What came to pass after `since`; cheap when nothing did. Raises `NoSuchMailbox` when the mailbox is gone."""
        return await self._database.read(listing.changes(account, mailbox, since))

    async def changed(
        self, account: AccountId, mailbox: MailboxId, since: ModSeq, *, vanished_too: bool
    ) -> tuple[MessageSet, MessageSet]:
        """The UIDs of what has changed after `since`, and if asked of what has vanished. Raises `NoSuchMailbox`."""
        return await self._database.read(listing.changed(account, mailbox, since, vanished_too=vanished_too))

    async def forget(self, most: int = _HISTORY) -> int:
        """Keep about `most` entries of each mailbox's history of what vanished; returns how many were dropped."""
        return await self._database.write(listing.forget(most), durable=False)
