"""The order in which SORT puts messages (RFC 5256 3, RFC 5957). Sans-IO."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Final, NamedTuple, TypeAlias

from mailsystem.imap.grammar import Arguments
from mailsystem.imap.heading import Heading, collated
from mailsystem.mail.errors import SyntaxFault, TooMany
from mailsystem.mail.mailbox import Message

MOST_CRITERIA: Final = 50
LONGEST: Final = 1000
"""Characters of a subject or name by which messages are told apart: a header may hold 256 KiB of them, and there are many."""


class Criterion(NamedTuple):
    """One key, the smallest first or, reversed, the largest."""

    name: str
    reverse: bool


Row: TypeAlias = tuple[int, *tuple[float | str, ...]]
"""A UID, and what the message has for each criterion."""

_OF_MESSAGE: Final[dict[str, Callable[[Message], float]]] = {
    # In whole seconds, as the client knows it: what is the same to both stays in the order of the mailbox.
    "ARRIVAL": lambda message: int(message.internaldate),
    "SIZE": lambda message: message.size,
}
_OF_HEADING: Final[dict[str, Callable[[Heading], str]]] = {
    "SUBJECT": lambda heading: heading.base.text,
    "FROM": lambda heading: heading.mailbox(b"FROM"),
    "TO": lambda heading: heading.mailbox(b"TO"),
    "CC": lambda heading: heading.mailbox(b"CC"),
    "DISPLAYFROM": lambda heading: heading.display(b"FROM"),
    "DISPLAYTO": lambda heading: heading.display(b"TO"),
}


def read_sort(args: Arguments) -> list[Criterion]:
    """sort-criteria = "(" sort-criterion *(SP sort-criterion) ")" ; sort-criterion = ["REVERSE" SP] sort-key"""
    criteria: list[Criterion] = []
    count = 0
    args.enter()
    while True:
        reverse = args.accept(b"REVERSE ")
        name = args.keyword()
        if name != "DATE" and name not in _OF_MESSAGE and name not in _OF_HEADING:
            raise SyntaxFault("unknown sort key")
        count += 1
        if count > MOST_CRITERIA:
            raise TooMany("too many sort keys")
        if all(name != before.name for before in criteria):  # what is the same by a key is so the second time, too
            criteria.append(Criterion(name, reverse))
        if args.peek() == b")":
            break
        args.sp()
    args.leave()
    return criteria


def needs_heading(criteria: Sequence[Criterion]) -> bool:
    """Whether header fields have to be read."""
    return any(criterion.name not in _OF_MESSAGE for criterion in criteria)


def row(criteria: Sequence[Criterion], message: Message, head: bytes | None) -> Row:
    """What one message has for each criterion."""
    heading = Heading(head or b"")
    return (message.uid, *(_value(criterion.name, message, heading) for criterion in criteria))


def _value(name: str, message: Message, heading: Heading) -> float | str:
    of_message = _OF_MESSAGE.get(name)
    if of_message is not None:
        return of_message(message)
    if name == "DATE":
        return sent_or_arrived(message, heading)
    return collated(_OF_HEADING[name](heading)[:LONGEST])


def sent_or_arrived(message: Message, heading: Heading) -> float:
    """RFC 5256 2.2: where a Date says nothing the day of arrival stands for it."""
    sent = heading.sent
    return int(message.internaldate) if sent is None else sent


def ordered(criteria: Sequence[Criterion], rows: Sequence[Row]) -> list[int]:
    """The UIDs in order, for rows that come in the order of the mailbox: that decides where nothing else does."""
    rows = list(rows)
    # From the last key to the first; sorting keeps the order of equals, reversed too.
    for column in range(len(criteria), 0, -1):
        rows.sort(key=itemgetter(column), reverse=criteria[column - 1].reverse)
    return [uid for uid, *_ in rows]
