"""Faults that a sink was told to have: their rules, as text that this room does not read, and how often they struck.

Whatever changes the rules takes the next number of changes and rings for `RULES`, so that every process hears of it; whoever
comes anew can look at the number, in case a ring is still on its way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from mailsystem.mail.clock import Clock
from mailsystem.mail.errors import TooMany
from mailsystem.mail.mailbox import AccountId, MailboxId
from mailsystem.store.bell import Topic
from mailsystem.store.database import Database, Ring, Sql, Unit

RULES: Final[Topic] = (AccountId(0), MailboxId(-2))
"""What the bell rings for; no account has that number."""
MOST: Final = 1000
"""Rules at one time."""
REMEMBERED: Final = 7 * 86_400.0
"""Seconds for which it is known how often an address was struck: longer than anybody tries again."""
MOST_ADDRESSES: Final = 10_000
"""Of which that is known; of more, those that were tried last."""

Strikes: TypeAlias = Callable[[int, int], bool]
"""Whether a fault strikes, by the number of this match, counted from 1, and of the strikes before."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A rule as it is kept."""

    id: int
    namespace: str
    rule: str
    seen: int
    """Matches since it was added, or reset."""
    hits: int
    """Strikes among them."""


@dataclass(frozen=True, slots=True)
class Faults:
    """Rules for faults."""

    database: Database
    clock: Clock

    async def all(self) -> list[Kept]:
        """Every rule, the oldest first."""
        return await self.database.read(_all(), brief=True)

    async def changes(self) -> int:
        """How often the rules have changed."""
        return await self.database.read(_changes(), brief=True)

    async def add(self, rule: str, namespace: str) -> int:
        """Keep a rule; gives its number. Raises `TooMany`."""
        return await self.database.write(_add(rule, namespace))

    async def remove(self, id_: int) -> bool:
        """Forget a rule; whether there was one."""
        return await self.database.write(_remove(id_))

    async def clear(self, namespace: str | None = None) -> int:
        """Forget all rules, or those of one namespace, and without one how often addresses were struck; how many rules went."""
        return await self.database.write(clear(namespace))

    async def reset(self, id_: int | None = None, namespace: str | None = None) -> int:
        """Begin to count anew: for one rule, those of one namespace, or for all and for addresses too; how many rules."""
        return await self.database.write(_reset(id_, namespace))

    async def match(self, id_: int, strikes: Strikes) -> tuple[bool, int]:
        """Count a match; whether it strikes, and how often it has by now. Of a rule that is gone, none does.

        All processes together count as one. What is counted need not survive the loss of power.
        """
        return await self.database.write(_match(id_, strikes), durable=False, brief=True)

    async def match_address(self, address: str, strikes: Strikes, *, namespace: str = "") -> bool:
        """Count a match of an address that asks for a fault by itself; whether it strikes. Each namespace counts for itself."""
        key, now = f"{address}/{namespace}" if namespace else address, self.clock.now()
        return await self.database.write(_match_address(key, strikes, now), durable=False, brief=True)


def _all() -> Unit[list[Kept]]:
    rows = yield Sql("SELECT id, namespace, rule, seen, hits FROM faults ORDER BY id")
    return [Kept(*row) for row in rows]


def _changes() -> Unit[int]:
    rows = yield Sql("SELECT changes FROM fault_changes")
    return int(rows[0][0]) if rows else 0


def _changed() -> Unit[None]:
    yield Sql(
        "INSERT INTO fault_changes (id, changes) VALUES (1, 1) ON CONFLICT (id) DO UPDATE"
        " SET changes = fault_changes.changes + 1"
    )
    yield Ring(RULES)


def _add(rule: str, namespace: str) -> Unit[int]:
    yield from _changed()
    [[count]] = yield Sql("SELECT COUNT(*) FROM faults")
    if count >= MOST:
        raise TooMany(f"there are {MOST} faults already")
    [[id_]] = yield Sql("INSERT INTO faults (namespace, rule) VALUES ($1, $2) RETURNING id", namespace, rule)
    return int(id_)


def _remove(id_: int) -> Unit[bool]:
    yield from _changed()
    gone = yield Sql("DELETE FROM faults WHERE id = $1 RETURNING id", id_)
    return bool(gone)


def forget_addresses(namespace: str) -> Unit[None]:
    """Begin to count anew for addresses within a namespace."""
    # No domain has a slash in it, so that this is the end of none of the others.
    end = f"/{namespace}"
    yield Sql("DELETE FROM fault_addresses WHERE substr(address, -length($1)) = $1", end)


def clear(namespace: str | None) -> Unit[int]:
    """Forget all rules, or those of one namespace; how many rules went."""
    yield from _changed()
    if namespace is not None:
        if namespace:
            yield from forget_addresses(namespace)
        gone = yield Sql("DELETE FROM faults WHERE namespace = $1 RETURNING id", namespace)
        return len(gone)
    yield Sql("DELETE FROM fault_addresses")
    gone = yield Sql("DELETE FROM faults RETURNING id")
    return len(gone)


def _reset(id_: int | None, namespace: str | None) -> Unit[int]:
    yield from _changed()
    if id_ is not None:
        done = yield Sql("UPDATE faults SET seen = 0, hits = 0 WHERE id = $1 RETURNING id", id_)
        return len(done)
    if namespace is not None:
        if namespace:
            yield from forget_addresses(namespace)
        done = yield Sql("UPDATE faults SET seen = 0, hits = 0 WHERE namespace = $1 RETURNING id", namespace)
        return len(done)
    yield Sql("DELETE FROM fault_addresses")
    done = yield Sql("UPDATE faults SET seen = 0, hits = 0 RETURNING id")
    return len(done)


def _match(id_: int, strikes: Strikes) -> Unit[tuple[bool, int]]:
    rows = yield Sql("UPDATE faults SET seen = seen + 1 WHERE id = $1 RETURNING seen, hits", id_)
    if not rows:
        return False, 0
    [[seen, hits]] = rows
    if not strikes(seen, hits):
        return False, hits
    yield Sql("UPDATE faults SET hits = hits + 1 WHERE id = $1", id_)
    return True, hits + 1


def _match_address(address: str, strikes: Strikes, now: float) -> Unit[bool]:
    yield Sql("DELETE FROM fault_addresses WHERE last < $1", now - REMEMBERED)
    yield Sql(
        "DELETE FROM fault_addresses WHERE address IN"
        " (SELECT address FROM fault_addresses ORDER BY last DESC LIMIT 10 OFFSET $1)",
        MOST_ADDRESSES,
    )
    [[hits]] = yield Sql(
        "INSERT INTO fault_addresses (address, hits, last) VALUES ($1, 0, $2)"
        " ON CONFLICT (address) DO UPDATE SET last = excluded.last RETURNING hits",
        address,
        now,
    )
    if not strikes(hits + 1, hits):
        return False
    yield Sql("UPDATE fault_addresses SET hits = hits + 1 WHERE address = $1", address)
    return True
