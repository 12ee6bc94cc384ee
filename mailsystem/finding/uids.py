"""The messages of a mailbox among which is searched, as whoever searches knows them. Pure."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator

from mailsystem.mail.mailbox import MessageSet


class Uids:
    """All UIDs, ascending. A sequence number is a place among them, plus one."""

    __slots__ = ("uids",)

    def __init__(self, uids: Iterable[int]) -> None:
        self.uids: array[int] = uids if isinstance(uids, array) else array("I", uids)

    @property
    def exists(self) -> int:
        """How many messages there are."""
        return len(self.uids)

    def count(self, uids: MessageSet) -> int:
        """How many messages have one of these UIDs."""
        return sum(bisect_right(self.uids, high) - bisect_left(self.uids, low) for low, high in uids.ranges)

    def members(self, uids: MessageSet) -> Iterator[int]:
        """Those among these UIDs that there are, ascending."""
        for low, high in uids.ranges:
            yield from self.uids[bisect_left(self.uids, low) : bisect_right(self.uids, high)]

    def is_recent(self, uid: int) -> bool:
        """Whether whoever searches is the first to see that message (RFC 3501 2.3.2)."""
        return False

    def number(self, uid: int) -> int:
        """The sequence number of a message; 0 where there is none."""
        at = bisect_left(self.uids, uid)
        return at + 1 if at < len(self.uids) and self.uids[at] == uid else 0
