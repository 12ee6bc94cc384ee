"""What STATUS counts, for any number of mailboxes at once; and what was counted once and still holds."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final, NamedTuple, TypeVar

from mailsystem.mail.errors import NoSuchMailbox
from mailsystem.mail.mailbox import AccountId, Mailbox, MailboxId, Status
from mailsystem.store import brief, rights
from mailsystem.store.database import Database, Sql, Unit
from mailsystem.store.rolls import Rolls
from mailsystem.store.rows import DELETED_BIT, MAILBOX, SEEN_BIT, mailbox_of

_REMEMBERED: Final = 20_000
_FEW: Final = 100
"""Mailboxes that are looked at where we stand, if all of them were counted before."""

_LARGE: Final = 1000
"""Messages of a mailbox that are not counted one by one a second time."""

T = TypeVar("T")
_Key = tuple[AccountId, MailboxId]


class _Counted(NamedTuple):
    """A mailbox's counts, and what would have changed with them: its ModSeq, and where its recent messages begin."""

    modseq: int
    recent_from: int
    status: Status


class Counts:
    """The counts of mailboxes, counted anew only where something has changed: by the roll of the mailbox where it has one."""

    def __init__(self, rolls: Rolls) -> None:
        self._rolls = rolls
        self._known: OrderedDict[_Key, _Counted] = OrderedDict()

    async def read(
        self, database: Database, mailboxes: Sequence[Mailbox], actor: AccountId | None = None
    ) -> list[Status]:
        """Each of `mailboxes` that is still there for `actor` to read, in that order; None stands for the owner."""
        keys = list(map(_key, mailboxes))

        def unit(few: bool) -> Unit[dict[_Key, _Counted]]:
            if few and len(mailboxes) > _FEW:
                raise brief.NotBrief
            known = {key: self._known[key] for key in keys if key in self._known}
            readable = yield from rights.readable(actor, mailboxes)
            return (yield from _counted(readable, known, self._rolls if few else None))

        found = await self._looked(database, unit, keys)
        self._remember(found)
        return _named(mailboxes, found)

    async def find(self, database: Database, account: AccountId, name: str) -> Status:
        """The counts of the mailbox that `account` calls so. Raises `NoSuchMailbox` and `NotPermitted`."""
        keys: list[_Key] = []

        def unit(few: bool) -> Unit[tuple[Mailbox, dict[_Key, _Counted]]]:
            mailbox, _ = yield from rights.found(account, name, "r")
            keys[:] = [_key(mailbox)]
            known = {key: self._known[key] for key in keys if key in self._known}
            return mailbox, (yield from _counted([mailbox], known, self._rolls if few else None))

        mailbox, found = await self._looked(database, unit, keys)
        self._remember(found)
        [status] = _named([mailbox], found)
        return status

    async def _looked(self, database: Database, unit: Callable[[bool], Unit[T]], keys: Sequence[_Key]) -> T:
        """What the unit gives; it may have to be tried again once the rolls of these mailboxes are brought forward."""
        try:
            return await database.read(unit(True), brief=True)
        except brief.NotBrief:
            followed = [key for key in keys if len(keys) <= _FEW and self._has_roll(key)]
        if not followed:
            return await database.read(unit(False))
        for key in followed:
            with suppress(NoSuchMailbox):
                await self._rolls.look(*key)
        return await brief.read(database, unit)

    def _has_roll(self, key: _Key) -> bool:
        # A large one that was counted before will be counted again: with its roll, only what has changed is read.
        known = self._known.get(key)
        return self._rolls.holds(*key) or (known is not None and known.status.messages > _LARGE)

    def _remember(self, found: Mapping[_Key, _Counted]) -> None:
        for key, counted in found.items():
            self._known[key] = counted
            self._known.move_to_end(key)
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)


def _key(mailbox: Mailbox) -> _Key:
    return mailbox.account, mailbox.id


def _named(mailboxes: Iterable[Mailbox], found: Mapping[_Key, _Counted]) -> list[Status]:
    """With the names by which they were asked for."""
    statuses = []
    for mailbox in mailboxes:
        if (counted := found.get(_key(mailbox))) is not None:
            now = counted.status.mailbox
            asked = (mailbox.name, mailbox.special_use, mailbox.seen_as)
            if (now.name, now.special_use, now.seen_as) == asked:
                statuses.append(counted.status)
            else:
                seen = replace(mailbox, uidvalidity=now.uidvalidity, uidnext=now.uidnext, modseq=now.modseq)
                statuses.append(replace(counted.status, mailbox=seen))
    return statuses


def _counted(
    mailboxes: Iterable[Mailbox], known: Mapping[_Key, _Counted], rolls: Rolls | None
) -> Unit[dict[_Key, _Counted]]:
    """Two statements for each account, however many mailboxes there are. With `rolls` it is to be about few rows, and raises
    `NotBrief` where messages would have to be counted."""
    found: dict[_Key, _Counted] = {}
    by_account: dict[AccountId, list[MailboxId]] = {}
    for mailbox in mailboxes:
        by_account.setdefault(mailbox.account, []).append(mailbox.id)
    for account, numbers in by_account.items():
        rows = yield Sql(
            f"SELECT {MAILBOX}, recent_from FROM mailboxes WHERE account_id = $1 AND id IN LIST $2",  # noqa: S608
            account,
            numbers,
        )
        missing: list[MailboxId] = []
        for *row, recent_from in rows:
            mailbox = mailbox_of(tuple(row))
            before = known.get(_key(mailbox))
            if before is not None and (before.modseq, before.recent_from) == (mailbox.modseq, recent_from):
                # Only what is no matter of messages may have changed: its name and its use.
                if before.status.mailbox != mailbox:
                    before = before._replace(status=replace(before.status, mailbox=mailbox))
                found[_key(mailbox)] = before
            elif rolls is not None:
                roll = rolls.at(mailbox)
                tally = None if roll is None else roll.tally(recent_from)
                if tally is None:
                    raise brief.NotBrief
                found[_key(mailbox)] = _Counted(mailbox.modseq, recent_from, Status(mailbox, *tally))
            else:
                missing.append(mailbox.id)
                found[_key(mailbox)] = _Counted(mailbox.modseq, recent_from, Status(mailbox, 0, 0, 0, 0, 0))
        if missing:
            counts = yield Sql(
                "SELECT m.mailbox_id, COUNT(*), COUNT(*) FILTER (WHERE m.flags & $3 = 0),"
                " COUNT(*) FILTER (WHERE m.flags & $4 <> 0), COUNT(*) FILTER (WHERE m.uid >= b.recent_from), SUM(m.size),"
                " COALESCE(SUM(m.size) FILTER (WHERE m.flags & $4 <> 0), 0)"
                " FROM mailboxes b CROSS JOIN messages m WHERE b.account_id = $1 AND b.id IN LIST $2"
                " AND m.account_id = $1 AND m.mailbox_id = b.id GROUP BY m.mailbox_id",
                account,
                missing,
                SEEN_BIT,
                DELETED_BIT,
            )
            for number, *values in counts:
                empty = found[account, number]
                found[account, number] = empty._replace(status=Status(empty.status.mailbox, *values))
    return found
