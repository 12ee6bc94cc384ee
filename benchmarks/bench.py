"""Runs tasks against a server and makes rows of what comes back: the ground that scenarios stand on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from benchmarks import machine, tasks
from benchmarks.clients import Refused
from benchmarks.crew import Crew, Outcome, Task
from benchmarks.results import Row, percentile
from benchmarks.targets import Target

MAIL_SIZE: Final = 5120
"""Octets of a letter where nothing else is said."""
_LOOK, _QUIET, _QUIET_LOOKS = 0.25, 0.05, 12
"""A server is looked at every so many seconds, and is quiet when it has taken less than that part of a core so many times:
what it does in the background may wait a while itself, for others to be quiet."""


@dataclass(frozen=True, slots=True)
class Options:
    scale: float = 1.0
    """Of the number of messages and logins."""
    messages: int = 10_000
    """In the large mailbox."""
    idlers: int = 1_000
    """Clients that idle at once."""
    seconds: float = 8.0
    """That the mixed load lasts."""
    processes: int = 2
    """That clients run in."""
    large: int = 1 << 30
    """Octets of the large message."""
    patience: float = 300.0
    """Seconds that one measurement may take."""


@dataclass(frozen=True, slots=True)
class Measured:
    outcomes: Sequence[Outcome]
    seconds: float
    """From the first that began to the last that ended."""
    began: float
    """By `time.monotonic`."""
    cpu_before: float
    server_cpu: float | None
    """CPU seconds of the server while it lasted; None where its processes are not known."""
    client_load: float

    @property
    def operations(self) -> int:
        return sum(outcome.operations for outcome in self.outcomes)

    @property
    def octets(self) -> int:
        return sum(outcome.octets for outcome in self.outcomes)

    @property
    def waits(self) -> list[float]:
        return [wait for outcome in self.outcomes for wait in outcome.waits]

    @property
    def errors(self) -> int:
        return sum(outcome.errors for outcome in self.outcomes)

    @property
    def error(self) -> str:
        return next((outcome.error for outcome in self.outcomes if outcome.error), "")


@dataclass(frozen=True, slots=True)
class Filled:
    """A mailbox full of the first `count` letters."""

    user: str
    count: int
    octets: int


@dataclass
class Bench:
    crew: Crew
    options: Options = Options()
    _next_user: int = field(default_factory=lambda: int(time.time()) % 10**8 * 100)
    _filled: dict[tuple[str, int], Filled] = field(default_factory=dict)

    def scaled(self, count: int, least: int = 10) -> int:
        return max(least, round(count * self.options.scale))

    def users(self, target: Target, count: int) -> list[str]:
        """Logins that nobody has used yet."""
        first, self._next_user = self._next_user, self._next_user + count
        return [target.server.user.replace("{n}", str(number)) for number in range(first, first + count)]

    def measure(
        self, target: Target, work: Sequence[Task], *, when_ready: Callable[[], None] = lambda: None
    ) -> Measured:
        """Raises `Refused`."""
        before = 0.0

        def note() -> None:
            nonlocal before
            when_ready()
            before = machine.cpu(target.roots)

        outcomes = self.crew.run(work, patience=self.options.patience, when_ready=note)
        # What processes that have ended took is known in hundredths of a second only.
        spent = max(0.0, machine.cpu(target.roots) - before) if target.roots else None
        began = min(outcome.began for outcome in outcomes)
        seconds = max(max(outcome.ended for outcome in outcomes) - began, 1e-9)
        load = sum(outcome.cpu for outcome in outcomes) / seconds / len(outcomes)
        return Measured(outcomes, seconds, began, before, spent, load)

    def settle(self, target: Target, *, patience: float = 60.0) -> None:
        """Wait until the server has done what it does in the background, as indexing, but not for ever."""
        until = time.monotonic() + patience
        quiet, before = 0, machine.cpu(target.roots)
        while target.roots and quiet < _QUIET_LOOKS and time.monotonic() < until:
            time.sleep(_LOOK)
            now = machine.cpu(target.roots)
            quiet = quiet + 1 if now - before < _QUIET * _LOOK else 0
            before = now

    def split(self, things: Sequence[str]) -> list[list[str]]:
        """One share for each process of clients."""
        count = min(self.options.processes, len(things))
        return [list(things[start::count]) for start in range(count)]

    def fill(
        self, target: Target, users: Sequence[str], count: int, *, size: int = MAIL_SIZE, mailbox: str = "INBOX"
    ) -> int:
        """The first `count` letters into the mailbox of each user; the octets that each has. Raises `Refused`."""
        work = [
            Task(
                tasks.fill,
                {
                    "server": target.server,
                    "users": share,
                    "size": size,
                    "count": count,
                    "batch": 100,
                    "mailbox": mailbox,
                },
            )
            for share in self.split(users)
        ]
        done = self.measure(target, work)
        if done.errors:
            raise Refused(f"a mailbox could not be filled: {done.error}")
        return done.octets // len(users)

    def large_mailbox(self, target: Target) -> Filled:
        """A mailbox with as many messages as the options say, filled once for each server."""
        count = self.options.messages
        if (target.name, count) not in self._filled:
            [user] = self.users(target, 1)
            self._filled[target.name, count] = Filled(user, count, self.fill(target, [user], count))
        return self._filled[target.name, count]


def row(
    label: str,
    target: Target,
    done: Measured,
    *,
    operations: int | None = None,
    seconds: float | None = None,
    unit: str = "/s",
    wrong: Iterable[str] = (),
    **extra: float,
) -> Row:
    """The rate of a measurement; `wrong` tells what is not as it must be, if anything."""
    count = done.operations if operations is None else operations
    seconds = done.seconds if seconds is None else seconds
    faults = [*wrong]
    waits = done.waits
    return Row(
        label,
        target.name,
        count / seconds,
        unit,
        operations=count,
        seconds=seconds,
        server_ms=1000 * done.server_cpu / count if done.server_cpu and count else None,
        client_load=done.client_load,
        p50_ms=1000 * percentile(waits, 50) if waits else None,
        p99_ms=1000 * percentile(waits, 99) if waits else None,
        errors=done.errors + len(faults),
        error=done.error or (faults[0] if faults else ""),
        extra=extra,
    )
