"""One message that is larger than the memory that a server should need for it, in and out."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from benchmarks import machine, tasks
from benchmarks.bench import Bench, Measured, row
from benchmarks.crew import Task
from benchmarks.results import Row
from benchmarks.scenarios.scenario import Scenario
from benchmarks.scenarios.smtp import Watcher, wait_until_seen
from benchmarks.targets import Target


def large(bench: Bench, target: Target) -> Iterator[Row]:
    [user] = bench.users(target, 1)
    octets = bench.options.large
    sent = sum(map(len, tasks.large_pieces(octets)))
    name = f"{octets / 2**30:.3g} GiB" if octets >= 2**29 else f"{octets / 2**20:.3g} MiB"
    watcher = Watcher(target.server, user)
    time.sleep(0.5)
    peaks = machine.Peaks(target.roots)
    arguments = {"server": target.server, "user": user}
    done = bench.measure(target, [Task(tasks.large_in, {**arguments, "octets": octets})])
    seconds = wait_until_seen({user: watcher}, {user: 1}, bench.options.patience) - done.began
    yield from _rows(f"{name} in", target, done, seconds, peaks, octets=sent)
    peaks = machine.Peaks(target.roots)
    done = bench.measure(target, [Task(tasks.large_out, arguments)])
    wrong = [] if done.octets >= sent else [f"{done.octets} octets of {sent} came back"]
    yield from _rows(f"{name} out", target, done, done.seconds, peaks, octets=sent, wrong=wrong)
    watcher.close()


def _rows(
    label: str,
    target: Target,
    done: Measured,
    seconds: float,
    peaks: machine.Peaks,
    *,
    octets: int,
    wrong: Sequence[str] = (),
) -> Iterator[Row]:
    yield row(label, target, done, operations=round(octets / 1e6), seconds=seconds, unit="MB/s", wrong=wrong)
    if target.roots:
        grown = peaks.grown() / 2**20
        yield Row(f"{label}, memory", target.name, max(grown, 0.1), "MiB more", less_is_better=True, is_bound=True)


SCENARIOS: Sequence[Scenario] = (
    Scenario(
        "large",
        "large",
        "one message of 1 GiB, sent, and read by IMAP; and how far memory grows",
        large,
        ("smtp", "imap"),
    ),
)
