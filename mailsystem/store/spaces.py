"""Spaces of a sink: mailboxes of their own for whoever needs some for a while, gone when nobody has used them for long enough.

Each has an account with a copy of everything that comes for it, and one for every address that got mail there. Whatever
changes which mail is for which space rings for `SPACES`. A space is used when mail comes for it or somebody logs in or asks;
the former is told by its newest message, so that mail costs nothing here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from mailsystem.mail.account import Account
from mailsystem.mail.clock import Clock
from mailsystem.mail.errors import MailboxExists, NoSuchRecipient, TooMany
from mailsystem.mail.keeping import AS_ELSEWHERE, Keep
from mailsystem.mail.mailbox import AccountId, MailboxId
from mailsystem.mail.space import DISSOLVED, login_of, login_within
from mailsystem.store import access_tokens, accounts, contents, faults, webhooks
from mailsystem.store.bell import ITSELF, Topic
from mailsystem.store.database import Database, Many, Ring, Row, Sql, Unit
from mailsystem.telemetry import Trace

SPACES: Final[Topic] = (AccountId(0), MailboxId(-3))
"""What the bell rings for; no account has that number."""
MOST: Final = 1000
"""Spaces at one time."""
MOST_DOMAINS: Final = 100
"""Of one space."""
_AT_ONCE: Final = 1000
_NOTED_AFTER: Final = 60.0
"""Seconds after which it is noted again that a space is used."""
_COLUMNS: Final = (
    "s.name, s.account_id, s.ttl, s.created, s.used, s.by_login, s.by_tag, s.most_age, s.most_messages, s.most_octets,"
    # A UID is never given twice, so the newest message is the last; INBOX is where mail comes.
    " (SELECT m.savedate FROM mailboxes b JOIN messages m ON m.account_id = b.account_id AND m.mailbox_id = b.id"
    " WHERE b.account_id = s.account_id AND b.name = 'INBOX' ORDER BY m.uid DESC LIMIT 1)"
)


@dataclass(frozen=True, slots=True)
class Space:
    """A space as it is now."""

    name: str
    account: Account
    """Who has a copy of everything in it."""
    ttl: float
    """Seconds after its last use when it is gone."""
    created: float
    used: float
    """When mail last came, or somebody logged in or asked."""
    by_login: bool
    """Whether whoever logs in by its name is in it."""
    by_tag: bool
    """Whether mail to `anything+NAME@…` is for it."""
    domains: tuple[str, ...] = ()
    """Mail to these is for it; `*.example.org` is all below that one."""
    keep: Keep = AS_ELSEWHERE

    @property
    def expires(self) -> float:
        return self.used + self.ttl


@dataclass(frozen=True, slots=True)
class Summary:
    """A space and what it keeps."""

    space: Space
    accounts: int
    """With that which has a copy of everything."""
    messages: int
    """Those that came: in the account that has a copy of everything."""
    octets: int


class Spaces:
    def __init__(self, database: Database, *, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def add(
        self,
        name: str,
        *,
        ttl: float,
        by_login: bool = True,
        by_tag: bool = True,
        domains: Sequence[str] = (),
        keep: Keep = AS_ELSEWHERE,
    ) -> Space:
        """A new space. Raises `MailboxExists` where there is one, or one of its domains is another's, and `TooMany`."""
        now = self._clock.now()
        return await self._database.write(_add(name, ttl, by_login, by_tag, domains, keep, now))

    async def find(self, name: str) -> Space:
        """Raises `NoSuchRecipient`."""
        return await self._database.read(_find(name))

    async def summary(self, name: str) -> Summary:
        """Raises `NoSuchRecipient`."""
        [one] = await self._database.read(_summaries(name))
        return one

    async def list(self) -> Sequence[Summary]:
        """All of them by name."""
        return await self._database.read(_summaries(None))

    async def all(self) -> Mapping[str, Space]:
        """All of them by name, without what they keep."""
        return await self._database.read(_all())

    async def account(self, name: str, address: str) -> Account:
        """The account of an address within a space, made where it is not there. Raises `NoSuchRecipient` without the space."""
        return await self._database.write(_account(name, address, self._clock.now()))

    async def change(self, name: str, *, ttl: float | None = None, keep: Keep | None = None) -> None:
        """Let it last or keep otherwise; None leaves it as it is. Raises `NoSuchRecipient`."""
        await self._database.write(_change(name, ttl, keep))

    async def use(self, space: Space) -> None:
        """Note that it is used."""
        now = self._clock.now()
        if now - space.used > min(_NOTED_AFTER, space.ttl / 10):
            await self._database.write(_use(space.name, now), durable=False)

    async def remove(self, name: str) -> None:
        """Nobody is in it any more; its mail goes when `clear` comes by. Raises `NoSuchRecipient`."""
        await self._database.write(_dissolve(name))

    async def expire(self, trace: Trace) -> int:
        """Remove those that nobody has used for long enough, with their mail; returns how many."""
        gone = await self._database.write(_expire(self._clock.now()))
        for space in gone:
            trace.event("space gone", space=space.name, unused=round(self._clock.now() - space.used))
        await self.clear()
        return len(gone)

    async def clear(self) -> None:
        """Drop the mail of those that were removed, a little at a time."""
        while await self._database.write(_drain(self._clock.now()), patient=True):
            pass


