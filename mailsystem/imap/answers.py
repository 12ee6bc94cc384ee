"""What a FETCH is answered: slice by slice, large messages piece by piece, none of them is ever held whole."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import AsyncIterator, Mapping, Sequence
from functools import lru_cache
from itertools import accumulate, compress, groupby
from typing import Final, NamedTuple

from mailsystem.imap.dialect import Dialect
from mailsystem.imap.fetch import Attribute, DecodedSize, Items, Octets, Piece
from mailsystem.imap.fetched import ALONE, Rendering, encoded, extent, octets_of, rendering
from mailsystem.imap.rollcall import answered
from mailsystem.imap.session import FLUSH_AT, Session
from mailsystem.imap.structure import pick_fields
from mailsystem.imap.witness import flagged
from mailsystem.mail.kept import Columns, Kept
from mailsystem.mail.mailbox import SEEN, Changes, ContentId, Message, MessageSet
from mailsystem.mail.objectid import LOOKED_AT
from mailsystem.mail.part import Part
from mailsystem.mail.preview import REACH, preview_of
from mailsystem.mail.transfer import Identity
from mailsystem.net import Closed
from mailsystem.store import FlagOp

_LONGEST_HEADER: Final = 8 << 20
"""Octets of a header block in which fields are looked for; what is longer holds no mail."""
_WRITTEN_AT_ONCE: Final = 256 << 10
_OF_PREVIEWS: Final = (Kept.PARTS, Kept.CONTENT, Kept.HEAD, Kept.REST)
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
        return columns, self._joined(self._plan.usual, numbers, columns)

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
            await self._say(self._joined(self._plan.usual, numbers, columns), columns)
            return
        at = 0
        for kind, run in groupby(kinds):
            stop = at + len(list(run))
            some = {thing: values[at:stop] for thing, values in columns.items()}
            form = self._plan.telling if kind & _CHANGED else self._plan.usual
            if kind & _ALONE:
                for place, number in enumerate(numbers[at:stop]):
                    one = {thing: values[place : place + 1] for thing, values in some.items()}
                    await self._one(form, number, one)
            else:
                await self._say(self._joined(form, numbers[at:stop], some), some)
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

    def _joined(self, form: Rendering, numbers: Sequence[int], columns: Columns) -> list[bytes]:
        """The answers for messages of which everything is here, so much at once that one who takes nothing holds no more."""
        pieces = form.lines(numbers, columns, self._recent)
        ends = list(accumulate(map(len, pieces)))
        joined: list[bytes] = []
        at, said = 0, 0
        while at < len(pieces):
            stop = bisect_left(ends, said + _WRITTEN_AT_ONCE, at) + 1
            joined.append(b"".join(pieces[at:stop]))
            at = stop
            said = ends[min(stop, len(ends)) - 1]
        return joined

    async def _say(self, said: list[bytes], columns: Columns) -> None:
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
        message = _Message(
            known[Kept.CONTENT],
            known[Kept.SIZE],
            known[Kept.HEADER_SIZE],
            known[Kept.PARTS],
            head,
            head + rest if head is not None and rest is not None else None,
        )
        if head is None and form.shows_threads:
            columns = {**columns, Kept.HEAD: [await session.store.contents.read(message.content, 0, LOOKED_AT)]}
        line = _Line(session, form.beginning(number, columns, self._recent))
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


class _Message(NamedTuple):
    """What it takes to read one message's octets."""

    content: ContentId
    size: int
    header_size: int
    parts: bytes
    head: bytes | None
    raw: bytes | None


