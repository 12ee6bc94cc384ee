"""Searches for numbers, flags, dates and sizes alone: answered out of the roll of the mailbox, a column at a time. Sans-IO.

What a key says of all messages is one large number with an octet for each of them, 0 or 1: AND, OR and NOT are one operation
each, however many messages there are.
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from itertools import compress
from typing import Final, NamedTuple, TypeVar

from mailsystem.finding.key import (
    All,
    Among,
    Any,
    Arrived,
    Cost,
    EmailId,
    Every,
    Flagged,
    Key,
    Keyword,
    Modified,
    Not,
    Recent,
    Saved,
    Size,
    Tagged,
    is_tag,
    leaves,
    scope,
)
from mailsystem.mail.mailbox import ContentId, Flag
from mailsystem.mail.objectid import emailid
from mailsystem.store import Roll

N = TypeVar("N", int, float)
_STRETCHES: Final = 32
"""Of messages that are found side by side."""

_NUMBERS = (All, Among, Recent, Flagged, Keyword, Tagged, Size, Arrived, Saved, Modified, EmailId)


class Columns(NamedTuple):
    """As much of a roll as a search needs: its own, whatever becomes of the roll meanwhile."""

    uids: array[int]
    kinds: array[int]
    flags: Sequence[frozenset[Flag]]
    sizes: array[int]
    dates: array[float]
    saved: array[float]
    modseqs: array[int]
    contents: array[int]


def is_for_the_roll(key: Key) -> bool:
    """Whether the roll tells all that this key asks for."""
    found = list(leaves(key))
    # What the client's view tells by itself is told as the client believes it.
    return all(isinstance(leaf, _NUMBERS) for leaf in found) and any(leaf.cost is Cost.MESSAGE for leaf in found)


def columns(roll: Roll, key: Key) -> Columns:
    """What this key needs of the roll."""
    within, kinds = scope(key), {type(leaf) for leaf in leaves(key)}
    first, stop = 0, len(roll)
    if within is not None:
        first, stop = roll.places(within.ranges[0][0], within.ranges[-1][1]) if within else (0, 0)

    def cut(column: array[N], *of: type) -> array[N]:
        return column[first:stop] if kinds.intersection(of) else column[:0]

    return Columns(
        roll.uids[first:stop],
        cut(roll.kinds, Flagged, Keyword, Tagged),
        roll.flags[:] if kinds & {Flagged, Keyword, Tagged} else (),
        cut(roll.sizes, Size),
        cut(roll.dates, Arrived),
        cut(roll.saved, Saved),
        cut(roll.modseqs, Modified),
        cut(roll.contents, EmailId),
    )


def mustered(of: Columns, key: Key, is_recent: Callable[[int], bool]) -> Sequence[int]:
    """The UIDs of all messages for which the key holds, ascending."""
    count = len(of.uids)
    mask = _mask(of, key, is_recent, int.from_bytes(b"\1" * count, "little"))
    return _chosen(of.uids, mask.to_bytes(count, "little"))


def _chosen(uids: array[int], octets: bytes) -> array[int]:
    """Those where the octet is 1: a stretch at a time, but one by one behind the first few stretches."""
    chosen = uids[:0]
    at = octets.find(1)
    for _ in range(_STRETCHES):
        if at < 0:
            return chosen
        stop = octets.find(0, at)
        if stop < 0:
            return chosen + uids[at:]
        chosen += uids[at:stop]
        at = octets.find(1, stop)
    if at >= 0:
        chosen.extend(compress(uids[at:], octets[at:]))
    return chosen


def _mask(of: Columns, key: Key, is_recent: Callable[[int], bool], every: int) -> int:
    match key:
        case All():
            return every
        case Not():
            return every ^ _mask(of, key.key, is_recent, every)
        case Every():
            mask = every
            for one in key.keys:
                if not mask:
                    break
                mask &= _mask(of, one, is_recent, every)
            return mask
        case Any():
            mask = 0
            for one in key.keys:
                if mask == every:
                    break
                mask |= _mask(of, one, is_recent, every)
            return mask
    return int.from_bytes(_octets(of, key, is_recent), "little")


def _octets(of: Columns, key: Key, is_recent: Callable[[int], bool]) -> bytes | bytearray:
    match key:
        case Among():
            return _among(of.uids, key.uids.ranges)
        case Recent():
            return bytes(map(is_recent, of.uids))
        case Flagged():
            return _of_kinds(of, lambda held: key.flag in held)
        case Keyword():
            return _of_kinds(of, lambda held: any(flag.lower() == key.name for flag in held))
        case Tagged():
            return _of_kinds(of, lambda held: any(map(is_tag, held)))
        case Size():
            above, below = key.above, key.below
            return bytes([above < size < below for size in of.sizes])
        case Arrived() | Saved():
            first, end = key.first, key.end
            return bytes([first <= date < end for date in (of.dates if isinstance(key, Arrived) else of.saved)])
        case Modified():
            since = key.since
            return bytes([modseq >= since for modseq in of.modseqs])
        case EmailId():
            return bytes([emailid(ContentId(content)) == key.id for content in of.contents])
    raise AssertionError(key)


def _among(uids: array[int], ranges: Iterable[tuple[int, int]]) -> bytearray:
    octets = bytearray(len(uids))
    for low, high in ranges:
        first = bisect_left(uids, low)
        stop = bisect_right(uids, high, first)
        octets[first:stop] = b"\1" * (stop - first)
    return octets


def _of_kinds(of: Columns, holds: Callable[[frozenset[Flag]], bool]) -> bytes:
    """For each message, by what holds of each kind of flags."""
    table = bytes(map(holds, of.flags))
    if len(table) > 256:
        return bytes(map(table.__getitem__, of.kinds))
    # The lowest octet of each number is the number.
    lowest = 0 if sys.byteorder == "little" else of.kinds.itemsize - 1
    return of.kinds.tobytes()[lowest :: of.kinds.itemsize].translate(table.ljust(256, b"\0"))
