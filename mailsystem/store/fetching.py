"""Reading what is kept of many messages: exactly the things that are asked for, column by column, slice by slice."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any, Final, TypeAlias, TypeVar

from mailsystem.mail.kept import Columns, Kept
from mailsystem.mail.mailbox import AccountId, MailboxId, MessageSet
from mailsystem.store import rights
from mailsystem.store.database import Database, Row, Sql, Unit
from mailsystem.store.rows import flags_of

SMALL: Final = 32 << 10
"""Octets of a message, or of a header block, that is read together with others."""
BRIEF: Final = 64
"""So few messages are read where we stand."""

_SLICE_ROWS: Final = 1000
_SLICE_OCTETS: Final = 1 << 20
_BRIEF_OCTETS: Final = 64 << 10
_BATCH: Final = {"m": _SLICE_ROWS, "p": _SLICE_ROWS, "c": 128, "b": 32}
"""Rows of one statement, by the widest table that it reads: after each of them it is seen how much there is by now."""

_SPELLED: Final = {
    Kept.UID: "m.uid",
    Kept.MODSEQ: "m.modseq",
    Kept.FLAGS: "m.flags, m.keywords",
    Kept.INTERNALDATE: "m.internaldate",
    Kept.SIZE: "m.size",
    Kept.CONTENT: "m.content_id",
    Kept.SAVEDATE: "m.savedate",
    Kept.PREVIEW: "p.text",
    Kept.HEADER_SIZE: "c.header_size",
    Kept.ENVELOPE: "c.envelope",
    Kept.BODY: "c.body",
    Kept.BODYSTRUCTURE: "c.bodystructure",
    Kept.PARTS: "c.parts",
    Kept.HEAD: f"CASE WHEN c.header_size <= {SMALL} THEN c.head END",
    Kept.REST: f"CASE WHEN m.size <= {SMALL} THEN b.octets END",
}
_WIDE: Final = (Kept.ENVELOPE, Kept.BODY, Kept.BODYSTRUCTURE, Kept.PARTS, Kept.HEAD, Kept.REST)
_JOINS: Final = {
    "c": " JOIN contents c ON c.id = m.content_id",
    "b": " LEFT JOIN bodies b ON b.content_id = m.content_id",
    "p": " LEFT JOIN previews p ON p.content_id = m.content_id",
}

T = TypeVar("T")
Things: TypeAlias = tuple[Kept, ...]


class Fetching:
    """What FETCH reads. `actor` and rights are as with `Mailboxes`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def columns(
        self,
        account: AccountId,
        mailbox: MailboxId,
        uids: MessageSet,
        things: Things,
        *,
        actor: AccountId | None = None,
    ) -> AsyncIterator[Columns]:
        """Their UIDs and these things of the messages, in slices of at most about 1,000 messages or 1 MiB.

        Each slice is a snapshot of its own, so that a slow reader holds no old one open. UIDs that do not exist (any more)
        are passed over.
        """
        async for found in self.made(account, mailbox, uids, things, lambda columns: columns, actor=actor):
            yield found

    async def made(
        self,
        account: AccountId,
        mailbox: MailboxId,
        uids: MessageSet,
        things: Things,
        make: Callable[[Columns], T],
        *,
        actor: AccountId | None = None,
        about: int | None = None,
    ) -> AsyncIterator[T]:
        """What `make` makes of each slice of `columns`, where that was read: perhaps in a thread.

        Of about so many messages, if that is known; else of as many as there are UIDs.
        """
        # The next slice is not read while this one is written: both need the interpreter, and pass it to and fro.
        brief = (len(uids) if about is None else about) <= BRIEF
        most = _BRIEF_OCTETS if brief else _SLICE_OCTETS
        for portion in portions(uids, _SLICE_ROWS):
            rest = portion
            while rest:
                unit = _made(slice_of(account, mailbox, rest, things, _SLICE_ROWS, most), make)
                found, rest = await self._database.read(rights.within(actor, account, mailbox, "r", unit), brief=brief)
                for each in found:
                    yield each


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


def slice_of(
    account: AccountId, mailbox: MailboxId, portion: MessageSet, things: Things, most_rows: int, most_octets: int
) -> Unit[tuple[Columns, MessageSet]]:
    """UIDs and these things of the first messages of a portion, and what is left of that. Each thing is named once."""
    spelled, join, batch = _spelled(things)
    rows: list[Row] = []
    octets = 0
    wide = [itemgetter(place) for place in _wide(things)]
    while True:
        some = yield among(spelled, join, account, mailbox, portion, min(batch, most_rows - len(rows)))
        rows += some
        if len(some) < batch and len(rows) < most_rows:
            return _columns(rows, things), MessageSet()
        last = some[-1][0]
        portion = MessageSet(tuple((max(low, last + 1), high) for low, high in portion.ranges if high > last))
        octets += sum(sum(map(len, filter(None, map(value, some)))) for value in wide)
        if not portion or len(rows) >= most_rows or octets >= most_octets:
            return _columns(rows, things), portion


def _made(unit: Unit[tuple[Columns, MessageSet]], make: Callable[[Columns], T]) -> Unit[tuple[list[T], MessageSet]]:
    columns, rest = yield from unit
    return [make(columns)] if columns[Kept.UID] else [], rest


def among(columns: str, join: str, account: AccountId, mailbox: MailboxId, portion: MessageSet, most_rows: int) -> Sql:
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


@lru_cache(maxsize=256)
def _spelled(things: Things) -> tuple[str, str, int]:
    """Columns (the UID first), joins, and rows of a statement."""
    columns = ["m.uid", *[_SPELLED[thing] for thing in things if thing is not Kept.UID]]
    tables = {name: any(f"{name}." in column for column in columns) for name in "cbp"}
    join = "".join(_JOINS[name] for name, needed in tables.items() if needed)
    return ", ".join(columns), join, min(_BATCH[name] for name, needed in {"m": True, **tables}.items() if needed)


@lru_cache(maxsize=256)
def _wide(things: Things) -> tuple[int, ...]:
    """Where those of the things that weigh stand in a row."""
    places = {Kept.UID: 0}
    width = 1
    for thing in things:
        if thing not in places:
            places[thing] = width
            width += 2 if thing is Kept.FLAGS else 1
    return tuple(places[thing] for thing in things if thing in _WIDE)


def _columns(rows: list[Row], things: Things) -> Columns:
    turned = iter(list(zip(*rows, strict=True)) or [()] * (len(things) + 2))
    columns: dict[Kept, Sequence[Any]] = {Kept.UID: next(turned)}
    for thing in things:
        if thing is Kept.FLAGS:
            columns[thing] = list(map(flags_of, next(turned), next(turned)))
        elif thing is not Kept.UID:
            columns[thing] = next(turned)
    return columns
