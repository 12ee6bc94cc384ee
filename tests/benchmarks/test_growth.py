"""Growth: exponents, what is called worse than its work, and a small run of the real thing."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from benchmarks import growth
from benchmarks.growth import Grown, exponent


def grown(*costs: float, work: int = 0, each: bool = False) -> Grown:
    return Grown("messages", "SELECT", [(1000 * 10**at, cost) for at, cost in enumerate(costs)], work, each)


def test_an_exponent_is_that_of_the_power_law() -> None:
    assert exponent([(10, 5), (100, 50), (1000, 500)]) == pytest.approx(1)
    assert exponent([(10, 5), (100, 500)]) == pytest.approx(2)
    assert exponent([(10, 5), (100, 5)]) == pytest.approx(0)
    assert exponent([(10, 5)]) == exponent([]) == 0


@pytest.mark.parametrize(
    ("one", "verdict"),
    [
        (grown(100, 110, 105), "flat"),
        (grown(100, 1000, 10_000), "worse than its work"),
        (grown(100, 1000, 10_000, work=1), "with its work"),
        (grown(100, 10_000, 1_000_000, work=1), "worse than its work"),
        (grown(3, 2, 2, each=True), "with its work"),
        (grown(3, 6, 12, each=True), "worse than its work"),
        (grown(100, 100, 101, work=1), "flat"),
    ],
)
def test_the_verdict_compares_growth_with_work(one: Grown, verdict: str) -> None:
    assert one.verdict == verdict
    assert one.is_fine == (verdict != "worse than its work")


def test_growth_that_begins_late_is_seen() -> None:
    """What is read one after the other hides behind what a command costs anyway, until there is much of it."""
    assert not grown(100, 102, 120, 300).is_fine


def test_a_small_run(tmp_path: Path) -> None:
    """Fills a store, measures over the wire; every line gets a point for every size."""
    console = Console(quiet=True)
    found = growth.run(console, kinds=["mailboxes"], up_to=1000, mailboxes_up_to=10)
    assert [each.title for each in found] == [line.title for line in growth.LINES["mailboxes"]]
    for each in found:
        assert [amount for amount, _ in each.points] == [1, 10]
        assert all(cost > 0 for _, cost in each.points)
    growth.save(tmp_path / "growth.json", found)
    assert growth.load(tmp_path / "growth.json") == found
    assert growth.table(found, "mailboxes").row_count == len(found)
