"""FETCH (RFC 3501 6.4.5): answers leave slice by slice, large messages piece by piece, none of them is ever held whole."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from mailsystem.imap.command import SELECTED, Ok, command
from mailsystem.imap.fetch import Attribute, Items, Octets, beginning, extent, octets_of, picked, read_items
from mailsystem.imap.grammar import Arguments
from mailsystem.imap.session import FLUSH_AT, Session
from mailsystem.mail.mailbox import SEEN, Changes, MessageSet
from mailsystem.net import Closed
from mailsystem.store import Fetched, FlagOp, Want
from mailsystem.store.contents import HEAD_LIMIT

_LONGEST_HEADER: Final = 8 << 20
"""Octets of a header block in which fields are looked for; what is longer holds no mail."""


@command("FETCH", SELECTED, uid=True, numbers=True)
async def fetch(session: Session, args: Arguments, by_uid: bool) -> Ok | None:
    """RFC 3501 6.4.5: tell what is asked of each message."""
    args.sp()
    chosen = args.sequence_set()
    args.sp()
    items = read_items(args)
    uids = session.view.pick(chosen, by_uid)
    if by_uid:
        # RFC 3501 6.4.8: whether it was asked for or not.
        items = items.including(Attribute.UID)
    told = await _Answers(session, items).say(uids)
    if told and items.wants_raw:
        session.trace.event("retrieved", login=session.account.login, messages=told)
    if not by_uid and told < session.view.count(uids):
        # RFC 2180 4.1.2: somebody else has expunged some of them, and now is not the time to say which (RFC 5530).
        return Ok("some of the messages are gone", b"EXPUNGEISSUED")
    return None


def _want(items: Items) -> Want:
    want = Want.NONE
    if items.wants_facts:
        want |= Want.FACTS
    if items.wants_head:
        want |= Want.HEAD
    if items.wants_raw:
        want |= Want.RAW
    return want


class _Answers:
    """The answers to one FETCH."""

    def __init__(self, session: Session, items: Items) -> None:
        self._session = session
        self._octets = items.octets
        self._begin = beginning(items.attributes)
        self._begin_changed = beginning(items.including(Attribute.FLAGS).attributes)
        self._want = _want(items)
        self._marks_seen = items.marks_seen and not session.read_only
        self._changed: frozenset[int] = frozenset()
        """Messages that became `\\Seen` by this."""

    async def say(self, uids: MessageSet) -> int:
        """Answer for every message there still is; gives how many that were."""
        session, told = self._session, 0
        changes: Changes | None = None
        async for slice_ in session.store.mailboxes.fetch(
            session.mailbox.account, session.mailbox.id, uids, self._want
        ):
            if self._marks_seen and changes is None and not all(SEEN in each.message.flags for each in slice_):
                changes, slice_ = await self._see(uids, slice_)
            told += await (self._slice(slice_) if self._octets else self._plain_slice(slice_))
        if changes is not None:
            # RFC 3501 7.4.2: the flags went with the answers, they are no news.
            session.view.told(changes)
        return told

    async def _see(self, uids: MessageSet, slice_: Sequence[Fetched]) -> tuple[Changes, Sequence[Fetched]]:
        """Set `\\Seen` on all of the messages at once, as soon as one lacks it; later slices show it by themselves."""
        session = self._session
        changes = await session.store.mailboxes.set_flags(
            session.mailbox.account, session.mailbox.id, uids, FlagOp.ADD, frozenset({SEEN})
        )
        now = {message.uid: message for message in changes.messages}
        self._changed = frozenset(now)
        return changes, [each._replace(message=now.get(each.message.uid, each.message)) for each in slice_]

    async def _plain_slice(self, slice_: Sequence[Fetched]) -> int:
        session, view, begin = self._session, self._session.view, self._begin
        lines = [
            begin(number, message, facts, view.is_recent(message.uid))
            for message, facts, _, _ in slice_
            if (number := view.number(message.uid))
        ]
        if lines:
            session.send(b")\r\n".join(lines) + b")\r\n")
            if session.buffered > FLUSH_AT:
                await session.flush()
        return len(lines)

    async def _slice(self, slice_: Sequence[Fetched]) -> int:
        session, view, told = self._session, self._session.view, 0
        for fetched in slice_:
            message = fetched.message
            number = view.number(message.uid)
            known = await self._with_facts(fetched) if number else None
            if known is None:
                continue
            begin = self._begin_changed if message.uid in self._changed else self._begin
            line = _Line(session, begin(number, message, known.facts, view.is_recent(message.uid)))
            for item in self._octets:
                await line.add(item, known)
            line.end()
            told += 1
            if session.buffered > FLUSH_AT:
                await session.flush()
        return told

    async def _with_facts(self, fetched: Fetched) -> Fetched | None:
        """A header block may be longer than what is kept apart of it: then only the facts tell where it ends."""
        if fetched.head is None or len(fetched.head) < HEAD_LIMIT:
            return fetched
        session, one = self._session, MessageSet.of([fetched.message.uid])
        async for slice_ in session.store.mailboxes.fetch(session.mailbox.account, session.mailbox.id, one, Want.FACTS):
            return fetched._replace(facts=slice_[0].facts, head=None)
        return None


class _Line:
    """One FETCH response that holds octets."""

    def __init__(self, session: Session, begun: bytes) -> None:
        self._session = session
        self._said = [begun]
        """What was not sent yet: while nothing was, the command may still fail without harm."""
        self._space = b"" if begun.endswith(b"(") else b" "
        self._sent = False

    async def add(self, item: Octets, fetched: Fetched) -> None:
        """Say what `item` asks for. Raises `MailError`, and `Closed` where the promised octets do not come."""
        message, facts, head, raw = fetched
        octets = octets_of(item, facts, head, raw)
        if octets is None:
            first, last = extent(item.section, message.size, facts)
            if not item.section.picks_fields:
                await self._stream(item, fetched, *item.within(first, last))
                return
            contents = self._session.store.contents
            header = await contents.read(message.content, first, min(last, first + _LONGEST_HEADER))
            octets = await asyncio.to_thread(picked, header, item.section)
            first, last = item.within(0, len(octets))
            octets = octets[first:last]
        self._announce(item, len(octets))
        # RFC 3501 4.3 has no NUL in literals, and some write 0x80 instead. Here a message comes out as it went in: sizes,
        # digests and signatures hold, and clients count octets anyway.
        self._said.append(octets)

    async def _stream(self, item: Octets, fetched: Fetched, first: int, last: int) -> None:
        """As `add`, for octets that are not in memory: one piece after the other, as the client takes them."""
        session, left = self._session, last - first
        self._announce(item, left)
        # A piece leaves when the next one is here: the first may be at hand where the file that holds the rest is not.
        holding = False
        try:
            if left:
                async for piece in session.store.contents.stream(fetched.message.content, first, last):
                    if holding:
                        self._send()
                        await session.flush()
                    self._said.append(piece)
                    left -= len(piece)
                    holding = True
                    del piece
        except Exception as error:
            # Within a literal no answer would be understood as one.
            if self._sent:
                raise Closed(f"cut off in a literal: {error}") from error
            raise
        if left:
            raise Closed("a message is shorter than it was")

    def _announce(self, item: Octets, count: int) -> None:
        self._said.append(b"%b%b {%d}\r\n" % (self._space, item.name, count))
        self._space = b" "

    def _send(self) -> None:
        self._session.send(b"".join(self._said))
        self._said.clear()
        self._sent = True

    def end(self) -> None:
        self._said.append(b")\r\n")
        self._send()
