"""Webhooks: who is told what, up to where they were, and what they are still to be told, in order.

Nothing is written when mail is delivered. What is due is found by looking: of each mailbox a hook remembers the ModSeq and the
UID up to which everything was noted; whatever is behind those is noted as deliveries, in the transaction that moves the marks.
So nothing is missed that came while nobody looked, and nothing is noted twice.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from mailsystem.mail.clock import Clock
from mailsystem.mail.errors import NoSuchRecipient, TooMany
from mailsystem.mail.mailbox import AccountId, MailboxId
from mailsystem.mail.webhook import Include
from mailsystem.store import deliveries
from mailsystem.store.database import Database, Ring, Row, Sql, Unit
from mailsystem.store.deliveries import HOOKS, Delivery, Mark, News
from mailsystem.store.holder import is_gone, this_process

MOST: Final = 100
"""Webhooks of one store."""
_SAID: Final = 200
"""Characters of why something failed that are kept."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """One of them, and how it fares."""

    number: int
    id: str
    account: AccountId
    login: str
    url: str
    events: tuple[str, ...]
    query: str
    include: Include
    most: int
    """Octets of a body."""
    secret: str = field(repr=False)
    created: float
    disabled: str | None
    """Why it rests; None where it does not."""
    delivered: int
    failures: int
    """In a row, the last one included."""
    due: float
    """Before that nothing is sent again, after a failure."""
    status: int | None
    """Of the last answer; None where there was none."""
    said: str
    """Why the last delivery failed; empty where it did not."""
    tried: float | None
    waiting: int = 0
    failed: int = 0
    """Deliveries that were given up."""


_HOOK: Final = (
    "h.id, h.ident, h.account_id, a.login, h.url, h.events, h.query, h.include, h.most, h.secret, h.created, h.disabled,"
    " h.delivered, h.failures, h.due, h.status, h.said, h.tried"
)
_COUNTS: Final = (
    ", (SELECT COUNT(*) FROM webhook_deliveries d WHERE d.hook_id = h.id AND d.failed = 0)"
    ", (SELECT COUNT(*) FROM webhook_deliveries d WHERE d.hook_id = h.id AND d.failed = 1)"
)


class Webhooks:
    def __init__(self, database: Database, *, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._token = secrets.token_hex(8)
        self._process: str | None = None

    # -- for those who want to be told

    async def add(
        self,
        login: str,
        url: str,
        events: Sequence[str],
        *,
        secret: str,
        query: str = "",
        include: Include = Include.SUMMARY,
        most: int,
        ident: str | None = None,
    ) -> Webhook:
        """A new one, for what comes to pass from now on; one that is there already by its `ident` stays as it is. Raises
        `NoSuchRecipient`, and `TooMany` where there are `MOST`."""
        ident = ident or f"wh_{secrets.token_hex(8)}"
        values = (ident, url, " ".join(events), query, include.value, most, secret, self._clock.now())
        await self._database.write(_add(login, values))
        return await self.find(ident)

    async def all(self, login: str | None = None) -> Sequence[Webhook]:
        """All of them, or somebody's, the oldest first, with what waits."""
        return await self._database.read(_all(login))

    async def find(self, ident: str) -> Webhook:
        """One by its id. Raises `NoSuchRecipient`."""
        return await self._database.read(_find(ident))

    async def change(self, ident: str, changes: Mapping[str, Any]) -> Webhook:
        """Change some of `url`, `events`, `query`, `include`, `most`, `secret` and `disabled`. Raises `NoSuchRecipient`.

        Whoever begins to hear of flags hears of those that change from now on.
        """
        await self._database.write(_change(ident, changes))
        return await self.find(ident)

    async def remove(self, ident: str) -> None:
        """Tell it no more. Raises `NoSuchRecipient`."""
        await self._database.write(_remove(ident))

    async def deliveries(self, ident: str, *, failed: bool, limit: int) -> Sequence[Delivery]:
        """What waits, or was given up, the oldest first. Raises `NoSuchRecipient`."""
        return await self._database.read(deliveries.listed(ident, failed, limit))

    async def retry(self, ident: str, *, lifetime: float) -> int:
        """Try at once, what was given up included, which comes first; returns how many those were. Raises `NoSuchRecipient`."""
        return await self._database.write(deliveries.retry(ident, self._clock.now(), lifetime))

    async def drop(self, ident: str, delivery: int) -> None:
        """Never tell this one. Raises `NoSuchRecipient`."""
        await self._database.write(deliveries.drop(ident, delivery))

    # -- for whoever tells them

    async def at_work(self) -> Sequence[int]:
        """The numbers of those that do not rest."""
        return await self._database.read(_at_work(), brief=True)

    async def look(self, number: int) -> Webhook | None:
        """One as it is now, without counts; None if it rests or is gone."""
        return await self._database.read(_look(number), brief=True)

    async def claim(self, number: int, seconds: float) -> bool:
        """Whether nobody but us tells that one for so many seconds. What a dead process held is free."""
        if self._process is None:
            self._process = await asyncio.to_thread(this_process)
        now = self._clock.now()
        holder = f"{self._token} {self._process}".strip()
        other = await self._database.write(deliveries.claim(number, holder, "", now, now + seconds), durable=False)
        if other is None:
            return True
        dead = await asyncio.to_thread(is_gone, other.partition(" ")[2])
        if dead:
            other = await self._database.write(
                deliveries.claim(number, holder, other, now, now + seconds), durable=False
            )
        return other is None

    async def release(self, number: int) -> None:
        """Let others tell that one."""
        holder = f"{self._token} {self._process or ''}".strip()
        await self._database.write(deliveries.release(number, holder), durable=False)

    async def marks(self, number: int) -> Mapping[MailboxId, Mark]:
        return await self._database.read(deliveries.marks(number), brief=True)

    async def note(
        self,
        number: int,
        mailbox: MailboxId,
        before: Mark | None,
        mark: Mark,
        news: Sequence[News],
        *,
        lifetime: float,
    ) -> bool:
        """Everything from `before` up to `mark` is noted by this, to be told within so many seconds. False where somebody else
        has moved the mark meanwhile, and nothing was done."""
        now = self._clock.now()
        return await self._database.write(deliveries.note(number, mailbox, before, mark, news, now, now + lifetime))

    async def waiting(self, number: int) -> int:
        """How many deliveries wait."""
        return await self._database.read(deliveries.waiting(number), brief=True)

    async def next(self, number: int) -> Delivery | None:
        """What is to be told next."""
        return await self._database.read(deliveries.next_(number), brief=True)

    async def told(self, number: int, delivery: int, status: int) -> None:
        """It has taken that one."""
        # Lost with the power at most, it is told once more.
        await self._database.write(deliveries.told(number, delivery, status, self._clock.now()), durable=False)

    async def not_told(
        self, number: int, delivery: int, status: int | None, said: str, due: float, *, disable: str | None = None
    ) -> int:
        """It has not; it is due then. What has waited too long is given up; returns how many those are."""
        now = self._clock.now()
        return await self._database.write(
            deliveries.not_told(number, delivery, status, said[:_SAID], due, now, disable)
        )


