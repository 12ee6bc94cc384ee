"""SIGKILL at random moments under load: what was answered 250 is there, whole and once; nothing is there by half."""

from __future__ import annotations

import contextlib
import random
import re
import sqlite3
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import messages
import program
import pytest
from wire import Imap, Smtp

ROUNDS = 25
"""For each number of workers."""
INLINE_LIMIT = 32 * 1024
"""Smaller messages are kept in the database, larger ones in files that they share: all must survive."""
SPOOL_LIMIT = 2 << 20
"""Larger ones have a file each."""

ANN, BOB = "ann@example.org", "bob@example.org"


@dataclass
class Ledger:
    """What was tried and what was promised."""

    tried: dict[str, tuple[str, tuple[str, ...]]] = field(default_factory=dict)
    """Each message's id to the digest of its octets and its recipients."""
    promised: set[str] = field(default_factory=set)
    numbered: dict[int, str] = field(default_factory=dict)
    """UIDs told by APPENDUID in Ann's INBOX."""

    def enter(self, ident: str, raw: bytes, *recipients: str) -> None:
        self.tried[ident] = messages.digest(raw), recipients


def letter(ident: str, size: int) -> bytes:
    body = (ident.encode() + b" and so on\r\n") * (size // (len(ident) + 12) + 1)
    return b"X-Id: " + ident.encode() + b"\r\n" + messages.simple(ident, body)


class Load:
    """Clients that send without pause until the process is dead."""

    def __init__(self, running: program.Program, ledger: Ledger, turn: str) -> None:
        self._running, self._ledger, self._turn = running, ledger, turn
        self.first_promise = threading.Event()
        self._threads = [
            threading.Thread(target=self._until_it_dies, args=(work, name))
            for name, work in (("small", self._small), ("large", self._large), ("append", self._append))
        ]
        for thread in self._threads:
            thread.start()

    def _until_it_dies(self, work: object, name: str) -> None:
        with contextlib.suppress(OSError, EOFError, AssertionError):
            work(name)  # type: ignore[operator]

    def _send(self, name: str, sizes: tuple[int, ...], *recipients: str) -> None:
        with Smtp(self._running.smtp) as client:
            for number in range(1_000_000):
                ident = f"{self._turn}-{name}-{number}"
                raw = letter(ident, sizes[number % len(sizes)])
                self._ledger.enter(ident, raw, *recipients)
                if client.message("sender@elsewhere.example", list(recipients), raw)[0] == 250:
                    self._ledger.promised.add(ident)
                    self.first_promise.set()

    def _small(self, name: str) -> None:
        self._send(name, (200, 5_000, 60_000), ANN, BOB)

    def _large(self, name: str) -> None:
        self._send(name, (INLINE_LIMIT + 70_000, 700_000, SPOOL_LIMIT + 70_000), BOB)

    def _append(self, name: str) -> None:
        with Imap(self._running.imap, ANN) as client:
            for number in range(1_000_000):
                ident = f"{self._turn}-{name}-{number}"
                raw = letter(ident, (1_000, INLINE_LIMIT + 50_000)[number % 2])
                self._ledger.enter(ident, raw, ANN)
                told = client.append("INBOX", raw)
                if told.status == "OK":
                    self._ledger.promised.add(ident)
                    if found := re.search(rb"APPENDUID \d+ (\d+)", told.text):
                        self._ledger.numbered[int(found[1])] = ident

    def join(self) -> None:
        for thread in self._threads:
            thread.join(30)
            assert not thread.is_alive()


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_what_was_promised_survives_a_killed_process(workers: int, tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(10**9)
    print(f"seed {seed}")
    chance = random.Random(seed)
    ledger = Ledger()
    for turn in range(ROUNDS):
        running = program.sink(tmp_path, args=["--workers", str(workers)]).wait_ready()
        try:
            load = Load(running, ledger, f"{seed}-{turn}")
            load.first_promise.wait(10)
            time.sleep(chance.uniform(0, 0.25))
        finally:
            running.kill()
        load.join()
    print(f"{len(ledger.promised)} of {len(ledger.tried)} were promised")
    assert len(ledger.promised) > ROUNDS

    with program.sink(tmp_path) as running:
        found = {login: _all(running, login) for login in (ANN, BOB)}
    for login, there in found.items():
        for ident, copies in there.items():
            assert ident in ledger.tried, f"{login} has something that nobody sent: {ident}"
            digest, recipients = ledger.tried[ident]
            assert login in recipients
            assert [d for _, d in copies] == [digest], f"{ident} is there, but not whole and once"
    for ident in ledger.tried:
        where = {login for login, there in found.items() if ident in there}
        assert where in (set(), set(ledger.tried[ident][1])), f"{ident} went to some of its recipients: {where}"
        assert where or ident not in ledger.promised, f"{ident} was promised and is lost"
    by_uid = {uid: ident for ident, copies in found[ANN].items() for uid, _ in copies}
    assert ledger.numbered.items() <= by_uid.items(), "a UID was told that means another message now"

    databases = [path for path in tmp_path.joinpath("data").rglob("*") if _is_sqlite(path)]
    assert databases
    for path in databases:
        with contextlib.closing(sqlite3.connect(path)) as database:
            assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            for half in HALF_THERE:
                assert database.execute(half).fetchall() == [], half


HALF_THERE = (
    "SELECT uid FROM messages WHERE content_id NOT IN (SELECT id FROM contents)",
    "SELECT id FROM contents WHERE file IS NULL AND id NOT IN (SELECT content_id FROM bodies)",
    "SELECT content_id FROM bodies WHERE content_id NOT IN (SELECT id FROM contents)",
    "SELECT uid FROM messages WHERE (account_id, mailbox_id) NOT IN (SELECT account_id, id FROM mailboxes)",
    "SELECT id FROM mailboxes WHERE account_id NOT IN (SELECT id FROM accounts)",
    "SELECT m.uid FROM messages m JOIN mailboxes b ON b.id = m.mailbox_id AND b.account_id = m.account_id"  # noqa: ISC004
    " WHERE m.uid >= b.uidnext",
)
"""What must find nothing in any database of ours."""


def _all(running: program.Program, login: str) -> dict[str, list[tuple[int, str]]]:
    """Everything in a mailbox: each id to the UIDs and digests under which it is there."""
    found: dict[str, list[tuple[int, str]]] = {}
    with Imap(running.imap, login, timeout=60) as client:
        client.ok(b"EXAMINE INBOX")
        uids = client.uids()
        assert uids == sorted(set(uids))
        for uid in uids:
            raw = client.ok(b"UID FETCH %d BODY.PEEK[]" % uid).literal()
            if raw.startswith(b"Return-Path:"):
                raw = messages.received(raw)
            ident = re.match(rb"X-Id: (\S+)", raw)
            assert ident, raw[:200]
            found.setdefault(ident[1].decode(), []).append((uid, messages.digest(raw)))
    return found


def _is_sqlite(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(16) == b"SQLite format 3\0"
