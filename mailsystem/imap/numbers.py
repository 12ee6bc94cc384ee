"""Many numbers as text: neighbours are found by halving and written a thousand at a time. Sans-IO."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

_BLOCK: Final = 1000
_BELOW: Final = tuple(b" %d" % number for number in range(_BLOCK))
_TEMPLATE: Final = b"".join([b" #%03d" % number for number in range(_BLOCK)])
_WIDTH: Final = len(b" #000")
_SOME: Final = 16
_LONG: Final = 8
"""Once there are some runs they have to be so long on the whole, or their numbers are written one by one."""


def runs(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Places [first, stop) of ascending numbers, none of them twice, that are neighbours without a gap."""
    first, count = 0, len(numbers)
    while first < count:
        # A stretch has no gap if its ends are as far from each other as its places: galloping forth, then halving.
        start, step = numbers[first] - first, 1
        known = first
        while (ahead := known + step) < count and numbers[ahead] - ahead == start:
            known, step = ahead, step * 2
        low, high = known + 1, min(known + step, count)
        while low < high:
            middle = (low + high) // 2
            if numbers[middle] - middle == start:
                low = middle + 1
            else:
                high = middle
        yield first, low
        first = low


def long_runs(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    """As `runs`, but it ends where they turn out to be short on the whole: the rest is as soon looked at one by one."""
    for count, (first, stop) in enumerate(runs(numbers), 1):
        yield first, stop
        if count >= _SOME and stop < count * _LONG:
            return


def written(numbers: Sequence[int]) -> bytes:
    """Each with a space before it, in this order."""
    return (b" %d" * len(numbers)) % tuple(numbers)


def written_ascending(numbers: Sequence[int]) -> bytes:
    """As `written`, for ascending numbers of which none is there twice: neighbours cost next to nothing."""
    said: list[bytes] = []
    rest = 0
    for first, rest in long_runs(numbers):
        said.append(_row(numbers[first], numbers[rest - 1]))
    if rest < len(numbers):
        said.append(written(numbers[rest:]))
    return b"".join(said)


def _row(low: int, high: int) -> bytes:
    if low == high:
        return b" %d" % low
    first, last = low // _BLOCK, high // _BLOCK
    said: list[bytes] = []
    for block in range(first, last + 1):
        start = low % _BLOCK if block == first else 0
        stop = high % _BLOCK + 1 if block == last else _BLOCK
        if block:
            said.append(_TEMPLATE[start * _WIDTH : stop * _WIDTH].replace(b"#", b"%d" % block))
        else:
            said.append(b"".join(_BELOW[start:stop]))
    return b"".join(said)
