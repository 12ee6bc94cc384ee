"""A store seen by two processes at once, for the tests of the store."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mailsystem.mail.account import Account
from mailsystem.store import Appended, Drop, Spool, Store


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


def drop_for(*accounts: Account) -> list[Drop]:
    return [Drop(account.id) for account in accounts]
