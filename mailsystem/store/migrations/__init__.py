"""The schema, as numbered steps forward; each is applied in one transaction together with its record.

A step that has been released is never edited: a new one follows it. `{serial}` (a number that is
never given twice), `{clustered}` and `{blob}` are spelled by the driver.

`account_id` leads every key of account data, so that the tables could one day be distributed by account. The narrow columns
that every listing reads stand before the wide ones, which then stay on overflow pages that nobody touches.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from mailsystem.mail.errors import Unavailable
from mailsystem.store.database import Many, Sql, Unit
from mailsystem.store.migrations.from_11 import FROM_11
from mailsystem.store.migrations.step import Migration
from mailsystem.store.migrations.until_10 import UNTIL_10
from mailsystem.store.migrations.whole import statements

__all__ = ["MIGRATIONS", "Migration", "applied", "apply", "apply_all", "is_foreign", "pending"]

MIGRATIONS: Final = (*UNTIL_10, *FROM_11)


def is_foreign() -> Unit[bool]:
    """Whether another program keeps its tables in this database."""
    rows = yield Sql("SELECT name FROM sqlite_master WHERE type = 'table'")
    columns = yield Sql("SELECT name FROM pragma_table_info('migrations')")
    return bool(rows) and {name for [name] in columns} != {"number", "title"}


def applied() -> Unit[int]:
    """The number of the newest step that this database has; 0 for a new one."""
    yield Sql("CREATE TABLE IF NOT EXISTS migrations (number INTEGER PRIMARY KEY, title TEXT NOT NULL)")
    [[number]] = yield Sql("SELECT COALESCE(MAX(number), 0) FROM migrations")
    return int(number)


def pending(have: int) -> Iterator[Migration]:
    """The steps after `have`. Raises `Unavailable` for a database from a newer program: never guess at its meaning."""
    if have > MIGRATIONS[-1].number:
        raise Unavailable(
            f"the data are from a newer version (schema {have}, this program knows {MIGRATIONS[-1].number})"
        )
    yield from (step for step in MIGRATIONS if step.number > have)


def apply(step: Migration, spelling: dict[str, str]) -> Unit[None]:
    """One step and its record. Another process may have been quicker: then nothing is done."""
    have = yield Sql("SELECT 1 FROM migrations WHERE number = $1", step.number)
    if have:
        return
    for statement in step.statements:
        yield Sql(statement.format_map(spelling))
    yield Sql("INSERT INTO migrations (number, title) VALUES ($1, $2)", step.number, step.title)


def apply_all(spelling: dict[str, str]) -> Unit[None]:
    """All steps and their records, for a new database. If another process is at it already, those that it has not done."""
    if (yield from applied()):
        for step in MIGRATIONS:
            yield from apply(step, spelling)
        return
    for statement in statements(MIGRATIONS):
        yield Sql(statement.format_map(spelling))
    yield Many(
        "INSERT INTO migrations (number, title) VALUES ($1, $2)", [(step.number, step.title) for step in MIGRATIONS]
    )
