"""The comparison: servers side by side in one run, scenario by scenario, A B A B."""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from benchmarks import machine
from benchmarks.bench import Bench, Options
from benchmarks.clients import Refused
from benchmarks.crew import Crew
from benchmarks.peers import FORMATS, postfix_dovecot
from benchmarks.peers.postfix_dovecot import missing, warning
from benchmarks.results import Results, Row
from benchmarks.scenarios import Scenario
from benchmarks.targets import NotThere, Target, checked_out, ours


@dataclasses.dataclass(frozen=True, slots=True)
class Wanted:
    """Which servers are measured."""

    ours: bool = True
    workers: Sequence[int] = ()
    """This program with so many workers each; as many as it has by itself, where nothing is said."""
    peers: Sequence[str] = FORMATS
    against: Sequence[str] = ()
    """Commits of this project."""
    given: Sequence[Target] = ()
    """That run already."""


@contextmanager
def servers(wanted: Wanted, console: Console) -> Iterator[list[Target]]:
    """All of them, running; what cannot be had is said and left out."""
    with ExitStack() as stack:
        found: list[Target] = []
        if wanted.ours:
            for workers in wanted.workers or (0,):
                name = f"ours x{workers}" if len(wanted.workers) > 1 else "ours"
                found.append(stack.enter_context(ours(name, workers=workers)))
        for commit in wanted.against:
            checkout = stack.enter_context(checked_out(commit))
            found.append(stack.enter_context(ours(commit[:12], checkout=checkout)))
        found += wanted.given
        if wanted.peers and (reason := missing()):
            console.print(f"[bold yellow]Without Postfix and Dovecot:[/] {reason}. The run goes on.")
        elif wanted.peers:
            if slow := warning():
                console.print(f"[bold yellow]Note:[/] {slow}.")
            for kind in wanted.peers:
                try:
                    found.append(stack.enter_context(postfix_dovecot(kind)))
                except NotThere as absent:
                    console.print(f"[bold yellow]Without {kind}:[/] {absent}. The run goes on.")
        yield found


def measure(
    scenarios: Sequence[Scenario], targets: Sequence[Target], options: Options, repeats: int, console: Console
) -> Iterator[Row]:
    """All rows, as they come. A failure is a row too: with its error, and without a value."""
    work = [
        (scenario, target)
        for scenario in scenarios
        for _ in range(repeats)
        for target in targets
        if scenario.suits(target)
    ]
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with (
        Crew() as crew,
        Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress,
    ):
        bench = Bench(crew, options)
        bar = progress.add_task("", total=len(work))
        given_up: set[tuple[str, str]] = set()
        for scenario, target in work:
            progress.update(bar, description=f"{scenario.name} · {target.name}")
            if (scenario.name, target.name) not in given_up:
                try:
                    yield from scenario.run(bench, target)
                except (Refused, NotThere, OSError, ValueError) as failure:
                    # What does not work once will not work the next time, and takes the longer.
                    given_up.add((scenario.name, target.name))
                    said = f"{type(failure).__name__}: {failure}"
                    console.print(f"[red]{scenario.name}, {target.name}:[/] {said[:300]}", highlight=False, markup=True)
                    yield Row(scenario.name, target.name, 0.0, "", errors=1, error=said[:300])
            progress.advance(bar)


def run(
    scenarios: Sequence[Scenario],
    wanted: Wanted,
    options: Options,
    repeats: int,
    console: Console,
    keep: Path | None = None,
) -> Results:
    """Raises `NotThere` where not even this program can be started. `keep` is written after every scenario."""
    rows: list[Row] = []
    with machine.many_files(), servers(wanted, console) as targets:
        if not targets:
            raise NotThere("there is no server to measure")

        def so_far() -> Results:
            return Results(
                machine.described(),
                time.strftime("%Y-%m-%d", time.gmtime()),
                {**dataclasses.asdict(options), "repeats": repeats},
                {target.name: target.about for target in targets},
                [target.name for target in targets if target.is_peer],
                rows,
            )

        for each in scenarios:
            left_out = [target.name for target in targets if not each.suits(target)]
            if left_out:
                console.print(f"[dim]{each.name} is not for {', '.join(left_out)}[/]")
        for one in measure(scenarios, targets, options, repeats, console):
            rows.append(one)
            if keep is not None:
                so_far().save(keep)
        return so_far()


def console() -> Console:
    """Where tables go; wide enough for them where nobody looks at a terminal."""
    return Console(width=None if sys.stdout.isatty() else 180, soft_wrap=False)
