"""Mailboxes, as the doors use them: each call is one unit, committed or read on one snapshot when it returns."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Final

from mailsystem.mail.clock import Clock
from mailsystem.mail.errors import InUse, NoSuchMailbox, NotPermitted, OverQuota, TooLarge, TooMany, Unavailable
from mailsystem.mail.mailbox import (
    STAR,
    AccountId,
    Changes,
    ContentId,
    Flag,
    Mailbox,
    MailboxId,
    Message,
    MessageSet,
    ModSeq,
    Status,
    Uid,
)
from mailsystem.mail.rights import FLAG_RIGHTS, Rights, settable
from mailsystem.store import additions, counting, flagging, listing, messages, replaying, rights
from mailsystem.store.additions import New, Replaced
from mailsystem.store.contents import Contents, Staged
from mailsystem.store.database import Database, Unit
from mailsystem.store.fetching import portions
from mailsystem.store.leaving import Leaving
from mailsystem.store.naming import Naming
from mailsystem.store.replaying import Step
from mailsystem.store.roll import Roll
from mailsystem.store.rolls import Rolls
from mailsystem.store.rows import Appended, Copied, Delivered, Drop, Fetched, FlagOp, Having, Opened, Want
from mailsystem.store.spool import Spool

_SLICE_ROWS: Final = 1000
_SLICE_OCTETS: Final = 1 << 20
_STAGED_OCTETS: Final = 16 << 20
"""Octets of several messages' headers and small bodies that wait in memory to be committed together."""
_MANY: Final = 2000  # messages of which even numbers in memory are looked through in a thread
_HISTORY: Final = 50_000
"""Rows of what vanished that are kept for each mailbox: some 2 MiB."""


