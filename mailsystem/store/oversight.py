"""What an admin sees of the queue, and does with what waits in it, while the workers work.

Every change is one for all that is selected, in a bounded number of statements. What is being tried at that moment is let
finish: a lease is never touched.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from mailsystem.mail.address import Address
from mailsystem.mail.clock import Clock
from mailsystem.mail.mailbox import ContentId
from mailsystem.mail.outgoing import OutboundId, Outgoing, State, Waiting
from mailsystem.store import contents
from mailsystem.store.database import Database, Ring, Row, Sql, Unit
from mailsystem.store.leaving import QUEUE
from mailsystem.store.outbound import OUTGOING, WAITING, outgoing_of, waiting_of

STATUS: Final = "5.0.0"
"""Of what an admin has given up: no status of RFC 3463 says that."""
_GIVEN_UP: Final = "given up by the postmaster of this server"
_LIVE: Final = "r.state IN ('waiting', 'held')"


@dataclass(frozen=True, slots=True)
class Selection:
    """Recipients in the queue; what is given must all fit, and nothing given is everything."""

    ident: str | None = None
    recipient: Address | None = None
    domain: str | None = None
    """Of the recipient."""
    sender: str | None = None
    """The return path or the login, in any case; empty for the null sender."""
    state: State | None = None


@dataclass(frozen=True, slots=True)
class Queued:
    """A message in the queue and those of its recipients that were asked for."""

    message: Outgoing
    recipients: tuple[Waiting, ...]


@dataclass(frozen=True, slots=True)
class Listing:
    """The oldest of what waits."""

    messages: list[Queued]
    total: int
    """How many there are altogether."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits for one domain."""

    domain: str
    messages: int
    waiting: int
    held: int
    oldest: float
    """When the first of it arrived."""
    due: float | None
    """When the next is tried; None where all of it is held."""
    is_taken: bool
    """Some of it is being tried."""
    remote: str
    status: str
    reply: str
    """Of the last try for anybody there."""


@dataclass(frozen=True, slots=True)
class Touched:
    """A message that a change was about."""

    ident: str
    content: ContentId
    recipients: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Changed:
    """What a change was about."""

    messages: int
    recipients: int
    taken: int = 0
    """How many of the recipients are being tried at this moment: mail for them may still arrive."""
    touched: tuple[Touched, ...] = field(default=(), compare=False)


