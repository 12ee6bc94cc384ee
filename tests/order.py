"""In which order tests run: slow ones first, so that nobody waits for one in the end, and by one process, not by all at once.

A slow test waits for other programs much of its time, so it runs best beside those that do not. Of the parts of the suite that
xdist gives its workers to begin with, the first have the slow ones; whoever is done with the own part takes from the end of
another's, which then has many short ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any, TypeVar

T = TypeVar("T")

_SHARING = 3
"""Of so many workers one begins with slow tests."""


def dealt(items: Sequence[T], *, workers: int, is_slow: Callable[[T], bool], module: Callable[[T], Any]) -> list[T]:
    """All of them; a module with a slow test goes first as a whole, for the sake of what its tests share."""
    modules = [list(group) for _, group in groupby(items, key=module)]
    beginning: list[list[T]] = [[] for _ in range(max(1, workers // _SHARING))]
    for each in modules:
        if any(map(is_slow, each)):
            min(beginning, key=lambda part: sum(map(is_slow, part))).extend(each)
    others = [item for each in modules if not any(map(is_slow, each)) for item in each]
    order: list[T] = []
    for number in range(workers):
        # As xdist shares them out: an equal part of what is left.
        size = (len(items) - len(order)) // (workers - number)
        part = beginning[number] if number < len(beginning) else []
        left = max(0, size - len(part))
        order += [*part, *others[:left]]
        del others[:left]
    return order
