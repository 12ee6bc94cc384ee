"""What came to pass after some ModSeq, slice by slice: for whoever comes again after a long time, or for the first time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from mailsystem.mail.errors import NoSuchMailbox
from mailsystem.mail.mailbox import AccountId, MailboxId, MessageSet, ModSeq, Uid
from mailsystem.store.database import Sql, Unit

_SLICE: Final = 10_000


class Step(NamedTuple):
    """A message among all changes of an account: the order in which they are told."""

    modseq: ModSeq
    mailbox: MailboxId
    uid: Uid


def behind(
    account: AccountId, step: Step, upto: ModSeq, most: int, mailbox: MailboxId | None = None
) -> Unit[list[Step]]:
    """The first messages of an account, or of one of its mailboxes, that changed behind that step, up to that ModSeq; so many
    at most.

    All its rows are gone through, since no index knows the order: in a thread, and seldom.
    """
    rows = yield Sql(
        "SELECT modseq, mailbox_id, uid FROM messages WHERE account_id = $1 AND modseq <= $2"  # noqa: S608
        f" AND (modseq, mailbox_id, uid) > ($3, $4, $5){'' if mailbox is None else ' AND mailbox_id = $7'}"
        " ORDER BY modseq, mailbox_id, uid LIMIT $6",
        account,
        upto,
        *step,
        most,
        *(() if mailbox is None else (mailbox,)),
    )
    return [Step(*row) for row in rows]


def gone(account: AccountId, mailbox: MailboxId, since: ModSeq, upto: ModSeq) -> Unit[MessageSet]:
    """The UIDs that went after `since` and by `upto`; where that is forgotten, all that are not there.

    Raises `NoSuchMailbox`.
    """
    rows = yield Sql("SELECT forgotten, uidnext FROM mailboxes WHERE account_id = $1 AND id = $2", account, mailbox)
    if not rows:
        raise NoSuchMailbox
    [[forgotten, uidnext]] = rows
    if since < forgotten:
        return (yield from holes(account, mailbox, uidnext))
    rows = yield Sql(
        "SELECT uid, last FROM vanished WHERE account_id = $1 AND mailbox_id = $2 AND modseq > $3 AND modseq <= $4",
        account,
        mailbox,
        since,
        upto,
    )
    return MessageSet.of_ranges(rows)


def holes(account: AccountId, mailbox: MailboxId, uidnext: Uid) -> Unit[MessageSet]:
    """Every UID that was given and is not there any more: what is left to say where history is forgotten."""
    found: list[tuple[int, int]] = []
    before = 0
    while True:
        rows = yield Sql(
            "SELECT uid FROM messages WHERE account_id = $1 AND mailbox_id = $2 AND uid > $3 ORDER BY uid LIMIT $4",
            account,
            mailbox,
            before,
            _SLICE,
        )
        for [uid] in rows:
            if uid > before + 1:
                found.append((before + 1, uid - 1))
            before = uid
        if len(rows) < _SLICE:
            break
    if uidnext > before + 1:
        found.append((before + 1, uidnext - 1))
    return MessageSet(tuple(found))


def first_after(account: AccountId, mailboxes: Iterable[MailboxId], since: ModSeq) -> Unit[dict[MailboxId, Uid]]:
    """Of each mailbox the UID from which on messages came after `since`; those before it were there, flagged since or not.

    A message does not remember the ModSeq with which it came. But UIDs ascend, so whatever stands before one that surely was
    there, was there: one that has not changed since, one that was flagged or went by then. And where the ModSeqs after `since`
    are those of flags that were changed, nothing came with them. What nobody can tell counts as come.
    """
    logged = yield Sql(
        "SELECT DISTINCT modseq FROM flagged WHERE account_id = $1 AND modseq > $2 ORDER BY modseq", account, since
    )
    for [modseq] in logged:
        if modseq != since + 1:
            break
        since = modseq
    found: dict[MailboxId, Uid] = {}
    for mailbox in mailboxes:
        key = account, mailbox, since
        [[last]] = yield Sql(
            "SELECT MAX(found.uid) FROM ("
            "SELECT MAX(last) AS uid FROM flagged WHERE account_id = $1 AND mailbox_id = $2 AND modseq <= $3"
            " UNION ALL SELECT MAX(last) FROM vanished WHERE account_id = $1 AND mailbox_id = $2 AND modseq <= $3"
            ") AS found",
            *key,
        )
        unchanged = yield Sql(
            "SELECT uid FROM messages WHERE account_id = $1 AND mailbox_id = $2 AND modseq <= $3 ORDER BY uid DESC LIMIT 1",
            *key,
        )
        found[mailbox] = Uid(max(last or 0, unchanged[0][0] if unchanged else 0) + 1)
    return found
