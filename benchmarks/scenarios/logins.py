"""Sessions that only log in and out, 20 at once. Each password has been seen once before the clock starts.

A server that hashes passwords does so here.
"""

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
    users = bench.users(target, 50)
    if target.launch_with is None:
        yield _logged_in(bench, target, users, protocol)
    else:
        with target.launch_with(users) as strict:
            bench.settle(strict)
            yield _logged_in(bench, strict, users, protocol)


def _logged_in(bench: Bench, target: Target, users: Sequence[str], protocol: str) -> Row:
    processes = bench.options.processes
    arguments = {
        "server": target.server,
        "protocol": protocol,
        "count": bench.scaled(2000) // processes,
        "connections": 20 // processes,
    }
    done = bench.measure(target, [Task(tasks.log_in, {**arguments, "users": share}) for share in bench.split(users)])
    return row(f"logins, {protocol.upper()}", target, done)


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
