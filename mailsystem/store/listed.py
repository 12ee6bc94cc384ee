"""The messages of a mailbox as the index sees them: by their contents."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import chain
from operator import lt
from typing import Final, NamedTuple

from mailsystem.store.database import Row

_FEW: Final = 500
"""New messages that are put into their places one by one."""


class Listed(NamedTuple):
    """The messages of a mailbox: UIDs, ascending, and the content of each. Some of them may have been expunged."""

    uids: array[int]
    contents: array[int]
    by_content: tuple[array[int], array[int]] | None = None
    """Contents, ascending, and the UID of each; None where the contents themselves ascend, as in most mailboxes: then nothing
    was ever moved there from elsewhere."""

    def and_more(self, rows: Sequence[Row]) -> Listed:
        """With these too; others, for somebody else may be reading this one."""
        uids, more = array("I", [row[0] for row in rows]), array("Q", [row[1] for row in rows])
        known, contents = self.uids + uids, self.contents + more
        if self.by_content is not None and len(rows) <= _FEW:
            ordered, of = self.by_content[0][:], self.by_content[1][:]
            for uid, content in zip(uids, more, strict=True):
                at = bisect_right(ordered, content)
                ordered.insert(at, content)
                of.insert(at, uid)
            return Listed(known, contents, (ordered, of))
        if self.by_content is None and all(map(lt, chain(self.contents[-1:], more), more[0 if self.contents else 1 :])):
            return Listed(known, contents)
        pairs = sorted(zip(contents, known, strict=True))
        return Listed(
            known, contents, (array("Q", [pair[0] for pair in pairs]), array("I", [pair[1] for pair in pairs]))
        )

    def having(self, content: int) -> Sequence[int]:
        """The UIDs of the messages with that content: copies share one."""
        ordered, of = self.by_content or (self.contents, self.uids)
        first = bisect_left(ordered, content)
        return of[first : bisect_right(ordered, content, first)]
