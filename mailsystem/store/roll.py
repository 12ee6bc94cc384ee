"""The roll of a mailbox: what its messages' own rows say, as columns in memory, at one ModSeq. Plain values, no I/O.

A hundred thousand messages are a few arrays here, so that flags are told, searched and counted without a row being read. Flags
are numbers of kinds: few combinations live in a mailbox, however many messages there are.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import compress, pairwise
from math import inf
from typing import Final, NamedTuple, TypeAlias, TypeVar, overload

from mailsystem.mail.mailbox import (
    AccountId,
    ContentId,
    Flag,
    MailboxId,
    Message,
    MessageSet,
    ModSeq,
    Uid,
)
from mailsystem.store.database import Row
from mailsystem.store.rows import DELETED_BIT, SEEN_BIT, Having, bit_of, flags_of

_ROW_OCTETS: Final = 48
_KIND_OCTETS: Final = 512
_EMPTY_OCTETS: Final = 2048
_FEW: Final = 4
"""Stretches of messages that are cut out one by one; each moves all that stands behind it."""
_MANY: Final = 10_000
"""Messages that are not looked at one by one where that holds others up."""
_SPARE_KINDS: Final = 256
"""Combinations of flags that nobody has any more, and are kept all the same."""

Pick: TypeAlias = range | Sequence[int]
"""Places in a roll, ascending."""
N = TypeVar("N", int, float)


class Tally(NamedTuple):
    """What there is of each sort: as in `Status`."""

    messages: int
    unseen: int
    deleted: int
    recent: int
    size: int
    deleted_size: int


class _Kinds(dict[tuple[int, str], int]):
    """From flags as they are stored to the number of that kind, made where it is missing."""

    __slots__ = ("flags", "stored", "tally")

    def __init__(self) -> None:
        super().__init__()
        self.stored: list[tuple[int, str]] = []
        self.flags: list[frozenset[Flag]] = []
        self.tally: list[int] = []
        """How many messages have those flags."""

    def __missing__(self, stored: tuple[int, str]) -> int:
        self[stored] = number = len(self)
        self.stored.append(stored)
        self.flags.append(flags_of(*stored))
        self.tally.append(0)
        return number

    def count(self, kinds: array[int], sign: int) -> None:
        """So many more messages, or with a negative `sign` fewer."""
        if is_uniform(kinds):
            self.tally[kinds[0]] += sign * len(kinds)
            return
        for kind, count in Counter(kinds).items():
            self.tally[kind] += sign * count


class Roll:
    """All messages of one mailbox, by ascending UID: each column has one place for each of them."""

    __slots__ = (
        "_is_lent",
        "_kinds",
        "_seen_below",
        "_weight",
        "account",
        "contents",
        "dates",
        "kinds",
        "mailbox",
        "modseq",
        "modseqs",
        "saved",
        "sizes",
        "uidnext",
        "uids",
    )

    def __init__(self, account: AccountId, mailbox: MailboxId, uidnext: Uid, modseq: ModSeq) -> None:
        self.account = account
        self.mailbox = mailbox
        self.uidnext = uidnext
        self.modseq = modseq
        """All changes up to here are in it, and none after."""
        self.uids = array("I")
        self.modseqs = array("Q")
        self.kinds = array("I")
        """Which combination of `flags` each message has."""
        self.dates = array("d")
        self.sizes = array("Q")
        self.contents = array("Q")
        self.saved = array("d")
        self._kinds = _Kinds()
        self._seen_below = 0
        self._weight = 0
        self._is_lent = False

    def __len__(self) -> int:
        return len(self.uids)

    @property
    def flags(self) -> Sequence[frozenset[Flag]]:
        """The flags of each kind; there may be kinds that no message is of any more."""
        return self._kinds.flags

    @property
    def octets(self) -> int:
        """About how much memory it takes."""
        return _EMPTY_OCTETS + _ROW_OCTETS * len(self.uids) + _KIND_OCTETS * len(self.flags)

    @property
    def is_worn(self) -> bool:
        """Whether it remembers so many combinations of flags that nobody has that it is better read anew."""
        return len(self.flags) > _SPARE_KINDS + len(self.uids)

    def lent(self) -> array[int]:
        """All UIDs as they are now: not to be changed, here or there, so that it costs nothing in a large mailbox."""
        self._is_lent = True
        return self.uids

    # Following the mailbox

    def enter(self, rows: Sequence[Row]) -> None:
        """Add messages with higher UIDs than all that are there: rows of `MESSAGE`."""
        if not rows:
            return
        uids, modseqs, bits, keywords, dates, sizes, contents, saved = zip(*rows, strict=True)
        kinds = array("I", map(self._kinds.__getitem__, zip(bits, keywords, strict=True)))
        self._kinds.count(kinds, 1)
        self._own()
        self.uids.extend(uids)
        self.modseqs.extend(modseqs)
        self.kinds.extend(kinds)
        self.dates.extend(dates)
        self.sizes.extend(sizes)
        self._weight += sum(sizes)
        self.contents.extend(contents)
        self.saved.extend(saved)

    def follow(self, rows: Sequence[Row], vanished: MessageSet, uidnext: Uid, modseq: ModSeq) -> None:
        """Take in what came to pass up to `modseq`: new and changed rows by ascending UID, and what is gone."""
        known = bisect_right(rows, self.uids[-1] if self.uids else 0, key=_uid_of)
        for uid, now, bits, keywords, *_ in rows[:known]:
            first, stop = self.places(uid, uid)
            if first < stop:
                self._become(range(first, stop), array("I", [self._kinds[bits, keywords]]), now)
        self.enter(rows[known:])
        if vanished:
            self._strike(vanished)
        self.uidnext, self.modseq = uidnext, modseq

    def change(self, places: Pick, becomes: Mapping[int, int], modseq: ModSeq) -> None:
        """Let the messages at these places have flags of another kind, by the kind that they had: all that `modseq` did."""
        old = array("I", self.picked(self.kinds, places))
        now = (
            array("I", [becomes[old[0]]]) * len(old) if len(becomes) == 1 else array("I", map(becomes.__getitem__, old))
        )
        self._become(places, now, modseq)
        self.modseq = modseq

    def _become(self, places: Pick, now: array[int], modseq: ModSeq) -> None:
        if not places:
            return
        self._kinds.count(array("I", self.picked(self.kinds, places)), -1)
        self._kinds.count(now, 1)
        if isinstance(places, range):
            self.kinds[places.start : places.stop] = now
            self.modseqs[places.start : places.stop] = array("Q", [modseq]) * len(now)
        else:
            for at, kind in zip(places, now, strict=True):
                self.kinds[at] = kind
                self.modseqs[at] = modseq
        if not all(self._kinds.stored[kind][0] & SEEN_BIT for kind in set(now)):
            self._seen_below = min(self._seen_below, self.uids[places[0]])

    def kind(self, bits: int, keywords: str) -> int:
        """The number of these flags, as they are stored."""
        return self._kinds[bits, keywords]

    def stored(self, kind: int) -> tuple[int, str]:
        """The flags of that kind as they are stored."""
        return self._kinds.stored[kind]

    def _strike(self, gone: MessageSet) -> None:
        stretches = [(first, stop) for first, stop in self._stretches(gone) if first < stop]
        self._own()
        for first, stop in stretches:
            self._kinds.count(self.kinds[first:stop], -1)
            self._weight -= sum(self.sizes[first:stop])
        self.uids = _without(self.uids, stretches)
        self.modseqs = _without(self.modseqs, stretches)
        self.kinds = _without(self.kinds, stretches)
        self.dates = _without(self.dates, stretches)
        self.sizes = _without(self.sizes, stretches)
        self.contents = _without(self.contents, stretches)
        self.saved = _without(self.saved, stretches)

    def _own(self) -> None:
        if self._is_lent:
            self.uids, self._is_lent = self.uids[:], False

    def _stretches(self, uids: MessageSet) -> Iterator[tuple[int, int]]:
        for low, high in uids.ranges:
            yield self.places(low, high)

    # Telling

    def places(self, low: int, high: int) -> tuple[int, int]:
        """Where the messages stand whose UIDs are in this range: the first place, and the one behind the last."""
        first = bisect_left(self.uids, low)
        return first, bisect_right(self.uids, high, first)

    @staticmethod
    def picked(column: array[N], places: Pick) -> Sequence[N]:
        """What a column says of the messages at these places."""
        if isinstance(places, range):
            return column[places.start : places.stop]
        return [column[at] for at in places]

    def among(self, uids: MessageSet) -> Pick:
        """The places of all messages with these UIDs."""
        if len(uids.ranges) == 1:
            return range(*self.places(*uids.ranges[0]))
        return [at for first, stop in self._stretches(uids) for at in range(first, stop)]

    @property
    def keywords(self) -> tuple[Flag, ...]:
        """Those in use, sorted."""
        used = compress(self._kinds.stored, self._kinds.tally)
        return tuple(Flag(word) for word in sorted({word for _, words in used for word in words.split()}))

    def tally(self, recent_from: int) -> Tally | None:
        """What there is in all, where messages are recent from that UID on; None where that would take its time."""
        held = list(zip(self._kinds.stored, self._kinds.tally, strict=True))
        deleted = sum(count for (bits, _), count in held if bits & DELETED_BIT)
        if deleted and len(self) > _MANY:
            return None
        marked = [bool(bits & DELETED_BIT) for (bits, _), _ in held]
        return Tally(
            len(self),
            sum(count for (bits, _), count in held if not bits & SEEN_BIT),
            deleted,
            len(self) - bisect_left(self.uids, recent_from),
            self._weight,
            sum(compress(self.sizes, map(marked.__getitem__, self.kinds))) if deleted else 0,
        )

    @property
    def first_unseen(self) -> Uid | None:
        """The lowest UID of a message that is not `\\Seen`."""
        unseen = [not bits & SEEN_BIT for bits, _ in self._kinds.stored]
        if not any(compress(self._kinds.tally, unseen)):
            return None
        at = bisect_left(self.uids, self._seen_below)
        while not unseen[self.kinds[at]]:
            at += 1
        self._seen_below = self.uids[at]  # what becomes unseen below this takes it back, so each is passed but once
        return Uid(self._seen_below)

    def having(self, what: Having) -> Callable[[], Sequence[int]]:
        """What finds the UIDs of the messages of which this is true, ascending: of those that are there now, in any thread."""
        masks: list[Callable[[], Iterable[object]]] = []
        if what.flag is not None:
            masks.append(partial(map, self._have(what.flag).__getitem__, self.kinds[:]))
        if what.above is not None or what.below is not None:
            masks.append(partial(_inside, self.sizes[:], what.above, what.below))
        if what.since is not None or what.before is not None:
            masks.append(partial(_during, self.dates[:], what.since, what.before))
        uids = self.uids[:]

        def found() -> Sequence[int]:
            hits = uids if not masks else compress(uids, masks[0]()) if len(masks) == 1 else _all(uids, masks)
            return list(hits)

        return found

    def _have(self, flag: Flag) -> list[bool]:
        """For each kind, whether it has that flag; keywords in any case."""
        bit = bit_of(flag)
        if bit:
            return [bool(bits & bit) for bits, _ in self._kinds.stored]
        word = flag.lower()
        return [word in words.lower().split() for _, words in self._kinds.stored]


class Called(Sequence[Message]):
    """Messages that have just been given other flags: made into values only where somebody looks at them."""

    __slots__ = ("_becomes", "_contents", "_dates", "_flags", "_kinds", "_saved", "_sizes", "_uids", "modseq")

    def __init__(self, roll: Roll, places: Pick, becomes: Mapping[int, int]) -> None:
        """As they stand there now, but for their flags."""
        self.modseq = roll.modseq
        """Of all of them: to be set once it is known."""
        self._uids = roll.picked(roll.uids, places)
        self._kinds = roll.picked(roll.kinds, places)
        self._becomes = becomes
        self._flags = roll.flags  # a kind is what it is for ever
        self._dates = roll.picked(roll.dates, places)
        self._sizes = roll.picked(roll.sizes, places)
        self._contents = roll.picked(roll.contents, places)
        self._saved = roll.picked(roll.saved, places)

    @property
    def contents(self) -> list[ContentId]:
        """Of each of them."""
        return [ContentId(content) for content in self._contents]

    def __len__(self) -> int:
        return len(self._uids)

    @overload
    def __getitem__(self, at: int) -> Message: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Message]: ...
    def __getitem__(self, at: int | slice) -> Message | Sequence[Message]:
        if isinstance(at, slice):
            return [self[each] for each in range(*at.indices(len(self._uids)))]
        return Message(
            Uid(self._uids[at]),
            self.modseq,
            self._flags[self._becomes[self._kinds[at]]],
            self._dates[at],
            self._sizes[at],
            ContentId(self._contents[at]),
            self._saved[at],
        )


def is_uniform(kinds: array[int]) -> bool:
    """Whether there is one kind, and no other one."""
    return bool(kinds) and kinds == array(kinds.typecode, kinds[:1]) * len(kinds)


def _without(column: array[N], stretches: Sequence[tuple[int, int]]) -> array[N]:
    """The column without these places, which ascend."""
    if len(stretches) <= _FEW:
        for first, stop in reversed(stretches):
            del column[first:stop]
        return column
    kept = column[: stretches[0][0]]
    for (_, stop), (first, _) in pairwise([*stretches, (len(column), 0)]):
        kept.extend(column[stop:first])
    return kept


def _uid_of(row: Row) -> int:
    return int(row[0])


def _all(uids: array[int], masks: Iterable[Callable[[], Iterable[object]]]) -> Iterable[int]:
    return compress(uids, map(all, zip(*(mask() for mask in masks), strict=True)))


def _inside(sizes: array[int], above: float | None, below: float | None) -> Iterable[object]:
    low, high = -inf if above is None else above, inf if below is None else below
    return [low < size < high for size in sizes]


def _during(dates: array[float], since: float | None, before: float | None) -> Iterable[object]:
    first, end = -inf if since is None else since, inf if before is None else before
    return [first <= date < end for date in dates]
