"""All at once: mail comes in at a fixed pace while IMAP and POP3 clients do as much as they can."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchmarks import tasks
from benchmarks.bench import Bench, row
from benchmarks.crew import Task
from benchmarks.results import Row
from benchmarks.scenarios.scenario import Scenario
from benchmarks.targets import Target


def mixed(bench: Bench, target: Target) -> Iterator[Row]:
    users = bench.users(target, 20)
    bench.fill(target, users, bench.scaled(200, 60), size=6000)
    count = bench.options.processes
    arguments = {
        "server": target.server,
        "users": users,
        "seconds": bench.options.seconds,
        "per_second": 60 / count,
        "readers": max(1, 16 // count),
        "fetchers": max(1, 4 // count),
    }
    done = bench.measure(target, [Task(tasks.mixed, {**arguments, "seed": seed}) for seed in range(count)])
    yield row("mixed load", target, done)


SCENARIOS: Sequence[Scenario] = (
    Scenario(
        "mixed", "mixed", "one operation of many IMAP and POP3 clients while mail comes in", mixed, ("smtp", "imap")
    ),
)
