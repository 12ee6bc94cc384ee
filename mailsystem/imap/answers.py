"""What a FETCH is answered: slice by slice, large messages piece by piece, none of them is ever held whole."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Final

from mailsystem.imap.fetch import Attribute, DecodedSize, Items, Octets, Piece
from mailsystem.imap.fetched import beginning, encoded, extent, octets_of, picked
from mailsystem.imap.rollcall import answered
from mailsystem.imap.session import FLUSH_AT, Session
from mailsystem.imap.witness import flagged
from mailsystem.mail.mailbox import SEEN, Changes, ContentId, MessageSet
from mailsystem.mail.part import Part
from mailsystem.mail.preview import REACH, preview_of
from mailsystem.mail.transfer import Identity
from mailsystem.net import Closed
from mailsystem.store import Fetched, FlagOp, Want
from mailsystem.store.contents import HEAD_LIMIT

_LONGEST_HEADER: Final = 8 << 20
"""Octets of a header block in which fields are looked for; what is longer holds no mail."""


def _want(items: Items) -> Want:
    want = Want.NONE
    if items.wants_facts:
        want |= Want.FACTS
    if items.wants_head:
        want |= Want.HEAD
    if items.wants_raw:
        want |= Want.RAW
    if items.wants_preview:
        want |= Want.PREVIEW
    return want


class Answers:
    """The answers to one FETCH."""

    def __init__(self, session: Session, items: Items) -> None:
        self._session = session
        self._attributes = items.attributes
        self._octets = items.octets
        dialect = session.dialect
        changed = items.including(Attribute.FLAGS)
        if dialect.condstore:
            changed = changed.including(Attribute.MODSEQ)  # RFC 7162 3.1: whatever it was that changed the flags
            if not dialect.uidonly:
                changed = changed.including(Attribute.UID)  # RFC 7162 3.2.4
        self._begin = beginning(items.attributes, uidonly=dialect.uidonly)
        self._begin_changed = beginning(changed.attributes, uidonly=dialect.uidonly)
        # RFC 9051 has no `\\Recent`.
        self._is_recent = _never if dialect.rev2 else session.view.is_recent
        self._want = _want(items)
        self._previews = Attribute.PREVIEW in items.attributes
        self._marks_seen = items.marks_seen and not session.read_only
        self._changed: frozenset[int] = frozenset()
        """Messages that became `\\Seen` by this."""
        self.told = 0
        """How many were answered for."""
        self.read: list[ContentId] | None = [] if items.reads and session.trace.wants_contents else None
        """What the client got to read; None where nobody follows that."""

    async def say(self, uids: MessageSet) -> None:
        """Answer for every message there still is."""
        session = self._session
        if not self._octets and self._want is Want.NONE:
            told = await answered(session, self._attributes, uids)
            if told is not None:
                self.told = told
                return
        changes: Changes | None = None
        async for slice_ in session.store.mailboxes.fetch(
            session.mailbox.account, session.mailbox.id, uids, self._want, actor=session.account.id
        ):
            if self._marks_seen and changes is None and not all(SEEN in each.message.flags for each in slice_):
                changes, slice_ = await self._see(uids, slice_)
            if self._previews and any(each.preview is None for each in slice_):
                slice_ = await self._with_previews(slice_)
            await (self._slice(slice_) if self._octets else self._plain_slice(slice_))
        if changes is not None:
            # RFC 3501 7.4.2: the flags went with the answers, they are no news.
            session.view.told(changes)

    async def _see(self, uids: MessageSet, slice_: Sequence[Fetched]) -> tuple[Changes, Sequence[Fetched]]:
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
        now = {message.uid: message for message in changes.messages}
        self._changed = frozenset(now)
        return changes, [each._replace(message=now.get(each.message.uid, each.message)) for each in slice_]

    async def _plain_slice(self, slice_: Sequence[Fetched]) -> None:
        session, begin, is_recent, number_of = self._session, self._begin, self._is_recent, self._session.view.number
        lines = [
            begin(number, fetched, is_recent(fetched.message.uid))
            for fetched in slice_
            if (number := number_of(fetched.message.uid))
        ]
        if lines:
            session.send(b")\r\n".join(lines) + b")\r\n")
            if session.buffered > FLUSH_AT:
                await session.flush()
        self.told += len(lines)

    async def _slice(self, slice_: Sequence[Fetched]) -> None:
        session, view = self._session, self._session.view
        for fetched in slice_:
            message = fetched.message
            number = view.number(message.uid)
            known = await self._with_facts(fetched) if number else None
            if known is None:
                continue
            begin = self._begin_changed if message.uid in self._changed else self._begin
            shown = fetched if known is fetched else fetched._replace(facts=known.facts)
            begun = begin(number, shown, self._is_recent(message.uid))
            line = _Line(session, begun)
            for item in self._octets:
                await line.add(item, known)
            line.end()
            self.told += 1
            if self.read is not None:
                self.read.append(message.content)
            if session.buffered > FLUSH_AT:
                await session.flush()

    async def _with_previews(self, slice_: Sequence[Fetched]) -> Sequence[Fetched]:
        """Read those that nobody has read yet, so that their first words can be told all the same (RFC 8970 3.1)."""
        session = self._session
        missing = MessageSet.of(each.message.uid for each in slice_ if each.preview is None)
        found: dict[int, str] = {}
        async for unread in session.store.mailboxes.fetch(
            session.mailbox.account,
            session.mailbox.id,
            missing,
            Want.FACTS | Want.RAW,
            actor=session.account.id,
        ):
            beginnings = [
                await session.store.contents.read(each.message.content, 0, REACH) if each.raw is None else each.raw
                for each in unread
            ]
            found |= await asyncio.to_thread(_previews, unread, beginnings)
        return [each._replace(preview=found.get(each.message.uid, each.preview)) for each in slice_]

    async def _with_facts(self, fetched: Fetched) -> Fetched | None:
        """A header block may be longer than what is kept apart of it: then only the facts tell where it ends."""
        if fetched.head is None or len(fetched.head) < HEAD_LIMIT:
            return fetched
        session, one = self._session, MessageSet.of([fetched.message.uid])
        async for slice_ in session.store.mailboxes.fetch(
            session.mailbox.account, session.mailbox.id, one, Want.FACTS, actor=session.account.id
        ):
            return fetched._replace(facts=slice_[0].facts, head=None)
        return None


def _previews(messages: Sequence[Fetched], beginnings: Sequence[bytes]) -> dict[int, str]:
    """The first words of each, by UID."""
    return {
        each.message.uid: preview_of(Part.load(each.facts.parts), octets)
        for each, octets in zip(messages, beginnings, strict=True)
        if each.facts is not None
    }


def _never(uid: int) -> bool:
    return False


class _Line:
    """One FETCH response that holds octets."""

    def __init__(self, session: Session, begun: bytes) -> None:
        self._session = session
        self._said = [begun]
        """What was not sent yet: while nothing was, the command may still fail without harm."""
        self._space = b"" if begun.endswith(b"(") else b" "
        self._sent = False

    async def add(self, piece: Piece, fetched: Fetched) -> None:
        """Say what `piece` asks for. Raises `MailError`, and `Closed` where the promised octets do not come."""
        if isinstance(piece, DecodedSize):
            await self._measure(piece, fetched)
        elif piece.decoded:
            await self._decode(piece, fetched)
        else:
            await self._quote(piece, fetched)

    async def _quote(self, item: Octets, fetched: Fetched) -> None:
        """`BODY[section]`: octets as they came."""
        message, facts, head, raw = fetched[:4]
        octets = octets_of(item, facts, head, raw)
        if octets is None:
            first, last = extent(item.section, message.size, facts)
            if not item.section.picks_fields:
                first, last = item.within(first, last)
                await self._stream(
                    b"%b {%d}" % (item.name, last - first), self._pieces(fetched, first, last), last - first
                )
                return
            contents = self._session.store.contents
            header = await contents.read(message.content, first, min(last, first + _LONGEST_HEADER))
            octets = await asyncio.to_thread(picked, header, item.section)
            first, last = item.within(0, len(octets))
            octets = octets[first:last]
        # RFC 3501 4.3 has no NUL in literals, and some write 0x80 instead. Here a message comes out as it went in: sizes,
        # digests and signatures hold, and clients count octets anyway.
        self._add(b"%b {%d}\r\n%b" % (item.name, len(octets), octets))

    async def _measure(self, item: DecodedSize, fetched: Fetched) -> None:
        """`BINARY.SIZE[section]`, exactly: whoever says so many octets must not say fewer later."""
        size = 0
        async for piece in self._decoded(item, fetched):
            size += len(piece)
        self._add(b"%b %d" % (item.name, size))

    async def _decode(self, item: Octets, fetched: Fetched) -> None:
        """`BINARY[section]`: octets with their transfer encoding undone, as a literal8, which may hold any of them."""
        size = 0
        whole: list[bytes] | None = []
        async for piece in self._decoded(item, fetched):
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
            await self._stream(announced, self._decoded(item, fetched), last - first, skip=first)

    async def _decoded(self, item: Piece, fetched: Fetched) -> AsyncIterator[bytes]:
        """The octets of BINARY, piece by piece. Raises `UnknownEncoding`."""
        first, last, make = encoded(item.section, fetched.message.size, fetched.facts)
        undo = make()
        if fetched.raw is not None:
            yield undo.feed(fetched.raw[first:last])
        elif first < last:
            async for piece in self._pieces(fetched, first, last):
                yield undo.feed(piece) if isinstance(undo, Identity) else await asyncio.to_thread(undo.feed, piece)
        yield undo.close()

    def _pieces(self, fetched: Fetched, first: int, last: int) -> AsyncIterator[bytes]:
        return self._session.store.contents.stream(fetched.message.content, first, last)

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
