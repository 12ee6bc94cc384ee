"""What STATUS counts, for any number of mailboxes at once; and what was counted once and still holds."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from mailsystem.mail.mailbox import AccountId, Mailbox, MailboxId, Status
from mailsystem.store import rights
from mailsystem.store.database import Database, Sql, Unit
from mailsystem.store.rows import DELETED_BIT, MAILBOX, SEEN_BIT, mailbox_of

_REMEMBERED: Final = 20_000

_Key = tuple[AccountId, MailboxId]


class _Counted(NamedTuple):
    """A mailbox's counts, and what would have changed with them: its ModSeq, and where its recent messages begin."""

    modseq: int
    recent_from: int
    status: Status


class Counts:
    """The counts of mailboxes, counted anew only where something has changed."""

    def __init__(self) -> None:
        self._known: OrderedDict[_Key, _Counted] = OrderedDict()

    async def read(
        self, database: Database, mailboxes: Sequence[Mailbox], actor: AccountId | None = None
    ) -> list[Status]:
        """Each of `mailboxes` that is still there for `actor` to read, in that order; None stands for the owner."""
        known = {key: self._known[key] for key in map(_key, mailboxes) if key in self._known}

        def unit() -> Unit[dict[_Key, _Counted]]:
            readable = yield from rights.readable(actor, mailboxes)
            return (yield from _counted(readable, known))

        found = await database.read(unit())
        for key, counted in found.items():
            self._known[key] = counted
            self._known.move_to_end(key)
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return _named(mailboxes, found)


def counted(mailboxes: Sequence[Mailbox], known: Mapping[_Key, _Counted]) -> Unit[list[Status]]:
    """The counts of each of `mailboxes` that is still there; `known` ones are believed where nothing has changed."""
    return _named(mailboxes, (yield from _counted(mailboxes, known)))


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


def _counted(mailboxes: Iterable[Mailbox], known: Mapping[_Key, _Counted]) -> Unit[dict[_Key, _Counted]]:
    """Two statements for each account, however many mailboxes there are."""
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
