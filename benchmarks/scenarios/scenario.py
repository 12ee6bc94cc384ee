"""One thing that can be measured with any server."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from benchmarks.bench import Bench
from benchmarks.results import Row
from benchmarks.targets import Target


@dataclass(frozen=True, slots=True)
class Scenario:
    name: str
    group: str
    about: str
    """What one operation is."""
    run: Callable[[Bench, Target], Iterable[Row]]
    """Raises `Refused`."""
    needs: tuple[str, ...] = ("imap",)
    """Protocols, and `launch` for servers that can be started anew."""

    def suits(self, target: Target) -> bool:
        if "launch" in self.needs and target.launch is None:
            return False
        return all(getattr(target.server, protocol) for protocol in self.needs if protocol != "launch")
