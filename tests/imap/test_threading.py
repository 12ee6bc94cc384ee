"""Conversations (RFC 5256 3) as values."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plainly_threaded import threaded

from mailsystem.imap import threading
from mailsystem.imap.threading import Letter, Thread, by_references, ordered_subject, response


def letters(*lines: str) -> list[Letter]:
    """`number date subject id < reference reference …`: in short, for tables; a subject begins with `re` if it is a reply."""
    made = []
    for line in lines:
        known, _, references = line.partition("<")
        number, sent, subject, *id_ = known.split()
        made.append(
            Letter(
                int(number),
                float(sent),
                "" if subject == "-" else subject.removeprefix("re:"),
                subject.startswith("re:"),
                id_[0].encode() if id_ else None,
                [one.encode() for one in references.split()],
            )
        )
    return made


def said(threads: Sequence[Thread]) -> str:
    return response(threads).decode().removeprefix("* THREAD").strip()


def test_the_response_is_spelled_as_in_the_rfc() -> None:
    def one(number: int, *children: Thread) -> Thread:
        return Thread(number, children)

    # RFC 5256 4: "(2)(3 6 (4 23)(44 7 96))", and two that have lost their parent.
    threads = [one(2), one(3, one(6, one(4, one(23)), one(44, one(7, one(96)))))]
    assert said(threads) == "(2)(3 6 (4 23)(44 7 96))"
    assert said([Thread(None, [one(3), one(5)])]) == "((3)(5))"
    assert said([Thread(None, [one(3, one(4)), one(5)])]) == "((3 4)(5))"
    assert response([]) == b"* THREAD\r\n"


@pytest.mark.parametrize(
    ("lines", "wanted"),
    [
        # Step 1: parents and children, whatever the order in which they came.
        (["1 1 a a", "2 2 b b < a", "3 3 c c < a b"], "(1 2 3)"),
        (["1 3 c c < a b", "2 2 b b < a", "3 1 a a"], "(3 2 1)"),
        (["1 1 a a", "2 2 b b < a", "3 3 c c < a", "4 4 d d < a c"], "(1 (2)(3 4))"),
        # A message that is only spoken of holds its children together only under the root.
        (["1 1 a b < x", "2 2 c c < x"], "((1)(2))"),
        (["1 1 a b < x"], "(1)"),
        (["1 1 a a", "2 2 b b < a x", "3 3 c c < a x"], "(1 (2)(3))"),
        (["1 1 a a < p q r"], "(1)"),
        (["1 1 a a < p q r", "2 2 b b < p q"], "((1)(2))"),
        (["1 1 a a < p q", "2 2 b b < p r"], "((1)(2))"),
        # 1.B: the own References count for more than what others say.
        (["1 1 a a", "2 2 b b", "3 4 d d < b c", "4 3 c c < a"], "(1 4 3)(2)"),
        (["1 1 a a", "2 2 c c < a b", "3 3 b b"], "(1)(3 2)"),
        # Loops are not made.
        (["1 1 a a < a"], "(1)"),
        (["1 1 a a < b", "2 2 b b < a"], "(2 1)"),
        (["1 1 a a < b", "2 2 b b < c", "3 3 c c < a"], "(3 2 1)"),
        (["1 1 x x < a b", "2 2 y y < b a"], "((1)(2))"),
        # Of several with one id only the first has it; without an id nobody can answer.
        (["1 1 a a", "2 2 b a", "3 3 c c < a"], "(1 3)(2)"),
        (["1 1 a", "2 2 b"], "(1)(2)"),
        # Step 4 and 6: by date, and then by number.
        (["1 9 a a", "2 1 b b", "3 1 c c"], "(2)(3)(1)"),
        (["1 1 a a", "2 9 b b < a", "3 5 c c < a"], "(1 (3)(2))"),
        (["1 5 a b < x", "2 1 c c < x", "3 3 d d"], "((2)(1))(3)"),
        # Step 5: together by subject.
        (["1 1 s a", "2 2 re:s b"], "(1 2)"),
        (["1 2 s a", "2 1 re:s b"], "(1 2)"),
        (["1 1 s a", "2 2 s b"], "((1)(2))"),
        (["1 1 s a", "2 2 s b", "3 3 re:s c", "4 4 s d"], "((1)(2)(3)(4))"),
        (["1 1 re:s a", "2 2 re:s b"], "((1)(2))"),
        (["1 1 - a", "2 2 - b"], "(1)(2)"),
        (["1 1 s a < x", "2 2 t b < x", "3 3 re:s c"], "((1)(2)(3))"),
        (["1 1 s a < x", "2 2 t b < x", "3 3 s c < y", "4 4 u d < y"], "((1)(2)(3)(4))"),
        (["1 2 s a", "2 3 s b < x", "3 4 t c < x"], "((1)(2)(3))"),
        (["1 1 s a", "2 2 t b < a", "3 3 t c"], "(1 2)(3)"),
    ],
)
def test_by_references(lines: list[str], wanted: str) -> None:
    assert said(by_references(letters(*lines))) == wanted


@pytest.mark.parametrize(
    ("lines", "wanted"),
    [
        ([], ""),
        (["1 1 s"], "(1)"),
        (["1 1 s", "2 2 re:s"], "(1 2)"),
        (["1 3 s", "2 2 re:s", "3 1 t", "4 4 s"], "(3)(2 (1)(4))"),
        (["1 1 b", "2 1 a", "3 1 b"], "(1 3)(2)"),
    ],
)
def test_by_subject(lines: list[str], wanted: str) -> None:
    assert said(ordered_subject(letters(*lines))) == wanted


def numbers(threads: Sequence[Thread]) -> list[int]:
    found, waiting = [], list(threads)
    while waiting:
        one = waiting.pop()
        if one.number is not None:
            found.append(one.number)
        waiting.extend(one.children)
    return found


_LETTERS = st.lists(
    st.tuples(
        st.integers(0, 5),
        st.sampled_from(["", "s", "t"]),
        st.booleans(),
        st.sampled_from([None, *(b"%d" % id_ for id_ in range(8))]),
        st.lists(st.sampled_from([b"%d" % id_ for id_ in range(10)]), max_size=5),
    ),
    max_size=14,
)


@given(_LETTERS)
def test_each_message_is_in_exactly_one_place(rows: list[tuple[float, str, bool, bytes | None, list[bytes]]]) -> None:
    made = [Letter(number, *row) for number, row in enumerate(rows, 1)]
    for algorithm in (by_references, ordered_subject):
        threads = algorithm(made)
        assert sorted(numbers(threads)) == list(range(1, len(rows) + 1))
        assert response(threads).count(b"(") == response(threads).count(b")")
    for thread in by_references(made):
        # Only under the root there is something that is no message, and that has several children.
        assert thread.number is not None or len(thread.children) > 1
        inner = list(thread.children)
        while inner:
            one = inner.pop()
            assert one.number is not None
            inner.extend(one.children)


@given(_LETTERS)
def test_the_forest_is_that_of_the_text(rows: list[tuple[float, str, bool, bytes | None, list[bytes]]]) -> None:
    made = [Letter(number, *row) for number, row in enumerate(rows, 1)]

    def nested(thread: Thread) -> list[Any]:
        return [thread.number, *map(nested, thread.children)]

    assert [nested(thread) for thread in by_references(made)] == threaded(made)


def chain(count: int, *, backwards: bool = False) -> list[Letter]:
    made = [
        Letter(n, float(n), "s", n > 1, b"%d" % n, [b"%d" % before for before in range(max(1, n - 10), n)])
        for n in range(1, count + 1)
    ]
    return made[::-1] if backwards else made


@pytest.mark.parametrize("backwards", [False, True])
def test_a_hundred_thousand_in_one_row_are_no_trouble(backwards: bool) -> None:
    started = time.process_time()
    line = response(by_references(chain(100_000, backwards=backwards)))
    assert line.startswith(b"* THREAD (1 2 3 4 ")
    assert line.endswith(b" 100000)\r\n")
    assert time.process_time() - started < 10


def test_who_wants_loops_gets_no_more_of_our_time_than_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading, "MOST_STEPS", 1_000_000)
    made = chain(20_000)
    # Each of these asks to make the deepest the parent of the first.
    made += [Letter(n, float(n), "", False, b"%d" % n, [b"20000", b"1"]) for n in range(20_001, 40_001)]
    started = time.process_time()
    threads = by_references(made)
    assert time.process_time() - started < 5
    assert sorted(numbers(threads)) == list(range(1, 40_001))
