"""Looking into a mailbox: the units that list, fetch and watch, and change nothing."""

from __future__ import annotations

from typing import Final, NamedTuple, overload

from mailsystem.mail.content import Facts
from mailsystem.mail.errors import NoSuchMailbox
from mailsystem.mail.mailbox import (
    AccountId,
    ContentId,
    Mailbox,
    MailboxId,
    Message,
    MessageSet,
    ModSeq,
    Uid,
)
from mailsystem.mail.rights import EVERY, Rights, is_of_others
from mailsystem.store import rights
from mailsystem.store.contents import HEAD_LIMIT, WHOLE
from mailsystem.store.database import Row, Sql, Unit
from mailsystem.store.fetching import among
from mailsystem.store.replaying import holes
from mailsystem.store.rows import MAILBOX, MESSAGE, Fetched, Want, mailbox_of, message_of

FEW: Final = 200
"""Messages of which the rows are read where we stand: some tenths of a millisecond."""
_ALL: Final = -1
_ENTERED: Final = (
    f"SELECT {', '.join(f'm.{column}' for column in MAILBOX.split(', '))}, m.recent_from,"  # noqa: S608
    " a.messages > a.most_messages OR a.octets > a.most_octets"
    " FROM accounts a CROSS JOIN mailboxes m WHERE a.id = $1 AND m.account_id = a.id AND m.name = $2"
)


def entered(account: AccountId, name: str) -> Unit[tuple[Mailbox, Rights, bool, int]]:
    """What SELECT asks of a mailbox itself: what the account may do there, whether it is that account's own and that keeps more
    than it may, and the UID from which on messages are recent.

    Raises `NoSuchMailbox`.
    """
    if not is_of_others(name):
        rows = yield Sql(_ENTERED, account, name)
        if not rows:
            raise NoSuchMailbox
        [(*row, recent_from, over)] = rows
        return mailbox_of(tuple(row)), EVERY, bool(over), recent_from
    mailbox, have = yield from rights.found(account, name, "r")
    [[recent_from]] = yield Sql(
        "SELECT recent_from FROM mailboxes WHERE account_id = $1 AND id = $2", mailbox.account, mailbox.id
    )
    return mailbox, have, False, recent_from


def extent(account: AccountId, mailbox: MailboxId) -> Unit[Uid]:
    """The UID that comes next. Raises `NoSuchMailbox`."""
    rows = yield Sql("SELECT uidnext FROM mailboxes WHERE account_id = $1 AND id = $2", account, mailbox)
    if not rows:
        raise NoSuchMailbox
    return Uid(rows[0][0])


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


def digests(account: AccountId, mailbox: MailboxId) -> Unit[set[bytes]]:
    """SHA-256 of each message in a mailbox."""
    rows = yield Sql(
        "SELECT c.sha256 FROM messages m JOIN contents c ON c.id = m.content_id"
        " WHERE m.account_id = $1 AND m.mailbox_id = $2",
        account,
        mailbox,
    )
    return {bytes(row[0]) for row in rows}


def whereabouts(account: AccountId, contents: list[int]) -> Unit[dict[ContentId, list[tuple[MailboxId, Uid]]]]:
    """Where an account has messages of these contents, by mailbox and UID; those it has not are not there."""
    rows = yield Sql(
        "SELECT content_id, mailbox_id, uid FROM messages WHERE content_id IN LIST $1 AND account_id = $2"
        " ORDER BY mailbox_id, uid",
        contents,
        account,
    )
    found: dict[ContentId, list[tuple[MailboxId, Uid]]] = {}
    for content, mailbox, uid in rows:
        found.setdefault(ContentId(content), []).append((MailboxId(mailbox), Uid(uid)))
    return found


def fetched(
    account: AccountId, mailbox: MailboxId, portion: MessageSet, want: Want, most_rows: int, most_octets: int
) -> Unit[tuple[list[Fetched], MessageSet]]:
    """A slice of a portion, and what is left of that."""
    if want & (Want.RAW | Want.HEAD):
        # These weigh: learn from the sizes how many rows fit, before reading any of them.
        heaviest = WHOLE if want & Want.RAW else HEAD_LIMIT
        rows = yield among("m.uid, m.size", "", account, mailbox, portion, most_rows)
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
    rows = yield among(columns, join, account, mailbox, portion, most_rows)
    found = [_fetched(row, want.value) for row in rows]
    if len(found) < most_rows:
        return found, MessageSet()
    last = found[-1].message.uid
    return found, MessageSet(tuple((max(low, last + 1), high) for low, high in portion.ranges if high > last))


# As numbers, which are asked of each row: what an enumeration takes for that is more than all the rest.
_FACTS: Final = Want.FACTS.value
_HEAD: Final = (Want.HEAD | Want.RAW).value
_RAW: Final = Want.RAW.value