def _space(row: Row, domains: Sequence[str]) -> Space:
    name, account, ttl, created, used, by_login, by_tag, age, most_messages, octets, newest = row
    return Space(
        name,
        Account(AccountId(account), login_of(name)),
        ttl,
        created,
        max(used, newest or 0.0),
        bool(by_login),
        bool(by_tag),
        tuple(domains),
        Keep(age, most_messages, octets),
    )


def _find(name: str) -> Unit[Space]:
    rows = yield Sql(f"SELECT {_COLUMNS} FROM spaces s WHERE s.name = $1", name)  # noqa: S608
    if not rows:
        raise NoSuchRecipient("no such space")
    domains = yield Sql("SELECT domain FROM space_domains WHERE space = $1 ORDER BY domain", name)
    return _space(rows[0], [row[0] for row in domains])


def _all() -> Unit[dict[str, Space]]:
    rows = yield Sql(f"SELECT {_COLUMNS} FROM spaces s ORDER BY s.name")  # noqa: S608
    if not rows:
        return {}
    domains: dict[str, list[str]] = {}
    for domain, space in (yield Sql("SELECT domain, space FROM space_domains ORDER BY domain")):
        domains.setdefault(space, []).append(domain)
    return {row[0]: _space(row, domains.get(row[0], ())) for row in rows}


def _summaries(name: str | None) -> Unit[list[Summary]]:
    spaces = (yield from _all()) if name is None else {name: (yield from _find(name))}
    counts = yield Sql(
        "SELECT s.name, COUNT(*), MAX(CASE WHEN a.id = s.account_id THEN a.messages END),"
        " MAX(CASE WHEN a.id = s.account_id THEN a.octets END) FROM LIST $1 AS l JOIN spaces s ON s.name = l.value"
        " JOIN accounts a ON a.space = s.name GROUP BY s.name",
        list(spaces),
    )
    of = {row[0]: row[1:] for row in counts}
    return [Summary(space, *of.get(each, (0, 0, 0))) for each, space in spaces.items()]


def _add(
    name: str, ttl: float, by_login: bool, by_tag: bool, domains: Sequence[str], keep: Keep, now: float
) -> Unit[Space]:
    if (yield Sql("SELECT 1 FROM spaces WHERE name = $1", name)):
        raise MailboxExists("space exists")
    [[count]] = yield Sql("SELECT COUNT(*) FROM spaces")
    if count >= MOST:
        raise TooMany("too many spaces")
    account = yield from accounts.within(name, login_of(name), now)
    yield Sql(
        "INSERT INTO spaces (name, account_id, ttl, created, used, by_login, by_tag, most_age, most_messages, most_octets)"
        " VALUES ($1, $2, $3, $4, $4, $5, $6, $7, $8, $9)",
        name,
        account.id,
        ttl,
        now,
        int(by_login),
        int(by_tag),
        keep.age,
        keep.messages,
        keep.octets,
    )
    for domain in dict.fromkeys(domains):
        taken = yield Sql(
            "INSERT INTO space_domains (domain, space) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING domain",
            domain,
            name,
        )
        if not taken:
            raise MailboxExists("another space has one of these domains")
    yield Ring(SPACES)
    return (yield from _find(name))


