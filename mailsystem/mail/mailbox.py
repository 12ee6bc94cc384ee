"""Mailboxes and messages as their owners see them: numbers, flags, sets, changes."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Final, NamedTuple, NewType

from mailsystem.mail.errors import SyntaxFault

AccountId = NewType("AccountId", int)
MailboxId = NewType("MailboxId", int)
ContentId = NewType("ContentId", int)
Uid = NewType("Uid", int)
ModSeq = NewType("ModSeq", int)
Flag = NewType("Flag", str)

DELIMITER: Final = "/"
INBOX: Final = "INBOX"
OTHERS: Final = "Other Users"
"""Below this level everybody sees the mailboxes that others share with them: the namespace of RFC 2342 for that."""
STAR: Final = 1 << 32
"""`*` in a `MessageSet` that has not met a mailbox yet: larger than any number that can be written (RFC 9051 `nz-number`)."""

SEEN = Flag("\\Seen")
ANSWERED = Flag("\\Answered")
FLAGGED = Flag("\\Flagged")
DELETED = Flag("\\Deleted")
DRAFT = Flag("\\Draft")
RECENT = Flag("\\Recent")
SYSTEM_FLAGS: Final = (ANSWERED, FLAGGED, DELETED, SEEN, DRAFT)

_SYSTEM_BY_NAME = {flag.lower(): flag for flag in (*SYSTEM_FLAGS, RECENT)}
_KEYWORD = re.compile(r"[!#$&'+-\[^-z|}~]{1,128}")

SPECIAL_USES: Final = {
    "Drafts": "\\Drafts",
    "Sent": "\\Sent",
    "Junk": "\\Junk",
    "Trash": "\\Trash",
    "Archive": "\\Archive",
}
"""The mailboxes that a new account has besides INBOX, and what they are for (RFC 6154)."""


def flag_of(text: str) -> Flag:
    """A flag in its one spelling: system flags as RFC 9051 2.3.2 writes them, keywords as given. Raises `SyntaxFault`."""
    known = _SYSTEM_BY_NAME.get(text.lower())
    if known is not None:
        return known
    if not _KEYWORD.fullmatch(text):
        raise SyntaxFault("bad flag")
    return Flag(text)


@dataclass(frozen=True, slots=True)
class MessageSet:
    """A set of UIDs or sequence numbers as sorted, disjoint, inclusive ranges; never a list of members.

    >>> str(MessageSet.parse("5,2:3,4"))
    '2:5'
    """

    ranges: tuple[tuple[int, int], ...] = ()

    @classmethod
    def parse(cls, text: str, *, most_ranges: int = 10_000) -> MessageSet:
        """Read RFC 9051's `sequence-set`; `*` becomes `STAR`. Raises `SyntaxFault`."""
        pairs: list[tuple[int, int]] = []
        for item in text.split(","):
            low, colon, high = item.partition(":")
            first = _number(low)
            last = _number(high) if colon else first
            pairs.append((first, last) if first <= last else (last, first))
            if len(pairs) > most_ranges:
                raise SyntaxFault("set too long")
        return cls.of_ranges(pairs)

    @classmethod
    def of(cls, numbers: Iterable[int]) -> MessageSet:
        """The set of these numbers, in any order."""
        return cls.of_ranges((n, n) for n in numbers)

    @classmethod
    def of_ranges(cls, pairs: Iterable[tuple[int, int]]) -> MessageSet:
        """The set of all numbers within these inclusive ranges, in any order, overlapping or not."""
        merged: list[tuple[int, int]] = []
        for low, high in sorted(pairs):
            if merged and low <= merged[-1][1] + 1:
                if high > merged[-1][1]:
                    merged[-1] = (merged[-1][0], high)
            else:
                merged.append((low, high))
        return cls(tuple(merged))

    def __contains__(self, number: int) -> bool:
        place = bisect_left(self.ranges, number, key=itemgetter(1))
        return place < len(self.ranges) and self.ranges[place][0] <= number

    def __iter__(self) -> Iterator[int]:
        for low, high in self.ranges:
            yield from range(low, high + 1)

    def __len__(self) -> int:
        return sum(high - low + 1 for low, high in self.ranges)

    def __bool__(self) -> bool:
        return bool(self.ranges)

    def __and__(self, other: MessageSet) -> MessageSet:
        """Those in both, in one pass over the ranges."""
        both: list[tuple[int, int]] = []
        mine, theirs = 0, 0
        while mine < len(self.ranges) and theirs < len(other.ranges):
            (a, b), (c, d) = self.ranges[mine], other.ranges[theirs]
            if max(a, c) <= min(b, d):
                both.append((max(a, c), min(b, d)))
            if b <= d:
                mine += 1
            else:
                theirs += 1
        return MessageSet(tuple(both))

    def __sub__(self, other: MessageSet) -> MessageSet:
        """Those that are not in the other."""
        holes, before = [], 0
        for low, high in other.ranges:
            if low > before:
                holes.append((before, low - 1))
            before = high + 1
        return self & MessageSet((*holes, (before, STAR)))

    def __str__(self) -> str:
        def spell(number: int) -> str:
            return "*" if number == STAR else str(number) if number else "$"

        return ",".join(spell(a) if a == b else f"{spell(a)}:{spell(b)}" for a, b in self.ranges)


