"""Changing a mailbox: the units that add, flag, copy, move and expunge messages.

Each of them first takes the account's next ModSeq by `UPDATE … RETURNING`: the row is then locked until the commit, so
commit order is ModSeq order, and nobody who saw UIDNEXT or HIGHESTMODSEQ can miss a message. The same row counts what the
account keeps, so that a quota costs no statement of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from mailsystem.mail.errors import NoSuchMailbox, OverQuota
from mailsystem.mail.mailbox import (
    AccountId,
    Changes,
    ContentId,
    Mailbox,
    MailboxId,
    MessageSet,
    ModSeq,
    Uid,
)
from mailsystem.mail.rights import EVERY, Rights, settable
from mailsystem.store import contents
from mailsystem.store.contents import Staged
from mailsystem.store.database import Many, Ring, Sql, Unit
from mailsystem.store.leaving import Leaving, enqueue
from mailsystem.store.rows import (
    DELETED_BIT,
    MAILBOX,
    Appended,
    Copied,
    Delivered,
    Drop,
    flags_of,
    mailbox_of,
    stored,
)

INSERT: Final = (
    "INSERT INTO messages (account_id, mailbox_id, uid, modseq, flags, keywords, internaldate, size, content_id, savedate)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
)
"""One row of `messages`."""


_TAKEN: Final = (
    f"SELECT {', '.join(f'm.{column}' for column in MAILBOX.split(', '))},"  # noqa: S608
    " a.messages > a.most_messages OR a.octets > a.most_octets"
    " FROM {} accounts a CROSS JOIN mailboxes m WHERE a.id = {} AND m.account_id = a.id AND m.name = $2"
)
"""Mailboxes of one name in some accounts, each with whether its account keeps more than it may."""
_TAKEN_BY_ONE: Final = _TAKEN.format("", "$1")
_TAKEN_BY_SOME: Final = _TAKEN.format("LIST $1 AS l CROSS JOIN", "l.value")


def next_modseq(account: AccountId) -> Unit[ModSeq]:
    """The account's next ModSeq, which belongs to this transaction alone from here on."""
    rows = yield Sql("UPDATE accounts SET modseq = modseq + 1 WHERE id = $1 RETURNING modseq", account)
    if not rows:
        raise NoSuchMailbox("no such account")
    return ModSeq(rows[0][0])


def counted_modseq(account: AccountId, messages: int, octets: int) -> Unit[ModSeq]:
    """`next_modseq`, and the account keeps so many more messages and octets, or fewer. Raises `OverQuota`."""
    rows = yield Sql(
        "UPDATE accounts SET modseq = modseq + 1, messages = messages + $2, octets = octets + $3 WHERE id = $1"
        " RETURNING modseq, messages > most_messages OR octets > most_octets",
        account,
        messages,
        octets,
    )
    if not rows:
        raise NoSuchMailbox("no such account")
    [[modseq, over]] = rows
    if over and messages > 0:
        raise OverQuota(account=account)
    return ModSeq(modseq)


def count(account: AccountId, messages: int, octets: int) -> Unit[None]:
    """The account keeps so many more messages and octets, or fewer. Raises `OverQuota`."""
    rows = yield Sql(
        "UPDATE accounts SET messages = messages + $2, octets = octets + $3 WHERE id = $1"
        " RETURNING messages > most_messages OR octets > most_octets",
        account,
        messages,
        octets,
    )
    if rows and rows[0][0] and messages > 0:
        raise OverQuota


def touch(account: AccountId, mailbox: MailboxId, modseq: ModSeq) -> Unit[None]:
    """Let the mailbox show that it changed, and ring. Raises `NoSuchMailbox`."""
    rows = yield Sql(
        "UPDATE mailboxes SET modseq = $3 WHERE account_id = $1 AND id = $2 RETURNING id", account, mailbox, modseq
    )
    if not rows:
        raise NoSuchMailbox
    yield Ring((account, mailbox))


