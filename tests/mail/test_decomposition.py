"""Taking characters apart is what Unicode says, and costs no more for marks without end."""

from __future__ import annotations

import time
import unicodedata

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


@pytest.mark.parametrize("work", [decomposed, fold, collated])
@pytest.mark.parametrize("text", [MARKS * 100_000, "a" + MARKS[0] * 100_000 + MARKS[1] * 100_000])
def test_marks_without_end_take_no_more_time_than_other_text(work: object, text: str) -> None:
    began = time.monotonic()
    assert callable(work)
    assert sorted(work(text)) in (sorted(text), sorted(text.upper()))
    assert time.monotonic() - began < 2, "by one sort it would take a minute"
