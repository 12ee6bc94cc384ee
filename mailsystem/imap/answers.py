"""What a FETCH is answered, slice by slice: what is short as it was read, what is large by `quoting`."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import accumulate, compress, groupby
from typing import Final, NamedTuple

from mailsystem.imap.dialect import Dialect
from mailsystem.imap.fetch import Attribute, Items
from mailsystem.imap.fetched import ALONE, Rendering, rendering
from mailsystem.imap.quoting import Letter, Line
from mailsystem.imap.rollcall import answered
from mailsystem.imap.session import FLUSH_AT, Session
from mailsystem.imap.witness import flagged
from mailsystem.mail.kept import Columns, Kept
from mailsystem.mail.mailbox import SEEN, Changes, ContentId, Message, MessageSet
from mailsystem.mail.objectid import LOOKED_AT
from mailsystem.mail.part import Part
from mailsystem.mail.preview import REACH, preview_of
from mailsystem.store import FlagOp

_WRITTEN_AT_ONCE: Final = 256 << 10
_OF_PREVIEWS: Final = (Kept.PARTS, Kept.CONTENT, Kept.HEAD, Kept.REST)
_ALONE_AT_ONCE: Final = 16
"""Messages that are answered for one by one before the others have their turns: a millisecond, if they are small."""
_CHANGED: Final = 1
_ALONE: Final = 2


class _Plan(NamedTuple):
    """How one kind of FETCH is answered."""

    usual: Rendering
    telling: Rendering
    """For messages that become `\\Seen` by it: with their flags."""
    things: tuple[Kept, ...]
    """What is read where nothing becomes `\\Seen`."""
    things_to_tell: tuple[Kept, ...]
    previews: bool
    marks_seen: bool
    reads: bool


@lru_cache(maxsize=256)
def _plan(items: Items, dialect: Dialect) -> _Plan:
    usual = rendering(items, uidonly=dialect.uidonly)
    changed = items.including(Attribute.FLAGS)
    if dialect.condstore:
        changed = changed.including(Attribute.MODSEQ)  # RFC 7162 3.1: whatever it was that changed the flags
        if not dialect.uidonly:
            changed = changed.including(Attribute.UID)  # RFC 7162 3.2.4
    telling = rendering(changed, uidonly=dialect.uidonly)
    return _Plan(
        usual,
        telling,
        usual.things,
        tuple(dict.fromkeys(usual.things + telling.things)),
        Attribute.PREVIEW in items.attributes,
        items.marks_seen,
        items.reads,
    )


class Answers:
    """The answers to one FETCH."""

    def __init__(self, session: Session, items: Items) -> None:
        self._session = session
        self._items = items
        self._plan = plan = _plan(items, session.dialect)
        self._view = view = session.view
        # RFC 9051 has no `\\Recent`.
        self._recent = None if session.dialect.rev2 or not view.recent else view.is_recent
        self._marks_seen = plan.marks_seen and not session.read_only
        self._changed: Mapping[int, Message] = {}
        """Messages that became `\\Seen` by this."""
        self.told = 0
        """How many were answered for."""
        self.read: list[ContentId] | None = [] if plan.reads and session.trace.wants_contents else None
        """What the client got to read; None where nobody follows that."""

    @property
    def reads(self) -> bool:
        """Whether the client reads more of the messages than a list of mail shows."""
        return self._plan.reads

    async def say(self, uids: MessageSet) -> None:
        """Answer for every message there still is."""
        session, changes = self._session, None
        if not self._items.octets:
            told = await answered(session, self._items.attributes, uids)
            if told is not None:
                self.told = told
                return
        things = self._plan.things_to_tell if self._marks_seen else self._plan.things
        if self.read is not None and Kept.CONTENT not in things:
            things += (Kept.CONTENT,)
        async for columns, said in session.store.fetching.made(
            session.mailbox.account,
            session.mailbox.id,
            uids,
            things,
            self._written,
            actor=session.account.id,
            about=self._view.count(uids),
        ):
            if said is not None:
                await self._say(said, columns)
                continue
            if self._marks_seen and changes is None and not all(SEEN in held for held in columns[Kept.FLAGS]):
                changes = await self._see(uids)
                columns = self._with_flags(columns)
            if self._plan.previews and None in columns[Kept.PREVIEW]:
                columns = await self._with_previews(columns)
            await self._slice(columns)
        if changes is not None:
            # RFC 3501 7.4.2: the flags went with the answers, they are no news.
            self._view.told(changes)

    def _written(self, columns: Columns) -> tuple[Columns, list[bytes] | None]:
        """What there is to say of a slice, where that is short and nothing unusual: in the thread that has just read it.

        What was read is warm there; and nobody else changes the view while a command runs. What is long costs less where
        it is sent.
        """
        numbers = self._view.numbered(columns[Kept.UID])
        if (
            self._marks_seen
            or Kept.REST in columns
            or not isinstance(numbers, range)
            or not self._plan.usual.direct
            or (self._plan.previews and None in columns[Kept.PREVIEW])
            or any(None in columns[thing] for thing in self._plan.usual.wholes)
        ):
            return columns, None
        # What was read is not held while the client takes its time.
        counted = {thing: columns[thing] for thing in (Kept.UID, Kept.CONTENT) if thing in columns}
        return counted, list(self._joined(self._plan.usual, numbers, columns))

    async def _see(self, uids: MessageSet) -> Changes:
        """Set `\\Seen` on all of the messages at once, as soon as one lacks it; later slices show it by themselves."""
        session = self._session
        changes = await session.store.mailboxes.set_flags(
            session.mailbox.account,
            session.mailbox.id,
            uids,
            FlagOp.ADD,
            frozenset({SEEN}),
            actor=session.account.id,
            quietly=True,
        )
        flagged(session, "+\\Seen", changes)
        self._changed = {message.uid: message for message in changes.messages}
        return changes

    def _with_flags(self, columns: Columns) -> Columns:
        """As they are now."""
        now = [self._changed.get(uid) for uid in columns[Kept.UID]]
        fresh: dict[Kept, Sequence[object]] = {
            Kept.FLAGS: [
                held if message is None else message.flags
                for message, held in zip(now, columns[Kept.FLAGS], strict=True)
            ]
        }
        if Kept.MODSEQ in columns:
            fresh[Kept.MODSEQ] = [
                modseq if message is None else message.modseq
                for message, modseq in zip(now, columns[Kept.MODSEQ], strict=True)
            ]
        return {**columns, **fresh}

    async def _slice(self, columns: Columns) -> None:
        numbers: Sequence[int] = self._view.numbered(columns[Kept.UID])
        if not isinstance(numbers, range) and 0 in numbers:
            columns = {thing: tuple(compress(values, numbers)) for thing, values in columns.items()}
            numbers = [number for number in numbers if number]
        if not numbers:
            return
        kinds = self._kinds(columns)
        if not any(kinds):
            await self._many(self._plan.usual, numbers, columns)
            return
        at = 0
        for kind, run in groupby(kinds):
            stop = at + len(list(run))
            some = {thing: values[at:stop] for thing, values in columns.items()}
            form = self._plan.telling if kind & _CHANGED else self._plan.usual
            if kind & _ALONE:
                for place, number in enumerate(numbers[at:stop]):
                    if place % _ALONE_AT_ONCE == _ALONE_AT_ONCE - 1:
                        await asyncio.sleep(0)  # what is at hand is told without a pause
                    one = {thing: values[place : place + 1] for thing, values in some.items()}
                    await self._one(form, number, one)
            else:
                await self._many(form, numbers[at:stop], some)
            at = stop

    def _kinds(self, columns: Columns) -> list[int]:
        """For each message whether it was changed, and whether it has to be read alone."""
        count = len(columns[Kept.UID])
        kinds = [0 if self._plan.usual.direct else _ALONE] * count
        if self._changed:
            kinds = [
                kind | _CHANGED * (uid in self._changed) for kind, uid in zip(kinds, columns[Kept.UID], strict=True)
            ]
        for thing in self._plan.usual.wholes:
            if None in columns[thing]:
                kinds = [kind | _ALONE * (value is None) for kind, value in zip(kinds, columns[thing], strict=True)]
        return kinds

    async def _many(self, form: Rendering, numbers: Sequence[int], columns: Columns) -> None:
        """Answer for messages of which everything is here, and let the others have their turns."""
        step = form.at_once
        for at in range(0, len(numbers), step):
            some = (
                columns
                if step >= len(numbers)
                else {thing: values[at : at + step] for thing, values in columns.items()}
            )
            await self._say(self._joined(form, numbers[at : at + step], some), some)
            if at + step < len(numbers):
                await asyncio.sleep(0)

    def _joined(self, form: Rendering, numbers: Sequence[int], columns: Columns) -> Iterator[bytes]:
        """The answers for messages of which everything is here, so much at once that one who takes nothing holds no more."""
        pieces = form.lines(numbers, columns, self._recent)
        ends = list(accumulate(map(len, pieces)))
        at, said = 0, 0
        while at < len(pieces):
            stop = bisect_left(ends, said + _WRITTEN_AT_ONCE, at) + 1
            yield b"".join(pieces[at:stop])
            at = stop
            said = ends[min(stop, len(ends)) - 1]

    async def _say(self, said: Iterable[bytes], columns: Columns) -> None:
        session = self._session
        for each in said:
            session.send(each)
            if session.buffered > FLUSH_AT:
                await session.flush()
        self._count(columns)

    async def _one(self, form: Rendering, number: int, columns: Columns) -> None:
        """Answer for one message of which not everything is here, or is not to be said as it stands."""
        session = self._session
        if not columns.keys() >= set(ALONE):
            async for found in session.store.fetching.columns(
                session.mailbox.account,
                session.mailbox.id,
                MessageSet.of(columns[Kept.UID]),
                ALONE,
                actor=session.account.id,
            ):
                columns = {**columns, **found}
                break
            else:
                return  # it is gone
        known = {thing: values[0] for thing, values in columns.items()}
        head, rest = known.get(Kept.HEAD), known.get(Kept.REST)
        message = Letter(
            known[Kept.CONTENT],
            known[Kept.SIZE],
            known[Kept.HEADER_SIZE],
            Part.load(known[Kept.PARTS]) if form.takes_parts else None,
            head,
            head + rest if head is not None and rest is not None else None,
        )
        if head is None and form.shows_threads:
            columns = {**columns, Kept.HEAD: [await session.store.contents.read(message.content, 0, LOOKED_AT)]}
        line = Line(session, form.beginning(number, columns, self._recent))
        for item in self._items.octets:
            await line.add(item, message)
        line.end()
        self._count(columns)
        if session.buffered > FLUSH_AT:
            await session.flush()

    def _count(self, columns: Columns) -> None:
        self.told += len(columns[Kept.UID])
        if self.read is not None:
            self.read += columns[Kept.CONTENT]

    async def _with_previews(self, columns: Columns) -> Columns:
        """Read those that nobody has read yet, so that their first words can be told all the same (RFC 8970 3.1)."""
        session = self._session
        known = dict(zip(columns[Kept.UID], columns[Kept.PREVIEW], strict=True))
        missing = MessageSet.of(uid for uid, words in known.items() if words is None)
        async for unread in session.store.fetching.columns(
            session.mailbox.account, session.mailbox.id, missing, _OF_PREVIEWS, actor=session.account.id
        ):
            beginnings = [
                await session.store.contents.read(content, 0, REACH) if head is None or rest is None else head + rest
                for content, head, rest in zip(unread[Kept.CONTENT], unread[Kept.HEAD], unread[Kept.REST], strict=True)
            ]
            words = await asyncio.to_thread(_previews, unread[Kept.PARTS], beginnings)
            known |= zip(unread[Kept.UID], words, strict=True)
        return {**columns, Kept.PREVIEW: list(known.values())}


def _previews(parts: Sequence[bytes], beginnings: Sequence[bytes]) -> list[str]:
    """The first words of each."""
    return [preview_of(Part.load(each), octets) for each, octets in zip(parts, beginnings, strict=True)]
