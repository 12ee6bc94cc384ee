"""What becomes of messages that were deleted or downloaded: the units that remove them at QUIT, or days later."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final

from mailsystem.mail.errors import TooMany
from mailsystem.mail.mailbox import AccountId, ContentId, Mailbox, MailboxId, MessageSet, Uid
from mailsystem.store import messages, names
from mailsystem.store.choices import Choices
from mailsystem.store.database import Sql, Unit
from mailsystem.store.rows import FLAGGED_BIT, MAILBOX, SEEN_BIT, mailbox_of

TRASH: Final = "Trash"
_TRASH_USE: Final = "\\Trash"
_DAY: Final = 86_400.0
_AT_ONCE: Final = 10_000
"""Messages that one transaction of the sweep may remove: others want to write, too."""


@dataclass(frozen=True, slots=True)
class Handled:
    """What a session did in one mailbox of its maildrop."""

    mailbox: MailboxId
    deleted: MessageSet
    downloaded: MessageSet = field(default_factory=MessageSet)
    """Retrieved whole."""


def settle(account: AccountId, chosen: Choices, handled: Sequence[Handled], now: float) -> Unit[list[ContentId]]:
    """Remove what was deleted, and what was downloaded if that is chosen; returns the messages that went."""
    removed: list[ContentId] = []
    for one in handled:
        gone = one.deleted
        if one.downloaded and chosen.keep_days == 0:
            unflagged = yield from _unflagged(account, one.mailbox, one.downloaded)
            gone = MessageSet.of_ranges((*gone.ranges, *unflagged.ranges))
        if gone:
            removed += yield from _remove(account, one.mailbox, gone, chosen.trash, now)
            yield from _forget(account, one.mailbox, gone)
        if one.downloaded and chosen.notes_downloads:
            yield from _note(account, one.mailbox, one.downloaded, now)
    return removed


def _unflagged(account: AccountId, mailbox: MailboxId, uids: MessageSet) -> Unit[MessageSet]:
    """What is flagged is dear to somebody: nothing but a DELE removes it."""
    rows = yield Sql(
        "SELECT m.uid FROM RANGES $3 CROSS JOIN messages m WHERE m.account_id = $1 AND m.mailbox_id = $2"
        " AND m.uid BETWEEN r.lo AND r.hi AND m.flags & $4 = 0",
        account,
        mailbox,
        uids,
        FLAGGED_BIT,
    )
    return MessageSet.of(row[0] for row in rows)


def _note(account: AccountId, mailbox: MailboxId, uids: MessageSet, now: float) -> Unit[None]:
    """These were downloaded now, unless they were before; those that are gone already are nobody's concern."""
    yield Sql(
        "INSERT INTO downloads (account_id, mailbox_id, uid, at, content_id, name)"
        " SELECT m.account_id, m.mailbox_id, m.uid, $4, m.content_id, b.objectid || '.' || m.uid"
        " FROM RANGES $3 CROSS JOIN messages m JOIN mailboxes b ON b.account_id = m.account_id AND b.id = m.mailbox_id"
        " WHERE m.account_id = $1 AND m.mailbox_id = $2 AND m.uid BETWEEN r.lo AND r.hi ON CONFLICT DO NOTHING",
        account,
        mailbox,
        uids,
        now,
    )


def _forget(account: AccountId, mailbox: MailboxId, uids: MessageSet) -> Unit[None]:
    """These were removed as the owner wished: nothing that looks alike shall inherit their names."""
    yield Sql(
        "DELETE FROM downloads WHERE account_id = $1 AND mailbox_id = $2 AND uid IN"
        " (SELECT d.uid FROM RANGES $3 CROSS JOIN downloads d WHERE d.account_id = $1 AND d.mailbox_id = $2"
        " AND d.uid BETWEEN r.lo AND r.hi)",
        account,
        mailbox,
        uids,
    )


def inherited(account: AccountId) -> Unit[dict[ContentId, list[str]]]:
    """The names of downloaded messages that are no longer where they were, by their content, the oldest last.

    If the same content is there elsewhere, it was moved: to the client it is still the same message.
    """
    rows = yield Sql(
        "SELECT d.content_id, d.name FROM downloads d WHERE d.account_id = $1 AND NOT EXISTS (SELECT 1 FROM messages m"
        " WHERE m.account_id = d.account_id AND m.mailbox_id = d.mailbox_id AND m.uid = d.uid)"
        " ORDER BY d.at DESC, d.mailbox_id DESC, d.uid DESC",
        account,
    )
    found: dict[ContentId, list[str]] = {}
    for content, name in rows:
        found.setdefault(ContentId(content), []).append(name)
    return found


