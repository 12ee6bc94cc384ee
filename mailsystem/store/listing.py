"""Looking into a mailbox: the units that count, list, fetch and watch, and change nothing."""

from __future__ import annotations

from array import array

from mailsystem.mail.content import Facts
from mailsystem.mail.errors import NoSuchMailbox
from mailsystem.mail.mailbox import (
    AccountId,
    Changes,
    Flag,
    Mailbox,
    MailboxId,
    Message,
    MessageSet,
    ModSeq,
    Status,
    Uid,
)
from mailsystem.store.contents import INLINE_LIMIT
from mailsystem.store.database import Sql, Unit
from mailsystem.store.rows import DELETED_BIT, MESSAGE, SEEN_BIT, Fetched, Opened, Want, message_of


def counted(mailbox: Mailbox) -> Unit[Status]:
    """What STATUS counts, on the index and the rows of one mailbox."""
    [row] = yield Sql(
        "SELECT COUNT(*), COUNT(*) FILTER (WHERE flags & $3 = 0), COUNT(*) FILTER (WHERE flags & $4 <> 0),"
        " COUNT(*) FILTER (WHERE uid >= (SELECT recent_from FROM mailboxes WHERE account_id = $1 AND id = $2)),"
        " COALESCE(SUM(size), 0) FROM messages WHERE account_id = $1 AND mailbox_id = $2",
        mailbox.account,
        mailbox.id,
        SEEN_BIT,
        DELETED_BIT,
    )
    messages, unseen, deleted, recent, size = row
    return Status(mailbox, messages, unseen, deleted, recent, size)


def numbered(mailbox: Mailbox) -> Unit[Opened]:
    """All UIDs of a mailbox and what SELECT says beside them."""
    status = yield from counted(mailbox)
    rows = yield Sql(
        "SELECT uid FROM messages WHERE account_id = $1 AND mailbox_id = $2 ORDER BY uid", mailbox.account, mailbox.id
    )
    uids = array("I", [row[0] for row in rows])
    [[recent_from]] = yield Sql(
        "SELECT recent_from FROM mailboxes WHERE account_id = $1 AND id = $2", mailbox.account, mailbox.id
    )
    first = yield Sql(
        "SELECT uid FROM messages WHERE account_id = $1 AND mailbox_id = $2 AND flags & $3 = 0 ORDER BY uid LIMIT 1",
        mailbox.account,
        mailbox.id,
        SEEN_BIT,
    )
    recent = MessageSet(((recent_from, uids[-1]),)) if uids and uids[-1] >= recent_from else MessageSet()
    words = yield Sql(
        "SELECT DISTINCT keywords FROM messages WHERE account_id = $1 AND mailbox_id = $2 AND keywords <> ''",
        mailbox.account,
        mailbox.id,
    )
    keywords = tuple(Flag(word) for word in sorted({word for row in words for word in row[0].split()}))
    return Opened(status, uids, recent, Uid(first[0][0]) if first else None, keywords)


def listing(account: AccountId, mailbox: MailboxId, uids: MessageSet) -> Unit[list[Message]]:
    """The messages' own rows, by UID."""
    rows = yield Sql(
        f"SELECT {MESSAGE} FROM RANGES $3 CROSS JOIN messages m"  # noqa: S608
        " WHERE m.account_id = $1 AND m.mailbox_id = $2 AND m.uid BETWEEN r.lo AND r.hi ORDER BY m.uid",
        account,
        mailbox,
        uids,
    )
    return [message_of(row) for row in rows]


def fetched(
    account: AccountId, mailbox: MailboxId, low: int, high: int, want: Want, most_rows: int, most_octets: int
) -> Unit[tuple[list[Fetched], int | None]]:
    """A slice of what lies between two UIDs, and the UID to go on from; None when that was all."""
    if not want:
        plain = yield Sql(
            f"SELECT {MESSAGE} FROM messages m"  # noqa: S608
            " WHERE m.account_id = $1 AND m.mailbox_id = $2 AND m.uid BETWEEN $3 AND $4 ORDER BY m.uid LIMIT $5",
            account,
            mailbox,
            low,
            high,
            most_rows,
        )
        slice_ = [Fetched(message_of(row), None, None, None) for row in plain]
        return slice_, (slice_[-1].message.uid + 1 if len(slice_) == most_rows else None)
    if want & Want.RAW:
        # Bodies weigh: learn from the sizes how many rows fit before reading any of them.
        sizes = yield Sql(
            "SELECT uid, size FROM messages WHERE account_id = $1 AND mailbox_id = $2 AND uid BETWEEN $3 AND $4"
            " ORDER BY uid LIMIT $5",
            account,
            mailbox,
            low,
            high,
            most_rows,
        )
        octets, most_rows = 0, len(sizes)
        for index, (_, size) in enumerate(sizes):
            octets += min(size, INLINE_LIMIT)
            if octets > most_octets:
                most_rows = index + 1
                break
        if not sizes:
            return [], None
    facts = bool(want & Want.FACTS)
    head = bool(want & (Want.HEAD | Want.RAW))
    raw = bool(want & Want.RAW)
    columns = MESSAGE
    if facts:
        columns += ", c.size, c.header_size, c.envelope, c.bodystructure, c.body, c.parts"
    if head:
        columns += ", c.head"
    if raw:
        columns += ", b.octets"
    rows = yield Sql(
        f"SELECT {columns} FROM messages m JOIN contents c ON c.id = m.content_id"  # noqa: S608
        f"{' LEFT JOIN bodies b ON b.content_id = m.content_id' if raw else ''}"
        " WHERE m.account_id = $1 AND m.mailbox_id = $2 AND m.uid BETWEEN $3 AND $4 ORDER BY m.uid LIMIT $5",
        account,
        mailbox,
        low,
        high,
        most_rows,
    )
    found: list[Fetched] = []
    for row in rows:
        known = Facts(*row[7:13]) if facts else None
        block = row[13 if facts else 7] if head else None
        body = row[-1] if raw else None
        found.append(Fetched(message_of(row[:7]), known, block, block + body if body is not None else None))
    return found, (found[-1].message.uid + 1 if len(found) == most_rows and found else None)


def changes(account: AccountId, mailbox: MailboxId, since: ModSeq) -> Unit[Changes]:
    """What came to pass after `since`. Raises `NoSuchMailbox` when the mailbox is gone."""
    rows = yield Sql("SELECT modseq FROM mailboxes WHERE account_id = $1 AND id = $2", account, mailbox)
    if not rows:
        raise NoSuchMailbox
    modseq = ModSeq(rows[0][0])
    if modseq <= since:
        return Changes(since, [], MessageSet())
    new = yield Sql(
        f"SELECT {MESSAGE} FROM messages m WHERE m.account_id = $1 AND m.mailbox_id = $2 AND m.modseq > $3 ORDER BY m.uid",  # noqa: S608
        account,
        mailbox,
        since,
    )
    gone = yield Sql(
        "SELECT uid FROM vanished WHERE account_id = $1 AND mailbox_id = $2 AND modseq > $3", account, mailbox, since
    )
    return Changes(modseq, [message_of(row) for row in new], MessageSet.of(row[0] for row in gone))
