"""How long mail is kept: what is too old or too much goes, the oldest first, and what is flagged never.

The age of a message counts from when it came to where it lies (SAVEDATE, RFC 8514): mail of long ago that somebody brings in is
as new as what has just come. Within a mailbox that is the order of the UIDs, so that only the oldest are ever looked at. What
goes is expunged as a client would do it; it is told to the trace and counted.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Final, Literal, NamedTuple, TypeAlias

from mailsystem.mail.clock import Clock
from mailsystem.mail.keeping import FOR_EVER, Keep
from mailsystem.mail.mailbox import AccountId, ContentId, MailboxId, MessageSet, Uid
from mailsystem.store import messages
from mailsystem.store.database import Database, Many, Sql, Unit
from mailsystem.store.rows import FLAGGED_BIT
from mailsystem.telemetry import Trace

DAY: Final = 86_400
AT_ONCE: Final = 500
"""Messages that one transaction takes away: others want to write, too."""
_FEWEST: Final = 20
"""Of each mailbox so many are looked at, however many mailboxes there are."""
_TOLD: Final = 20
_REMEMBERED_DAYS: Final = 30
_KEPT: Final = (
    "SELECT a.id AS id, a.messages AS messages, a.octets AS octets, COALESCE(s.most_age, $1) AS most_age,"
    " COALESCE(s.most_messages, $2) AS most_messages, COALESCE(s.most_octets, $3) AS most_octets"
    " FROM accounts a LEFT JOIN spaces s ON s.name = a.space"
)
"""What each account keeps, and may."""


Why: TypeAlias = Literal["age", "messages", "octets"]


class Old(NamedTuple):
    """A message that may go, or must."""

    mailbox: MailboxId
    name: str
    uid: Uid
    content: ContentId
    saved: float
    """When it came to where it lies, in seconds since the epoch."""
    size: int
    why: Why | None = None
    """What there is too much of; None while it stays."""


class Gone(NamedTuple):
    """What went on one day, for one reason."""

    day: float
    """Its beginning (UTC), in seconds since the epoch."""
    why: str
    messages: int
    octets: int


@dataclass(frozen=True, slots=True)
class Outlook:
    """What an account keeps, what goes next and what went."""

    keep: Keep
    messages: int
    octets: int
    pinned: int
    """Messages that are flagged, and so stay."""
    next: Sequence[Old]
    """The oldest of all others, in the order in which they go."""
    gone: Sequence[Gone]
    """The newest day first."""


class Retention:
    """Takes away what is older, or more, than is kept."""

    def __init__(self, database: Database, *, clock: Clock, keep: Keep) -> None:
        """`keep` holds for every account, but for what its space says otherwise."""
        self._database = database
        self._clock = clock
        self.keep: Final = keep.within(FOR_EVER)

    async def enforce(self, trace: Trace) -> int:
        """Take away what is too old or too much now; returns how many messages went. Raises `Unavailable`.

        A maildrop that is in use by POP3 stays as it is until the next time.
        """
        total = 0
        for account in await self._database.read(_due(self.keep, self._clock.now())):
            more = True
            while more:
                wanted = await self._database.read(_chosen(account, self.keep, self._clock.now()))
                went = await self._database.write(_retire(account, self.keep, wanted, self._clock.now()), patient=True)
                for (_, name, why), some in went.items():
                    trace.event(
                        "expired",
                        account=account,
                        mailbox=name,
                        why=why,
                        messages=len(some),
                        size=sum(each.size for each in some),
                        contents=[each.content for each in some],
                        uids=[each.uid for each in some],
                    )
                total += sum(map(len, went.values()))
                more = bool(went)
        return total

    async def outlook(self, account: AccountId) -> Outlook:
        """What an account keeps, what goes next and what went in the last 30 days."""
        return await self._database.read(_outlook(account, self.keep, self._clock.now()))

    async def forget(self) -> None:
        """Let counts of long ago go."""
        await self._database.write(_forget(self._clock.now()), durable=False)


def _due(keep: Keep, now: float) -> Unit[list[AccountId]]:
    """The accounts that have something to lose."""
    some = Sql("SELECT 1 FROM spaces WHERE most_age > 0 OR most_messages > 0 OR most_octets > 0 LIMIT 1")
    if not keep and not (yield some):
        return []
    rows = yield Sql(
        f"WITH k AS ({_KEPT})"  # noqa: S608
        " SELECT id FROM k WHERE (most_messages > 0 AND messages > most_messages) OR (most_octets > 0 AND octets > most_octets)"
        " UNION SELECT k.id FROM k JOIN mailboxes b ON b.account_id = k.id WHERE k.most_age > 0 AND"
        " (SELECT m.savedate FROM messages m WHERE m.account_id = b.account_id AND m.mailbox_id = b.id AND m.flags & $5 = 0"
        " ORDER BY m.uid LIMIT 1) <= $4 - k.most_age",
        keep.age,
        keep.messages,
        keep.octets,
        now,
        FLAGGED_BIT,
    )
    return [AccountId(row[0]) for row in rows]


def _standing(account: AccountId, keep: Keep) -> Unit[tuple[Keep, int, int]]:
    """What an account may keep, and how many messages and octets it does."""
    rows = yield Sql(
        f"WITH k AS ({_KEPT}) SELECT most_age, most_messages, most_octets, messages, octets FROM k WHERE id = $4",  # noqa: S608
        keep.age,
        keep.messages,
        keep.octets,
        account,
    )
    if not rows:
        return FOR_EVER, 0, 0
    age, most_messages, most_octets, count, octets = rows[0]
    return Keep(age, most_messages, most_octets), count, octets


def _oldest(account: AccountId, most: int) -> Unit[list[Old]]:
    """The oldest messages that are not flagged, at most so many; fewer where it is not known which come next."""
    boxes = yield Sql("SELECT id, name FROM mailboxes WHERE account_id = $1 ORDER BY id", account)
    each = max(_FEWEST, most // max(len(boxes), 1))
    heaps: list[list[Old]] = []
    for mailbox, name in boxes:
        rows = yield Sql(
            "SELECT uid, content_id, savedate, size FROM messages WHERE account_id = $1 AND mailbox_id = $2"
            " AND flags & $3 = 0 ORDER BY uid LIMIT $4",
            account,
            mailbox,
            FLAGGED_BIT,
            each,
        )
        heaps.append([Old(MailboxId(mailbox), name, *row) for row in rows])
    full = {some[-1][:3] for some in heaps if len(some) == each}
    found: list[Old] = []
    for old in heapq.merge(*heaps, key=attrgetter("saved")):
        found.append(old)
        if len(found) == most or old[:3] in full:
            break  # behind the last that was read of a mailbox there may be others as old
    return found


def _judged(olds: Sequence[Old], keep: Keep, count: int, octets: int, now: float) -> list[Old]:
    """The same, each with why it must go; the first that stays, and all behind it, without."""
    judged: list[Old] = []
    for old in olds:
        why: Why | None = None
        if keep.age and old.saved <= now - keep.age:
            why = "age"
        elif keep.messages and count > keep.messages:
            why = "messages"
        elif keep.octets and octets > keep.octets:
            why = "octets"
        judged.append(old._replace(why=why))
        count, octets = count - 1, octets - old.size
    return judged


def _is_in_use(account: AccountId, now: float) -> Unit[bool]:
    return bool((yield Sql("SELECT 1 FROM leases WHERE account_id = $1 AND expires >= $2", account, now)))


def _chosen(account: AccountId, keep: Keep, now: float) -> Unit[list[Old]]:
    """What must go first."""
    own, count, octets = yield from _standing(account, keep)
    if not own or (yield from _is_in_use(account, now)):
        return []
    olds = yield from _oldest(account, AT_ONCE)
    return [old for old in _judged(olds, own, count, octets, now) if old.why is not None]


def _retire(
    account: AccountId, keep: Keep, olds: Sequence[Old], now: float
) -> Unit[dict[tuple[MailboxId, str, str], list[Old]]]:
    """Take these away, as far as they must still go: not what has been flagged meanwhile, nor more than is too much by now.

    What went, by mailbox and why.
    """
    if not olds or (yield from _is_in_use(account, now)):
        return {}
    own, count, octets = yield from _standing(account, keep)
    by_mailbox: defaultdict[MailboxId, list[Old]] = defaultdict(list)
    for old in olds:
        by_mailbox[old.mailbox].append(old)
    there: set[tuple[MailboxId, Uid]] = set()
    for mailbox, some in by_mailbox.items():
        rows = yield Sql(
            "SELECT uid FROM messages WHERE account_id = $1 AND mailbox_id = $2 AND uid IN LIST $3 AND flags & $4 = 0",
            account,
            mailbox,
            [old.uid for old in some],
            FLAGGED_BIT,
        )
        there.update((mailbox, row[0]) for row in rows)
    # Judged once more: somebody may have made room, or the space another rule.
    left = [old for old in olds if (old.mailbox, old.uid) in there]
    went: defaultdict[tuple[MailboxId, str, str], list[Old]] = defaultdict(list)
    for old in _judged(left, own, count, octets, now):
        if old.why is not None:
            went[old.mailbox, old.name, old.why].append(old)
    gone_of: defaultdict[MailboxId, list[Uid]] = defaultdict(list)
    for (mailbox, _, _), some in went.items():
        gone_of[mailbox] += [old.uid for old in some]
    for mailbox, uids in gone_of.items():
        yield from messages.expunge(account, mailbox, MessageSet.of(uids), now, marked=False)
    counts: defaultdict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for (_, _, why), gone in went.items():
        count, octets = counts[why]
        counts[why] = count + len(gone), octets + sum(old.size for old in gone)
    yield Many(
        "INSERT INTO retired (account_id, day, why, messages, octets) VALUES ($1, $2, $3, $4, $5)"
        " ON CONFLICT (account_id, day, why)"
        " DO UPDATE SET messages = retired.messages + excluded.messages, octets = retired.octets + excluded.octets",
        [(account, int(now // DAY), why, *of) for why, of in sorted(counts.items())],
    )
    return dict(went)


def _outlook(account: AccountId, keep: Keep, now: float) -> Unit[Outlook]:
    own, count, octets = yield from _standing(account, keep)
    olds = (yield from _oldest(account, _TOLD)) if own else []
    [[pinned]] = yield Sql(
        "SELECT COUNT(*) FROM messages WHERE account_id = $1 AND flags & $2 <> 0", account, FLAGGED_BIT
    )
    rows = yield Sql(
        "SELECT day, why, messages, octets FROM retired WHERE account_id = $1 AND day > $2 ORDER BY day DESC, why",
        account,
        int(now // DAY) - _REMEMBERED_DAYS,
    )
    return Outlook(
        own,
        count,
        octets,
        pinned,
        _judged(olds, own, count, octets, now),
        [Gone(day * DAY, why, messages_, octets_) for day, why, messages_, octets_ in rows],
    )


def _forget(now: float) -> Unit[None]:
    yield Sql("DELETE FROM retired WHERE day <= $1", int(now // DAY) - _REMEMBERED_DAYS)
