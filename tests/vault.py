"""A store seen by two processes at once, for the tests of the store."""

from __future__ import annotations

import contextlib
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from mailsystem.mail.account import Account
from mailsystem.store import Appended, Drop, Spool, Store
from mailsystem.store.migrations import MIGRATIONS
from mailsystem.store.spelling import SPELLING


class TestClock:
    """Time that stands still until it is told otherwise."""

    __test__ = False

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self.time = now

    def now(self) -> float:
        return self.time


@dataclass
class Vault:
    """A store seen from two processes, and Ann, who lives there."""

    here: Store
    there: Store
    ann: Account
    clock: TestClock
    directory: Path


def spooled(store: Store, octets: bytes) -> Spool:
    spool = store.contents.spool()
    spool.write(octets)
    return spool


def letter(subject: str, body: str = "hello\r\n") -> bytes:
    return f"From: bob@example.net\r\nSubject: {subject}\r\n\r\n{body}".encode()


async def post(vault: Vault, *subjects: str, mailbox: str = "INBOX") -> list[Appended]:
    """Append a letter for each subject, one after the other."""
    return [
        await vault.here.mailboxes.append(vault.ann.id, mailbox, spooled(vault.here, letter(subject)))
        for subject in subjects
    ]


def as_schema_1(directory: Path) -> None:
    """Turn the store in `directory`, which is closed, into one that a program with the first schema has left."""
    new, old = directory / "mail.db", directory / "old.db"
    with contextlib.closing(sqlite3.connect(old)) as database:
        for statement in MIGRATIONS[0].statements:
            database.execute(statement.format_map(SPELLING))
        tables = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        database.execute("CREATE TABLE migrations (number INTEGER PRIMARY KEY, title TEXT NOT NULL)")
        database.execute("ATTACH ? AS new", (str(new),))
        for table in filter(lambda name: not name.startswith("sqlite_"), tables):
            columns = ", ".join(row[1] for row in database.execute(f"PRAGMA main.table_info({table})"))
            database.execute(f"INSERT INTO main.{table} ({columns}) SELECT {columns} FROM new.{table}")
        database.execute("INSERT INTO main.migrations SELECT * FROM new.migrations WHERE number = 1")
        database.commit()
    old.replace(new)


def drop_for(*accounts: Account) -> list[Drop]:
    return [Drop(account.id) for account in accounts]
