"""The regression check: what small loads cost this program in CPU, against what they cost when the reference was written.

Costs are counted in turns of a calibrating loop that runs in the same minutes, so that another machine, or a busy one, changes
little: no clock on the wall is asked. Of several repeats the least counts. Whatever looks worse is measured once more.
"""

from __future__ import annotations

import json
import sqlite3
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks.bench import Bench, Options
from benchmarks.clients import Refused
from benchmarks.crew import Crew
from benchmarks.results import Row
from benchmarks.scenarios import ALL, Scenario
from benchmarks.table import number
from benchmarks.targets import Target, ours

REFERENCE: Final = Path(__file__).parent / "reference.json"
TOLERANCE: Final = 0.25
"""How much worse is not yet worse."""
REPEATS: Final = 4
LOADS: Final = (
    *(
        "smtp-1k",
        "smtp-10k",
        "smtp-one",
        "smtp-ten",
        "smtp-1m",
        "pop3-eight",
        "imap-sync",
        "imap-headers",
        "imap-bodies",
    ),
    *("imap-store", "imap-select", "imap-append", "imap-copy", "search", "logins-imap", "start"),
)
SMALL: Final = Options(scale=0.15, messages=2_000, processes=1, patience=120.0)


@dataclass(frozen=True, slots=True)
class Cost:
    """What one operation costs."""

    turns: float
    """Of the calibrating loop."""
    cpu_ms: float
    """On the machine where it was measured."""


@dataclass(frozen=True, slots=True)
class Judged:
    label: str
    now: Cost | None
    then: Cost | None

    @property
    def change(self) -> float | None:
        """As 0.1 for a tenth more."""
        if self.now is None or self.then is None:
            return None
        return self.now.turns / self.then.turns - 1

    def is_worse(self, tolerance: float) -> bool:
        return self.change is not None and self.change > tolerance


def calibrate() -> float:
    """CPU seconds of one turn: the kinds of work that a server does, always the same."""
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE t (a INTEGER PRIMARY KEY, b BLOB)")
    began = time.process_time()
    kept: dict[bytes, int] = {}
    for number_ in range(4000):
        line = b"a%d FETCH %d (FLAGS (\\Seen) UID %d)\r\n" % (number_, number_, number_ * 7)
        words = line.rstrip().split(b" ")
        kept[words[0]] = len(words) + line.find(b"UID")
    connection.executemany("INSERT INTO t VALUES (?, ?)", [(n, b"x" * 200) for n in range(2000)])
    for number_ in range(0, 2000, 2):
        connection.execute("SELECT b FROM t WHERE a = ?", (number_,)).fetchall()
    spent = time.process_time() - began
    connection.close()
    return spent


def costs(rows: Iterable[Row], turn: float) -> dict[str, Cost]:
    """The least that each load has cost; `turn` is CPU seconds. Raises `Refused` where something went wrong."""
    rows = list(rows)
    for row in rows:
        if row.errors:
            raise Refused(f"{row.label}: {row.error}")
    found: dict[str, float] = {}
    labels = {row.label for row in rows}
    for row in rows:
        # Until the 250 nobody looks whether mail has come, which costs something each time.
        if row.server_ms is not None and f"{row.label}, to the 250" not in labels:
            found[row.label] = min(row.server_ms, found.get(row.label, row.server_ms))
    return {label: Cost(ms / 1000 / turn, ms) for label, ms in found.items()}


def judged(now: Mapping[str, Cost], then: Mapping[str, Cost]) -> list[Judged]:
    return [Judged(label, now.get(label), then.get(label)) for label in dict.fromkeys((*now, *then))]


def read(path: Path) -> dict[str, Cost]:
    """A reference. Raises `OSError` and `ValueError`."""
    kept = json.loads(path.read_text())
    try:
        return {label: Cost(**cost) for label, cost in kept["loads"].items()}
    except (KeyError, TypeError, AttributeError) as wrong:
        raise ValueError(f"{path} is no reference: {wrong!r}") from None