def _change(name: str, ttl: float | None, keep: Keep | None) -> Unit[None]:
    if not (yield Sql("UPDATE spaces SET ttl = COALESCE($2, ttl) WHERE name = $1 RETURNING name", name, ttl)):
        raise NoSuchRecipient("no such space")
    if keep is not None:
        yield Sql(
            "UPDATE spaces SET most_age = $2, most_messages = $3, most_octets = $4 WHERE name = $1",
            name,
            keep.age,
            keep.messages,
            keep.octets,
        )
    yield Ring(SPACES)


def _account(name: str, address: str, now: float) -> Unit[Account]:
    if not (yield Sql("SELECT 1 FROM spaces WHERE name = $1", name)):
        raise NoSuchRecipient("no such space")
    return (yield from accounts.within(name, login_within(name, address), now))


def _use(name: str, now: float) -> Unit[None]:
    yield Sql("UPDATE spaces SET used = $2 WHERE name = $1 AND used < $2", name, now)


def _expire(now: float) -> Unit[list[Space]]:
    # Looked at in the transaction that removes them: mail that has just come keeps its space.
    spaces = yield from _all()
    gone = [space for space in spaces.values() if space.expires <= now]
    for space in gone:
        yield from _dissolve(space.name)
    return gone


def _dissolve(name: str) -> Unit[None]:
    """Let nobody find its accounts any more; the name is free at once."""
    if not (yield Sql("DELETE FROM spaces WHERE name = $1 RETURNING name", name)):
        raise NoSuchRecipient("no such space")
    yield Sql("DELETE FROM space_domains WHERE space = $1", name)
    rows = yield Sql("SELECT id FROM accounts WHERE space = $1", name)
    yield Sql(
        "UPDATE accounts SET login = $2 || id, space = NULL, disabled = 'reject' WHERE id IN LIST $1",
        [row[0] for row in rows],
        DISSOLVED,
    )
    # What is on its way to them finds no mailbox any more, so that nobody is told 250 for what goes with the space.
    yield Sql("UPDATE mailboxes SET name = $2 || id WHERE account_id IN LIST $1", [row[0] for row in rows], DISSOLVED)
    yield Many("INSERT INTO dissolved (account_id) VALUES ($1)", rows)
    for [account] in rows:
        yield Ring((AccountId(account), ITSELF))
        yield from access_tokens.forget(AccountId(account))
        yield from webhooks.forget(AccountId(account))
    yield from faults.forget_addresses(name)
    if (yield Sql("SELECT 1 FROM faults WHERE namespace = $1 LIMIT 1", name)):
        yield from faults.clear(name)
    yield Ring(SPACES)


def _drain(now: float) -> Unit[bool]:
    """Take some of the mail of what was removed, and in the end its accounts; whether there was any."""
    left = _AT_ONCE
    for [account] in (yield Sql("SELECT account_id FROM dissolved ORDER BY account_id LIMIT 50")):
        rows = yield Sql(
            "DELETE FROM messages WHERE (account_id, mailbox_id, uid) IN (SELECT account_id, mailbox_id, uid FROM messages"
            " WHERE account_id = $1 ORDER BY mailbox_id, uid LIMIT $2) RETURNING content_id",
            account,
            left,
        )
        yield from contents.orphan({row[0] for row in rows}, now)
        left -= len(rows)
        if left <= 0:
            return True
        yield from accounts.removal(f"{DISSOLVED}{account}", now)
        yield Sql("DELETE FROM dissolved WHERE account_id = $1", account)
    return left < _AT_ONCE or bool((yield Sql("SELECT 1 FROM dissolved LIMIT 1")))
