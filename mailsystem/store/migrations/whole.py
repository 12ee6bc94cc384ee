"""The schema of a new database, out of all steps: what a later one adds to a table stands there from the beginning.

It is the same schema as step by step, for a third of the work: SQLite reads all of it anew after each change of a table.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from mailsystem.store.migrations.step import Migration

_CREATED: Final = re.compile(r"CREATE (?:TABLE|INDEX|UNIQUE INDEX)(?: IF NOT EXISTS)? (\w+)")
_ADDED: Final = re.compile(r"ALTER TABLE (\w+) ADD COLUMN (.+)", re.DOTALL)
_DROPPED: Final = re.compile(r"DROP INDEX (\w+)")
_BEHIND_COLUMNS: Final = re.compile(r",\s*(?:PRIMARY KEY|UNIQUE|CHECK|FOREIGN KEY|CONSTRAINT)\b|\)(?=[^)]*\Z)")
"""Where the columns of a table end: before what is said of several of them, or at its last parenthesis."""


def statements(steps: Iterable[Migration]) -> Iterator[str]:
    """What makes a new database: first all tables and indexes, then what is written into them, in its order."""
    created: dict[str, str] = {}
    written: list[str] = []
    for step in steps:
        for statement in step.statements:
            if found := _CREATED.match(statement):
                created[found[1]] = statement
            elif found := _ADDED.fullmatch(statement):
                created[found[1]] = _with(created[found[1]], found[2])
            elif found := _DROPPED.fullmatch(statement):
                del created[found[1]]
            else:
                written.append(statement)
    yield from created.values()
    yield from written


def _with(table: str, column: str) -> str:
    """A table with another column behind its others."""
    # What stands within the definition of a column has no comma before it.
    end = _BEHIND_COLUMNS.search(table)
    if end is None:
        raise ValueError(table)
    return f"{table[: end.start()]}, {column}{table[end.start() :]}"
