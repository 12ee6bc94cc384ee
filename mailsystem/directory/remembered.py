"""A small memory for what was looked up a moment ago."""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

from mailsystem.mail.clock import Clock

T = TypeVar("T")


class Remembered(Generic[T]):
    """Values by text for some seconds, the newest 10,000 of them."""

    def __init__(self, clock: Clock, seconds: float, most: int = 10_000) -> None:
        self._clock = clock
        self._seconds = seconds
        self._most = most
        self._entries: OrderedDict[str, tuple[float, T]] = OrderedDict()

    def get(self, key: str) -> T | None:
        entry = self._entries.get(key)
        if entry is None or not entry[0] - self._seconds <= self._clock.now() < entry[0]:
            return None
        return entry[1]

    def put(self, key: str, value: T) -> None:
        self._entries[key] = (self._clock.now() + self._seconds, value)
        self._entries.move_to_end(key)
        if len(self._entries) > self._most:
            self._entries.popitem(last=False)

    def clear(self) -> None:
        self._entries.clear()
