"""What FETCH and STORE tell of messages out of the roll of the mailbox: numbers, flags, dates and sizes, and no row is read.

Many lines are one template and a tuple each. Every slice is a look of its own, as where rows are read: a client that takes its
time is told what is true by then, and nobody who has lost the right to read is told more.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, TypeAlias

from mailsystem.imap import reply
from mailsystem.imap.fetch import Attribute
from mailsystem.imap.session import FLUSH_AT, Session
from mailsystem.imap.view import View
from mailsystem.mail.mailbox import STAR, ContentId, Flag, MessageSet
from mailsystem.mail.objectid import emailid
from mailsystem.store import Pick, Roll

_AT_ONCE: Final = 1000
"""Messages of one slice: some tenths of a millisecond."""

_Column: TypeAlias = Callable[[Roll, Pick], Iterable[Any]]
"""The values of one attribute for messages at some places."""


def _moment(seconds: float) -> bytes:
    """date-time / nil"""
    return reply.internaldate(seconds) if seconds else b"NIL"


_COLUMNS: Final[dict[Attribute, tuple[bytes, _Column]]] = {
    Attribute.UID: (b"UID %d", lambda roll, places: roll.picked(roll.uids, places)),
    Attribute.FLAGS: (b"FLAGS %b", lambda roll, places: ()),
    Attribute.INTERNALDATE: (
        b"INTERNALDATE %b",
        lambda roll, places: map(reply.internaldate, roll.picked(roll.dates, places)),
    ),
    Attribute.SIZE: (b"RFC822.SIZE %d", lambda roll, places: roll.picked(roll.sizes, places)),
    Attribute.MODSEQ: (b"MODSEQ (%d)", lambda roll, places: roll.picked(roll.modseqs, places)),
    Attribute.EMAILID: (
        b"EMAILID (%b)",
        lambda roll, places: [emailid(ContentId(each)).encode("ascii") for each in roll.picked(roll.contents, places)],
    ),
    Attribute.SAVEDATE: (b"SAVEDATE %b", lambda roll, places: map(_moment, roll.picked(roll.saved, places))),
}


class _Lines:
    """The template of a line, with the flags in it that a message has."""

    def __init__(self, template: bytes, view: View | None) -> None:
        """The view says which messages are recent, if the client wants to know."""
        self._before, self._behind = template.split(b"FLAGS %b")
        self._view = view
        self._known: dict[tuple[frozenset[Flag], bool], bytes] = {}

    def of(self, roll: Roll, places: Pick) -> bytes:
        """The lines of the messages at these places, one after the other."""
        kinds, flags, line, view = roll.picked(roll.kinds, places), roll.flags, self._line, self._view
        recent = False if view is None else view.are_recent(roll.uids[places[0]], roll.uids[places[-1]])
        if view is not None and recent is None:
            uids, is_recent = roll.picked(roll.uids, places), view.is_recent
            return b"".join([line(flags[kind], is_recent(uid)) for kind, uid in zip(kinds, uids, strict=True)])
        here = {kind: line(flags[kind], bool(recent)) for kind in set(kinds)}
        if len(here) == 1:
            return here[kinds[0]] * len(kinds)
        return b"".join(map(here.__getitem__, kinds))

    def _line(self, flags: frozenset[Flag], recent: bool) -> bytes:
        known = self._known.get((flags, recent))
        if known is None:
            told = reply.flags(flags, recent).replace(b"%", b"%%")
            known = self._known[flags, recent] = b"%bFLAGS %b%b" % (self._before, told, self._behind)
        return known


async def answered(
    session: Session,
    attributes: Sequence[Attribute],
    uids: MessageSet,
    *,
    announce: Callable[[Iterable[frozenset[Flag]]], None] | None = None,
) -> int | None:
    """Answer for every message there still is, and give how many those were; what flags are told is announced before.

    None where that is not for the roll: it does not hold all that is asked, or is not worth to be read for these. Then nothing
    was said.
    """
    if not all(attribute in _COLUMNS for attribute in attributes):
        return None
    dialect, view, mailbox = session.dialect, session.view, session.mailbox
    template = b"* %d UIDFETCH (" if dialect.uidonly else b"* %d FETCH ("
    template += b" ".join(_COLUMNS[attribute][0] for attribute in attributes) + b")\r\n"
    columns = [_COLUMNS[attribute][1] for attribute in attributes if attribute is not Attribute.FLAGS]
    lines = _Lines(template, None if dialect.rev2 else view) if Attribute.FLAGS in attributes else None
    told = 0
    for stretches in _slices(view, uids):
        # Who has begun goes on, even if the roll had to make room for others meanwhile.
        about = STAR if told else view.count(uids)
        roll = await session.store.mailboxes.roll(mailbox.account, mailbox.id, actor=session.account.id, about=about)
        if roll is None:
            return None
        numbers, places = _matched(view, roll, stretches)
        if not places:
            continue
        if announce is not None:
            announce(roll.flags[kind] for kind in set(roll.picked(roll.kinds, places)))
        first = roll.picked(roll.uids, places) if dialect.uidonly else numbers
        # One large template and one tuple: that costs half of what as many small ones cost.
        width = len(columns) + 1
        values: list[Any] = [None] * (width * len(places))
        values[::width] = first
        for at, column in enumerate(columns, 1):
            values[at::width] = column(roll, places)
        whole = template * len(places) if lines is None else lines.of(roll, places)
        session.send(whole % tuple(values))
        told += len(places)
        if session.buffered > FLUSH_AT:
            await session.flush()
    return told


def _slices(view: View, uids: MessageSet) -> Iterator[list[tuple[int, int]]]:
    """The stretches of the view that are meant, some of them at a time."""
    slice_: list[tuple[int, int]] = []
    room = _AT_ONCE
    for low, high in uids.ranges:
        first = bisect_left(view.uids, low)
        stop = bisect_right(view.uids, high, first)
        while first < stop:
            taken = min(stop - first, room)
            slice_.append((first, first + taken))
            first += taken
            room -= taken
            if not room:
                yield slice_
                slice_, room = [], _AT_ONCE
    if slice_:
        yield slice_


def _matched(view: View, roll: Roll, stretches: Sequence[tuple[int, int]]) -> tuple[Sequence[int], Pick]:
    """The sequence numbers and the places of all messages that are both in these stretches of the view and in the roll."""
    numbers: list[int] = []
    places: list[int] = []
    for first, stop in stretches:
        here = view.uids[first:stop]
        at, behind = roll.places(here[0], here[-1])
        if roll.uids[at:behind] == here:
            if len(stretches) == 1:
                return range(first + 1, stop + 1), range(at, behind)
            numbers.extend(range(first + 1, stop + 1))
            places.extend(range(at, behind))
            continue
        for place, uid in enumerate(roll.uids[at:behind], at):
            if number := view.number(uid):
                numbers.append(number)
                places.append(place)
    return numbers, places