def take_uids(account: AccountId, name: str, count: int, modseq: ModSeq) -> Unit[tuple[Mailbox, Uid]]:
    """The mailbox, and the first of `count` new UIDs in it. Raises `NoSuchMailbox`."""
    rows = yield Sql(
        f"UPDATE mailboxes SET uidnext = uidnext + $3, modseq = $4 WHERE account_id = $1 AND name = $2 RETURNING {MAILBOX}",  # noqa: S608
        account,
        name,
        count,
        modseq,
    )
    if not rows:
        raise NoSuchMailbox
    mailbox = mailbox_of(rows[0])
    yield Ring((account, mailbox.id))
    return mailbox, Uid(mailbox.uidnext - count)


def after(settling: Unit[None] | None, drops: Sequence[Drop]) -> Unit[Sequence[Drop]]:
    """`drops`, once it has been settled that something goes there."""
    if settling is not None:
        yield from settling
    return drops


def deliver(
    drops: Sequence[Drop], staged: Staged, internaldate: float, now: float, leaving: Sequence[Leaving] = ()
) -> Unit[Delivered]:
    """One content, a row in each mailbox, and in the queue what leaves: all or none, in as many statements for many as for one.

    Raises `NoSuchMailbox`, `OverQuota`, and `TooMany` where the sender's caps are reached.
    """
    content, size = (yield from contents.insert(staged)), staged.facts.size
    for each in leaving:
        yield from enqueue(each, content, size, now)
    mailboxes = yield from _places(drops, size)
    done: list[Appended] = []
    rows: list[tuple[object, ...]] = []
    for drop, (mailbox, uid) in zip(drops, mailboxes, strict=True):
        bits, keywords = stored(drop.flags) if drop.flags else (0, "")
        rows.append((drop.account, mailbox.id, uid, mailbox.modseq, bits, keywords, internaldate, size, content, now))
        done.append(Appended(mailbox, uid, ModSeq(mailbox.modseq), content))
    if rows:
        yield Many(INSERT, rows)
    return Delivered(content, done)


def _places(drops: Sequence[Drop], size: int) -> Unit[list[tuple[Mailbox, Uid]]]:
    """Of each drop the mailbox, and the UID there, of one message that so many octets are counted for.

    All accounts first, and always in the same order, so that no two deliveries wait for each other. What was taken is read
    afterwards, from the rows that are locked: cheaper than RETURNING, and one statement for all.
    """
    if not drops:
        return []
    wanted = sorted([(drop.account, drop.mailbox) for drop in drops])
    yield Many(
        "UPDATE accounts SET modseq = modseq + 1, messages = messages + 1, octets = octets + $2 WHERE id = $1",
        [(account, size) for account, _ in wanted],
    )
    yield Many(
        "UPDATE mailboxes SET uidnext = uidnext + 1, modseq = (SELECT modseq FROM accounts WHERE id = $1)"
        " WHERE account_id = $1 AND name = $2",
        wanted,
    )
    taken: dict[tuple[AccountId, str], Mailbox] = {}
    for name in {name for _, name in wanted}:
        accounts = [account for account, its in wanted if its == name]
        if len(accounts) == 1:
            rows = yield Sql(_TAKEN_BY_ONE, accounts[0], name)
        else:
            rows = yield Sql(_TAKEN_BY_SOME, accounts, name)
        for row in rows:
            taken[row[0], name] = mailbox_of(row[:-1])
            if row[-1]:
                raise OverQuota(account=row[0])
    following = Counter(wanted)
    places = []
    for drop in drops:
        place = drop.account, drop.mailbox
        if place not in taken:
            raise NoSuchMailbox
        mailbox = taken[place]
        places.append((mailbox, Uid(mailbox.uidnext - following[place])))
        following[place] -= 1
        yield Ring((drop.account, mailbox.id))
    return places


def claim_recent(mailbox: Mailbox) -> Unit[tuple[int, int]]:
    """From here on these messages are recent to nobody else (RFC 3501 2.3.2): those from the first UID to before the second.

    Raises `NoSuchMailbox`.
    """
    key = mailbox.account, mailbox.id
    rows = yield Sql("SELECT recent_from, uidnext FROM mailboxes WHERE account_id = $1 AND id = $2", *key)
    if not rows:
        raise NoSuchMailbox
    [(first, end)] = rows
    if first < end:
        yield Sql("UPDATE mailboxes SET recent_from = $3 WHERE account_id = $1 AND id = $2", *key, end)
    return first, end


