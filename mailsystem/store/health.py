"""Looks at the database from outside, without changing it: for the doctor."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mailsystem.mail.errors import Unavailable
from mailsystem.store.migrations import MIGRATIONS
from mailsystem.store.sqlite import flocked

NEWEST_SCHEMA: Final = MIGRATIONS[-1].number
SQLITE: Final = sqlite3.sqlite_version_info
OLDEST_SQLITE: Final = (3, 35, 0)
"""The first with RETURNING."""
WAL_RESET_FIXED: Final = (3, 51, 3)
"""The first without the bug that the driver's lock keeps away."""
_STEPS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Health:
    """What was found in `mail.db`."""

    schema: int
    journal: str
    faults: tuple[str, ...]
    """What `PRAGMA quick_check` complains about."""
    finished: bool
    """Whether the check came to its end in the time it was given."""


def database(directory: Path) -> Path:
    return directory / "mail.db"


def examine(directory: Path, *, patience: float = 20.0) -> Health:
    """Read the whole database, for `patience` seconds at most. Blocks. Raises `Unavailable` for what is no database."""
    path = database(directory)
    try:
        lock = os.open(directory / "mail.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Unavailable(f"cannot open {directory / 'mail.lock'}: {error.strerror}") from None
    try:
        # Opened and closed under the driver's lock, as everything here is; read without it, so that nobody waits.
        with flocked(lock):
            connection = sqlite3.connect(path, isolation_level=None, timeout=10)
            connection.execute("PRAGMA query_only = ON")
            connection.execute("PRAGMA wal_autocheckpoint = 0")
        try:
            with closing(connection.cursor()) as cursor:
                cursor.execute("SELECT COALESCE(MAX(number), 0) FROM migrations")
                schema = int(cursor.fetchone()[0])
                journal = str(cursor.execute("PRAGMA journal_mode").fetchone()[0])
                faults, finished = _quick_check(connection, patience, time.monotonic)
        finally:
            with flocked(lock):
                connection.close()
    except sqlite3.Error as error:
        raise Unavailable(f"{path} cannot be read: {error}") from None
    finally:
        os.close(lock)
    return Health(schema, journal, faults, finished)


def _quick_check(
    connection: sqlite3.Connection, patience: float, clock: Callable[[], float]
) -> tuple[tuple[str, ...], bool]:
    deadline = clock() + patience
    connection.set_progress_handler(lambda: clock() > deadline, _STEPS)
    try:
        said = [str(row[0]) for row in connection.execute("PRAGMA quick_check(10)")]
    except sqlite3.OperationalError as error:
        if "interrupted" in str(error):
            return (), False
        raise
    finally:
        connection.set_progress_handler(None, 0)
    return tuple(fault for fault in said if fault != "ok"), True
