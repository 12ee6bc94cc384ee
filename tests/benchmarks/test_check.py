"""The regression check: what it calls worse, and what it says where it cannot tell."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks import check
from benchmarks.check import Cost, costs, judged
from benchmarks.clients import Refused
from benchmarks.results import Row
from benchmarks.scenarios import ALL, Scenario


def quiet() -> Console:
    return Console(quiet=True)


def measured(**turns: float) -> dict[str, Cost]:
    return {label: Cost(turns_, turns_) for label, turns_ in turns.items()}


class Measure:
    """Gives what it was told to, one after the other."""

    def __init__(self, *answers: dict[str, Cost]) -> None:
        self.answers = list(answers)
        self.asked: list[int] = []

    def __call__(self, loads: Sequence[Scenario], repeats: int) -> dict[str, Cost]:
        self.asked.append(repeats)
        return self.answers.pop(0)


def test_the_least_of_all_repeats_counts_in_turns_of_the_loop() -> None:
    rows = [Row("select", "ours", 1, "/s", server_ms=ms) for ms in (4.0, 2.0, 3.0)]
    assert costs(rows, turn=0.010) == {"select": Cost(0.2, 2.0)}


def test_mail_in_is_counted_until_the_250() -> None:
    rows = [Row(label, "ours", 1, "/s", server_ms=1.0) for label in ("mail in", "mail in, to the 250", "select")]
    assert list(costs(rows, turn=1)) == ["mail in, to the 250", "select"]


def test_an_error_is_no_cost() -> None:
    with pytest.raises(Refused, match="lost"):
        costs([Row("select", "ours", 1, "/s", server_ms=1.0, errors=1, error="lost")], turn=1)


def test_worse_is_what_exceeds_the_tolerance() -> None:
    [fine, worse, better, new, gone] = judged(
        measured(a=1.2, b=1.3, c=0.5, d=1.0), measured(a=1.0, b=1.0, c=1.0, e=1.0)
    )
    assert [each.is_worse(0.25) for each in (fine, worse, better, new, gone)] == [False, True, False, False, False]
    assert [each.change for each in (new, gone)] == [None, None]
    assert worse.change == pytest.approx(0.3)


def test_what_seems_worse_is_measured_once_more() -> None:
    then, loads = measured(a=1.0), [ALL["smtp-1k"]]
    once = Measure(measured(a=1.1))
    assert not check.check(once, then, 0.25, loads, 3)[0].is_worse(0.25)
    assert once.asked == [3]
    noise = Measure(measured(a=1.9), measured(a=1.05))
    assert not check.check(noise, then, 0.25, loads, 3)[0].is_worse(0.25)
    assert noise.asked == [3, 6]
    real = Measure(measured(a=1.9), measured(a=1.8))
    [result] = check.check(real, then, 0.25, loads, 3)
    assert result.is_worse(0.25)
    assert result.now == Cost(1.8, 1.8)


def test_a_reference_comes_back(tmp_path: Path) -> None:
    check.write(tmp_path / "reference.json", measured(a=1.5))
    assert check.read(tmp_path / "reference.json") == measured(a=1.5)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"loads": {"a": {"turns": 1}}}', '{"loads": 3}'])
def test_what_is_no_reference_is_told(tmp_path: Path, text: str) -> None:
    file = tmp_path / "reference.json"
    file.write_text(text)
    with pytest.raises(ValueError, match=r".+"):
        check.read(file)
    assert check.run(quiet(), reference=file) == 2


def test_the_reference_that_is_stored_is_of_the_loads_that_are_run() -> None:
    known = check.read(check.REFERENCE)
    assert len(known) > len(check.LOADS)
    assert all(cost.turns > 0 for cost in known.values())
    assert set(check.LOADS) <= set(ALL)


def test_a_doctored_reference_makes_it_fail(tmp_path: Path) -> None:
    """The real program, once: written, a thousand times as good as written, and a thousand times as bad."""
    file, names = tmp_path / "reference.json", ["imap-select"]
    small = check.Options(scale=0.1, messages=50, processes=1)

    def run(*, update: bool = False) -> int:
        return check.run(quiet(), reference=file, update=update, repeats=1, names=names, options=small)

    assert run() == 2
    assert run(update=True) == 0
    written = json.loads(file.read_text())
    for factor, status in ((1e-3, 1), (1e3, 0)):
        doctored = json.loads(file.read_text())
        doctored["loads"]["IMAP SELECT"]["turns"] = written["loads"]["IMAP SELECT"]["turns"] * factor
        file.write_text(json.dumps(doctored))
        assert run() == status
