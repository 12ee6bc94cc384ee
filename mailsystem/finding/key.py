"""Search keys as values (RFC 3501 6.4.4), weighed against what is known of a message. Sans-IO.

A key says yes, no, or None: not to be told from this. Knowledge is gathered in the order of its price (`Cost`), and a
message is settled as soon as the whole key is: `UNSEEN BODY x` reads the bodies of unseen messages only.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import dataclass
from enum import IntEnum
from functools import reduce
from math import inf
from operator import and_
from typing import Final, NamedTuple, Protocol

from mailsystem.finding.header import Header, Words, fold
from mailsystem.mail.attachment import Attachment
from mailsystem.mail.mailbox import Flag, Message, MessageSet, ModSeq
from mailsystem.mail.objectid import emailid, threadid
from mailsystem.mail.query import globbed


class Cost(IntEnum):
    """What must be read before a key can be answered."""

    NUMBERS = 0
    """Nothing: the client's own view is enough."""
    MESSAGE = 1
    """Flags, date and size."""
    PARTS = 2
    """What is known of its parts."""
    HEADER = 3
    TEXT = 4
    """Everything that is text in the message."""


class Told(Protocol):
    """What an index says of texts and fields without reading them."""

    def __call__(self, key: Key, uid: int) -> bool | None:
        """Whether the key holds for a message; None where only reading can tell."""
        ...


class Known(NamedTuple):
    """What is known of one message so far. A tuple, since a search may make a hundred thousand of them."""

    uid: int
    recent: bool = False
    message: Message | None = None
    header: Header | None = None
    found: Set[Words] | None = None
    """Which of the words that the keys look for it holds, once its text was looked through."""
    told: Told | None = None
    attached: Sequence[Attachment] | None = None
    recipients: Sequence[str] | None = None
    """All to whom it was sent, where that is known."""


class Key(Protocol):
    """One condition."""

    @property
    def cost(self) -> Cost:
        """What it takes to be sure."""
        ...

    def holds(self, known: Known) -> bool | None:
        """Whether it is true of the message; None while that cannot be told."""
        ...


@dataclass(frozen=True, slots=True)
class All:
    """ALL"""

    cost = Cost.NUMBERS

    def holds(self, known: Known) -> bool | None:
        return True


@dataclass(frozen=True, slots=True)
class Among:
    """UID and sequence sets, both as UIDs."""

    uids: MessageSet
    cost = Cost.NUMBERS

    def holds(self, known: Known) -> bool | None:
        ranges = self.uids.ranges
        at = bisect_right(ranges, (known.uid, inf)) - 1
        return at >= 0 and known.uid <= ranges[at][1]


@dataclass(frozen=True, slots=True)
class Recent:
    """RECENT"""

    cost = Cost.NUMBERS

    def holds(self, known: Known) -> bool | None:
        return known.recent


@dataclass(frozen=True, slots=True)
class Flagged:
    """A system flag."""

    flag: Flag
    cost = Cost.MESSAGE

    def holds(self, known: Known) -> bool | None:
        return None if known.message is None else self.flag in known.message.flags


@dataclass(frozen=True, slots=True)
class Keyword:
    """KEYWORD; in any case."""

    name: str
    """Lower case."""
    cost = Cost.MESSAGE

    def holds(self, known: Known) -> bool | None:
        return None if known.message is None else any(flag.lower() == self.name for flag in known.message.flags)


@dataclass(frozen=True, slots=True)
class Tagged:
    """Has a keyword, but for those that programs set for each other."""

    cost = Cost.MESSAGE

    def holds(self, known: Known) -> bool | None:
        return None if known.message is None else any(map(is_tag, known.message.flags))


_OF_PROGRAMS: Final = frozenset(["junk", "nonjunk", "notjunk", "forwarded", "redirected"])


def is_tag(flag: Flag) -> bool:
    """Whether a flag is a keyword that people may have chosen: those that are registered begin with `$` (RFC 5788 3)."""
    return flag[0] not in "\\$" and flag.lower() not in _OF_PROGRAMS


@dataclass(frozen=True, slots=True)
class Size:
    """LARGER and SMALLER: between both, and equal to neither."""

    above: float
    below: float
    cost = Cost.MESSAGE

    def holds(self, known: Known) -> bool | None:
        return None if known.message is None else self.above < known.message.size < self.below


@dataclass(frozen=True, slots=True)
class Arrived:
    """BEFORE, ON, SINCE: seconds since the epoch, from the first to before the second."""

    first: float
    end: float
    cost = Cost.MESSAGE

    def holds(self, known: Known) -> bool | None:
        return None if known.message is None else self.first <= known.message.internaldate < self.end


@dataclass(frozen=True, slots=True)
class Saved:
    """SAVEDBEFORE, SAVEDON, SAVEDSINCE (RFC 8514): as `Arrived`, of when it came into this mailbox."""

    first: float
    end: float
    cost = Cost.MESSAGE

    def holds(self, known: Known) -> bool | None:
        return None if known.message is None else self.first <= known.message.savedate < self.end


@dataclass(frozen=True, slots=True)
class Modified:
    """MODSEQ (RFC 7162 3.1.5): changed at that mod-sequence or later."""

    since: ModSeq
    cost = Cost.MESSAGE

    def holds(self, known: Known) -> bool | None:
        return None if known.message is None else known.message.modseq >= self.since


@dataclass(frozen=True, slots=True)
class EmailId:
    """EMAILID (RFC 8474 6): copies of one content."""

    id: str
    cost = Cost.MESSAGE

    def holds(self, known: Known) -> bool | None:
        return None if known.message is None else emailid(known.message.content) == self.id


