"""How SQLite spells what units say, and how a unit runs on one of its connections."""

from __future__ import annotations

import json
import re
import sqlite3
from functools import lru_cache
from typing import Any, Final, TypeVar, cast

from mailsystem.mail.mailbox import MessageSet
from mailsystem.store.bell import Topic
from mailsystem.store.database import Many, Ring, Row, Sql, Unit

T = TypeVar("T")

SPELLING: Final = {"serial": "INTEGER PRIMARY KEY AUTOINCREMENT", "clustered": "WITHOUT ROWID", "blob": "BLOB"}


def look(connection: sqlite3.Connection, unit: Unit[T]) -> T:
    """Run a reading unit on one snapshot."""
    connection.execute("BEGIN")
    try:
        return run(connection, unit, set())
    finally:
        connection.rollback()


def run(connection: sqlite3.Connection, unit: Unit[T], rings: set[Topic]) -> T:
    """Run a unit in the transaction that is open; what it rings for comes into `rings`."""
    rows: list[Row] = []
    try:
        statement = next(unit)
        while True:
            if isinstance(statement, Sql):
                rows = connection.execute(spelled(statement.text), _bound(statement.params)).fetchall()
            elif isinstance(statement, Many):
                connection.executemany(spelled(statement.text), statement.rows)
                rows = []
            elif isinstance(statement, Ring):
                rings.add(statement.topic)
            statement = unit.send(rows)
    except StopIteration as stop:
        return cast(T, stop.value)
    finally:
        unit.close()


_RANGES: Final = re.compile(r"\bRANGES \$(\d+)")
_LIST: Final = re.compile(r"\bLIST \$(\d+)")
_PARAMETER: Final = re.compile(r"\$(\d+)")


@lru_cache(maxsize=1024)
def spelled(text: str) -> str:
    """A statement in SQLite's spelling."""
    text = _RANGES.sub(
        r"(SELECT json_extract(value, '$[0]') AS lo, json_extract(value, '$[1]') AS hi FROM json_each(?\1)) AS r", text
    )
    text = _LIST.sub(r"(SELECT value FROM json_each(?\1))", text)
    return _PARAMETER.sub(r"?\1", text)


def _bound(params: tuple[Any, ...]) -> tuple[Any, ...]:
    for param in params:
        if type(param) is MessageSet or type(param) is list:
            return tuple(
                json.dumps(p.ranges) if type(p) is MessageSet else json.dumps(p) if type(p) is list else p
                for p in params
            )
    return params