class Mailboxes(Naming):
    """Names, messages and changes of every account.

    A name is what the account calls the mailbox that asks: below `Other Users` there are those that others share with it.
    Where a mailbox is given by its owner and number, `actor` is who acts, if that is not the owner. What one has no right to
    do raises `NotPermitted`, or `NoSuchMailbox` where one may not even know of the mailbox (see `rights`).

    UIDs that do not exist (any more) are passed over in silence. A `MessageSet` of UIDs may span holes: best one range.
    """

    def __init__(self, database: Database, contents: Contents, *, clock: Clock, durable_flags: bool = True) -> None:
        super().__init__(database, clock)
        self._contents = contents
        self._rolls = Rolls(database, durable_flags=durable_flags)
        self._counts = counting.Counts(self._rolls)
        self._durable_flags = durable_flags

    async def status(self, account: AccountId, name: str) -> Status:
        """Raises `NoSuchMailbox`."""
        return await self._counts.find(self._database, account, name)

    async def statuses(self, mailboxes: Sequence[Mailbox], *, actor: AccountId | None = None) -> Sequence[Status]:
        """What STATUS counts in each, from one snapshot; those that are gone, or not for `actor` to read, are left out."""
        return await self._counts.read(self._database, mailboxes, actor)

    async def open(self, account: AccountId, name: str, *, claim_recent: bool) -> Opened:
        """What SELECT tells, from one snapshot; with `claim_recent` nobody else sees these as `\\Recent`.

        Raises `NoSuchMailbox`.
        """
        mailbox, have, over, recent_from = await self._database.read(listing.entered(account, name), brief=True)
        roll = self._rolls.at(mailbox) or await self._rolls.look(mailbox.account, mailbox.id)
        upto = STAR
        # Nobody takes away from the owner what is recent to them.
        if claim_recent and mailbox.account == account and roll.uids and roll.uids[-1] >= recent_from:
            # A full disk keeps nobody from reading: then others may see these as recent, too.
            with suppress(Unavailable):
                claim = messages.claim_recent(mailbox)
                recent_from, upto = await self._database.write(claim, durable=False, brief=True)
                roll = await self._rolls.look(mailbox.account, mailbox.id)
        # Everything is told as the roll has it: one moment, if perhaps a later one than that in which the name was found.
        mailbox = replace(mailbox, uidnext=roll.uidnext, modseq=roll.modseq)
        uids = roll.lent()
        recent = (
            MessageSet(((recent_from, min(upto - 1, uids[-1])),)) if uids and uids[-1] >= recent_from else MessageSet()
        )
        return Opened(mailbox, uids, recent, roll.first_unseen, roll.keywords, have, over_quota=over)

    async def rights(self, account: AccountId, mailbox: MailboxId, *, actor: AccountId) -> Rights:
        """What `actor`, who is in that mailbox, may do there by now. Raises `NoSuchMailbox` where that is nothing any more."""
        return await self._database.read(rights.held(actor, account, mailbox), brief=True)

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
        """Add a message to one mailbox, with those flags that `account` may set. Raises `NoSuchMailbox` and `OverQuota`."""

        def drops() -> Unit[list[Drop]]:
            owner, own, have = yield from rights.place(account, name, "i")
            return [Drop(owner, own, settable(flags, have))]

        done = await self._deliver(drops(), spool, internaldate, prefix)
        return done.places[0]

    async def deliver(
        self,
        drops: Sequence[Drop],
        spool: Spool,
        *,
        internaldate: float | None = None,
        prefix: bytes = b"",
        leaving: Sequence[Leaving] = (),
        settling: Unit[None] | None = None,
    ) -> Delivered:
        """Add one message, `prefix` in front, to all of these mailboxes and to the queue, or to none; it is kept once.

        What is `settling` happens with it or not at all. Committed and on disk when this returns. Raises
        `NoSuchMailbox`, `OverQuota` where one of the accounts would keep more than it may, `TooMany` where one would send
        more than it may, what `settling` raises, and `Unavailable`.
        """
        return await self._deliver(messages.after(settling, drops), spool, internaldate, prefix, leaving)

    async def _deliver(
        self,
        drops: Unit[Sequence[Drop]],
        spool: Spool,
        internaldate: float | None,
        prefix: bytes,
        leaving: Sequence[Leaving] = (),
    ) -> Delivered:
        staged = await self._contents.stage(spool, prefix)
        now = self._clock.now()
        date = now if internaldate is None else internaldate

        def unit() -> Unit[Delivered]:
            where = yield from drops
            return (yield from messages.deliver(where, staged, date, now, leaving))

        try:
            return await self._database.write(unit(), weight=staged.weight)
        except (InUse, NoSuchMailbox, NotPermitted, OverQuota, TooMany):
            await self._contents.unstage(staged, spool)
            raise

    async def append_all(self, account: AccountId, name: str, news: Sequence[New]) -> Sequence[Appended]:
        """Add messages to one mailbox, all or none (RFC 3502).

        Raises `NoSuchMailbox`, `NotPermitted`, `OverQuota`, `Unavailable`, and `TooLarge` where memory cannot hold all their
        headers.
        """
        async with self._staged(news) as staged:

            def unit() -> Unit[Sequence[Appended]]:
                owner, own, have = yield from rights.place(account, name, "i")
                return (yield from additions.append(owner, own, news, staged, self._clock.now(), have))

            return await self._database.write(unit(), weight=sum(each.weight for each in staged))

    async def replace(
        self,
        account: AccountId,
        mailbox: MailboxId,
        uid: Uid,
        name: str,
        new: New,
        *,
        actor: AccountId | None = None,
    ) -> Replaced | None:
        """Add a message and expunge another, in one transaction (RFC 8508); None if that one is gone, and nothing was done.

        The ModSeq is that of the change. Raises `NoSuchMailbox`, `NotPermitted`, `OverQuota` and `Unavailable`.
        """
        async with self._staged([new]) as [staged]:

            def unit() -> Unit[Replaced | None]:
                # RFC 8508 4.1: what is replaced is also marked and expunged.
                yield from rights.held(actor, account, mailbox, "te")
                owner, own, have = yield from rights.place(account if actor is None else actor, name, "i")
                now = self._clock.now()
                return (yield from additions.replace(account, mailbox, uid, owner, own, new, staged, now, have))

            return await self._database.write(unit(), weight=staged.weight)

    @asynccontextmanager
    async def _staged(self, news: Sequence[New]) -> AsyncIterator[Sequence[Staged]]:
        """The contents of new messages, ready to be named; given back where surely no commit has named them."""
        staged = []
        complete = False
        try:
            for new in news:
                staged.append(await self._contents.stage(new.spool, b""))
                if len(staged) > 1 and sum(each.weight for each in staged) > _STAGED_OCTETS:
                    raise TooLarge("too much at once")
            complete = True
            yield staged
        except (NoSuchMailbox, NotPermitted, OverQuota, TooLarge, Unavailable) as error:
            # What became of a commit that the database has not confirmed nobody knows; the sweep will.
            if not (complete and isinstance(error, Unavailable)):
                for new, each in zip(news, staged, strict=False):
                    await self._contents.unstage(each, new.spool)
            raise

    async def messages(
        self, account: AccountId, mailbox: MailboxId, uids: MessageSet, *, actor: AccountId | None = None
    ) -> Sequence[Message]:
        """The messages' own rows, by UID."""
        unit = listing.listing(account, mailbox, uids)
        return await self._database.read(rights.within(actor, account, mailbox, "r", unit))

    async def roll(
        self, account: AccountId, mailbox: MailboxId, *, actor: AccountId | None = None, about: int = STAR
    ) -> Roll | None:
        """The messages' own rows as columns, as they are now; None where so many are not worth the reading for so few."""
        return await self._rolls.look(account, mailbox, actor=actor, about=about)

    async def whereabouts(
        self, account: AccountId, contents: Iterable[ContentId]
    ) -> Mapping[ContentId, Sequence[tuple[MailboxId, Uid]]]:
        """Where in its own mailboxes an account has messages of these contents; those it has not are not there."""
        return await self._database.read(listing.whereabouts(account, list(contents)))

    async def digests(self, account: AccountId, mailbox: MailboxId) -> set[bytes]:
        """SHA-256 of each message in a mailbox."""
        return await self._database.read(listing.digests(account, mailbox))

    async def having(
        self, account: AccountId, mailbox: MailboxId, what: Having, *, actor: AccountId | None = None
    ) -> Sequence[int]:
        """UIDs of the messages of which this is true, ascending."""
        roll = await self._rolls.look(account, mailbox, actor=actor)
        return await asyncio.to_thread(roll.having(what)) if len(roll) > _MANY else roll.having(what)()

    async def fetch(
        self,
        account: AccountId,
        mailbox: MailboxId,
        uids: MessageSet,
        want: Want = Want.NONE,
        *,
        actor: AccountId | None = None,
    ) -> AsyncIterator[Sequence[Fetched]]:
        """Messages by UID with what `want` asks for, in slices of at most about 1,000 rows or 1 MiB.

        Each slice is a snapshot of its own, so that a slow reader holds no old one open.
        """
        for portion in portions(uids, _SLICE_ROWS):
            rest = portion
            while rest:
                unit = listing.fetched(account, mailbox, rest, want, _SLICE_ROWS, _SLICE_OCTETS)
                slice_, rest = await self._database.read(rights.within(actor, account, mailbox, "r", unit))
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
        actor: AccountId | None = None,
        quietly: bool = False,
    ) -> Changes:
        """STORE, with `since` only of what has not changed after it; `messages` are those that did change.

        Flags that `actor` may not change stay as they are (RFC 4314 4).

        Raises `NoSuchMailbox`, `TooMany`, and `NotPermitted` where none of them may be changed, but `quietly`.
        """

        if actor is None or actor == account:
            changes = await self._rolls.flag(account, mailbox, uids, op, flags, since)
            if changes is not None:
                return changes

        def unit() -> Unit[Changes]:
            have = yield from rights.held(actor, account, mailbox)
            if not (settable(flags, have) or (op is FlagOp.SET and have & FLAG_RIGHTS)):
                if quietly or not flags:
                    return Changes(ModSeq(0), [], MessageSet())
                raise NotPermitted
            return (yield from flagging.set_flags(account, mailbox, uids, op, flags, since, have))

        return await self._database.write(unit(), durable=self._durable_flags)

    async def copy(
        self,
        account: AccountId,
        mailbox: MailboxId,
        uids: MessageSet,
        target: str,
        *,
        actor: AccountId | None = None,
    ) -> Copied:
        """Copy with dates, and flags as far as they may be set. Raises `NoSuchMailbox` and `OverQuota`."""
        return await self._database.write(self._copy(account, mailbox, uids, target, actor, leave=True))

    async def move(
        self,
        account: AccountId,
        mailbox: MailboxId,
        uids: MessageSet,
        target: str,
        *,
        actor: AccountId | None = None,
    ) -> Copied:
        """Copy and remove in one transaction, within an account whatever the quota. Raises `NoSuchMailbox`, `OverQuota`."""
        return await self._database.write(self._copy(account, mailbox, uids, target, actor, leave=False))

    def _copy(
        self,
        account: AccountId,
        mailbox: MailboxId,
        uids: MessageSet,
        target: str,
        actor: AccountId | None,
        *,
        leave: bool,
    ) -> Unit[Copied]:
        # RFC 6851 3.3: what is moved is also marked and expunged.
        yield from rights.held(actor, account, mailbox, "r" if leave else "rte")
        owner, own, have = yield from rights.place(account if actor is None else actor, target, "i")
        now = self._clock.now()
        return (yield from messages.copy(account, mailbox, uids, own, now, leave=leave, to=owner, rights=have))

    async def expunge(
        self,
        account: AccountId,
        mailbox: MailboxId,
        uids: MessageSet | None = None,
        *,
        actor: AccountId | None = None,
        quietly: bool = False,
    ) -> Changes:
        """Remove what is marked `\\Deleted`, within `uids` if given. Without the right to, `quietly` does nothing."""

        def unit() -> Unit[Changes]:
            have = yield from rights.held(actor, account, mailbox, "" if quietly else "e")
            if "e" not in have:
                return Changes(ModSeq(0), [], MessageSet())
            return (yield from messages.expunge(account, mailbox, uids, self._clock.now()))

        return await self._database.write(unit())

    async def remove(self, account: AccountId, mailbox: MailboxId, uids: MessageSet) -> Changes:
        """Remove these of the account's own messages, marked or not."""
        return await self._database.write(messages.expunge(account, mailbox, uids, self._clock.now(), marked=False))

    async def changes(
        self,
        account: AccountId,
        mailbox: MailboxId,
        since: ModSeq,
        *,
        actor: AccountId | None = None,
        together: bool = False,
    ) -> Changes:
        """What came to pass after `since`; cheap when nothing did. Raises `NoSuchMailbox` when the mailbox is gone.

        `together` with all who ask the same in this turn of the loop; that may miss what has not rung here yet.
        """
        return await self._rolls.changes(account, mailbox, since, actor=actor, together=together)

    async def few_changes(self, account: AccountId, mailbox: MailboxId, since: ModSeq) -> Changes | None:
        """The same, if that is sure to be few; else None, and `behind` and `gone` tell it slice by slice."""
        return await self._rolls.few_changes(account, mailbox, since)

    async def behind(
        self, account: AccountId, step: Step, upto: ModSeq, most: int, *, mailbox: MailboxId | None = None
    ) -> Sequence[Step]:
        """The first messages of an account, or of one of its mailboxes, that changed behind that step, up to that ModSeq."""
        return await self._database.read(replaying.behind(account, step, upto, most, mailbox))

    async def gone(self, account: AccountId, mailbox: MailboxId, since: ModSeq, upto: ModSeq) -> MessageSet:
        """UIDs that went after `since` and by `upto`, and perhaps some that went earlier. Raises `NoSuchMailbox`."""
        return await self._database.read(replaying.gone(account, mailbox, since, upto))

    async def first_after(
        self, account: AccountId, mailboxes: Sequence[MailboxId], since: ModSeq
    ) -> Mapping[MailboxId, Uid]:
        """Of each the UID from which on messages came after `since`: what was only flagged since then stands before it."""
        return await self._database.read(replaying.first_after(account, mailboxes, since))

    async def changed(
        self,
        account: AccountId,
        mailbox: MailboxId,
        since: ModSeq,
        *,
        vanished_too: bool,
        actor: AccountId | None = None,
    ) -> tuple[MessageSet, MessageSet]:
        """The UIDs of what has changed after `since`, and if asked of what has vanished. Raises `NoSuchMailbox`."""
        unit = listing.news(account, mailbox, since)
        found = await self._database.read(rights.within(actor, account, mailbox, "r", unit))
        return MessageSet.of(row[0] for row in found.rows), found.vanished if vanished_too else MessageSet()

    async def forget(self, most: int = _HISTORY) -> int:
        """Keep about `most` entries of each mailbox's history of what vanished; returns how many were dropped."""
        return await self._database.write(listing.forget(most), durable=False)
