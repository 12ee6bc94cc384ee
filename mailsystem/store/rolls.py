"""The rolls of the mailboxes that people are in, shared by the sessions of this process, bounded in memory.

What is in memory is never believed: each look asks the database for the mailbox's ModSeq, in some microseconds, and
reads what has changed since. So it does not matter who else changes the mailbox, in this process or in another one.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from functools import partial
from typing import Final, TypeAlias, overload

from mailsystem.mail.errors import NoSuchMailbox
from mailsystem.mail.mailbox import AccountId, Changes, Flag, Mailbox, MailboxId, MessageSet, ModSeq, Uid
from mailsystem.mail.rights import EVERY, settable
from mailsystem.store import flagging, listing, rights
from mailsystem.store.database import Database, Sql, Unit
from mailsystem.store.listing import FEW, News
from mailsystem.store.roll import Called, Roll
from mailsystem.store.rows import MESSAGE, FlagOp, message_of

MOST_OCTETS: Final = 64 << 20
"""Of all rolls together, unless a single one is larger: more than a million messages."""
_SLICE: Final = 2000
_WORTH: Final = 50
"""A roll is not read for the sake of fewer than one message in so many."""

_MOST_TOLD: Final = 64
"""Mailboxes of which the latest news are kept for the next who asks; each of at most `FEW` messages."""

_Key: TypeAlias = tuple[AccountId, MailboxId]


class Rolls:
    def __init__(self, database: Database, *, durable_flags: bool = True, most_octets: int = MOST_OCTETS) -> None:
        self._database = database
        self._durable_flags = durable_flags
        self._most_octets = most_octets
        self._rolls: OrderedDict[_Key, tuple[Roll, int]] = OrderedDict()
        self._octets = 0
        self._told: OrderedDict[_Key, tuple[ModSeq, News]] = OrderedDict()
        self._of_turn: dict[tuple[AccountId, MailboxId, ModSeq, int], Changes] = {}
        self._turn = 0
        self._turns = False
        """Whether the end of this turn will be heard of."""
        self._reading: dict[_Key, asyncio.Future[Roll]] = {}
        self._heard: dict[_Key, int] = {}
        """What the bell had rung when each roll was last brought forward."""

    @overload
    async def look(self, account: AccountId, mailbox: MailboxId, *, actor: AccountId | None = None) -> Roll: ...
    @overload
    async def look(
        self, account: AccountId, mailbox: MailboxId, *, actor: AccountId | None = None, about: int
    ) -> Roll | None: ...
    async def look(
        self, account: AccountId, mailbox: MailboxId, *, actor: AccountId | None = None, about: int | None = None
    ) -> Roll | None:
        """The roll as it stands in the database now; the next `await` may see it move on.

        None where it is not in memory and not worth to be read, since this is only `about` so many messages. Raises
        `NoSuchMailbox`, also where `actor` may not read it.
        """
        key = account, mailbox
        while True:
            known = self._rolls.get(key)
            rung = self._database.bell.rung
            if known is None:
                # Somebody who may not read it shall not make us read it.
                unit = rights.within(actor, account, mailbox, "r", listing.extent(account, mailbox))
                uidnext = await self._database.read(unit, brief=True)
                if about is not None and about * _WORTH < uidnext:
                    return None
                self._keep(key, await self._read(key, brief=uidnext <= FEW))
                continue
            roll, since = known[0], known[0].modseq
            try:
                unit_ = rights.within(actor, account, mailbox, "r", listing.news(account, mailbox, since, FEW))
                news = await self._database.read(unit_, brief=True)
                if news is None:
                    news = await self._database.read(listing.news(account, mailbox, since))
                    if len(news.rows) > _SLICE:
                        # In a thread, slice by slice: here it would hold others up.
                        self._keep(key, await self._read(key, brief=False))
                        continue
            except NoSuchMailbox:
                self._drop(key)
                raise
            if roll.modseq != since or self._rolls.get(key) is not known:
                continue  # meanwhile somebody else has brought it forward
            if news.modseq != since:
                roll.follow(*news)
            if roll.is_worn:
                self._drop(key)
                continue
            self._keep(key, roll)
            self._heard[key] = rung
            return roll

    def holds(self, account: AccountId, mailbox: MailboxId) -> bool:
        """Whether the roll of that mailbox is in memory."""
        return (account, mailbox) in self._rolls

    def at(self, mailbox: Mailbox) -> Roll | None:
        """The roll of a mailbox that has just been looked at, if it is in memory and nothing has changed since."""
        key = mailbox.account, mailbox.id
        known = self._rolls.get(key)
        if known is None or known[0].modseq != mailbox.modseq:
            return None
        self._rolls.move_to_end(key)
        return known[0]

    async def changes(
        self,
        account: AccountId,
        mailbox: MailboxId,
        since: ModSeq,
        *,
        actor: AccountId | None = None,
        together: bool = False,
    ) -> Changes:
        """What came to pass after `since`; `together` is as in `Mailboxes.changes`. Raises `NoSuchMailbox`."""
        few = await self.few_changes(account, mailbox, since, actor=actor, together=together)
        if few is not None:
            return few
        many = listing.news(account, mailbox, since)
        found = await self._database.read(rights.within(actor, account, mailbox, "r", many))
        return Changes(found.modseq, [message_of(row) for row in found.rows], found.vanished)

    async def few_changes(
        self,
        account: AccountId,
        mailbox: MailboxId,
        since: ModSeq,
        *,
        actor: AccountId | None = None,
        together: bool = False,
    ) -> Changes | None:
        """The same, and None where that may be more than `FEW` messages. Raises `NoSuchMailbox`."""
        # What has rung since then may have changed it.
        alike = (account, mailbox, since, self._database.bell.rung) if together and actor in (None, account) else None
        if alike is not None and alike in self._of_turn:
            return self._of_turn[alike]
        turn = self._this_turn() if together else -1
        key = account, mailbox
        # In other turns the others need not read again what came to pass, only that it was all.
        before, kept = self._told.get(key, (None, None))
        if before != since:
            kept = None
        unit = rights.within(actor, account, mailbox, "r", listing.news(account, mailbox, since, FEW, kept))
        found = await self._database.read(unit, brief=True)
        if found is None:
            return None
        if found is not kept and found.modseq != since:
            self._told[key] = since, found
            self._told.move_to_end(key)
            if len(self._told) > _MOST_TOLD:
                self._told.popitem(last=False)
        changes = Changes(found.modseq, [message_of(row) for row in found.rows], found.vanished)
        if alike is not None and found.modseq != since and turn == self._turn:
            self._of_turn[alike] = changes
        return changes

    def _this_turn(self) -> int:
        """The number of this turn of the loop; what was found in it is forgotten when it ends."""
        if not self._turns:
            self._turns = True
            asyncio.get_running_loop().call_soon(self._next_turn)
        return self._turn

    def _next_turn(self) -> None:
        self._turns = False
        self._turn += 1
        self._of_turn.clear()

    async def flag(
        self,
        account: AccountId,
        mailbox: MailboxId,
        uids: MessageSet,
        op: FlagOp,
        flags: frozenset[Flag],
        since: ModSeq | None,
    ) -> Changes | None:
        """STORE by the owner, as `Mailboxes.set_flags`, worked out in memory; None where the rows must tell what changes."""
        flags = settable(flags, EVERY)
        if not flags and op is not FlagOp.SET:
            return None
        # The change is carried out only where the roll is as it should be. So it is looked at before that only where it is
        # likely to be behind, or where there seems to be nothing to change.
        roll = self._quiet(account, mailbox)
        plan = None if roll is None else flagging.planned(roll, uids, op, flags, since)
        if roll is None or plan is None or not plan.places:
            roll = await self.look(account, mailbox, about=len(uids))
            plan = None if roll is None else flagging.planned(roll, uids, op, flags, since)
        if roll is None or plan is None:
            return None
        if not plan.places:
            return Changes(plan.seen, [], MessageSet(), None, plan.unchanged)
        called = Called(roll, plan.places, plan.becomes)
        rung = self._database.bell.rung
        unit = flagging.carried_out(plan)
        at_once = None
        if not self._durable_flags and len(plan.places) <= FEW:
            at_once = self._database.write_at_once(unit)
        [modseq] = at_once or [await self._database.write(unit, durable=self._durable_flags)]
        if modseq is None:
            self._heard.pop((account, mailbox), None)
            return None  # somebody else was quicker
        called.modseq = modseq
        if roll.modseq == plan.seen:  # nobody has brought it forward meanwhile
            roll.change(plan.places, plan.becomes, modseq)
            if self._database.bell.rung == rung + 1 and (account, mailbox) in self._heard:
                self._heard[account, mailbox] = rung + 1  # that was us
        return Changes(
            modseq, called, MessageSet(), plan.seen, plan.unchanged, called.contents, is_last=at_once is not None
        )

    def _quiet(self, account: AccountId, mailbox: MailboxId) -> Roll | None:
        """The roll of a mailbox, if it is in memory and the bell has not rung for it since it was brought forward."""
        key = account, mailbox
        heard = self._heard.get(key)
        if heard is None or self._database.bell.sounded(heard, key):
            return None
        self._rolls.move_to_end(key)
        return self._rolls[key][0]

    async def _read(self, key: _Key, *, brief: bool) -> Roll:
        if brief:
            return await self._database.read(_whole(*key), brief=True)
        # Many may want the same at once; who gives up waiting takes it from nobody.
        reading = self._reading.get(key)
        # One that has ended stays there for a moment, and knows nothing of what came since.
        if reading is None or reading.done():
            reading = self._reading[key] = asyncio.ensure_future(self._database.read(_whole(*key)))
            reading.add_done_callback(partial(self._has_read, key))
        return await asyncio.shield(reading)

    def _has_read(self, key: _Key, reading: asyncio.Future[Roll]) -> None:
        if self._reading.get(key) is reading:
            del self._reading[key]

    def _keep(self, key: _Key, roll: Roll) -> None:
        octets = roll.octets
        before = self._rolls.get(key)
        if before is not None and before == (roll, octets):
            self._rolls.move_to_end(key)
            return
        self._drop(key)
        self._rolls[key] = roll, octets
        self._octets += octets
        while self._octets > self._most_octets and len(self._rolls) > 1:
            self._drop(next(iter(self._rolls)))

    def _drop(self, key: _Key) -> None:
        _, octets = self._rolls.pop(key, (None, 0))
        self._heard.pop(key, None)
        self._octets -= octets


def _whole(account: AccountId, mailbox: MailboxId) -> Unit[Roll]:
    """All of a mailbox, from one snapshot, never holding more than a slice of rows."""
    rows = yield Sql("SELECT uidnext, modseq FROM mailboxes WHERE account_id = $1 AND id = $2", account, mailbox)
    if not rows:
        raise NoSuchMailbox
    roll = Roll(account, mailbox, Uid(rows[0][0]), ModSeq(rows[0][1]))
    last = 0
    while True:
        rows = yield Sql(
            f"SELECT {MESSAGE} FROM messages m WHERE m.account_id = $1 AND m.mailbox_id = $2 AND m.uid > $3"  # noqa: S608
            " ORDER BY m.uid LIMIT $4",
            account,
            mailbox,
            last,
            _SLICE,
        )
        roll.enter(rows)
        if len(rows) < _SLICE:
            _ = roll.first_unseen  # looked for here, where it holds nobody up
            return roll
        last = rows[-1][0]