def _remove(
    account: AccountId, mailbox: MailboxId, uids: MessageSet, trash: bool, now: float
) -> Unit[Sequence[ContentId]]:
    """Delete messages, or with `trash` move them there, as read; out of Trash itself they are deleted."""
    target = (yield from _trash(account, now)) if trash else None
    if target is None or target.id == mailbox:
        changes = yield from messages.expunge(account, mailbox, uids, now, marked=False)
        return changes.contents
    present = yield Sql(
        "SELECT 1 FROM RANGES $3 CROSS JOIN messages m WHERE m.account_id = $1 AND m.mailbox_id = $2"
        " AND m.uid BETWEEN r.lo AND r.hi LIMIT 1",
        account,
        mailbox,
        uids,
    )
    if not present:
        return []
    moved = yield from messages.copy(account, mailbox, uids, target.name, now, leave=False)
    yield from _read(account, target.id, moved.target)
    return moved.contents


def _read(account: AccountId, mailbox: MailboxId, uids: Sequence[Uid]) -> Unit[None]:
    """Nobody shall be told of unread mail in Trash. They came in this transaction, so their ModSeq is right already."""
    if uids:
        yield Sql(
            "UPDATE messages SET flags = flags | $5 WHERE account_id = $1 AND mailbox_id = $2 AND uid BETWEEN $3 AND $4",
            account,
            mailbox,
            uids[0],
            uids[-1],
            SEEN_BIT,
        )


def _trash(account: AccountId, now: float) -> Unit[Mailbox]:
    """Where deleted messages go: what has that special use, or is called so; made where there is none."""
    rows = yield Sql(
        f"SELECT {MAILBOX} FROM mailboxes WHERE account_id = $1 AND (special_use IS NOT NULL OR name = $2) ORDER BY id",  # noqa: S608
        account,
        TRASH,
    )
    called = None
    for mailbox in map(mailbox_of, rows):
        if _TRASH_USE in (mailbox.special_use or "").split():
            return mailbox
        if mailbox.name == TRASH:
            called = mailbox
    if called is not None:
        return called
    made = yield from names.create(account, TRASH, _TRASH_USE, now)
    yield from names.subscribe(account, [TRASH])
    return made


def expire(now: float) -> Unit[tuple[list[tuple[AccountId, ContentId]], bool]]:
    """Remove what has stayed its days since it was downloaded: whose and what went, and whether there may be more.

    A flagged message stays as long as it is flagged, and a maildrop that is in use stays as it is until the next sweep.
    """
    yield Sql(
        "DELETE FROM downloads WHERE NOT EXISTS (SELECT 1 FROM messages m WHERE m.content_id = downloads.content_id"
        " AND m.account_id = downloads.account_id)"
    )
    rows = yield Sql(
        "SELECT d.account_id, d.mailbox_id, d.uid, a.pop_trash FROM accounts a"
        " JOIN downloads d ON d.account_id = a.id AND d.at <= $1 - a.pop_keep_days * $2"
        " JOIN messages m ON m.account_id = d.account_id AND m.mailbox_id = d.mailbox_id AND m.uid = d.uid"
        " WHERE a.pop_keep_days IS NOT NULL AND m.flags & $3 = 0"
        " AND NOT EXISTS (SELECT 1 FROM leases l WHERE l.account_id = a.id AND l.expires >= $1)"
        " ORDER BY d.account_id, d.mailbox_id, d.uid LIMIT $4",
        now,
        _DAY,
        FLAGGED_BIT,
        _AT_ONCE,
    )
    removed: list[tuple[AccountId, ContentId]] = []
    for (account, mailbox, trash), group in groupby(rows, key=lambda row: (row[0], row[1], bool(row[3]))):
        uids = MessageSet.of(row[2] for row in group)
        with suppress(TooMany):  # no room for a Trash: these stay, and the others' go
            gone = yield from _remove(AccountId(account), MailboxId(mailbox), uids, trash, now)
            removed += ((AccountId(account), content) for content in gone)
            yield from _forget(AccountId(account), MailboxId(mailbox), uids)
    return removed, bool(removed) and len(rows) == _AT_ONCE
