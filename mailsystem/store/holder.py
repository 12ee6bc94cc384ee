"""Which process of this machine holds something, so that another can see that it is gone: no sooner is a process dead than
what it held is free, without waiting for a lease to end."""

from __future__ import annotations

import os
from pathlib import Path

_PROC = Path("/proc")


def this_process() -> str:
    """A name for this process that no other has had or will have; empty where that cannot be told (no Linux)."""
    return _name(os.getpid()) or ""


def is_gone(holder: str) -> bool:
    """Whether the process of that name is surely dead. Of one on another machine, or in another container, nobody knows."""
    place, _, rest = holder.rpartition(" ")[0].rpartition(" ")
    if not rest.isdigit() or place != _place():
        return False
    pid = int(rest)
    try:
        os.kill(pid, 0)  # /proc may hide other people's processes; this tells them from none
    except ProcessLookupError:
        return True
    except OSError:
        return False
    state, _ = _stat(pid)
    if state is None:
        return False
    # A zombie runs no more. Another start time is another process that was given the number since.
    return state in "ZX" or _name(pid) != holder


def _name(pid: int) -> str | None:
    place, (_, started) = _place(), _stat(pid)
    return f"{place} {pid} {started}" if place and started else None


def _place() -> str:
    """Where process numbers count: this boot of this machine, and the namespace that we are in."""
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text("ascii").strip()
        return f"{boot} {os.readlink(_PROC / 'self/ns/pid')}"
    except (OSError, ValueError):
        return ""


def _stat(pid: int) -> tuple[str | None, str | None]:
    """A process's state and when it was started, in ticks since the boot (proc(5))."""
    try:
        # The name of the program stands in parentheses and may hold anything, parentheses too.
        fields = (_PROC / str(pid) / "stat").read_text("latin-1").rpartition(")")[2].split()
        return fields[0], fields[19]
    except (OSError, IndexError):
        return None, None
