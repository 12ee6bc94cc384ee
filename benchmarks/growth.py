"""Growth: what one operation costs with ever more messages in a mailbox, mailboxes of a person, and people."""

from __future__ import annotations

import dataclasses
import json
import math
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks import machine, tasks
from benchmarks.bench import Bench, Measured, Options
from benchmarks.chart import Curve, duration, growth, short
from benchmarks.clients import Refused
from benchmarks.crew import Crew, Task
from benchmarks.filling import SIZE, fill
from benchmarks.letters import NOWHERE, RARE, TITLE
from benchmarks.scenarios.imap import command
from benchmarks.table import markdown
from benchmarks.targets import Target, ours

USER: Final = "ann@bench.test"
_REPEATS: Final = 3
_STEEP: Final = 0.25
"""The exponent up to which growth is none: less than twice as much for ten times as many."""
_FLAT, _WITH, _WORSE = "flat", "with its work", "worse than its work"


@dataclass(frozen=True, slots=True)
class Line:
    """One operation."""

    title: str
    run: Callable[[Bench, Target, int], Measured]
    """Where there is so much of it."""
    work: int = 0
    """The exponent by which its work grows: 1 if it has to look at everything."""
    each: bool = False
    """The cost is told for each message or mailbox."""
    once: bool = False
    """Only the first time after a start is measured."""


@dataclass(frozen=True, slots=True)
class Grown:
    """One operation, measured at several sizes."""

    kind: str
    title: str
    points: Sequence[tuple[float, float]]
    """(how many there are, microseconds of the server's CPU for one operation)."""
    work: int
    each: bool
    milliseconds: Sequence[float] = ()
    """That the clock on the wall says, at each of the sizes."""

    @property
    def slope(self) -> float:
        """The exponent by which it grows: over all, or over the last step where that is steeper."""
        last = exponent(self.points[-2:])
        return max(exponent(self.points), last)

    @property
    def verdict(self) -> str:
        if self.slope <= _STEEP:
            return _WITH if self.each else _FLAT
        return _WITH if self.slope <= self.work + _STEEP else _WORSE

    @property
    def is_fine(self) -> bool:
        return self.verdict != _WORSE


def exponent(points: Sequence[tuple[float, float]]) -> float:
    """That of the power law which fits best (least squares of the logarithms); 0 for fewer than two points."""
    logs = [(math.log(amount), math.log(cost)) for amount, cost in points if amount > 0 and cost > 0]
    if len(logs) < 2:
        return 0.0
    across, up = (sum(values) / len(logs) for values in zip(*logs, strict=True))
    spread = sum((x - across) ** 2 for x, _ in logs)
    return sum((x - across) * (y - up) for x, y in logs) / spread if spread else 0.0


def _said(words: str, *, select: str = "INBOX", repeats: int = 20) -> Callable[[Bench, Target, int], Measured]:
    return lambda bench, target, _: command(bench, target, USER, words, select=select, repeats=repeats)


def _several(words: Callable[[int, int], str], count: int = 40) -> Callable[[Bench, Target, int], Measured]:
    """Commands about one message after the other, all over the mailbox; `words` gets a place and the number of messages."""

    def run(bench: Bench, target: Target, amount: int) -> Measured:
        timed = [words(1 + number * 7919 % amount, amount) for number in range(count)]
        arguments = {"server": target.server, "user": USER, "timed": timed}
        return bench.measure(target, [Task(tasks.commands, arguments)])

    return run


def _store(bench: Bench, target: Target, amount: int) -> Measured:
    arguments = {"server": target.server, "user": USER, "messages": amount, "count": 40}
    return bench.measure(target, [Task(tasks.store_single, arguments)])


def _deliver(bench: Bench, target: Target, _: int) -> Measured:
    drops = [(number, [USER]) for number in range(40)]
    arguments = {"server": target.server, "size": SIZE, "drops": drops, "connections": 4, "per_connection": 10}
    return bench.measure(target, [Task(tasks.deliver, arguments)])


def _append(bench: Bench, target: Target, _: int) -> Measured:
    arguments = {"server": target.server, "users": [USER], "size": SIZE, "count": 20, "batch": 1, "mailbox": "INBOX"}
    return bench.measure(target, [Task(tasks.fill, arguments)])