def forget(account: AccountId) -> Unit[None]:
    """All of an account that is gone."""
    rows = yield Sql("SELECT id FROM webhooks WHERE account_id = $1", account)
    for [number] in rows:
        yield from _erase(number)


def _hook_of(row: Row) -> Webhook:
    values = list(row)
    values[5], values[7] = tuple(values[5].split()), Include(values[7])
    return Webhook(*values)


def _add(login: str, values: Sequence[Any]) -> Unit[None]:
    rows = yield Sql("SELECT id FROM accounts WHERE login = $1", login)
    if not rows:
        raise NoSuchRecipient("no such account")
    if (yield Sql("SELECT 1 FROM webhooks WHERE ident = $1", values[0])):
        return
    [[count]] = yield Sql("SELECT COUNT(*) FROM webhooks")
    if count >= MOST:
        raise TooMany("too many webhooks")
    [[number]] = yield Sql(
        "INSERT INTO webhooks (account_id, ident, url, events, query, include, most, secret, created)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING id",
        rows[0][0],
        *values,
    )
    # What is here already is no news.
    yield Sql(
        "INSERT INTO webhook_marks (hook_id, mailbox_id, modseq, uid)"
        " SELECT $1, id, modseq, uidnext - 1 FROM mailboxes WHERE account_id = $2",
        number,
        rows[0][0],
    )
    yield Ring(HOOKS)


def _all(login: str | None) -> Unit[list[Webhook]]:
    rows = yield Sql(
        f"SELECT {_HOOK}{_COUNTS} FROM webhooks h JOIN accounts a ON a.id = h.account_id"  # noqa: S608
        " WHERE $1 IS NULL OR a.login = $1 ORDER BY h.id",
        login,
    )
    return [_hook_of(row) for row in rows]


def _find(ident: str) -> Unit[Webhook]:
    rows = yield Sql(
        f"SELECT {_HOOK}{_COUNTS} FROM webhooks h JOIN accounts a ON a.id = h.account_id WHERE h.ident = $1",  # noqa: S608
        ident,
    )
    if not rows:
        raise NoSuchRecipient("no such webhook")
    return _hook_of(rows[0])


_COLUMNS: Final = ("url", "events", "query", "include", "most", "secret", "disabled")


def _change(ident: str, changes: Mapping[str, Any]) -> Unit[None]:
    number = yield from deliveries.number_of(ident)
    for name in _COLUMNS:
        if name in changes:
            value = " ".join(changes[name]) if name == "events" else changes[name]
            yield Sql(f"UPDATE webhooks SET {name} = $2 WHERE id = $1", number, value)  # noqa: S608
    if "events" in changes:
        yield Sql(
            "UPDATE webhook_marks SET modseq = m.modseq FROM mailboxes m, webhooks h"
            " WHERE webhook_marks.hook_id = $1 AND h.id = $1"
            " AND m.account_id = h.account_id AND m.id = webhook_marks.mailbox_id",
            number,
        )
    yield Sql("UPDATE webhooks SET failures = 0, due = 0 WHERE id = $1", number)
    yield Ring(HOOKS)


def _erase(number: int) -> Unit[None]:
    for table, column in (("webhook_deliveries", "hook_id"), ("webhook_marks", "hook_id"), ("webhooks", "id")):
        yield Sql(f"DELETE FROM {table} WHERE {column} = $1", number)  # noqa: S608
    yield Ring(HOOKS)


def _remove(ident: str) -> Unit[None]:
    yield from _erase((yield from deliveries.number_of(ident)))


def _at_work() -> Unit[list[int]]:
    rows = yield Sql("SELECT id FROM webhooks WHERE disabled IS NULL ORDER BY id")
    return [row[0] for row in rows]


def _look(number: int) -> Unit[Webhook | None]:
    rows = yield Sql(
        f"SELECT {_HOOK} FROM webhooks h JOIN accounts a ON a.id = h.account_id"  # noqa: S608
        " WHERE h.id = $1 AND h.disabled IS NULL",
        number,
    )
    return _hook_of(rows[0]) if rows else None
