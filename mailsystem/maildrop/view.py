"""The maildrop as one client sees it: numbers, sizes, dates, names, and what is marked as deleted. Sans-IO."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Final, NamedTuple, Protocol, TypeVar

from mailsystem.mail.errors import SyntaxFault
from mailsystem.mail.mailbox import ContentId, Mailbox, MailboxId, MessageSet, Uid

T = TypeVar("T")


class Listed(Protocol):
    """A message as a view takes it in."""

    @property
    def uid(self) -> Uid: ...
    @property
    def size(self) -> int: ...
    @property
    def content(self) -> ContentId: ...
    @property
    def internaldate(self) -> float: ...


class Entry(NamedTuple):
    """One message of the maildrop."""

    mailbox: Mailbox
    uid: Uid
    size: int
    content: ContentId
    date: float
    """When it came, in seconds since the epoch."""


class View:
    """RFC 1939 5: messages are numbered once, from 1; one that is marked as deleted keeps its number and is not there.

    Those of the first mailbox come first. It keeps 34 octets of memory for each, since some maildrops hold a hundred thousand.
    """

    __slots__ = (
        "_contents",
        "_dates",
        "_ends",
        "_got",
        "_mailboxes",
        "_marks",
        "_names",
        "_sizes",
        "_uids",
        "count",
        "octets",
    )

    def __init__(
        self, *folders: tuple[Mailbox, Sequence[Listed]], names: Mapping[tuple[MailboxId, Uid], str] | None = None
    ) -> None:
        """`names` are the unique-ids of those that have one from another mailbox."""
        self._names = names or {}
        self._mailboxes = [mailbox for mailbox, _ in folders]
        self._ends = list(accumulate(len(messages) for _, messages in folders))
        every = [message for _, messages in folders for message in messages]
        self._uids = array("Q", [message.uid for message in every])
        self._sizes = array("Q", [message.size for message in every])
        self._contents = array("Q", [message.content for message in every])
        self._dates = array("d", [message.internaldate for message in every])
        self._marks = bytearray(len(every))
        self._got = bytearray(len(every))
        self.count = len(every)
        """Messages that are not marked."""
        self.octets = sum(self._sizes)
        """The size of those together."""

    def message(self, number: int) -> Entry:
        """Raises `SyntaxFault` for one that does not exist or is marked."""
        self._check(number)
        return self._entry(number)

    def _check(self, number: int) -> None:
        if not 0 < number <= len(self._uids):
            raise SyntaxFault("no such message")
        if self._marks[number - 1]:
            raise SyntaxFault("message is deleted")

    def _entry(self, number: int) -> Entry:
        at = number - 1
        mailbox = self._mailboxes[bisect_right(self._ends, at)]
        return Entry(mailbox, Uid(self._uids[at]), self._sizes[at], ContentId(self._contents[at]), self._dates[at])

    def size(self, number: int) -> int:
        """Octets of a message; 0 for one that does not exist or is marked."""
        return self._sizes[number - 1] if 0 < number <= len(self._uids) and not self._marks[number - 1] else 0

    def name(self, entry: Entry) -> str:
        """The unique-id (RFC 1939 7): a mailbox's id is nobody else's, and a UID is never reused within its mailbox."""
        given = self._names.get((entry.mailbox.id, entry.uid)) if self._names else None
        return given or f"{entry.mailbox.objectid}.{entry.uid}"

    def __iter__(self) -> Iterator[tuple[int, Entry]]:
        """Number and message of all that are not marked."""
        for number in range(1, len(self._uids) + 1):
            if not self._marks[number - 1]:
                yield number, self._entry(number)

    def listed(self) -> Iterator[tuple[int, int]]:
        """Number and octets of all that are not marked."""
        return self._unmarked(self._sizes)

    def named(self) -> Iterator[tuple[int, str]]:
        """Number and unique-id of all that are not marked."""
        return self._unmarked(self._every_name())

    def _every_name(self) -> Iterator[str]:
        start = 0
        for mailbox, end in zip(self._mailboxes, self._ends, strict=True):
            given, prefix = self._names, mailbox.objectid
            for uid in self._uids[start:end]:
                yield (given and given.get((mailbox.id, Uid(uid)))) or f"{prefix}.{uid}"
            start = end

    def _unmarked(self, each: Iterable[T]) -> Iterator[tuple[int, T]]:
        return (one for one, mark in zip(enumerate(each, 1), self._marks, strict=True) if not mark)

    def following(self, number: int, *, most: int, octets: int, largest: int) -> MessageSet:
        """UIDs of message `number` and of those after it in its mailbox: so many, of so many octets together, none over
        `largest`."""
        last = number
        end = self._ends[bisect_right(self._ends, number - 1)]
        for size in self._sizes[number : min(number + most - 1, end)]:
            octets -= size
            if octets < self._sizes[number - 1] or size > largest:
                break
            last += 1
        return MessageSet(((self._uids[number - 1], self._uids[last - 1]),))

    def delete(self, number: int) -> None:
        """Mark a message. Raises `SyntaxFault`."""
        self._check(number)
        self.octets -= self._sizes[number - 1]
        self.count -= 1
        self._marks[number - 1] = 1

    def delete_all(self) -> None:
        """Mark all."""
        self._marks = bytearray(b"\1") * len(self._uids)
        self.count = self.octets = 0

    @property
    def marked(self) -> int:
        """How many are marked."""
        return len(self._uids) - self.count

    def retrieved(self, number: int) -> None:
        """The client has got the whole of it."""
        self._got[number - 1] = 1

    def retrieved_all(self) -> None:
        """The client has got all that are not marked."""
        self._got = bytearray(1 - mark for mark in self._marks)

    def reset(self) -> None:
        """Unmark all. What was retrieved stays retrieved."""
        self._marks = bytearray(len(self._uids))
        self.count = len(self._uids)
        self.octets = sum(self._sizes)

    def handled(self) -> Iterator[tuple[Mailbox, MessageSet, MessageSet]]:
        """Each mailbox in which something was deleted or retrieved, and the UIDs of either."""
        start = 0
        for mailbox, end in zip(self._mailboxes, self._ends, strict=True):
            deleted, retrieved = self._uids_of(self._marks, start, end), self._uids_of(self._got, start, end)
            if deleted or retrieved:
                yield mailbox, deleted, retrieved
            start = end

    def _uids_of(self, marks: bytearray, start: int, end: int) -> MessageSet:
        """Neighbours as one range, over the holes between their UIDs, which stay empty."""
        ranges: list[tuple[int, int]] = []
        while (start := marks.find(1, start, end)) >= 0:
            stop = marks.find(0, start, end)
            stop = stop if stop >= 0 else end
            ranges.append((self._uids[start], self._uids[stop - 1]))
            start = stop
        return MessageSet(tuple(ranges))


NOTHING: Final = View()
"""What a client sees that has not looked yet, and when it is over: the same for all, since there is nothing to mark."""