SAVED: Final = MessageSet(((0, 0),))
"""`$`, what the last SEARCH has saved (RFC 5182), until a view resolves it: no set that can be written holds a zero."""


def _number(text: str) -> int:
    if text == "*":
        return STAR
    if not text.isascii() or not text.isdigit() or len(text) > 10:
        raise SyntaxFault("bad message set")
    number = int(text)
    if not 0 < number < STAR:
        raise SyntaxFault("bad message set")
    return number


@dataclass(frozen=True, slots=True)
class Mailbox:
    """A mailbox as it stood when it was looked at."""

    account: AccountId
    id: MailboxId
    name: str
    """Unicode, levels parted by `DELIMITER`; INBOX always in capitals."""
    objectid: str
    """Stable for the life of the mailbox, over renames too (RFC 8474)."""
    uidvalidity: int
    uidnext: Uid
    modseq: ModSeq
    """The highest of any change in it (HIGHESTMODSEQ)."""
    special_use: str | None = None
    """RFC 6154: `\\Sent`, `\\Trash`, …; several are parted by spaces."""
    seen_as: str | None = field(default=None, compare=False)
    """Its name in the eyes of the account that has looked, where it is somebody else's."""

    @property
    def shown(self) -> str:
        """The name as the account knows it that has looked."""
        return self.seen_as or self.name


@dataclass(frozen=True, slots=True)
class Status:
    """What IMAP's STATUS and SELECT count."""

    mailbox: Mailbox
    messages: int
    unseen: int
    deleted: int
    recent: int
    size: int
    """Octets of all messages together."""
    deleted_size: int = 0
    """Octets of those that are marked `\\Deleted`."""


class Message(NamedTuple):
    """A message as its mailbox knows it. A tuple, since a listing makes a hundred thousand of them."""

    uid: Uid
    modseq: ModSeq
    flags: frozenset[Flag]
    internaldate: float
    """Seconds since the epoch."""
    size: int
    """RFC822.SIZE: the octets a client gets, trace fields included."""
    content: ContentId
    savedate: float = 0.0
    """When it came into this mailbox (RFC 8514), in seconds since the epoch."""


class Changes(NamedTuple):
    """What came to pass in one mailbox after some ModSeq: all that any watcher needs."""

    modseq: ModSeq
    """Ask again from here."""
    messages: Sequence[Message]
    """New and changed ones, by ascending UID."""
    vanished: MessageSet
    """UIDs that are gone."""
    after: ModSeq | None = None
    """These are all changes of the mailbox after this one; None where others may have come in between."""
    unchanged: MessageSet | None = None
    """Of a conditional change: the UIDs that had not changed before, and so were open to it (RFC 7162 3.1.3)."""
    contents: Sequence[ContentId] = ()
    """Of an expunge: what each of `vanished` was, in the same order; of a change of flags perhaps of `messages`."""
    is_last: bool = False
    """They are the last ones, too: nothing has come after them as long as whoever asked has awaited nothing else."""
