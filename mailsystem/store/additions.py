"""Adding messages that a client brings: several at once, all or none, and one in the place of another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from mailsystem.mail.errors import OverQuota
from mailsystem.mail.mailbox import AccountId, ContentId, Flag, MailboxId, ModSeq, Uid
from mailsystem.mail.rights import EVERY, Rights, settable
from mailsystem.store import contents
from mailsystem.store.contents import Staged
from mailsystem.store.database import Many, Sql, Unit
from mailsystem.store.messages import INSERT, count, counted_modseq, next_modseq, remove, take_uids
from mailsystem.store.rows import Appended, stored
from mailsystem.store.spool import Spool


@dataclass(frozen=True, slots=True)
class New:
    """A message as somebody brings it."""

    spool: Spool
    flags: frozenset[Flag] = frozenset()
    internaldate: float | None = None
    """Now, for None."""


class Replaced(NamedTuple):
    """What came in the place of another."""

    appended: Appended
    modseq: ModSeq
    """Of the change where the other was."""
    gone: ContentId


def append(
    account: AccountId, name: str, news: Sequence[New], staged: Sequence[Staged], now: float, rights: Rights = EVERY
) -> Unit[list[Appended]]:
    """Each a message of its own, by ascending UID, all or none (RFC 3502), with those flags that `rights` allow.

    Raises `NoSuchMailbox` and `OverQuota`.
    """
    modseq = yield from counted_modseq(account, len(news), sum(each.facts.size for each in staged))
    return (yield from _insert(account, name, news, staged, modseq, now, rights))


def replace(
    account: AccountId,
    mailbox: MailboxId,
    uid: Uid,
    to: AccountId,
    name: str,
    new: New,
    staged: Staged,
    now: float,
    rights: Rights = EVERY,
) -> Unit[Replaced | None]:
    """Add a message to the mailbox `name` of `to` and expunge another (RFC 8508); None if that one is gone.

    The quota counts what an account keeps more than before. Raises `NoSuchMailbox` and `OverQuota`.
    """
    # Always in the same order, so that two who do this to each other never wait for each other.
    taken = {}
    for each in sorted({account, to}):
        taken[each] = yield from next_modseq(each)
    rows = yield Sql(
        "SELECT size, content_id FROM messages WHERE account_id = $1 AND mailbox_id = $2 AND uid = $3",
        account,
        mailbox,
        uid,
    )
    if not rows:
        return None
    [[size, content]] = rows
    if to == account:
        yield from _exchange(account, staged.facts.size - size)
    else:
        yield from count(to, 1, staged.facts.size)
        yield from count(account, -1, -size)
    [appended] = yield from _insert(to, name, [new], [staged], taken[to], now, rights)
    yield from remove(account, mailbox, [uid], taken[account])
    yield from contents.orphan({ContentId(content)}, now)
    return Replaced(appended, taken[account], ContentId(content))


def _exchange(account: AccountId, octets: int) -> Unit[None]:
    """The account keeps one message in the place of another, and so many more octets or fewer. Raises `OverQuota`."""
    rows = yield Sql(
        "UPDATE accounts SET octets = octets + $2 WHERE id = $1 RETURNING octets > most_octets", account, octets
    )
    if rows and rows[0][0] and octets > 0:
        raise OverQuota(account=account)


def _insert(
    account: AccountId,
    name: str,
    news: Sequence[New],
    staged: Sequence[Staged],
    modseq: ModSeq,
    now: float,
    rights: Rights,
) -> Unit[list[Appended]]:
    mailbox, first = yield from take_uids(account, name, len(news), modseq)
    rows: list[tuple[object, ...]] = []
    made: list[ContentId] = []
    for index, (new, each) in enumerate(zip(news, staged, strict=True)):
        bits, keywords = stored(settable(new.flags, rights))
        date = now if new.internaldate is None else new.internaldate
        # Contents are as many as messages: nothing is shared among them.
        content = yield from contents.insert(each)
        made.append(content)
        rows.append((account, mailbox.id, first + index, modseq, bits, keywords, date, each.facts.size, content, now))
    yield Many(INSERT, rows)
    return [Appended(mailbox, Uid(first + index), modseq, content) for index, content in enumerate(made)]
