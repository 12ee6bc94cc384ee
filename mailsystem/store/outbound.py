"""The queue: messages that leave, with the state of each of their recipients.

A row that is being tried has a `holder` and is not due before the end of its lease, so that a worker that died delays its
mail and never loses it; one that died with its process delays nothing. What is final stays until it was reported, and the
message until all its recipients are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias, cast

from mailsystem.mail.address import Address
from mailsystem.mail.clock import Clock
from mailsystem.mail.envelope import Body, Notification
from mailsystem.mail.errors import InUse, NoSuchMailbox
from mailsystem.mail.mailbox import ContentId
from mailsystem.mail.outgoing import Attempt, OutboundId, Outgoing, State, Waiting
from mailsystem.store import contents, suppression
from mailsystem.store.database import Database, Many, Ring, Row, Sql, Unit
from mailsystem.store.holder import is_gone, this_process
from mailsystem.store.leaving import QUEUE, Leaving, enqueue

LEASE: Final = 3600.0
"""Seconds within which whoever has taken mail must be done with it."""
_AT_ONCE: Final = 100
"""Recipients of one transaction: everybody takes as many (RFC 5321 4.5.3.1.8)."""
_GATHERING: Final = 60.0
"""Seconds that a report waits for what becomes of the message's other recipients, so that it can be one for all."""

OUTGOING: Final = (
    "id, ident, content_id, sender, login, size, body, utf8, require_tls, ret, envid, arrived, expires, signature"
)
WAITING: Final = (
    "recipient, state, due, attempts, notify, original, delay_told, attempted, remote, status, reply, holder, reported"
)
_FINAL: Final = "state NOT IN ('waiting', 'held')"


class AlreadyReported(InUse):
    """Another process was quicker."""

    text = "reported already"


Settling: TypeAlias = Unit[None]
"""What is settled in the transaction that delivers a report about it: `mark_reported` or `mark_delay_told`."""


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be done in one go: one message, for recipients in one domain."""

    message: Outgoing
    domain: str
    recipients: tuple[Waiting, ...]


@dataclass(frozen=True, slots=True)
class Settled:
    """One attempt, and what follows."""

    attempt: Attempt
    due: float
    """Of the next try, where there is one."""
    report: bool = False
    """Whether the sender is to be told that this was the end of it."""


class Outbound:
    def __init__(self, database: Database, *, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._process = this_process()

    async def add(self, leaving: Leaving, content: ContentId) -> None:
        """Let a message leave that is here already. Raises `NoSuchMailbox` where it is not."""
        await self._database.write(_add(leaving, content, self._clock.now()))

    async def agenda(self) -> list[tuple[str, float]]:
        """Every domain for which mail waits, and when the first of it is due; one that is being tried, at its lease's end."""
        return await self._database.read(_agenda())

    async def take(self, domain: str, *, most: int = 1) -> list[Job]:
        """Up to `most` messages that are due for a domain: from here on nobody else's for the length of the lease."""
        now = self._clock.now()
        # Were the lease lost with the power, the mail would merely be due at once.
        return await self._database.write(_take(self._process, domain, now, most), durable=False)

    async def settle(self, job: Job, settled: Sequence[Settled]) -> list[OutboundId]:
        """Note what came of a job; returns the messages that have a report to be made now. Durable when it returns."""
        return await self._database.write(_settle(job, settled, self._clock.now()))

    async def give_back(self, job: Job) -> None:
        """Nothing was tried."""
        await self._database.write(_give_back(job, self._process, self._clock.now()), durable=False)

    async def reclaim(self) -> int:
        """Make due what was taken by processes that are gone; returns how many recipients."""
        holders = await self._database.read(_holders())
        gone = [holder for holder in holders if await asyncio.to_thread(is_gone, holder)]
        return await self._database.write(_reclaim(gone, self._clock.now())) if gone else 0

    async def sign(self, message: OutboundId, signature: bytes) -> None:
        """Keep the signature, so that every try sends the same."""
        await self._database.write(_sign(message, signature))

    async def to_report(self) -> tuple[list[OutboundId], float | None]:
        """The messages of which recipients are final and their sender has yet to hear it, and when the next one is due."""
        return await self._database.read(_to_report(self._clock.now()))

    async def recipients(self, message: OutboundId) -> tuple[Outgoing, list[Waiting]] | None:
        """All about one message; None once it has left."""
        return await self._database.read(whole(message))

    async def unreported(self, message: OutboundId) -> tuple[Outgoing, list[Waiting]] | None:
        """One message with its recipients that are final and not reported; None where there are none."""
        found = await self._database.read(whole(message, f"{_FINAL} AND reported = 0"))
        return found if found and found[1] else None

    async def put_off(self, message: OutboundId, due: float) -> None:
        """Nobody can take the report at present."""
        await self._database.write(_put_off(message, due))

    async def reported(self, message: OutboundId, recipients: Sequence[Address]) -> None:
        """Nothing is to be told, or there is nobody to tell."""
        await self._database.write(mark_reported(message, recipients, self._clock.now()))


