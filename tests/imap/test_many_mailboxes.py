"""Ten thousand mailboxes, and commands that name as many as fit into a line: each costs what its words and names weigh."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from mailsystem.imap import names
from mailsystem.imap.framing import Frame
from mailsystem.imap.grammar import Arguments
from mailsystem.imap.notify import read_wanted
from mailsystem.imap.sources import chosen, read_sources
from mailsystem.mail.errors import TooMany

NAMES = [f"a/{n % 10}/folder{n:05d}" + "b" * 100 for n in range(10_000)]


@contextmanager
def soon(seconds: float) -> Iterator[None]:
    """CPU time: other people's work on this machine does not count."""
    began = time.process_time()
    yield
    assert time.process_time() - began < seconds


def test_many_patterns_read_each_name_once() -> None:
    matches = names.matcher(*("*b" * 40 + f"*{n}z" for n in range(100)))
    with soon(8):  # one after the other they would take a minute
        assert not any(map(matches, NAMES))


@pytest.mark.parametrize(
    ("patterns", "name", "expected"),
    [
        (("a", "b"), "b", True),
        (("a", "b%"), "a", True),
        (("a", "b%"), "bc", True),
        (("a", "b%"), "ab", False),
        (("a%", "b"), "b", True),
        (("a*", "%b"), "x/b", False),
        (("a*", "%b"), "xb", True),
        (("%a", "%b"), "ab", True),
        (("%a", "%b"), "a", True),
        (("inbox", "x%"), "INBOX", True),
        ((), "a", False),
    ],
)
def test_a_name_matches_where_one_of_the_patterns_does(patterns: tuple[str, ...], name: str, expected: bool) -> None:
    assert names.matcher(*patterns)(name) is expected


def test_many_subtrees_are_searched_in_one_walk() -> None:
    tops = b" ".join(b"%d" % n for n in range(9_000))
    sources = read_sources(Arguments(Frame(b"IN (subtree (a " + tops + b") subtree-one (a/3 " + tops + b")) ")))
    assert sources is not None
    with soon(2):
        assert sorted(chosen(sources, NAMES, (), ())) == sorted(NAMES)


def test_only_so_many_filters_are_taken() -> None:
    with pytest.raises(TooMany):
        read_sources(Arguments(Frame(b"IN (" + b" ".join([b"personal"] * 1000) + b") ")))


def test_many_subtrees_are_watched_by_one_look_at_each_name() -> None:
    tops = b" ".join(b"%d" % n for n in range(990))
    group = b"(subtree (" + tops + b" a/3) (MessageNew MessageExpunge))"
    wanted = read_wanted(Arguments(Frame(b" ".join([group] * 10))))
    with soon(4):
        watched = [name for name in NAMES if wanted.of(name, own=True, subscribed=False)]
    assert watched == [name for name in NAMES if name.startswith("a/3/")]
