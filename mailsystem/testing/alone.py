"""Whether anybody in this process is left who could send a message while a test does nothing but wait."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import PurePath
from types import FrameType
from typing import Any, Final

_HARMLESS: Final = frozenset({"aiosqlite", "execnet", "pytest_timeout"})
"""Packages whose threads run nothing of an application: databases, the workers of pytest-xdist, timers of pytest."""
_STEPS: Final = 5
"""Frames, from the outermost on, among which a thread's first own one is."""
OURS: Final = "mailsystem"
"""What the names of a test server's own threads begin with."""


def is_alone() -> bool:
    """Whether this thread is the only one that runs anything of an application, this process has no children, and the loop of
    this thread, if it runs one, has nothing else to do.

    What nobody here can know is whether programs that were started elsewhere send, or such as have left their parents.
    """
    return not (_has_children() or _has_tasks() or any(_other_threads()))


def _has_children() -> bool:
    if not hasattr(os, "waitid"):
        return True
    try:
        # Those that have ended are left for their parents to wait for.
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def running_trio() -> Any:
    """Trio, if it runs the task that asks; else None."""
    trio: Any = sys.modules.get("trio")
    try:
        if trio is not None:
            trio.lowlevel.current_task()
    except RuntimeError:
        return None
    return trio


def runs_tasks() -> bool:
    """Whether this thread runs a loop of asyncio or of trio, which stands still while it waits."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return running_trio() is not None
    return True


def _has_tasks() -> bool:
    if running_trio() is not None:
        return True  # it does not tell what it has still to do
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return False
    if asyncio.all_tasks(loop) - {asyncio.current_task(loop)}:
        return True
    # A loop that does not tell what it has still to call may have something.
    calls = [getattr(loop, name, None) for name in ("_scheduled", "_ready")]
    return any(each is None or not all(call.cancelled() for call in each) for each in calls)


def _other_threads() -> Iterator[bool]:
    own = threading.get_ident()
    ours = {each.ident for each in threading.enumerate() if each.name.startswith((OURS, "pytest_timeout"))}
    for ident, frame in sys._current_frames().items():
        if ident != own and ident not in ours and _HARMLESS.isdisjoint(_packages(frame)):
            yield True


def _packages(frame: FrameType | None) -> Iterator[str]:
    """The directories of what a thread was begun with: of its first steps."""
    stack: list[FrameType] = []
    while frame is not None:
        stack.append(frame)
        frame = frame.f_back
    for each in stack[-_STEPS:]:
        path = PurePath(each.f_code.co_filename)
        yield from (path.parent.name, path.stem)