def _maildrop(bench: Bench, target: Target, _: int) -> Measured:
    return bench.measure(target, [Task(tasks.list_maildrop, {"server": target.server, "user": USER, "count": 3})])


def _log_in(bench: Bench, target: Target, _: int) -> Measured:
    arguments = {"server": target.server, "users": [USER], "protocol": "imap", "count": 40, "connections": 2}
    return bench.measure(target, [Task(tasks.log_in, arguments)])


LINES: Final[Mapping[str, Sequence[Line]]] = {
    "messages": (
        Line("first SELECT after a start", _said("SELECT INBOX", select="", repeats=1), work=1, once=True),
        Line("SELECT", _said("SELECT INBOX", select="")),
        Line("STATUS", _said("STATUS INBOX (MESSAGES UNSEEN UIDNEXT)", select="")),
        Line("NOOP", _said("NOOP")),
        Line("FETCH of one message", _several(lambda place, _: f"FETCH {place} (UID FLAGS ENVELOPE BODY.PEEK[])")),
        Line("STORE of one message", _store),
        Line("COPY of one message", _several(lambda place, _: f"COPY {place} Copies")),
        Line("SEARCH BODY, nothing found", _said(f"UID SEARCH BODY {NOWHERE}")),
        Line("SEARCH BODY, one in 1,000", _said(f"UID SEARCH BODY {RARE}"), work=1),
        Line("SEARCH SUBJECT, one in 25", _said(f"UID SEARCH SUBJECT {TITLE}", repeats=5), work=1),
        Line("SEARCH UNSEEN, all", _said("UID SEARCH UNSEEN", repeats=5), work=1),
        Line("sync of flags, each", _said("UID FETCH 1:* (UID FLAGS)", repeats=1), each=True),
        Line("delivery", _deliver),
        Line("APPEND", _append),
        Line("POP3 login and UIDL, each", _maildrop, each=True),
    ),
    "mailboxes": (
        Line("login", _log_in),
        Line("LIST of all, each", _said('LIST "" "*"', select="", repeats=3), each=True),
        Line("LIST of one", _said('LIST "" "Folder 000000"', select="")),
        Line("SELECT", _said("SELECT INBOX", select="")),
        Line("STATUS", _said("STATUS INBOX (MESSAGES UNSEEN UIDNEXT)", select="")),
        Line("STORE of one message", _store),
        Line("delivery", _deliver),
        Line("POP3 login and UIDL", _maildrop),
    ),
    "accounts": (
        Line("login", _log_in),
        Line("SELECT", _said("SELECT INBOX", select="")),
        Line("delivery", _deliver),
        Line("STORE of one message", _store),
    ),
}
TITLES: Final = {
    "messages": "One mailbox with ever more messages",
    "mailboxes": "One person with ever more mailboxes",
    "accounts": "One store with ever more people",
}


def _sizes(kind: str, up_to: int, mailboxes_up_to: int) -> list[int]:
    first, last = (1000, up_to) if kind == "messages" else (1, mailboxes_up_to)
    return [10**power for power in range(round(math.log10(first)), 10) if 10**power <= last]


def measure(kind: str, sizes: Sequence[int], console: Console) -> Iterator[tuple[str, int, float, float]]:
    """(title, how many there are, CPU seconds of one operation, seconds), as they come; with a new server for each size."""
    with tempfile.TemporaryDirectory(prefix="mailsystem-bench-") as place, Crew() as crew:
        data, there = Path(place) / "data", 0
        if kind != "messages":
            fill(data, "messages", USER, 0, 100)
        for amount in sizes:
            began = time.monotonic()
            with console.status(f"filling: {amount:,} {kind}"):
                fill(data, kind, USER, there, amount)
            console.print(f"[dim]{amount:,} {kind} after {time.monotonic() - began:.0f} s[/]", highlight=False)
            there = amount
            with ours(data=data) as target:
                bench = Bench(crew, Options(processes=1, patience=600.0))
                bench.settle(target)
                # What is loaded by the first client of all is no matter of size.
                command(bench, target, "bob@bench.test", "NOOP")
                if amount == sizes[0]:
                    command(bench, target, USER, "NOOP", select="", before=["CREATE Copies"])
                messages = amount if kind == "messages" else 100
                for line in LINES[kind]:
                    with console.status(f"{amount:,} {kind}: {line.title}"):
                        try:
                            cost = min(_costs(bench, target, line, messages), key=lambda each: each[0])
                        except Refused as failure:
                            console.print(f"[red]{amount:,} {kind}, {line.title}:[/] {failure}", highlight=False)
                            continue
                    share = amount if line.each else 1
                    yield line.title, amount, cost[0] / share, cost[1] / share


