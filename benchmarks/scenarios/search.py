"""SEARCH in the large mailbox, whose letters say how many of them must be found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from benchmarks.bench import MAIL_SIZE, Bench, row
from benchmarks.letters import COMMON, NOWHERE, RARE, TITLE, WRITER, Letters, day
from benchmarks.results import Row
from benchmarks.scenarios.imap import command, counted
from benchmarks.scenarios.scenario import Scenario
from benchmarks.targets import Target

_REPEATS: Final = 5
_SINCE: Final = 330


def keys(count: int) -> Iterator[tuple[str, str, int]]:
    """What is searched for, the search, and how many of the first `count` letters it finds."""
    letters = Letters(MAIL_SIZE)
    yield "SUBJECT", f"SUBJECT {TITLE}", letters.holding(count, letters.is_titled)
    yield "FROM", f"FROM {WRITER}", letters.holding(count, letters.is_of_the_writer)
    yield "SINCE", f"SINCE {day(_SINCE)}", letters.holding(count, lambda n: letters.is_since(n, _SINCE))
    yield "UNSEEN", "UNSEEN", count - count // 2
    yield "BODY, a common word", f"BODY {COMMON}", letters.holding(count, letters.is_common)
    yield "BODY, a rare word", f"BODY {RARE}", letters.holding(count, letters.is_rare)
    yield "BODY, inside of a word", f"BODY {RARE[2:-1]}", letters.holding(count, letters.is_rare)
    yield "BODY, a word in none", f"BODY {NOWHERE}", 0
    yield "TEXT, a rare word", f"TEXT {RARE}", letters.holding(count, letters.is_rare)


def search(bench: Bench, target: Target) -> Iterator[Row]:
    large = bench.large_mailbox(target)
    marks = [r"STORE 1:* -FLAGS.SILENT (\Seen)", rf"STORE 1:{large.count // 2} +FLAGS.SILENT (\Seen)"]
    command(bench, target, large.user, "NOOP", selected=marks)
    bench.settle(target)
    for name, words, expected in keys(large.count):
        done = command(bench, target, large.user, f"UID SEARCH {words}", repeats=_REPEATS)
        yield row(f"IMAP SEARCH {name}", target, done, wrong=counted(done, search=expected), found=expected)


SCENARIOS: Sequence[Scenario] = (Scenario("search", "search", "one SEARCH of the large mailbox", search),)