@dataclass(frozen=True, slots=True)
class ThreadId:
    """THREADID (RFC 8474 6): messages of one conversation."""

    id: str
    cost = Cost.HEADER

    def holds(self, known: Known) -> bool | None:
        return None if known.header is None else threadid(known.header.block) == self.id


@dataclass(frozen=True, slots=True)
class Sent:
    """SENTBEFORE, SENTON, SENTSINCE: days as ordinals, from the first to before the second. No date is on no day."""

    first: float
    end: float
    cost = Cost.HEADER

    def holds(self, known: Known) -> bool | None:
        if known.header is None:
            return None
        day = known.header.sent()
        return day is not None and self.first <= day.toordinal() < self.end


@dataclass(frozen=True, slots=True)
class Field:
    """HEADER, FROM, SUBJECT…; the empty needle is in every field, so it asks whether there is one."""

    name: bytes
    """In capitals."""
    needle: str
    """Folded."""
    cost = Cost.HEADER

    def holds(self, known: Known) -> bool | None:
        if known.header is None:
            return None if known.told is None else known.told(self, known.uid)
        return known.header.has(self.name, self.needle)


@dataclass(frozen=True, slots=True)
class Correspondent:
    """One address, or any of a domain, in a field of that name; spelled like this, or with its local part within quotes."""

    name: bytes
    """In capitals."""
    local: str | None
    """Folded, without quotes; None for anybody."""
    domain: str
    """In its normal form."""
    spelled: str
    """Folded: what stands in the field where the address does."""
    cost = Cost.HEADER

    def holds(self, known: Known) -> bool | None:
        if known.header is None:
            return None if known.told is None else known.told(self, known.uid)
        return known.header.names(self.name, self.local, self.domain, self.spelled)


@dataclass(frozen=True, slots=True)
class Attached:
    """Something attached is like this; None says nothing."""

    inline: bool | None = None
    name: str | None = None
    """Folded; with `*` or `?` the pattern of a whole name, without them a part of it."""
    type: str | None = None
    """Media type in lower case, `*` for any subtype."""
    cost = Cost.PARTS

    def holds(self, known: Known) -> bool | None:
        if known.attached is None:
            return False if known.told is not None and known.told(self, known.uid) is False else None
        return any(map(self._is_like, known.attached))

    def _is_like(self, one: Attachment) -> bool:
        if self.inline is not None and one.inline is not self.inline:
            return False
        if self.type is not None and one.type != self.type and f"{one.type.partition('/')[0]}/*" != self.type:
            return False
        if self.name is None:
            return True
        name = fold(one.filename or "")
        return globbed(self.name, name) if self.is_pattern else bool(name) and self.name in name

    @property
    def is_pattern(self) -> bool:
        """Whether the whole name must be like it."""
        return self.name is not None and ("*" in self.name or "?" in self.name)


@dataclass(frozen=True, slots=True)
class Text:
    """BODY and TEXT."""

    words: Words
    cost = Cost.TEXT

    def holds(self, known: Known) -> bool | None:
        if known.found is None:
            return None if known.told is None else known.told(self, known.uid)
        return self.words in known.found


@dataclass(frozen=True, slots=True)
class Not:
    """NOT"""

    key: Key

    @property
    def cost(self) -> Cost:
        return self.key.cost

    def holds(self, known: Known) -> bool | None:
        verdict = self.key.holds(known)
        return None if verdict is None else not verdict


@dataclass(frozen=True, slots=True)
class Every:
    """Keys that all must hold, the cheap ones first."""

    keys: tuple[Key, ...]

    @property
    def cost(self) -> Cost:
        return max(key.cost for key in self.keys)

    def holds(self, known: Known) -> bool | None:
        sure: bool | None = True
        for key in self.keys:
            verdict = key.holds(known)
            if verdict is False:
                return False
            if verdict is None:
                sure = None
        return sure


@dataclass(frozen=True, slots=True)
class Any:
    """Keys of which one must hold, the cheap ones first: a row of ORs."""

    keys: tuple[Key, ...]

    @property
    def cost(self) -> Cost:
        return max(key.cost for key in self.keys)

    def holds(self, known: Known) -> bool | None:
        sure: bool | None = False
        for key in self.keys:
            verdict = key.holds(known)
            if verdict:
                return True
            if verdict is None:
                sure = None
        return sure


def resolved(key: Key, pick: Callable[[MessageSet], MessageSet]) -> Key:
    """The same key for another mailbox, where `pick` says what each set of UIDs means."""
    match key:
        case Among():
            return Among(pick(key.uids))
        case Not():
            return Not(resolved(key.key, pick))
        case Every():
            return Every(tuple(resolved(one, pick) for one in key.keys))
        case Any():
            return Any(tuple(resolved(one, pick) for one in key.keys))
        case _:
            return key


def leaves(key: Key) -> Iterator[Key]:
    """The conditions that a key is made of."""
    waiting = [key]
    while waiting:
        one = waiting.pop()
        match one:
            case Not():
                waiting.append(one.key)
            case Every() | Any():
                waiting.extend(one.keys)
            case _:
                yield one


def scope(key: Key) -> MessageSet | None:
    """UIDs outside of which the key holds for no message; None where it does not say."""
    match key:
        case Among():
            return key.uids
        case Every():
            scopes = [within for one in key.keys if (within := scope(one)) is not None]
            return reduce(and_, scopes) if scopes else None
        case _:
            return None
