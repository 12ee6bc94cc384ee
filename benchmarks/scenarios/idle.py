"""Clients that idle: when they are told of new mail, and what memory each of them costs.

Time is counted from the end of DATA: where clients are told at once, they often read that before the sender reads its 250.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from functools import partial

from benchmarks import machine, tasks
from benchmarks.bench import Bench
from benchmarks.clients import Refused
from benchmarks.crew import Task
from benchmarks.results import Row, percentile
from benchmarks.scenarios.scenario import Scenario
from benchmarks.targets import Target

_WARM = 20


def latency(bench: Bench, target: Target, *, shared: bool) -> Iterator[Row]:
    idlers = bench.options.idlers
    users = bench.users(target, 1) * idlers if shared else bench.users(target, idlers)
    count, gap = (20, 0.3) if shared else (100, 0.03)
    expected: dict[str, int] = {}
    receivers = [users[number * 131 % idlers] for number in range(count)]
    for user in receivers:
        expected[user] = expected.get(user, 0) + 1
    work = [
        Task(
            tasks.idle,
            {
                "server": target.server,
                "users": share,
                "expected": sum(expected.get(user, 0) for user in share),
                "tls": False,
                "patience": count * (gap + 0.1) + 30,
            },
        )
        for share in bench.split(users)
    ]
    arguments = {"server": target.server, "users": users, "count": count, "gap": gap, "size": 2000}
    done = bench.measure(target, [*work, Task(tasks.trickle, arguments)], when_ready=lambda: time.sleep(1))
    after_250, after_data = delays(done.outcomes[-1].found, [each.found for each in done.outcomes[:-1]])
    label = "IDLE, one mailbox for all" if shared else "IDLE, a mailbox each"
    missed = sum(expected.values()) * (idlers if shared else 1) - len(after_250)
    yield Row(
        label,
        target.name,
        1000 * percentile(after_data, 50) if after_data else 0.0,
        "ms after the data",
        less_is_better=True,
        operations=len(after_data),
        seconds=done.seconds,
        client_load=done.client_load,
        p50_ms=1000 * percentile(after_data, 50) if after_data else None,
        p99_ms=1000 * percentile(after_data, 99) if after_data else None,
        errors=done.errors + missed,
        error=done.error or (f"{missed} were not told" if missed else ""),
        # Below zero where clients are told before the sender has read its answer.
        extra={"after_250_ms": 1000 * percentile(after_250, 50)} if after_250 else {},
    )


def delays(
    sent: Sequence[tuple[str, float, float]],
    seen: Sequence[Sequence[tuple[str, int, Sequence[tuple[int, float]]]]],
) -> tuple[list[float], list[float]]:
    """Seconds from each 250, and from the end of its data, until each client of the mailbox was told of that message."""
    by_user: dict[str, list[tuple[float, float]]] = {}
    for user, written, answered in sent:
        by_user.setdefault(user, []).append((written, answered))
    after_250, after_data = [], []
    for user, before, log in (client for clients in seen for client in clients):
        for number, (written, answered) in enumerate(by_user.get(user, ()), before + 1):
            told = next((when for exists, when in log if exists >= number), None)
            if told is not None:
                after_250.append(told - answered)
                after_data.append(told - written)
    return after_250, after_data


def memory(bench: Bench, target: Target, *, tls: bool) -> Iterator[Row]:
    """What so many more idling clients take, each in a mailbox of its own; a few are there before."""
    if target.launch is None:
        yield from _held(bench, target, tls=tls)
        return
    with target.launch() as fresh:  # what others have left behind would be used up first
        bench.settle(fresh)
        yield from _held(bench, fresh, tls=tls)


def _held(bench: Bench, target: Target, *, tls: bool) -> Iterator[Row]:
    if not target.roots:
        return
    idlers = bench.options.idlers
    held: list[int] = []

    def idling(count: int) -> Sequence[Task]:
        return [
            Task(tasks.idle, {"server": target.server, "users": share, "expected": 0, "tls": tls, "patience": 0.0})
            for share in bench.split(bench.users(target, count))
        ]

    def look() -> None:
        time.sleep(1.5)
        held.append(machine.memory(target.roots))

    for count in (_WARM, idlers):
        done = bench.measure(target, idling(count), when_ready=look)
        if done.errors:
            raise Refused(done.error)
        time.sleep(0.5)
    each = (held[1] - held[0]) / (idlers - _WARM) / 1024
    label = "memory of an idling client" + (", TLS" if tls else "")
    yield Row(
        label, target.name, each, "KiB", less_is_better=True, operations=idlers, extra={"server_mib": held[1] / 2**20}
    )


_TOLD = "one EXISTS after the end of DATA, to 1,000 clients"
_BOTH = ("smtp", "imap")
SCENARIOS: Sequence[Scenario] = (
    Scenario("idle-own", "idle", f"{_TOLD} with a mailbox each", partial(latency, shared=False), _BOTH),
    Scenario("idle-shared", "idle", f"{_TOLD} of one mailbox", partial(latency, shared=True), _BOTH),
    Scenario("memory", "idle", "one idling client", partial(memory, tls=False)),
    Scenario("memory-tls", "idle", "one idling client under TLS", partial(memory, tls=True)),
)