def _add(leaving: Leaving, content: ContentId, now: float) -> Unit[None]:
    rows = yield Sql("SELECT size FROM contents WHERE id = $1", content)
    if not rows:
        raise NoSuchMailbox("there is no such message")
    yield from enqueue(leaving, content, rows[0][0], now)


def _agenda() -> Unit[list[tuple[str, float]]]:
    # From domain to domain along the index, however much mail waits for each.
    rows = yield Sql(
        "WITH RECURSIVE d(domain) AS ("
        " SELECT MIN(domain) FROM outbound_recipients WHERE state = 'waiting'"
        " UNION ALL SELECT (SELECT MIN(domain) FROM outbound_recipients WHERE state = 'waiting' AND domain > d.domain)"
        " FROM d WHERE d.domain IS NOT NULL)"
        " SELECT d.domain, (SELECT MIN(due) FROM outbound_recipients r WHERE r.state = 'waiting' AND r.domain = d.domain)"
        " FROM d WHERE d.domain IS NOT NULL"
    )
    return [(domain, due) for domain, due in rows if due is not None]


def _take(holder: str, domain: str, now: float, most: int) -> Unit[list[Job]]:
    due = yield Sql(
        "SELECT DISTINCT outbound_id FROM (SELECT outbound_id FROM outbound_recipients"
        " WHERE state = 'waiting' AND domain = $1 AND due <= $2 ORDER BY due, outbound_id LIMIT $3) AS first",
        domain,
        now,
        _AT_ONCE * most,
    )
    jobs = []
    for [id_] in due[:most]:
        taken = yield Sql(
            "UPDATE outbound_recipients SET holder = $1, due = $2 WHERE outbound_id = $3 AND recipient IN"  # noqa: S608
            " (SELECT recipient FROM outbound_recipients WHERE outbound_id = $3 AND domain = $4 AND state = 'waiting'"
            f" AND due <= $5 LIMIT {_AT_ONCE}) RETURNING {WAITING}",
            holder,
            now + LEASE,
            id_,
            domain,
            now,
        )
        [row] = yield Sql(f"SELECT {OUTGOING} FROM outbound WHERE id = $1", id_)  # noqa: S608
        jobs.append(Job(outgoing_of(row), domain, tuple(sorted(map(waiting_of, taken), key=_by_address))))
    return jobs


def _by_address(waiting: Waiting) -> str:
    return waiting.address.key


def _settle(job: Job, settled: Sequence[Settled], now: float) -> Unit[list[OutboundId]]:
    id_ = job.message.id
    yield Many(
        # One that was held meanwhile stays held if it has to be tried again; one that was dropped is no more.
        "UPDATE outbound_recipients SET state = CASE WHEN state = 'held' AND $3 = 'waiting' THEN 'held' ELSE $3 END,"
        " due = $4, attempts = attempts + 1, holder = '', attempted = $5, remote = $6, status = $7, reply = $8, reported = $9"
        " WHERE outbound_id = $1 AND recipient = $2 AND state IN ('waiting', 'held')",
        [
            (
                id_,
                str(one.attempt.address),
                one.attempt.state.value,
                now + _GATHERING if one.attempt.state.is_final else one.due,
                now,
                one.attempt.remote,
                one.attempt.status,
                one.attempt.reply,
                int(one.attempt.state.is_final and not one.report),
            )
            for one in settled
        ],
    )
    # What we said ourselves tells nothing about the address. Nor does what becomes of a report: there are servers that take
    # none for who has sent nothing, and strangers make us send some by writing in somebody else's name.
    refused = [
        one.attempt
        for one in settled
        if job.message.sender and one.attempt.state is State.FAILED and one.attempt.is_of_remote
    ]
    failed = [(each.address.key, each.status) for each in refused]
    passed = [one.attempt.address.key for one in settled if one.attempt.state in {State.SENT, State.RELAYED}]
    if failed:
        yield from suppression.failed(failed, now)
    if passed:
        yield from suppression.succeeded(passed)
    if not any(one.attempt.state.is_final for one in settled):
        return []
    if (yield from _leave_if_done(id_, now)):
        return []
    # Whoever has been tried once has had a chance to be in the same report; and so has, once the message's time is over,
    # whoever waits for the last try.
    ready = yield Sql(
        f"UPDATE outbound_recipients SET due = $2 WHERE outbound_id = $1 AND {_FINAL} AND reported = 0"  # noqa: S608
        " AND NOT EXISTS (SELECT 1 FROM outbound_recipients o WHERE o.outbound_id = $1 AND o.state = 'waiting'"
        " AND (o.attempts = 0 OR $3 = 1)) RETURNING outbound_id",
        id_,
        now,
        int(now >= job.message.expires),
    )
    return [id_] if ready else []


def _leave_if_done(id_: OutboundId, now: float) -> Unit[bool]:
    """Forget a message of which nothing is left to do."""
    gone = yield Sql(
        "DELETE FROM outbound WHERE id = $1 AND NOT EXISTS (SELECT 1 FROM outbound_recipients"
        " WHERE outbound_id = $1 AND (state IN ('waiting', 'held') OR reported = 0)) RETURNING content_id",
        id_,
    )
    if gone:
        yield Sql("DELETE FROM outbound_recipients WHERE outbound_id = $1", id_)
        yield from contents.orphan({ContentId(gone[0][0])}, now)
    return bool(gone)


