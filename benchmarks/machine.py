"""What a machine and its processes tell: CPU and memory of whole process trees, and a line about the hardware."""

from __future__ import annotations

import os
import platform
import re
import resource
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_SCHEDULED: Final = 2
"""CPUCLOCK_SCHED of linux/posix-timers.h."""


class Process(NamedTuple):
    pid: int
    parent: int
    reaped: float
    """CPU seconds of children that have ended."""


def processes() -> Iterator[Process]:
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with suppress(OSError):
                # Of proc(5) from the third field on: a name may hold anything.
                fields = Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()
                yield Process(int(entry), int(fields[1]), (int(fields[13]) + int(fields[14])) / _TICKS)


def tree(roots: Iterable[int]) -> list[Process]:
    """These processes and all that they have started."""
    children: dict[int, list[Process]] = {}
    known = {}
    for each in processes():
        known[each.pid] = each
        children.setdefault(each.parent, []).append(each)
    found: dict[int, Process] = {}
    wanted = [known[pid] for pid in roots if pid in known]
    while wanted:
        each = wanted.pop()
        if each.pid not in found:
            found[each.pid] = each
            wanted += children.get(each.pid, [])
    return list(found.values())


def cpu_of(pid: int) -> float:
    """CPU seconds of a process, to the nanosecond and with threads that have ended (clock_getcpuclockid(3))."""
    return time.clock_gettime(~pid << 3 | _SCHEDULED)


def cpu(roots: Iterable[int]) -> float:
    """CPU seconds of process trees, with what has ended in them."""
    spent = 0.0
    for each in tree(roots):
        with suppress(OSError):
            spent += cpu_of(each.pid) + each.reaped
    return spent


def memory(roots: Iterable[int]) -> int:
    """Octets of memory that process trees hold; what several of them share is counted once (Pss)."""
    held = 0
    for each in tree(roots):
        with suppress(OSError):
            held += _field(Path(f"/proc/{each.pid}/smaps_rollup"), "Pss")
    return held


class Peaks:
    """How far the memory of each process in trees grows, from now on."""

    def __init__(self, roots: Iterable[int]) -> None:
        self._roots = list(roots)
        self._before = {}
        for each in tree(self._roots):
            with suppress(OSError):
                Path(f"/proc/{each.pid}/clear_refs").write_text("5")
                self._before[each.pid] = _field(Path(f"/proc/{each.pid}/status"), "VmRSS")

    def grown(self) -> int:
        """Octets by which they have grown together, at the most; a process that is new counts whole."""
        grown = 0
        for each in tree(self._roots):
            with suppress(OSError):
                peak = _field(Path(f"/proc/{each.pid}/status"), "VmHWM")
                grown += max(0, peak - self._before.get(each.pid, 0))
        return grown


def _field(path: Path, name: str) -> int:
    """Octets of a line in kB."""
    found = re.search(rf"^{name}:\s+(\d+) kB", path.read_text(), re.MULTILINE)
    if found is None:
        raise OSError(f"no {name} in {path}")
    return int(found[1]) * 1024


@contextmanager
def many_files() -> Iterator[None]:
    """As many open connections as this machine allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def described() -> str:
    """The machine in one line."""
    model = platform.processor() or platform.machine()
    with suppress(OSError):
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
        model = found[1] if found else model
    gigabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{len(os.sched_getaffinity(0))} cores of {model}, {gigabytes:.0f} GiB, Linux {platform.release().partition('-')[0]}, "
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}"
    )