def _costs(bench: Bench, target: Target, line: Line, amount: int) -> Iterator[tuple[float, float]]:
    for _ in range(1 if line.once else _REPEATS):
        done = line.run(bench, target, amount)
        if done.errors:
            raise Refused(done.error)
        assert done.server_cpu is not None
        yield done.server_cpu / done.operations, done.seconds / done.operations


def run(
    console: Console,
    *,
    kinds: Sequence[str],
    up_to: int,
    mailboxes_up_to: int,
    told: Callable[[Sequence[Grown]], None] = lambda _: None,
) -> list[Grown]:
    """All lines, as far as they have come `told` after each size."""
    found: dict[tuple[str, str], list[tuple[int, float, float]]] = {}
    lines = {(kind, line.title): line for kind in kinds for line in LINES[kind]}

    def so_far() -> list[Grown]:
        return [
            Grown(
                kind,
                title,
                [(amount, 1e6 * cpu) for amount, cpu, _ in points],
                lines[kind, title].work,
                lines[kind, title].each,
                [1e3 * seconds for _, _, seconds in points],
            )
            for (kind, title), points in found.items()
        ]

    with machine.many_files():
        for kind in kinds:
            for title, amount, cpu, seconds in measure(kind, _sizes(kind, up_to, mailboxes_up_to), console):
                found.setdefault((kind, title), []).append((amount, cpu, seconds))
                told(so_far())
    return so_far()


def table(grown: Sequence[Grown], kind: str) -> Table:
    lines = [each for each in grown if each.kind == kind]
    sizes = sorted({amount for each in lines for amount, _ in each.points})
    made = Table(
        box=box.SIMPLE_HEAD, header_style="bold", title=f"{TITLES[kind]}: CPU of one operation", title_justify="left"
    )
    made.add_column("operation", no_wrap=True)
    for amount in sizes:
        made.add_column(short(amount), justify="right", no_wrap=True)
    made.add_column("exponent", justify="right")
    made.add_column("verdict", no_wrap=True)
    for cells, fine in _cells(lines, sizes):
        made.add_row(*cells[:-1], Text(cells[-1], "green" if fine else "red"))
    return made


def _cells(lines: Sequence[Grown], sizes: Sequence[float]) -> Iterator[tuple[list[str], bool]]:
    for each in lines:
        costs = dict(each.points)
        known = [duration(costs[amount]) if amount in costs else "" for amount in sizes]
        yield [each.title, *known, f"{each.slope:.2f}", each.verdict], each.is_fine


def as_markdown(grown: Sequence[Grown], kind: str) -> str:
    lines = [each for each in grown if each.kind == kind]
    sizes = sorted({amount for each in lines for amount, _ in each.points})
    rows = [cells if fine else [*cells[:-1], f"**{cells[-1]}**"] for cells, fine in _cells(lines, sizes)]
    return markdown(["operation", *map(short, sizes), "exponent", ""], rows, right=range(1, len(sizes) + 2))


def chart(grown: Sequence[Grown], kind: str) -> str:
    curves = [Curve(each.title, each.points, each.verdict, each.is_fine) for each in grown if each.kind == kind]
    return growth(curves, title=TITLES[kind], across=kind)


def save(path: Path, grown: Sequence[Grown]) -> None:
    kept: dict[str, Any] = {
        "machine": machine.described(),
        "when": time.strftime("%Y-%m-%d", time.gmtime()),
        "lines": [dataclasses.asdict(each) for each in grown],
    }
    path.write_text(json.dumps(kept, indent=1) + "\n")


def load(path: Path) -> list[Grown]:
    """Raises `OSError`, `ValueError` and `TypeError`."""
    lines = json.loads(path.read_text())["lines"]
    return [Grown(**{**line, "points": [(amount, cost) for amount, cost in line["points"]]}) for line in lines]
