"""Taking characters apart is what Unicode says, and costs no more for marks without end."""

from __future__ import annotations

import time
import unicodedata
from collections.abc import Callable, Iterable
from math import inf

import pytest

from mailsystem.imap.heading import collated
from mailsystem.mail.decomposition import decomposed
from mailsystem.mail.haystack import fold

MARKS = "\u0315\u0327"
"""Of two classes: in this order they have to change places."""


@pytest.mark.parametrize(
    "text",
    [
        "",
        "plain",
        "Übergrößenträger sind schön. " * 100,
        "ｶﾞ㍿ガギ한국어ﷺ" * 100,
        ("e" + MARKS * 20) * 100,
        "x" * 300 + "\u0f73\u0f71\u0344" * 20,
        "x" * 255 + MARKS + "y",
        "x" * 256 + MARKS + "y",
    ],
)
def test_it_is_nfkd(text: str) -> None:
    assert decomposed(text) == unicodedata.normalize("NFKD", text)


def cost(work: Callable[[str], object], text: str) -> float:
    """Seconds that the processor is at it, at best: what else the machine does counts for nothing."""
    best = inf
    for _ in range(5):
        began = time.thread_time()
        work(text)
        best = min(best, time.thread_time() - began)
    return best


def in_turn(count: int) -> str:
    return MARKS * (count // 2)


def of_two_halves(count: int) -> str:
    return "a" + MARKS[0] * (count // 2) + MARKS[1] * (count // 2)


@pytest.mark.parametrize("work", [decomposed, fold, collated])
@pytest.mark.parametrize("text", [in_turn, of_two_halves])
def test_marks_without_end_take_no_more_time_than_other_text(
    work: Callable[[str], Iterable[str]], text: Callable[[int], str]
) -> None:
    long = text(32_000)
    assert sorted(work(long)) in (sorted(long), sorted(long.upper()))
    # Sixteen times the marks: by one sort of them all it would be 256 times the work.
    assert cost(work, long) < 64 * cost(work, text(2000))