def _fetched(row: Row, want: int) -> Fetched:
    if not want:
        return Fetched(message_of(row), None, None, None)
    facts = Facts(*row[8:14]) if want & _FACTS else None
    head = row[14 if facts else 8] if want & _HEAD else None
    body = row[-1] if want & _RAW else None
    return Fetched(message_of(row[:8]), facts, head, head + body if body is not None else None)


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
def news(
    account: AccountId, mailbox: MailboxId, since: ModSeq, most: int, kept: News | None = None
) -> Unit[News | None]: ...
def news(
    account: AccountId, mailbox: MailboxId, since: ModSeq, most: int | None = None, kept: News | None = None
) -> Unit[News | None]:
    """What came to pass after `since`; None where that may be more than `most` messages. Raises `NoSuchMailbox`.

    What somebody else was told of since then is `kept`, and still holds where nothing has come to pass meanwhile.
    """
    rows = yield Sql(
        "SELECT modseq, forgotten, logged_from, uidnext FROM mailboxes WHERE account_id = $1 AND id = $2",
        account,
        mailbox,
    )
    if not rows:
        raise NoSuchMailbox
    modseq, forgotten, logged_from, uidnext = rows[0]
    if modseq <= since:
        return News([], MessageSet(), uidnext, since)
    if kept is not None and kept.modseq == modseq:
        return kept
    if most is not None and since < max(forgotten, logged_from) and uidnext > most:
        return None
    limit = _ALL if most is None else most + 1
    logged = yield Sql(
        "SELECT 0, uid, last FROM vanished WHERE account_id = $1 AND mailbox_id = $2 AND modseq > $3"
        " UNION ALL SELECT 1, uid, last FROM flagged WHERE account_id = $1 AND mailbox_id = $2 AND modseq > $3 LIMIT $4",
        account,
        mailbox,
        since,
        limit,
    )
    if most is not None and sum(last - first + 1 for _, first, last in logged) > most:
        return None
    behind = yield from _last_of(account, mailbox, 0 if since < logged_from else since, limit)
    if behind is None:
        return None
    new = yield from _new(account, mailbox, behind, since, limit)
    if most is not None and len(new) > most:
        return None
    flagged = MessageSet.of_ranges((first, last) for is_flagged, first, last in logged if is_flagged)
    if new:
        flagged &= MessageSet(((1, new[0][0] - 1),))
    if flagged:
        new = [*(yield from _flagged(account, mailbox, flagged, since)), *new]
    if since < forgotten:
        gone = yield from holes(account, mailbox, uidnext)
    else:
        gone = MessageSet.of_ranges((first, last) for is_flagged, first, last in logged if not is_flagged)
    return News(new, gone, uidnext, modseq)


def _last_of(account: AccountId, mailbox: MailboxId, before: ModSeq | int, most: int) -> Unit[int | None]:
    """The UID of the last message that is from `before` or older, 0 where there is none.

    It is looked for from behind, among so many; None where all of those are newer, and there may be more.
    """
    found = yield Sql(
        "SELECT o.uid FROM (SELECT uid, modseq FROM messages WHERE account_id = $1 AND mailbox_id = $2"
        " ORDER BY uid DESC LIMIT $4) AS o WHERE o.modseq <= $3 LIMIT 1",
        account,
        mailbox,
        before,
        most,
    )
    if found:
        return int(found[0][0])
    if most != _ALL:
        [[count]] = yield Sql(
            "SELECT COUNT(*) FROM (SELECT 1 FROM messages WHERE account_id = $1 AND mailbox_id = $2 LIMIT $3) AS some",
            account,
            mailbox,
            most,
        )
        if count >= most:
            return None
    return 0


def _new(account: AccountId, mailbox: MailboxId, behind: int, since: ModSeq, most: int) -> Unit[list[Row]]:
    """Rows of what has changed after `since`, of all messages `behind` the last one that is older.

    Messages come by ascending ModSeq, so nothing that stands before that one has come later.
    """
    return (
        yield Sql(
            f"SELECT {MESSAGE} FROM messages m WHERE m.account_id = $1 AND m.mailbox_id = $2 AND m.uid > $3"  # noqa: S608
            " AND m.modseq > $4 ORDER BY m.uid LIMIT $5",
            account,
            mailbox,
            behind,
            since,
            most,
        )
    )


def _flagged(account: AccountId, mailbox: MailboxId, among: MessageSet, since: ModSeq) -> Unit[list[Row]]:
    return (
        yield Sql(
            f"SELECT {MESSAGE} FROM RANGES $3 CROSS JOIN messages m"  # noqa: S608
            " WHERE m.account_id = $1 AND m.mailbox_id = $2 AND m.uid BETWEEN r.lo AND r.hi AND m.modseq > $4 ORDER BY m.uid",
            account,
            mailbox,
            among,
            since,
        )
    )


def forget(most: int) -> Unit[int]:
    """Drop the oldest history of what vanished and of what was flagged, so that each mailbox keeps about `most` rows of either;
    returns how many went.

    A client that comes from before that is told of every UID that is not there (RFC 7162 3.2.5.1), and what has changed is
    looked for among all messages.
    """
    dropped = 0
    for table, horizon in ("vanished", "forgotten"), ("flagged", "logged_from"):
        long = yield Sql(
            f"SELECT account_id, mailbox_id FROM {table} GROUP BY account_id, mailbox_id HAVING COUNT(*) > $1",  # noqa: S608
            most,
        )
        for account, mailbox in long:
            [[before]] = yield Sql(
                f"SELECT modseq FROM {table} WHERE account_id = $1 AND mailbox_id = $2"  # noqa: S608
                " ORDER BY modseq DESC LIMIT 1 OFFSET $3",
                account,
                mailbox,
                most,
            )
            rows = yield Sql(
                f"DELETE FROM {table} WHERE account_id = $1 AND mailbox_id = $2 AND modseq <= $3 RETURNING uid",  # noqa: S608
                account,
                mailbox,
                before,
            )
            yield Sql(
                f"UPDATE mailboxes SET {horizon} = $3 WHERE account_id = $1 AND id = $2",  # noqa: S608
                account,
                mailbox,
                before,
            )
            dropped += len(rows)
    return dropped
