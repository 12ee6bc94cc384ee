"""Addresses to which nothing is sent any more: those that nobody has, as their server said again and again, and those that an
admin has named.

Whoever keeps writing to mailboxes that do not exist looks like somebody who bought a list, and all mail of this server is
then trusted less. What was learnt is forgotten `REMEMBERED` after the last failure, since people come back; what an admin
added stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from mailsystem.mail.clock import Clock
from mailsystem.store.database import Database, Many, Sql, Unit

AFTER: Final = 3
"""Failures in a row."""
REMEMBERED: Final = 90 * 86_400.0

COUNTED: Final = frozenset({"5.1.1", "5.1.3", "5.1.6", "5.1.10", "5.2.1"})
"""The statuses (RFC 3463, RFC 7505) that say that this mailbox is not there and will not be: none of that name (5.1.1, and
5.1.10 as Exchange says it), no such address (5.1.3), moved without leaving word (5.1.6), closed (5.2.1).

Not 5.1.2, which is about a whole domain and soon mended; nor that it is full (5.2.2), that this message was not liked (5.6,
5.7), or what says nothing (5.0.0, 5.1.0, 5.2.0): the next message may well arrive.
"""
_LONGEST: Final = 500
_FEW: Final = 16


@dataclass(frozen=True, slots=True)
class Suppressed:
    """Why an address gets nothing, or what speaks against it so far."""

    address: str
    failures: int
    """In a row."""
    since: float
    """Of the first of them, or of when it was added."""
    last: float
    status: str
    """Of the last failure."""
    added: bool
    """An admin did it."""
    reason: str
    """The admin's own words, if there were any: for admins only."""

    @property
    def told(self) -> str:
        """Why, in words for whoever wants to write there."""
        if self.added:
            return "nothing is sent there any more: it is on this server's list of suppressed addresses"
        times = "once" if self.failures == 1 else f"{self.failures} times in a row"
        return (
            f"nothing is sent there any more: suppressed since its server refused it {times}, last with {self.status}"
        )


class Suppression:
    def __init__(self, database: Database, *, clock: Clock, after: int = AFTER) -> None:
        """`after` is how many failures in a row suppress an address by themselves; 0 lets none."""
        self._database = database
        self._clock = clock
        self._after = after

    async def is_suppressed(self, addresses: Iterable[str]) -> set[str]:
        """Those of these addresses (`Address.key`) to which nothing is sent."""
        return {one.address for one in await self.of(addresses)}

    async def of(self, addresses: Iterable[str]) -> list[Suppressed]:
        """The same, and why."""
        wanted = list(addresses)
        if not wanted:
            return []
        found = await self._database.read(_find(wanted), brief=len(wanted) <= _FEW)
        return [one for one in found if self._counts(one)]

    async def all(self) -> list[Suppressed]:
        """Every suppressed address, by domain."""
        found = [one for one in await self._database.read(_all()) if self._counts(one)]
        return sorted(found, key=lambda one: one.address.rpartition("@")[::-1])

    async def note_failure(self, address: str, status: str) -> None:
        """Its own server has refused it for good."""
        await self._database.write(failed([(address, status)], self._clock.now()))

    async def note_success(self, address: str) -> None:
        """It has taken mail."""
        await self._database.write(succeeded([address]))

    async def add(self, address: str, reason: str = "") -> None:
        """Send nothing there until it is removed, whatever was known about it."""
        await self._database.write(_add(address, reason[:_LONGEST], self._clock.now()))

    async def remove(self, address: str) -> bool:
        """Forget all that speaks against it; whether it was suppressed."""
        found = await self._database.write(_remove(address))
        return found is not None and self._counts(found)

    def _counts(self, one: Suppressed) -> bool:
        if one.added:
            return True
        return 0 < self._after <= one.failures and self._clock.now() - one.last < REMEMBERED


def failed(addresses: Sequence[tuple[str, str]], now: float) -> Unit[None]:
    """Mail for each of (address, status) was refused for good by the other side; only what `COUNTED` names counts."""
    rows = [(address, now, status) for address, status in addresses if status in COUNTED]
    if not rows:
        return
    yield Sql("DELETE FROM suppressed WHERE added = 0 AND last < $1", now - REMEMBERED)
    yield Many(
        "INSERT INTO suppressed (address, failures, since, last, status, added, reason) VALUES ($1, 1, $2, $2, $3, 0, '')"
        " ON CONFLICT (address) DO UPDATE SET failures = suppressed.failures + 1, last = excluded.last,"
        " status = excluded.status",
        rows,
    )


def succeeded(addresses: Sequence[str]) -> Unit[None]:
    """These have taken mail: what was counted against them is forgotten, but not what an admin has said."""
    yield Sql("DELETE FROM suppressed WHERE added = 0 AND address IN LIST $1", list(addresses))


_COLUMNS: Final = "address, failures, since, last, status, added, reason"


def _find(addresses: Sequence[str]) -> Unit[list[Suppressed]]:
    rows = yield Sql(f"SELECT {_COLUMNS} FROM suppressed WHERE address IN LIST $1", addresses)  # noqa: S608
    return [_suppressed(*row) for row in rows]


def _all() -> Unit[list[Suppressed]]:
    rows = yield Sql(f"SELECT {_COLUMNS} FROM suppressed")  # noqa: S608
    return [_suppressed(*row) for row in rows]


def _add(address: str, reason: str, now: float) -> Unit[None]:
    yield Sql(
        "INSERT INTO suppressed (address, failures, since, last, status, added, reason) VALUES ($1, 0, $2, $2, '', 1, $3)"
        " ON CONFLICT (address) DO UPDATE SET since = excluded.since, added = 1, reason = excluded.reason",
        address,
        now,
        reason,
    )


def _remove(address: str) -> Unit[Suppressed | None]:
    rows = yield Sql(f"DELETE FROM suppressed WHERE address = $1 RETURNING {_COLUMNS}", address)  # noqa: S608
    return _suppressed(*rows[0]) if rows else None


def _suppressed(
    address: str, failures: int, since: float, last: float, status: str, added: int, reason: str
) -> Suppressed:
    return Suppressed(address, failures, since, last, status, bool(added), reason)