class _Line:
    """One FETCH response that holds octets."""

    def __init__(self, session: Session, begun: bytes) -> None:
        self._session = session
        self._said = [begun]
        """What was not sent yet: while nothing was, the command may still fail without harm."""
        self._space = b"" if begun.endswith(b"(") else b" "
        self._sent = False

    async def add(self, piece: Piece, message: _Message) -> None:
        """Say what `piece` asks for. Raises `MailError`, and `Closed` where the promised octets do not come."""
        if isinstance(piece, DecodedSize):
            await self._measure(piece, message)
        elif piece.decoded:
            await self._decode(piece, message)
        else:
            await self._quote(piece, message)

    async def _quote(self, item: Octets, message: _Message) -> None:
        """`BODY[section]`: octets as they came."""
        octets = octets_of(item, *message[2:])
        if octets is None:
            first, last = extent(item.section, message.size, message.header_size, message.parts)
            if not item.section.picks_fields:
                first, last = item.within(first, last)
                await self._stream(
                    b"%b {%d}" % (item.name, last - first), self._pieces(message, first, last), last - first
                )
                return
            contents = self._session.store.contents
            header = await contents.read(message.content, first, min(last, first + _LONGEST_HEADER))
            octets = await asyncio.to_thread(pick_fields, header, item.section)
            first, last = item.within(0, len(octets))
            octets = octets[first:last]
        # RFC 3501 4.3 has no NUL in literals, and some write 0x80 instead. Here a message comes out as it went in: sizes,
        # digests and signatures hold, and clients count octets anyway.
        self._add(b"%b {%d}\r\n%b" % (item.name, len(octets), octets))

    async def _measure(self, item: DecodedSize, message: _Message) -> None:
        """`BINARY.SIZE[section]`, exactly: whoever says so many octets must not say fewer later."""
        size = 0
        async for piece in self._decoded(item, message):
            size += len(piece)
        self._add(b"%b %d" % (item.name, size))

    async def _decode(self, item: Octets, message: _Message) -> None:
        """`BINARY[section]`: octets with their transfer encoding undone, as a literal8, which may hold any of them."""
        size = 0
        whole: list[bytes] | None = []
        async for piece in self._decoded(item, message):
            size += len(piece)
            if whole is not None:
                whole.append(piece)
                if size > FLUSH_AT:
                    whole = None
        first, last = item.within(0, size)
        announced = b"%b ~{%d}" % (item.name, last - first)
        if whole is not None:
            self._add(b"%b\r\n%b" % (announced, b"".join(whole)[first:last]))
        else:
            # How long a part is once it is decoded is only known at its end. So a large one is read twice, but never held.
            await self._stream(announced, self._decoded(item, message), last - first, skip=first)

    async def _decoded(self, item: Piece, message: _Message) -> AsyncIterator[bytes]:
        """The octets of BINARY, piece by piece. Raises `UnknownEncoding`."""
        first, last, make = encoded(item.section, message.size, message.parts)
        undo = make()
        if message.raw is not None:
            yield undo.feed(message.raw[first:last])
        elif first < last:
            async for piece in self._pieces(message, first, last):
                yield undo.feed(piece) if isinstance(undo, Identity) else await asyncio.to_thread(undo.feed, piece)
        yield undo.close()

    def _pieces(self, message: _Message, first: int, last: int) -> AsyncIterator[bytes]:
        return self._session.store.contents.stream(message.content, first, last)

    async def _stream(self, announced: bytes, pieces: AsyncIterator[bytes], left: int, skip: int = 0) -> None:
        """Say octets that are not in memory, `left` of them after the first `skip`: one piece after the other, as the
        client takes them."""
        session = self._session
        self._add(announced + b"\r\n")
        # A piece leaves when the next one is here: the first may be at hand where the file that holds the rest is not.
        holding = False
        try:
            if left:
                async for piece in pieces:
                    if holding:
                        self._send()
                        await session.flush()
                    if skip >= len(piece):
                        skip -= len(piece)
                        continue
                    piece = piece[skip : skip + left]
                    skip = 0
                    self._said.append(piece)
                    left -= len(piece)
                    holding = True
                    del piece
                    if not left:
                        break
        except Exception as error:
            # Within a literal no answer would be understood as one.
            if self._sent:
                raise Closed(f"cut off in a literal: {error}") from error
            raise
        if left:
            raise Closed("a message is shorter than it was")

    def _add(self, said: bytes) -> None:
        self._said += [self._space, said]
        self._space = b" "

    def _send(self) -> None:
        self._session.send(b"".join(self._said))
        self._said.clear()
        self._sent = True

    def end(self) -> None:
        self._said.append(b")\r\n")
        self._send()
