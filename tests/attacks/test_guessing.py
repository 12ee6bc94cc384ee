"""Guessing: a wrong password and an unknown name are told alike, and take alike long."""

from __future__ import annotations

import base64
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from attacked import PASSWORD, Target, opened
from outside import Certificates
from program import Person

DOORS = ("submission", "pop3", "imap")


@pytest.fixture(scope="module")
def guessed(tmp_path_factory: pytest.TempPathFactory, certificates: Certificates) -> Iterator[Target]:
    """A house of its own, since guessing makes a house suspicious of all who come from there."""
    home: Path = tmp_path_factory.mktemp("guessed")
    with opened(home, certificates) as target:
        yield target
        assert PASSWORD not in target.house.program.output()
        assert "guess-0" not in target.house.program.output()


@pytest.fixture(scope="module")
def known(guessed: Target) -> Person:
    return guessed.somebody()


def proof(login: str, password: str) -> bytes:
    return base64.b64encode(f"\0{login}\0{password}".encode())


def answer(target: Target, door: str, way: str, login: str, password: str) -> tuple[bytes, float]:
    """What one guess is told, and how long that takes."""
    with target.wire(door) as client:
        match door, way:
            case "pop3", "USER":
                client.send(b"USER %s\r\n" % login.encode())
                client.line()
                client.send(b"PASS %s\r\n" % password.encode())
            case "imap", "LOGIN":
                client.send(b'a LOGIN "%s" "%s"\r\n' % (login.encode(), password.encode()))
            case "imap", _:
                client.send(b"a AUTHENTICATE PLAIN %s\r\n" % proof(login, password))
            case _:
                client.send(b"AUTH PLAIN %s\r\n" % proof(login, password))
        began = time.monotonic()
        return client.line(), time.monotonic() - began


WAYS = [("submission", "PLAIN"), ("pop3", "PLAIN"), ("pop3", "USER"), ("imap", "PLAIN"), ("imap", "LOGIN")]
NOBODY = ["nobody@example.org", "nobody@elsewhere.example", "nobody", "no body", "\u00fc@example.org", "x" * 200]


@pytest.mark.parametrize(("door", "way"), WAYS)
def test_every_guess_is_told_the_same(door: str, way: str, guessed: Target, known: Person) -> None:
    told = {answer(guessed, door, way, login, f"guess-0{door}")[0] for login in (known.login, *NOBODY[:4])}
    assert len(told) == 1, told
    only = told.pop().lower()
    assert not any(word in only for word in (b"unknown", b"no such", b"user", b"password is"))


@pytest.mark.parametrize("door", DOORS)
def test_the_right_password_is_taken_after_all_that(door: str, guessed: Target) -> None:
    """Guesses at one account are not held against another for long."""
    other = guessed.somebody()
    said, spent = answer(guessed, door, "PLAIN", other.login, other.password)
    assert said.startswith((b"235", b"+OK", b"a OK", b"* ")), said
    assert spent < 10


def test_a_guess_at_nobody_takes_as_long_as_one_at_somebody(guessed: Target) -> None:
    """Both are hashed; the least of several is what the machine's other work leaves of the difference."""
    people = [guessed.somebody() for _ in range(4)]
    somebody = [answer(guessed, "imap", "PLAIN", person.login, "guess-0")[1] for person in people]
    nobody = [answer(guessed, "imap", "PLAIN", f"nobody{n}@example.org", "guess-0")[1] for n in range(4)]
    assert min(nobody) > min(somebody) / 3, (somebody, nobody)
    assert statistics.median(somebody) > 0.005, "there is a real hash in it"