def _give_back(job: Job, holder: str, now: float) -> Unit[None]:
    yield Many(
        "UPDATE outbound_recipients SET holder = '', due = $3 WHERE outbound_id = $1 AND recipient = $2 AND holder = $4",
        [(job.message.id, str(each.address), now, holder) for each in job.recipients],
    )
    yield Ring(QUEUE)


def _holders() -> Unit[list[str]]:
    rows = yield Sql("SELECT DISTINCT holder FROM outbound_recipients WHERE holder <> ''")
    return [row[0] for row in rows]


def _reclaim(holders: Sequence[str], now: float) -> Unit[int]:
    rows = yield Sql(
        "UPDATE outbound_recipients SET holder = '', due = $2 WHERE holder IN LIST $1 AND holder <> '' RETURNING outbound_id",
        list(holders),
        now,
    )
    return len(rows)


def _sign(id_: OutboundId, signature: bytes) -> Unit[None]:
    yield Sql("UPDATE outbound SET signature = $2 WHERE id = $1", id_, signature)


def _to_report(now: float) -> Unit[tuple[list[OutboundId], float | None]]:
    rows = yield Sql(
        f"SELECT DISTINCT outbound_id FROM outbound_recipients WHERE reported = 0 AND {_FINAL} AND due <= $1 LIMIT 1000",  # noqa: S608
        now,
    )
    [[following]] = yield Sql(
        f"SELECT MIN(due) FROM outbound_recipients WHERE reported = 0 AND {_FINAL} AND due > $1",  # noqa: S608
        now,
    )
    return [OutboundId(row[0]) for row in rows], following


def whole(id_: OutboundId, where: str = "1 = 1") -> Unit[tuple[Outgoing, list[Waiting]] | None]:
    """A message and those of its recipients that fit."""
    rows = yield Sql(f"SELECT {OUTGOING} FROM outbound WHERE id = $1", id_)  # noqa: S608
    if not rows:
        return None
    found = yield Sql(f"SELECT {WAITING} FROM outbound_recipients WHERE outbound_id = $1 AND {where}", id_)  # noqa: S608
    return outgoing_of(rows[0]), sorted(map(waiting_of, found), key=_by_address)


def _put_off(id_: OutboundId, due: float) -> Unit[None]:
    yield Sql(
        f"UPDATE outbound_recipients SET due = $2 WHERE outbound_id = $1 AND reported = 0 AND {_FINAL}",  # noqa: S608
        id_,
        due,
    )


def mark_reported(id_: OutboundId, recipients: Sequence[Address], now: float) -> Unit[None]:
    """These final recipients have been reported. Raises `AlreadyReported` where somebody else has just done that."""
    rows = yield Sql(
        f"UPDATE outbound_recipients SET reported = 1 WHERE outbound_id = $1 AND recipient IN LIST $2 AND {_FINAL}"  # noqa: S608
        " AND reported = 0 RETURNING recipient",
        id_,
        [str(each) for each in recipients],
    )
    if len(rows) < len(recipients):
        raise AlreadyReported
    yield from _leave_if_done(id_, now)


def mark_delay_told(id_: OutboundId, recipients: Sequence[Address]) -> Unit[None]:
    """The sender has heard that these wait. Raises `AlreadyReported` where somebody else has just said it."""
    rows = yield Sql(
        "UPDATE outbound_recipients SET delay_told = 1 WHERE outbound_id = $1 AND recipient IN LIST $2 AND delay_told = 0"
        " RETURNING recipient",
        id_,
        [str(each) for each in recipients],
    )
    if len(rows) < len(recipients):
        raise AlreadyReported


def outgoing_of(row: Row) -> Outgoing:
    """A row of `OUTGOING`."""
    id_, ident, content, sender, login, size, body, utf8, require_tls, ret, envid, arrived, expires, signature = row
    return Outgoing(
        id=OutboundId(id_),
        ident=ident,
        content=ContentId(content),
        sender=Address.kept(sender) if sender else Address.NULL,
        login=login,
        size=size,
        arrived=arrived,
        expires=expires,
        body=cast("Body", body),
        utf8=bool(utf8),
        require_tls=bool(require_tls),
        ret=ret,
        envid=envid,
        signature=None if signature is None else bytes(signature),
    )


def waiting_of(row: Row) -> Waiting:
    """A row of `WAITING`."""
    (
        recipient,
        state,
        due,
        attempts,
        notify,
        original,
        delay_told,
        attempted,
        remote,
        status,
        reply,
        holder,
        reported,
    ) = row
    return Waiting(
        address=Address.kept(recipient),
        state=State(state),
        due=due,
        attempts=attempts,
        asked=Notification(None if notify is None else frozenset(notify.split(",")), original),
        delay_told=bool(delay_told),
        attempted=attempted,
        remote=remote,
        status=status,
        reply=reply,
        is_taken=bool(holder),
        reported=bool(reported),
    )
