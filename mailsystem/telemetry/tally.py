"""What came and was refused since the program began, counted as it is said: for whoever asks for the sums alone.

Where several processes are one server, each counts in a place of its own in memory that they share: nobody waits for another,
and what a process has counted that died is not lost.
"""

from __future__ import annotations

import mmap
import os
import time
from collections.abc import Sequence
from typing import Final

from mailsystem.telemetry.trace import Event

_SENT: Final = frozenset({"MAIL", "RCPT", "DATA", "BDAT"})
"""Commands of SMTP that are about a message."""
_ACCEPTED, _OCTETS, _REJECTED, _BEGAN, _PID, _GONE = range(6)
_PLACE: Final = 6
"""Numbers that each process has."""


def shared(processes: int) -> memoryview:
    """The memory of so many processes, to be made before they are forked; gone with the last of them."""
    return memoryview(mmap.mmap(-1, 8 * _PLACE * processes)).cast("Q")


class Tally:
    """A sink for few events; it costs nothing beyond them."""

    def __init__(self, memory: memoryview | None = None, number: int = 0) -> None:
        """This process's, or where there are several that of process `number` in the memory that they share."""
        self._memory = memoryview(bytearray(8 * _PLACE)).cast("Q") if memory is None else memory
        self._at = _PLACE * number
        self._memory[self._at + _PID] = os.getpid()
        if not self._memory[self._at + _BEGAN]:  # else it is in the place of one that has died
            self._memory[self._at + _BEGAN] = time.monotonic_ns()

    @staticmethod
    def wants(name: str) -> bool:
        return name in ("delivered", "refused", "fault")

    def __call__(self, event: Event) -> None:
        if event.name == "delivered":
            self._memory[self._at + _ACCEPTED] += 1
            self._memory[self._at + _OCTETS] += event.data["octets"]
        elif event.data.get("command") in _SENT and "reply=" in event.data.get("fault", "reply="):
            self._memory[self._at + _REJECTED] += 1  # a fault that only delays refuses nothing

    def begin(self, gone: int) -> None:
        """So many messages had left the INBOX of everybody by now. Only what is said first counts."""
        if not self._memory[self._at + _GONE]:
            self._memory[self._at + _GONE] = gone + 1

    # Of all processes together

    @property
    def accepted(self) -> int:
        """Messages."""
        return sum(self._each(_ACCEPTED))

    @property
    def octets(self) -> int:
        """Of those."""
        return sum(self._each(_OCTETS))

    @property
    def rejected(self) -> int:
        """Times that a sender, a recipient or a message was refused."""
        return sum(self._each(_REJECTED))

    @property
    def gone_before(self) -> int:
        """Messages that had left the INBOX of everybody when the first of them began."""
        return min(filter(None, self._each(_GONE)), default=1) - 1

    @property
    def seconds(self) -> float:
        """Since the first of them began."""
        return (time.monotonic_ns() - min(filter(None, self._each(_BEGAN)))) / 1e9

    @property
    def pids(self) -> Sequence[int]:
        """Of the processes; of one that has died until another has taken its place."""
        return [pid for pid in self._each(_PID) if pid]

    def _each(self, what: int) -> list[int]:
        return self._memory[what::_PLACE].tolist()
