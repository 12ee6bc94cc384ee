"""What a unit of work may say to a database, and what a database must give.

A `Unit` is sans-IO: it yields `Sql`, `Many` or `Ring`, receives rows and returns a value. The same unit runs on any driver.
Statements are written in the SQL that SQLite and PostgreSQL share, with `$1` for parameters and two words that each driver
spells in its own way:

- `RANGES $n`: a table `r(lo, hi)` of the inclusive ranges of a `MessageSet` given as parameter n;
- `LIST $n`: a subquery with the members of the list given as parameter n, in a column `value`.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any, Protocol, TypeAlias, TypeVar

from mailsystem.store.bell import Bell, Topic

T = TypeVar("T")
Row: TypeAlias = tuple[Any, ...]


class Sql:
    """One statement; the unit receives its rows."""

    __slots__ = ("params", "text")

    def __init__(self, text: str, *params: Any) -> None:
        self.text = text
        self.params = params


class Many:
    """One statement for many rows of parameters; the unit receives nothing."""

    __slots__ = ("rows", "text")

    def __init__(self, text: str, rows: Sequence[Sequence[Any]]) -> None:
        self.text = text
        self.rows = rows


class Ring:
    """Once this unit is committed, whoever watches `topic` shall be woken."""

    __slots__ = ("topic",)

    def __init__(self, topic: Topic) -> None:
        self.topic = topic


Statement: TypeAlias = Sql | Many | Ring
Unit: TypeAlias = Generator[Statement, list[Row], T]


class Database(Protocol):
    """A driver."""

    @property
    def bell(self) -> Bell: ...

    async def write(
        self, unit: Unit[T], *, weight: int = 0, durable: bool = True, patient: bool = False, brief: bool = False
    ) -> T:
        """Run the unit in a transaction; it is committed and durable when this returns.

        Units that wait are committed together; one that fails fails alone. `weight` is roughly the octets that it
        writes, so that a group stays bounded. What may be lost with the power, never with a process, need not be
        `durable`: a group of nothing else waits for no disk. A `patient` one goes alone, when nobody else waits or it
        has waited for long. A `brief` one is about a few rows: where it need not be durable and nobody else writes, it
        may be done at once, on the loop's own thread. Raises what the unit raises, and `Unavailable` where the database
        fails.
        """
        ...

    def write_at_once(self, unit: Unit[T]) -> tuple[T] | None:
        """Run a brief unit that need not be durable, before this returns: nothing else comes to pass in between.

        None, with nothing done and the unit as it was, where that may mean waiting. Raises as `write` does.
        """
        ...

    async def read(self, unit: Unit[T], *, brief: bool = False) -> T:
        """Run the unit on one snapshot.

        A `brief` one looks at a few rows by their keys, and at nothing wide: it may be done at once, on the loop's own thread.
        """
        ...
