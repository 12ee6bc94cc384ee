"""Medians, ratios and tables of what was measured."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.results import Results, Row, best, compared, percentile, ratio, summaries
from benchmarks.table import compared_markdown, compared_table, number


def rows(label: str, target: str, *values: float, less: bool = False) -> list[Row]:
    return [Row(label, target, value, "/s", less_is_better=less, server_ms=1 / value) for value in values]


def test_a_percentile_is_a_value_that_was_measured() -> None:
    assert percentile([3, 1, 2], 50) == 2
    assert percentile([1, 2, 3, 4], 50) == 2
    assert percentile(range(1, 101), 99) == 99
    assert percentile([7], 99) == 7
    with pytest.raises(ValueError, match="no values"):
        percentile([], 50)


def test_a_summary_has_median_and_spread() -> None:
    [each] = summaries(rows("in", "ours", 10, 30, 20))
    assert (each.median, each.least, each.most, each.repeats) == (20, 10, 30, 3)
    assert each.server_ms == 1 / 30


def test_a_repeat_with_errors_is_no_speed() -> None:
    [each] = summaries([*rows("in", "ours", 10), Row("in", "ours", 9999, "/s", errors=2, error="lost")])
    assert (each.median, each.most, each.repeats) == (10, 10, 1)
    assert (each.errors, each.error) == (2, "lost")


def test_less_is_better_turns_a_ratio_round() -> None:
    ours, theirs = summaries([*rows("memory", "ours", 10, less=True), *rows("memory", "theirs", 50, less=True)])
    assert ratio(ours, theirs) == 5
    assert best([ours, theirs]) is ours
    more, most = summaries([*rows("in", "ours", 10), *rows("in", "theirs", 50)])
    assert ratio(more, most) == 0.2
    assert best([more, most]) is most


def test_of_what_is_only_to_be_small_no_ratio_is_made() -> None:
    ours, theirs = summaries([Row("memory", name, 0.1, "MiB more", is_bound=True) for name in ("ours", "theirs")])
    assert ratio(ours, theirs) is None


def test_who_failed_is_neither_best_nor_compared() -> None:
    broken, fine = summaries([Row("in", "a", 0, "/s", errors=1), *rows("in", "b", 5)])
    assert ratio(broken, fine) is None
    assert best([broken]) is None


def test_the_first_is_compared_with_the_best_peer() -> None:
    all_ = [*rows("in", "ours", 100), *rows("in", "older", 400), *rows("in", "a", 20), *rows("in", "b", 50)]
    [with_peers] = compared(all_, peers=["a", "b"])
    assert (with_peers.ratio, with_peers.against) == (2, "b")
    [without] = compared(all_)
    assert (without.ratio, without.against) == (0.25, "older")
    [alone] = compared(rows("in", "ours", 100))
    assert (alone.ratio, alone.against) == (None, "")


def test_results_come_back_from_their_file(tmp_path: Path) -> None:
    kept = Results("a machine", "2026-01-31", {"scale": 1.0}, {"ours": "this"}, [], rows("in", "ours", 1, 2))
    kept.save(tmp_path / "run.json")
    assert Results.load(tmp_path / "run.json") == kept


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (0.0421, "0.042"),
        (3.14159, "3.14"),
        (51.27, "51.3"),
        (512.4, "512"),
        (9999, "9,999"),
        (12_345, "12.3k"),
        (1.27e6, "1.27M"),
    ],
)
def test_numbers_have_three_figures(value: float, written: str) -> None:
    assert number(value) == written


def test_a_table_tells_failures_and_busy_clients() -> None:
    busy = Row("in", "ours", 100, "/s", client_load=0.97)
    failed = Row("in", "theirs", 0, "/s", errors=1, error="nothing greets")
    text = Console(width=200, record=True)
    with text.capture() as said:
        text.print(compared_table(compared([busy, failed]), title="here"))
    assert "97%" in said.get()
    assert "failed" in said.get()
    assert "nothing greets" in said.get()


def test_a_page_has_one_line_for_each_scenario() -> None:
    page = compared_markdown(
        compared([*rows("in", "ours", 100), *rows("in", "a", 50)], peers=["a"]), targets=["ours", "a"]
    )
    assert page.splitlines()[2] == "| in | /s | 100 [100–100] · 0.01 | 50.0 [50.0–50.0] · 0.02 | **2.00x** |"
