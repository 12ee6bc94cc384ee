"""Time, as something that can be handed over: the system's here, a test's own elsewhere."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Where a room gets its time from."""

    def now(self) -> float:
        """Seconds since the epoch, UTC."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> float:
        return time.time()
