"""Commands made to be dear: whoever says them may wait, and nobody else."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from attacked import Target
from program import Person
from wire import Imap

PATIENCE = 1.5
"""Seconds that somebody else may wait, on a machine that has other work: each of these held everybody up for many more."""


@contextmanager
def nobody_waits(target: Target, other: Person) -> Iterator[None]:
    """Somebody else talks to the server meanwhile and is answered at once."""
    waits: list[float] = [0.0]
    over = threading.Event()

    def talk() -> None:
        with Imap(target.house.program.imap, other.login, other.password) as client:
            while not over.is_set():
                began = time.monotonic()
                client.ok(b"NOOP")
                waits.append(time.monotonic() - began)
                time.sleep(0.01)

    talking = threading.Thread(target=talk)
    talking.start()
    try:
        yield
    finally:
        over.set()
        talking.join()
    assert max(waits) < PATIENCE


@pytest.fixture(scope="module")
def hoarder(target: Target) -> Person:
    """Somebody with very many messages."""
    person = target.somebody()
    with Imap(target.house.program.imap, person.login, person.password) as client:
        tag = client.tag()
        client.send(tag + b" APPEND INBOX" + _letters(900) + b"\r\n")
        assert client.answer(tag).status == "OK"
        client.ok(b"SELECT INBOX")
        for _ in range(5):
            client.ok(b"COPY 1:* INBOX")
            client.ok(b"NOOP")
    return person


def _letters(count: int) -> bytes:
    raw = b"Subject: x\r\n\r\nx\r\n"
    return b" {%d+}\r\n%b" % (len(raw), raw) * count


SEARCHES = {
    "one key over and over": b" ".join([b"OLD"] * 490),
    "keys by number": b" ".join(b"OR RECENT UID %d:*" % n for n in range(1, 160)),
    "keys by row": b" ".join(b"MODSEQ %d" % (n % 9 + 1) for n in range(490)) + b" UID 1:1000,3000:*",
    "words": b" ".join(b"OR TEXT %c%c HEADER X-%d q" % (97 + n % 26, 97 + n // 26, n) for n in range(150)),
    "sets": b" ".join(b"NOT UID %d" % n for n in range(1, 240)),
}


@pytest.mark.parametrize("name", SEARCHES)
def test_a_search_of_many_keys_in_many_messages_holds_nobody_up(name: str, target: Target, hoarder: Person) -> None:
    with Imap(target.house.program.imap, hoarder.login, hoarder.password, timeout=60) as client:
        client.ok(b"SELECT INBOX")
        with nobody_waits(target, target.somebody()):
            client.ok(b"UID SEARCH RETURN (COUNT) " + SEARCHES[name])


def test_many_messages_at_once_take_few_files(target: Target, victim: Person) -> None:
    """A thousand small literals, more than memory holds: who keeps a file open for each is soon out of them."""
    with Imap(target.house.program.imap, victim.login, victim.password) as client:
        tag = client.tag()
        raw = b"Subject: x\r\n\r\n" + b"y" * 4000
        client.send(tag + b" APPEND INBOX" + b" {%d+}\r\n%b" % (len(raw), raw) * 990)
        most = 0
        for _ in range(15):
            time.sleep(0.1)
            most = max(most, len(list(Path(f"/proc/{target.house.program.pid}/fd").iterdir())))
        client.send(b"\r\n")
        assert client.answer(tag).status == "OK"
        assert most < 200
        client.ok(b"SELECT INBOX")
        assert client.ok(b"FETCH 990 BODY.PEEK[]").literal() == raw
