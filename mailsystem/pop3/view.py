"""The maildrop as one client sees it from login to QUIT: numbers, sizes, names, and what is marked as deleted. Sans-IO."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from mailsystem.mail.errors import SyntaxFault
from mailsystem.mail.mailbox import ContentId, Mailbox, Message, MessageSet, Uid


class Entry(NamedTuple):
    """One message of the maildrop."""

    uid: Uid
    size: int
    content: ContentId


class View:
    """RFC 1939 5: messages are numbered once, from 1; one that is marked as deleted keeps its number and is not there.

    It keeps 25 octets of memory for each message, since some maildrops hold a hundred thousand.
    """

    __slots__ = ("_contents", "_marks", "_sizes", "_uids", "count", "mailbox", "octets")

    def __init__(self, mailbox: Mailbox, messages: Sequence[Message]) -> None:
        self.mailbox = mailbox
        self._uids = array("Q", [message.uid for message in messages])
        self._sizes = array("Q", [message.size for message in messages])
        self._contents = array("Q", [message.content for message in messages])
        self._marks = bytearray(len(messages))
        self.count = len(messages)
        """Messages that are not marked."""
        self.octets = sum(self._sizes)
        """The size of those together."""

    def message(self, number: int) -> Entry:
        """Raises `SyntaxFault` for one that does not exist or is marked."""
        if not 0 < number <= len(self._uids):
            raise SyntaxFault("no such message")
        if self._marks[number - 1]:
            raise SyntaxFault("message is deleted")
        return self._entry(number)

    def _entry(self, number: int) -> Entry:
        at = number - 1
        return Entry(Uid(self._uids[at]), self._sizes[at], ContentId(self._contents[at]))

    def name(self, entry: Entry) -> str:
        """The unique-id (RFC 1939 7): a UID is never reused within its mailbox, nor a mailbox's id in the account."""
        return f"{self.mailbox.objectid}.{entry.uid}"

    def __iter__(self) -> Iterator[tuple[int, Entry]]:
        """Number and message of all that are not marked."""
        for number in range(1, len(self._uids) + 1):
            if not self._marks[number - 1]:
                yield number, self._entry(number)

    def following(self, number: int, *, most: int, octets: int, largest: int) -> MessageSet:
        """UIDs of message `number` and of those after it: so many, of so many octets together, none over `largest`."""
        last = number
        for size in self._sizes[number : number + most - 1]:
            octets -= size
            if octets < self._sizes[number - 1] or size > largest:
                break
            last += 1
        return MessageSet(((self._uids[number - 1], self._uids[last - 1]),))

    def delete(self, number: int) -> None:
        """Mark a message. Raises `SyntaxFault`."""
        self.octets -= self.message(number).size
        self.count -= 1
        self._marks[number - 1] = 1

    def reset(self) -> None:
        """Unmark all."""
        self._marks = bytearray(len(self._uids))
        self.count = len(self._uids)
        self.octets = sum(self._sizes)

    def deleted(self) -> MessageSet:
        """The UIDs of all that are marked; neighbours as one range, over the holes between their UIDs, which stay empty."""
        ranges: list[tuple[int, int]] = []
        end = 0
        while (start := self._marks.find(1, end)) >= 0:
            end = self._marks.find(0, start)
            end = end if end >= 0 else len(self._marks)
            ranges.append((self._uids[start], self._uids[end - 1]))
        return MessageSet(tuple(ranges))