class Oversight:
    def __init__(self, database: Database, *, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def listing(self, selection: Selection, *, most: int = 0) -> Listing:
        """What waits, the oldest first; `most` is how many messages, 0 all of them."""
        return await self._database.read(_list(selection, most))

    async def backlog(self, selection: Selection) -> list[Backlog]:
        """What waits for each domain, where the most waits first."""
        return await self._database.read(_backlog(selection))

    async def show(self, ident: str) -> list[Queued]:
        """Everything with that id: one for each return path; those too that have only a report left."""
        return await self._database.read(_show(ident))

    async def count(self, selection: Selection) -> Changed:
        """What a change would be about: recipients that wait or are held."""
        return await self._database.read(_count(selection))

    async def retry(self, selection: Selection) -> Changed:
        """Try it now. What is held stays so, and what is being tried is tried."""
        return await self._database.write(_retry(selection, self._clock.now()))

    async def hold(self, selection: Selection) -> Changed:
        """Try it no more until it is released; meanwhile it does not fail either, however old it grows."""
        return await self._database.write(_hold(selection))

    async def release(self, selection: Selection) -> Changed:
        """Try what was held, and at once."""
        return await self._database.write(_release(selection, self._clock.now()))

    async def drop(self, selection: Selection) -> Changed:
        """Forget it, and tell nobody."""
        return await self._database.write(_drop(selection, self._clock.now()))

    async def give_up(self, selection: Selection) -> Changed:
        """Let it fail, so that whoever sent it is told (unless they asked not to be). What is being tried is left alone."""
        return await self._database.write(_give_up(selection, self._clock.now()))


def _where(selection: Selection, first: int = 1) -> tuple[str, list[object]]:
    """A condition on `r`, a recipient, and `o`, its message; parameters are numbered from `first` on."""
    terms, params = [_LIVE], list[object]()

    def add(term: str, param: object) -> None:
        terms.append(term.format(f"${first + len(params)}"))
        params.append(param)

    if selection.ident is not None:
        add("o.ident = {}", selection.ident)
    if selection.recipient is not None:
        # The local part is the other side's business, but whoever types one here means it in any case.
        add("LOWER(r.recipient) = LOWER({})", str(selection.recipient))
    if selection.domain is not None:
        add("r.domain = {}", selection.domain)
    if selection.sender is not None:
        add("LOWER({0}) IN (LOWER(o.sender), CASE WHEN {0} = '' THEN NULL ELSE LOWER(o.login) END)", selection.sender)
    if selection.state is not None:
        add("r.state = {}", selection.state.value)
    return " AND ".join(terms), params


_FROM: Final = "FROM outbound_recipients r JOIN outbound o ON o.id = r.outbound_id"


def _list(selection: Selection, most: int) -> Unit[Listing]:
    where, params = _where(selection)
    [[total]] = yield Sql(f"SELECT COUNT(DISTINCT r.outbound_id) {_FROM} WHERE {where}", *params)
    limit = f" LIMIT {int(most)}" if most else ""
    rows = yield Sql(
        f"SELECT {OUTGOING} FROM outbound WHERE id IN (SELECT r.outbound_id {_FROM} WHERE {where})"  # noqa: S608
        f" ORDER BY arrived, id{limit}",
        *params,
    )
    return Listing((yield from _with_recipients(rows, selection)), total)


def _show(ident: str) -> Unit[list[Queued]]:
    rows = yield Sql(f"SELECT {OUTGOING} FROM outbound WHERE ident = $1 ORDER BY id", ident)  # noqa: S608
    return (yield from _with_recipients(rows, None))


def _with_recipients(rows: Sequence[Row], selection: Selection | None) -> Unit[list[Queued]]:
    """These messages, with those recipients that fit, or all."""
    messages = [outgoing_of(row) for row in rows]
    where, params = _where(selection, 2) if selection is not None else ("1 = 1", [])
    columns = ", ".join(f"r.{name}" for name in WAITING.split(", "))
    found = yield Sql(
        f"SELECT r.outbound_id, {columns} {_FROM} WHERE r.outbound_id IN LIST $1 AND {where}",
        [message.id for message in messages],
        *params,
    )
    by_message: dict[OutboundId, list[Waiting]] = {}
    for id_, *row in found:
        by_message.setdefault(OutboundId(id_), []).append(waiting_of(tuple(row)))
    return [
        Queued(message, tuple(sorted(by_message.get(message.id, ()), key=lambda one: one.address.key)))
        for message in messages
    ]


def _backlog(selection: Selection) -> Unit[list[Backlog]]:
    where, params = _where(selection)
    rows = yield Sql(
        "SELECT domain, COUNT(DISTINCT outbound_id), SUM(CASE WHEN state = 'waiting' THEN 1 ELSE 0 END) AS waiting,"  # noqa: S608
        " SUM(CASE WHEN state = 'held' THEN 1 ELSE 0 END), MIN(arrived),"
        " MIN(CASE WHEN state = 'waiting' THEN due END), MAX(CASE WHEN holder <> '' THEN 1 ELSE 0 END),"
        " MAX(CASE WHEN newest = 1 THEN remote END), MAX(CASE WHEN newest = 1 THEN status END),"
        " MAX(CASE WHEN newest = 1 THEN reply END)"
        " FROM (SELECT r.domain, r.outbound_id, r.state, r.due, r.holder, r.remote, r.status, r.reply, o.arrived,"
        " ROW_NUMBER() OVER (PARTITION BY r.domain ORDER BY COALESCE(r.attempted, 0) DESC) AS newest"
        f" {_FROM} WHERE {where}) AS everybody GROUP BY domain ORDER BY 3 DESC, domain",
        *params,
    )
    return [
        Backlog(domain, messages, waiting, held, oldest, due, bool(taken), remote, status, reply)
        for domain, messages, waiting, held, oldest, due, taken, remote, status, reply in rows
    ]


def _count(selection: Selection) -> Unit[Changed]:
    where, params = _where(selection)
    [[messages, recipients, taken]] = yield Sql(
        "SELECT COUNT(DISTINCT r.outbound_id), COUNT(*), COALESCE(SUM(CASE WHEN r.holder <> '' THEN 1 ELSE 0 END), 0)"
        f" {_FROM} WHERE {where}",
        *params,
    )
    return Changed(messages, recipients, taken)


def _change(selection: Selection, what: str, only: str, *values: object) -> Unit[list[Row]]:
    """Set `what`, in which $1, $2 … are `values`, wherever `only` holds too; gives what `_changed` wants."""
    where, params = _where(selection, len(values) + 1)
    rows = yield Sql(
        f"UPDATE outbound_recipients SET {what} WHERE (outbound_id, recipient) IN"  # noqa: S608
        f" (SELECT r.outbound_id, r.recipient {_FROM} WHERE {where} AND {only}) RETURNING outbound_id, holder, recipient",
        *values,
        *params,
    )
    yield Ring(QUEUE)
    return rows


def _changed(rows: Sequence[Row]) -> Unit[Changed]:
    """What was done to these rows, while their messages are still there."""
    by_message: dict[int, list[str]] = {}
    for id_, _, recipient in rows:
        by_message.setdefault(id_, []).append(recipient)
    messages = yield Sql("SELECT id, ident, content_id FROM outbound WHERE id IN LIST $1", sorted(by_message))
    touched = tuple(Touched(ident, ContentId(content), tuple(by_message[id_])) for id_, ident, content in messages)
    return Changed(len(by_message), len(rows), sum(1 for row in rows if row[1]), touched)


def _retry(selection: Selection, now: float) -> Unit[Changed]:
    return (
        yield from _changed((yield from _change(selection, "due = $1", "r.state = 'waiting' AND r.holder = ''", now)))
    )


def _hold(selection: Selection) -> Unit[Changed]:
    return (yield from _changed((yield from _change(selection, "state = 'held'", "r.state = 'waiting'"))))


def _release(selection: Selection, now: float) -> Unit[Changed]:
    due = "due = CASE WHEN holder = '' THEN $1 ELSE due END"
    return (yield from _changed((yield from _change(selection, f"state = 'waiting', {due}", "r.state = 'held'", now))))


def _drop(selection: Selection, now: float) -> Unit[Changed]:
    where, params = _where(selection)
    rows = yield Sql(
        "DELETE FROM outbound_recipients WHERE (outbound_id, recipient) IN"  # noqa: S608
        f" (SELECT r.outbound_id, r.recipient {_FROM} WHERE {where}) RETURNING outbound_id, holder, recipient",
        *params,
    )
    changed = yield from _changed(rows)
    yield from _leave({row[0] for row in rows}, now)
    yield Ring(QUEUE)
    return changed


def _give_up(selection: Selection, now: float) -> Unit[Changed]:
    # RFC 3461 4.1, 5.2.6: to be told of failures is what is usual; RFC 5321 6.1: a report of ours is never reported.
    told = "(notify IS NOT NULL AND notify NOT LIKE '%FAILURE%') OR outbound_id IN (SELECT id FROM outbound WHERE sender = '')"
    rows = yield from _change(
        selection,
        f"state = 'failed', due = $1, remote = '', status = $2, reply = $3, reported = CASE WHEN {told} THEN 1 ELSE 0 END",
        "r.holder = ''",
        now,
        STATUS,
        _GIVEN_UP,
    )
    changed = yield from _changed(rows)
    yield from _leave({row[0] for row in rows}, now)
    return changed


def _leave(messages: set[int], now: float) -> Unit[None]:
    """Forget those of these messages of which nothing is left to do."""
    gone = yield Sql(
        "DELETE FROM outbound WHERE id IN LIST $1 AND NOT EXISTS (SELECT 1 FROM outbound_recipients r"
        " WHERE r.outbound_id = outbound.id AND (r.state IN ('waiting', 'held') OR r.reported = 0))"
        " RETURNING id, content_id",
        sorted(messages),
    )
    if gone:
        yield Sql("DELETE FROM outbound_recipients WHERE outbound_id IN LIST $1", [row[0] for row in gone])
        yield from contents.orphan({ContentId(row[1]) for row in gone}, now)
