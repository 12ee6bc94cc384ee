"""Sessions that only log in and out, 20 at once. Each password has been seen once before the clock starts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from benchmarks import tasks
from benchmarks.bench import Bench, row
from benchmarks.crew import Task
from benchmarks.results import Row
from benchmarks.scenarios.scenario import Scenario
from benchmarks.targets import Target


def log_in(bench: Bench, target: Target, *, protocol: str) -> Iterator[Row]:
    count = bench.scaled(2000) // bench.options.processes
    arguments = {
        "server": target.server,
        "protocol": protocol,
        "count": count,
        "connections": 20 // bench.options.processes,
    }
    shares = bench.split(bench.users(target, 50))
    done = bench.measure(target, [Task(tasks.log_in, {**arguments, "users": share}) for share in shares])
    yield row(f"logins, {protocol.upper()}", target, done)


SCENARIOS: Sequence[Scenario] = tuple(
    Scenario(
        f"logins-{protocol}",
        "logins",
        f"one login by {protocol.upper()}",
        partial(log_in, protocol=protocol),
        (protocol,),
    )
    for protocol in ("imap", "pop3")
)
