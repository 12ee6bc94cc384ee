"""Some messages of a mailbox: these, or all but these. Pure.

A search begins with all of a mailbox and mostly ends with few. To say "all but these" spares it a set of as many members as
there are messages, at each step.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Set
from itertools import filterfalse
from typing import Final, NamedTuple

from mailsystem.finding.uids import Uids

_SPARSE: Final = 16
"""Where one message of so many is meant, each is looked up; otherwise all are looked at."""


class Those(NamedTuple):
    """UIDs, or with `but` all that are none of these."""

    uids: Set[int]
    but: bool = False

    def __bool__(self) -> bool:
        """Whether there may be any."""
        return self.but or bool(self.uids)

    def __and__(self, other: Those) -> Those:
        if not self.uids:
            return other if self.but else self
        if not other.uids:
            return self if other.but else other
        if self.but and other.but:
            return Those(self.uids | other.uids, True)
        if self.but:
            return Those(other.uids - self.uids)
        return Those(self.uids - other.uids if other.but else self.uids & other.uids)

    def __invert__(self) -> Those:
        return Those(self.uids, not self.but)

    def __or__(self, other: Those) -> Those:
        return ~(~self & ~other)

    def __sub__(self, other: Those) -> Those:
        return self & ~other

    def count(self, view: Uids) -> int:
        """About how many of the view they are."""
        return max(view.exists - len(self.uids), 0) if self.but else len(self.uids)

    def within(self, view: Uids) -> list[int]:
        """Those of them that are in the view, ascending."""
        uids = view.uids
        held: Callable[[int], bool] = self.uids.__contains__
        if self.but:
            return list(filterfalse(held, uids)) if self.uids else uids.tolist()
        if len(self.uids) * _SPARSE > len(uids):
            return list(filter(held, uids))
        count = len(uids)
        return [uid for uid in sorted(self.uids) if (at := bisect_left(uids, uid)) < count and uids[at] == uid]


ALL = Those(frozenset(), True)
NONE = Those(frozenset())
