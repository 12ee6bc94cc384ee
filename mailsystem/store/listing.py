"""Looking into a mailbox: the units that count, list, fetch and watch, and change nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple, overload

from mailsystem.mail.content import Facts
from mailsystem.mail.errors import NoSuchMailbox
from mailsystem.mail.mailbox import (
    AccountId,
    Changes,
    Mailbox,
    MailboxId,
    Message,
    MessageSet,
    ModSeq,
    Status,
    Uid,
)
from mailsystem.mail.rights import Rights
from mailsystem.store import counting, messages, rights
from mailsystem.store.contents import HEAD_LIMIT, WHOLE
from mailsystem.store.database import Row, Sql, Unit
from mailsystem.store.rows import MESSAGE, Fetched, Want, message_of

FEW: Final = 200
"""Messages of which the rows are read where we stand: some tenths of a millisecond."""
_ALL: Final = -1


def counted(mailbox: Mailbox) -> Unit[Status]:
    """What STATUS counts, on the index and the rows of one mailbox."""
    [status] = yield from counting.counted([mailbox], {})
    return status


def entered(account: AccountId, name: str) -> Unit[tuple[Mailbox, Rights, bool, int]]:
    """What SELECT asks of a mailbox itself: what the account may do there, whether it is that account's own and that keeps more
    than it may, and the UID from which on messages are recent.

    Raises `NoSuchMailbox`.
    """
    mailbox, have = yield from rights.found(account, name, "r")
    over = mailbox.account == account and (yield from messages.is_over_quota(account))
    [[recent_from]] = yield Sql(
        "SELECT recent_from FROM mailboxes WHERE account_id = $1 AND id = $2", mailbox.account, mailbox.id
    )
    return mailbox, have, over, recent_from


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


def portions(uids: MessageSet, most_rows: int) -> Iterator[MessageSet]:
    """Cut a set so that each portion is one range, or many small ones that cannot hold more than `most_rows` messages."""
    small: list[tuple[int, int]] = []
    room = most_rows
    for low, high in uids.ranges:
        count = high - low + 1
        if small and count > room:
            yield MessageSet(tuple(small))
            small, room = [], most_rows
        if count > room:
            yield MessageSet(((low, high),))
        else:
            small.append((low, high))
            room -= count
    if small:
        yield MessageSet(tuple(small))


def fetched(
    account: AccountId, mailbox: MailboxId, portion: MessageSet, want: Want, most_rows: int, most_octets: int
) -> Unit[tuple[list[Fetched], MessageSet]]:
    """A slice of a portion, and what is left of that."""
    if want & (Want.RAW | Want.HEAD):
        # These weigh: learn from the sizes how many rows fit, before reading any of them.
        heaviest = WHOLE if want & Want.RAW else HEAD_LIMIT
        rows = yield _among("m.uid, m.size", "", account, mailbox, portion, most_rows)
        if not rows:
            return [], MessageSet()
        octets, most_rows = 0, len(rows)
        for index, (_, size) in enumerate(rows):
            octets += min(size, heaviest)
            if octets > most_octets:
                most_rows = index + 1
                break
    columns, join = MESSAGE, ""
    if want & (Want.FACTS | Want.HEAD | Want.RAW):
        join = " JOIN contents c ON c.id = m.content_id"
    if want & Want.FACTS:
        columns += ", c.size, c.header_size, c.envelope, c.bodystructure, c.body, c.parts"
    if want & (Want.HEAD | Want.RAW):
        columns += ", c.head"
    if want & Want.RAW:
        columns += ", b.octets"
        join += " LEFT JOIN bodies b ON b.content_id = m.content_id"
    if want & Want.PREVIEW:
        columns += ", p.text"
        join += " LEFT JOIN previews p ON p.content_id = m.content_id"
    rows = yield _among(columns, join, account, mailbox, portion, most_rows)
    found = [_fetched(row, want) for row in rows]
    if len(found) < most_rows:
        return found, MessageSet()
    last = found[-1].message.uid
    return found, MessageSet(tuple((max(low, last + 1), high) for low, high in portion.ranges if high > last))


def _among(columns: str, join: str, account: AccountId, mailbox: MailboxId, portion: MessageSet, most_rows: int) -> Sql:
    """One range walks along the key and may stop anywhere; many are looked up one by one (CROSS JOIN: they lead)."""
    if len(portion.ranges) == 1:
        [(low, high)] = portion.ranges
        return Sql(
            f"SELECT {columns} FROM messages m{join}"  # noqa: S608
            " WHERE m.account_id = $1 AND m.mailbox_id = $2 AND m.uid BETWEEN $3 AND $4 ORDER BY m.uid LIMIT $5",
            account,
            mailbox,
            low,
            high,
            most_rows,
        )
    return Sql(
        f"SELECT {columns} FROM RANGES $3 CROSS JOIN messages m{join}"  # noqa: S608
        " WHERE m.account_id = $1 AND m.mailbox_id = $2 AND m.uid BETWEEN r.lo AND r.hi ORDER BY m.uid LIMIT $4",
        account,
        mailbox,
        portion,
        most_rows,
    )


def _fetched(row: Row, want: Want) -> Fetched:
    if not want:
        return Fetched(message_of(row), None, None, None)
    facts = Facts(*row[8:14]) if want & Want.FACTS else None
    head = row[14 if facts else 8] if want & (Want.HEAD | Want.RAW) else None
    preview = row[-1] if want & Want.PREVIEW else None
    body = row[-2 if want & Want.PREVIEW else -1] if want & Want.RAW else None
    return Fetched(message_of(row[:8]), facts, head, head + body if body is not None else None, preview)


class News(NamedTuple):
    """What came to pass in a mailbox after some ModSeq."""

    rows: list[Row]
    """New and changed messages, by ascending UID: the columns of `MESSAGE`."""
    vanished: MessageSet
    """May name UIDs that went earlier."""
    uidnext: Uid
    modseq: ModSeq


@overload
def news(account: AccountId, mailbox: MailboxId, since: ModSeq) -> Unit[News]: ...
@overload
def news(account: AccountId, mailbox: MailboxId, since: ModSeq, most: int) -> Unit[News | None]: ...
def news(account: AccountId, mailbox: MailboxId, since: ModSeq, most: int | None = None) -> Unit[News | None]:
    """What came to pass after `since`; None where that may be more than `most` messages. Raises `NoSuchMailbox`."""
    rows = yield Sql(
        "SELECT modseq, forgotten, uidnext FROM mailboxes WHERE account_id = $1 AND id = $2", account, mailbox
    )
    if not rows:
        raise NoSuchMailbox
    modseq, forgotten, uidnext = rows[0]
    if modseq <= since:
        return News([], MessageSet(), uidnext, since)
    if most is not None and since < forgotten and uidnext > most:
        return None
    new = yield Sql(
        f"SELECT {MESSAGE} FROM messages m WHERE m.account_id = $1 AND m.mailbox_id = $2 AND m.modseq > $3"  # noqa: S608
        " ORDER BY m.modseq, m.uid LIMIT $4",
        account,
        mailbox,
        since,
        _ALL if most is None else most + 1,
    )
    if most is not None and len(new) > most:
        return None
    gone = yield from _gone(account, mailbox, since, forgotten, uidnext, most)
    return None if gone is None else News(sorted(new), gone, uidnext, modseq)


@overload
def changes(account: AccountId, mailbox: MailboxId, since: ModSeq) -> Unit[Changes]: ...
@overload
def changes(account: AccountId, mailbox: MailboxId, since: ModSeq, most: int) -> Unit[Changes | None]: ...
def changes(account: AccountId, mailbox: MailboxId, since: ModSeq, most: int | None = None) -> Unit[Changes | None]:
    """What came to pass after `since`, as values. Otherwise as `news`."""
    found = yield from news(account, mailbox, since) if most is None else news(account, mailbox, since, most)
    return None if found is None else Changes(found.modseq, [message_of(row) for row in found.rows], found.vanished)


def changed(
    account: AccountId, mailbox: MailboxId, since: ModSeq, *, vanished_too: bool
) -> Unit[tuple[MessageSet, MessageSet]]:
    """The UIDs of what has changed after `since`, and of what has vanished if that is asked; on the index by ModSeq.

    What has vanished may name UIDs that went earlier. Raises `NoSuchMailbox`.
    """
    rows = yield Sql(
        "SELECT modseq, forgotten, uidnext FROM mailboxes WHERE account_id = $1 AND id = $2", account, mailbox
    )
    if not rows:
        raise NoSuchMailbox
    modseq, forgotten, uidnext = rows[0]
    if modseq <= since:
        return MessageSet(), MessageSet()
    new = yield Sql(
        "SELECT uid FROM messages WHERE account_id = $1 AND mailbox_id = $2 AND modseq > $3", account, mailbox, since
    )
    gone: MessageSet | None = None
    if vanished_too:
        gone = yield from _gone(account, mailbox, since, forgotten, uidnext, None)
    return MessageSet.of(row[0] for row in new), gone or MessageSet()


def _gone(
    account: AccountId, mailbox: MailboxId, since: ModSeq, forgotten: ModSeq, uidnext: Uid, most: int | None
) -> Unit[MessageSet | None]:
    """What has vanished after `since`, and more than that where nobody remembers so far back; None for more than `most`."""
    if since < forgotten:
        return (yield from _holes(account, mailbox, uidnext))
    rows = yield Sql(
        "SELECT uid FROM vanished WHERE account_id = $1 AND mailbox_id = $2 AND modseq > $3 LIMIT $4",
        account,
        mailbox,
        since,
        _ALL if most is None else most + 1,
    )
    return None if most is not None and len(rows) > most else MessageSet.of(row[0] for row in rows)


def _holes(account: AccountId, mailbox: MailboxId, uidnext: Uid) -> Unit[MessageSet]:
    """Every UID that was given and is not there any more: what is left to say where history is forgotten."""
    rows = yield Sql(
        "SELECT uid FROM messages WHERE account_id = $1 AND mailbox_id = $2 ORDER BY uid", account, mailbox
    )
    holes, before = [], 0
    for [uid] in (*rows, (uidnext,)):
        if uid > before + 1:
            holes.append((before + 1, uid - 1))
        before = uid
    return MessageSet(tuple(holes))


def forget(most: int) -> Unit[int]:
    """Drop the oldest history of what vanished, so that each mailbox keeps about `most` of it; returns how many rows went.

    A client that comes from before that is told of every UID that is not there (RFC 7162 3.2.5.1).
    """
    long = yield Sql(
        "SELECT account_id, mailbox_id FROM vanished GROUP BY account_id, mailbox_id HAVING COUNT(*) > $1", most
    )
    dropped = 0
    for account, mailbox in long:
        [[before]] = yield Sql(
            "SELECT modseq FROM vanished WHERE account_id = $1 AND mailbox_id = $2 ORDER BY modseq DESC LIMIT 1 OFFSET $3",
            account,
            mailbox,
            most,
        )
        rows = yield Sql(
            "DELETE FROM vanished WHERE account_id = $1 AND mailbox_id = $2 AND modseq <= $3 RETURNING uid",
            account,
            mailbox,
            before,
        )
        yield Sql("UPDATE mailboxes SET forgotten = $3 WHERE account_id = $1 AND id = $2", account, mailbox, before)
        dropped += len(rows)
    return dropped
