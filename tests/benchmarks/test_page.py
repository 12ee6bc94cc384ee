"""docs/performance.md has what was measured, and nothing else in its places."""

from __future__ import annotations

import pytest

from benchmarks import page
from benchmarks.growth import Grown
from benchmarks.results import Results, Row

OPTIONS = {"repeats": 3, "messages": 10_000, "idlers": 1000, "scale": 1.0}


def results(*names: str, peers: tuple[str, ...] = ()) -> Results:
    rows = [
        Row(label, name, 10.0 * (at + 1), "/s", server_ms=0.5)
        for at, name in enumerate(names)
        for label in ("in", "out")
    ]
    rows += [Row("memory", name, 10.0 * (at + 1), "KiB", less_is_better=True) for at, name in enumerate(names)]
    return Results("a machine", "2026-01-31", OPTIONS, {name: f"about {name}" for name in names}, peers, rows)


def test_the_page_and_its_charts_are_current() -> None:
    for path, text in page.files().items():
        assert path.read_text() == text, "run: python -m benchmarks page"
    assert {path.name for path in page.files()} - {page.PAGE.name} == {path.name for path in page.CHARTS.iterdir()}


def test_its_places_are_filled_and_nothing_else_is_touched() -> None:
    grown = [Grown("messages", "SELECT", [(1000, 200.0), (10_000, 2000.0)], 0, False)]
    parts = page.regions(results("ours", "a", "b", peers=("a", "b")), results("x1", "x2"), grown)
    text = page.filled(page.PAGE.read_text(), parts)
    assert "| in | /s | 10.0 [10.0–10.0] · 0.5 | 20.0" in text
    assert "| in | 0.33x | b | 0.5 | 0.5 |" in text
    assert "| memory | KiB | 10.0 | 20.0 | **0.50x** |" in text
    assert "| SELECT | 200 µs | 2 ms | 1.00 | **worse than its work** |" in text
    assert text.startswith(page.PAGE.read_text().partition("<!--")[0])
    assert page.filled(text, parts) == text
    assert set(page.charts(results("ours", "a"), grown)) == {"ratios.svg", "growth-messages.svg"}


def test_what_was_not_measured_is_said() -> None:
    parts = page.regions(results("ours"), None, [])
    assert parts["behind"] == "In this run it was behind in nothing.\n"
    assert parts["workers"] == parts["growth"] == "Not measured yet.\n"


def test_a_page_without_its_places_is_refused() -> None:
    with pytest.raises(ValueError, match="places"):
        page.filled("# Performance\n", page.regions(results("ours"), None, []))
