"""A server started anew: when it greets, and what memory it has when nobody is there."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from benchmarks import machine
from benchmarks.bench import Bench
from benchmarks.results import Row
from benchmarks.scenarios.scenario import Scenario
from benchmarks.targets import Target, wait_for


def start(bench: Bench, target: Target) -> Iterator[Row]:
    assert target.launch is not None
    began = time.monotonic()
    with target.launch() as fresh:
        for port, greeting in ((fresh.server.smtp, b"220"), (fresh.server.pop3, b"+OK"), (fresh.server.imap, b"* OK")):
            wait_for(port, greeting)
        seconds = time.monotonic() - began
        cpu = machine.cpu(fresh.roots)
        time.sleep(2)
        held = machine.memory(fresh.roots) / 2**20
    yield Row(
        "start to greeting", target.name, 1000 * seconds, "ms", less_is_better=True, operations=1, server_ms=1000 * cpu
    )
    yield Row("memory at rest", target.name, held, "MiB", less_is_better=True)


SCENARIOS: Sequence[Scenario] = (
    Scenario("start", "start", "one start, until all doors greet; and memory at rest", start, ("launch",)),
)