def copy(
    account: AccountId,
    mailbox: MailboxId,
    uids: MessageSet,
    target: str,
    now: float,
    *,
    leave: bool,
    to: AccountId | None = None,
    rights: Rights = EVERY,
) -> Unit[Copied]:
    """Copy, or with `leave` unset move, into the mailbox named `target`, which is of `to` where that is somebody else.

    The copies have the flags that `rights` allow. Raises `NoSuchMailbox`, and `OverQuota` where an account would keep more
    than before: what is moved within it was counted already.
    """
    to = account if to is None else to
    # Always in the same order, so that two who copy to each other never wait for each other.
    taken = {}
    for each in sorted({to} if leave else {account, to}):
        taken[each] = yield from next_modseq(each)
    modseq = taken[to]
    rows = yield Sql(
        "SELECT m.uid, m.flags, m.keywords, m.internaldate, m.size, m.content_id FROM RANGES $3 CROSS JOIN messages m"
        " WHERE m.account_id = $1 AND m.mailbox_id = $2 AND m.uid BETWEEN r.lo AND r.hi ORDER BY m.uid",
        account,
        mailbox,
        uids,
    )
    there, first = yield from take_uids(to, target, len(rows), modseq)
    octets = sum(row[4] for row in rows)
    if rows and (leave or to != account):
        yield from count(to, len(rows), octets)
    yield Many(
        INSERT,
        [
            (to, there.id, first + index, modseq, *_allowed(bits, keywords, rights), date, size, content, now)
            for index, (_, bits, keywords, date, size, content) in enumerate(rows)
        ],
    )
    source = [Uid(row[0]) for row in rows]
    if not leave and source:
        yield from remove(account, mailbox, source, taken[account])
        if to != account:
            yield from count(account, -len(source), -octets)
    new = [Uid(first + index) for index in range(len(rows))]
    return Copied(there.uidvalidity, source, new, taken.get(account, modseq), [ContentId(row[5]) for row in rows])


def _allowed(bits: int, keywords: str, rights: Rights) -> tuple[int, str]:
    """A message's flags as they are stored for somebody with these rights on where it goes."""
    if rights == EVERY:
        return bits, keywords
    return stored(settable(flags_of(bits, keywords), rights))


def remove(account: AccountId, mailbox: MailboxId, uids: Sequence[Uid], modseq: ModSeq) -> Unit[None]:
    """Take messages out of a mailbox and let `vanished` remember them."""
    yield Sql(
        "DELETE FROM messages WHERE account_id = $1 AND mailbox_id = $2 AND uid IN LIST $3",
        account,
        mailbox,
        list(uids),
    )
    yield Many(
        "INSERT INTO vanished (account_id, mailbox_id, modseq, uid, last) VALUES ($1, $2, $3, $4, $5)",
        [(account, mailbox, modseq, first, last) for first, last in MessageSet.of(uids).ranges],
    )
    yield from touch(account, mailbox, modseq)


def expunge(
    account: AccountId, mailbox: MailboxId, uids: MessageSet | None, now: float, *, marked: bool = True
) -> Unit[Changes]:
    """Remove those marked `\\Deleted` (with `marked` unset: all) among `uids`, or in the whole mailbox for None."""
    condition = f" AND m.flags & {DELETED_BIT} <> 0" if marked else ""
    rows = yield Sql(
        "SELECT m.uid, m.content_id, m.size FROM RANGES $3 CROSS JOIN messages m"  # noqa: S608
        f" WHERE m.account_id = $1 AND m.mailbox_id = $2 AND m.uid BETWEEN r.lo AND r.hi{condition} ORDER BY m.uid",
        account,
        mailbox,
        MessageSet(((1, 0xFFFFFFFF),)) if uids is None else uids,
    )
    if not rows:
        return Changes(ModSeq(0), [], MessageSet())
    modseq = yield from counted_modseq(account, -len(rows), -sum(row[2] for row in rows))
    gone = [Uid(row[0]) for row in rows]
    yield from remove(account, mailbox, gone, modseq)
    was = [ContentId(row[1]) for row in rows]
    yield from contents.orphan(set(was), now)
    return Changes(modseq, [], MessageSet.of(gone), contents=was)