def write(path: Path, known: Mapping[str, Cost]) -> None:
    loads = {label: {"turns": round(cost.turns, 5), "cpu_ms": round(cost.cpu_ms, 5)} for label, cost in known.items()}
    python = ".".join(map(str, sys.version_info[:2]))
    path.write_text(json.dumps({"python": python, "loads": loads}, indent=1) + "\n")


def table(results: Sequence[Judged], tolerance: float) -> Table:
    made = Table(box=box.SIMPLE_HEAD, header_style="bold", title="CPU of one operation", title_justify="left")
    made.add_column("load", no_wrap=True)
    for name in ("turns then", "turns now", "CPU ms now", "change"):
        made.add_column(name, justify="right", no_wrap=True)
    for each in results:
        change = each.change
        if change is None:
            told = Text("new" if each.then is None else "not measured", "yellow")
        else:
            told = Text(
                f"{change:+.0%}", "red bold" if each.is_worse(tolerance) else "green" if change < -tolerance else ""
            )
        made.add_row(
            each.label,
            number(each.then.turns) if each.then else "",
            number(each.now.turns) if each.now else "",
            number(each.now.cpu_ms) if each.now else "",
            told,
        )
    return made


Measure = Callable[[Sequence[Scenario], int], dict[str, Cost]]
"""Some scenarios, so many times."""


def check(
    measure: Measure, then: Mapping[str, Cost], tolerance: float, loads: Sequence[Scenario], repeats: int
) -> list[Judged]:
    """What has become of each load; one that seems worse is measured again, twice as often, and its least counts."""
    now = measure(loads, repeats)
    if any(each.is_worse(tolerance) for each in judged(now, then)):
        for label, cost in measure(loads, 2 * repeats).items():
            now[label] = min(now.get(label, cost), cost, key=lambda each: each.turns)
    return judged(now, then)


def measuring(bench: Bench, target: Target, console: Console) -> Measure:
    def measure(loads: Sequence[Scenario], repeats: int) -> dict[str, Cost]:
        rows: list[Row] = []
        turns: list[float] = []
        for _ in range(repeats):
            for scenario in loads:
                with console.status(f"{scenario.name}"):
                    turns += [calibrate() for _ in range(5)]
                    rows += scenario.run(bench, target)
        return costs(rows, min(turns))

    return measure


def run(
    console: Console,
    *,
    reference: Path = REFERENCE,
    update: bool = False,
    tolerance: float = TOLERANCE,
    repeats: int = REPEATS,
    names: Sequence[str] = LOADS,
    options: Options = SMALL,
) -> int:
    """The exit status: 0 for as good as before, 1 for worse, 2 where that cannot be told."""
    loads = [ALL[name] for name in names]
    try:
        then = {} if update else read(reference)
    except (OSError, ValueError) as wrong:
        console.print(
            f"[red]There is nothing to compare with:[/] {wrong}. `python -m benchmarks check --update` writes it."
        )
        return 2
    with Crew() as crew, ours() as target:
        bench = Bench(crew, options)
        bench.settle(target)
        try:
            results = check(measuring(bench, target, console), then, tolerance, loads, repeats)
        except Refused as failure:
            console.print(f"[red]The program does not do what it must:[/] {failure}", highlight=False)
            return 2
    console.print(table(results, tolerance))
    if update:
        write(reference, {each.label: each.now for each in results if each.now is not None})
        console.print(f"written: {reference}", highlight=False)
        return 0
    worse = [each.label for each in results if each.is_worse(tolerance)]
    if worse:
        console.print(f"[red bold]More than {tolerance:.0%} worse:[/] {'; '.join(worse)}", highlight=False)
        return 1
    console.print(f"[green]Nothing is more than {tolerance:.0%} worse.[/]", highlight=False)
    return 0
