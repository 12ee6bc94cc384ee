"""What one client believes about its mailbox: which messages there are, and by which numbers they go. Pure.

The client's numbers change only when it is told so. So messages that are gone stay in the view until their EXPUNGE may be
sent, and messages that have come are not in it before their EXISTS.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from itertools import compress, count
from typing import Final, NamedTuple

from mailsystem.finding.uids import Uids
from mailsystem.imap.numbers import long_runs
from mailsystem.mail.errors import SyntaxFault
from mailsystem.mail.mailbox import SAVED, STAR, Changes, Message, MessageSet, ModSeq

_NONE: Final = MessageSet()
_SPARSE: Final = 8
"""Where one message of so many is meant, each is looked up."""


class News(NamedTuple):
    """What the client has to be told, in this order."""

    expunged: list[int]
    """Sequence numbers, highest first, so that none of them moves another."""
    vanished: MessageSet
    """The UIDs of the same messages."""
    exists: int | None
    """The number of messages, if some have come."""
    recent: int | None
    flags: list[tuple[int, Message]]
    """Messages whose flags have changed, by the numbers that hold after all of the above."""


class View(Uids):
    """The numbering of one selected mailbox. A sequence number is a position in `uids`, plus one.

    `uids` is every UID the client knows of, ascending.
    """

    __slots__ = ("_gone", "_highest", "_is_lent", "_recent", "_told", "modseq", "saved")

    def __init__(self, uids: Iterable[int], modseq: ModSeq, recent: MessageSet = _NONE) -> None:
        super().__init__(uids)
        self._is_lent = True
        self.modseq = modseq
        """Everything up to here has been told, or is held back in `_gone`."""
        self.saved = _NONE
        """The UIDs that a SEARCH has saved; what of them is gone is not in use any more (RFC 5182 2.1)."""
        self._highest = self.uids[-1] if self.uids else 0
        self._recent = list(recent.ranges)
        self._gone: list[tuple[int, int]] = []
        self._told: set[ModSeq] = set()

    @property
    def recent(self) -> int:
        """How many of them are `\\Recent` here (RFC 3501 2.3.2)."""
        uids = self.uids
        return sum(bisect_right(uids, high) - bisect_left(uids, low) for low, high in self._recent)

    @property
    def holding(self) -> bool:
        """Whether something is gone that the client has not been told."""
        return bool(self._gone)

    def partial(self, uids: MessageSet, first: int, last: int) -> MessageSet:
        """Those of these messages that stand from place `first` to `last` among them; -1 is the last place (RFC 9394 3.3)."""
        known = array(self.uids.typecode, self.members(uids))
        if first < 0:
            first, last = max(len(known) + last, 0) + 1, len(known) + first + 1
        return MessageSet.of(known[first - 1 : max(last, 0)])

    def is_recent(self, uid: int) -> bool:
        """Whether this client is the first to see that message."""
        recent = self._recent
        if not recent:
            return False
        at = bisect_right(recent, (uid, STAR)) - 1
        return at >= 0 and recent[at][0] <= uid <= recent[at][1]

    def are_recent(self, low: int, high: int) -> bool | None:
        """Whether it is the first to see the messages with UIDs in this range; None where that is true of some of them."""
        near = [(first, last) for first, last in self._recent if first <= high and low <= last]
        return False if not near else True if near[0][0] <= low and high <= near[0][1] else None

    def numbers(self, uids: Sequence[int], *, ascend: bool = False) -> Sequence[int]:
        """The sequence numbers of these messages, in the same order, without those that the client does not know.

        If it is known that the UIDs `ascend`, and none of them is there twice, that is quicker.
        """
        if len(uids) * _SPARSE < len(self.uids):
            return [number for uid in uids if (number := self.number(uid))]
        if len(uids) == len(self.uids) and self.uids == array(self.uids.typecode, uids):
            return range(1, len(uids) + 1)
        if ascend:
            return self._ascending(uids)
        known = dict(zip(self.uids, range(1, len(self.uids) + 1), strict=True))
        return [known[uid] for uid in uids if uid in known]

    def _ascending(self, uids: Sequence[int]) -> Sequence[int]:
        numbers = array(self.uids.typecode)
        rest = 0
        for first, stop in long_runs(uids):
            number, many = self.number(uids[first]), stop - first
            # Where the client knows all from one UID to another, their numbers are neighbours, too.
            if not number or self.number(uids[stop - 1]) != number + many - 1:
                break
            numbers.extend(range(number, number + many))
            rest = stop
        if rest < len(uids):
            held = frozenset(uids[rest:]).__contains__
            numbers.extend(compress(count(1), map(held, self.uids)))
        return numbers

    def numbered(self, uids: Sequence[int]) -> Sequence[int]:
        """The sequence numbers of messages with ascending UIDs; 0 for those that the client does not know."""
        first = self.number(uids[0]) if uids else 0
        # Mostly they are neighbours, which is seen at once.
        if first and self.uids[first - 1 : first - 1 + len(uids)] == array(self.uids.typecode, uids):
            return range(first, first + len(uids))
        return [self.number(uid) for uid in uids]

    def pick(self, chosen: MessageSet, by_uid: bool) -> MessageSet:
        """The UIDs of the messages meant by a set of UIDs or of sequence numbers.

        Neighbours in the view become one range, even over UIDs that do not exist. UIDs the client does not know are left
        out (RFC 3501 6.4.8). Raises `SyntaxFault` for a sequence number that is not in use, `*` in an empty mailbox
        included (RFC 9051 9, `seq-number`).
        """
        if chosen == SAVED:
            chosen, by_uid = self.saved, True
        slices = self._by_uid(chosen) if by_uid else self._by_number(chosen)
        uids = self.uids
        return MessageSet(tuple((uids[first], uids[stop - 1]) for first, stop in slices))

    def _by_number(self, chosen: MessageSet) -> list[tuple[int, int]]:
        count = len(self.uids)
        pairs = []
        for low, high in chosen.ranges:
            first, last = sorted((count if low == STAR else low, count if high == STAR else high))
            if last > count or not count:
                raise SyntaxFault("no such message number")
            pairs.append((first, last))
        return [(low - 1, high) for low, high in MessageSet.of_ranges(pairs).ranges]

    def _by_uid(self, chosen: MessageSet) -> list[tuple[int, int]]:
        uids = self.uids
        if not uids:
            return []
        pairs = []
        for low, high in chosen.ranges:
            # RFC 3501 6.4.8: `*` is the highest UID, and so `n:*` always holds at least that one.
            low, high = sorted((uids[-1] if low == STAR else low, uids[-1] if high == STAR else high))
            first, stop = bisect_left(uids, low), bisect_right(uids, high)
            if first < stop:
                pairs.append((first, stop - 1))
        return [(first, last + 1) for first, last in MessageSet.of_ranges(pairs).ranges]

    def told(self, changes: Changes) -> bool:
        """The client knows the flags of these messages already (its own STORE was answered): do not repeat them.

        Gives whether that was stepped over, as `follow` does.
        """
        followed = self.follow(changes)
        if not followed:
            self._told.add(changes.modseq)
        return followed

    def follow(self, changes: Changes) -> bool:
        """Step over a change of flags the client made itself, if nobody else has changed anything since we looked.

        Where somebody may have, gives False and the change stays news: the client hears too much, but never too little.
        """
        if changes.after is None or changes.after > self.modseq:
            return not changes.messages
        self.modseq = max(self.modseq, changes.modseq)
        return True

    def apply(self, changes: Changes, *, hold_expunges: bool = False) -> News:
        """Take in what has happened since `modseq`, and say what the client has to be told.

        With `hold_expunges` what is gone keeps its number until a later call (RFC 3501 7.4.1).
        """
        self._gone.extend(changes.vanished.ranges)
        expunged, vanished = ([], _NONE) if hold_expunges or not self._gone else self._drop()
        flags: list[tuple[int, Message]] = []
        came: list[int] = []
        for message in changes.messages:
            uid = message.uid
            if uid > self._highest:
                came.append(uid)
            elif message.modseq not in self._told and (number := self.number(uid)):
                flags.append((number, message))
        exists = recent = None
        if came:
            self._arrive(came)
            exists, recent = len(self.uids), self.recent
        if changes.modseq >= self.modseq:
            self.modseq = changes.modseq
            self._told.clear()
        return News(expunged, vanished, exists, recent, flags)

    def _arrive(self, came: list[int]) -> None:
        # RFC 3501 2.3.2: whoever cannot know that somebody else was told first considers a message recent.
        if self._recent and self._recent[-1][1] == self._highest:
            self._recent[-1] = (self._recent[-1][0], came[-1])
        else:
            self._recent.append((came[0], came[-1]))
        if self._is_lent:
            # What a view begins with belongs to others, too.
            self.uids, self._is_lent = self.uids[:], False
        self.uids.extend(came)
        self._highest = came[-1]

    def _drop(self) -> tuple[list[int], MessageSet]:
        """Take everything in `_gone` out of the view, in one pass; gives the numbers, highest first, and the UIDs."""
        uids = self.uids
        kept: array[int] = array(uids.typecode)
        expunged: list[int] = []
        vanished: array[int] = array(uids.typecode)
        at = 0
        for low, high in MessageSet.of_ranges(self._gone).ranges:
            first, stop = bisect_left(uids, low), bisect_right(uids, high)
            if first < stop:
                kept.extend(uids[at:first])
                expunged.extend(range(first + 1, stop + 1))
                vanished.extend(uids[first:stop])
                at = stop
        self._gone.clear()
        if expunged:
            kept.extend(uids[at:])
            self.uids, self._is_lent = kept, False
            expunged.reverse()
        return expunged, MessageSet.of(vanished)
