"""Reading the messages of a maildrop for one client: small ones a few ahead, large ones in slices, and, for a client that can
read only ASCII in header fields, as surrogates."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Final

from mailsystem.mail.content import scan
from mailsystem.mail.mailbox import MailboxId, MessageSet, Uid
from mailsystem.mail.part import Part
from mailsystem.mail.surrogate import LARGEST_HEADER, NeedsUtf8, Rewriting, header_ranges
from mailsystem.maildrop.view import Entry, View
from mailsystem.store import Store, Want

_AHEAD_MOST: Final = 32
_AHEAD_OCTETS: Final = 64 * 1024
_AHEAD_LARGEST: Final = 64 * 1024
_BRIEF: Final = 32 * 1024
"""Messages up to this size are read where we stand: to copy so much takes less time than the way to a thread and back."""
_ON_LOOP: Final = 32 * 1024
"""A message up to this size is looked through where we stand; a larger one in a thread."""


class Reading:
    """One client's."""

    __slots__ = ("_ahead", "_last", "_store", "_utf8", "_view")

    def __init__(self, store: Store, view: View, *, utf8: bool) -> None:
        """With `utf8`, the client takes messages as they are (RFC 6856 2.1)."""
        self._store = store
        self._view = view
        self._utf8 = utf8
        self._ahead: dict[tuple[MailboxId, Uid], bytes] = {}
        self._last = 0

    async def octets(self, number: int) -> AsyncGenerator[bytes, None]:
        """The octets of a message in slices. Raises `MailError`, and that before the first of them."""
        message = self._view.message(number)
        whole = await self.whole(number)
        if whole is not None:
            yield whole
            return
        ranges = [] if self._utf8 else await self._ranges(message)
        if any(end - start > LARGEST_HEADER for start, end in ranges):
            raise NeedsUtf8
        stream = self._store.contents.stream(message.content)
        async for chunk in stream if not ranges else _rewriting(stream, ranges):
            yield chunk

    async def whole(self, number: int) -> bytes | None:
        """A small message; None for one that has to be read in slices. Raises `MailError`."""
        whole = await self._small(number, self._view.message(number))
        self._last = number
        return whole if whole is None or self._utf8 or whole.isascii() else await self._rewritten(whole)

    async def _small(self, number: int, message: Entry) -> bytes | None:
        """A small message whole; None where it has to be streamed.

        Most clients fetch one message after the other: from the second on, the next few are read with it.
        """
        mailbox = message.mailbox
        whole = self._ahead.pop((mailbox.id, message.uid), None)
        if whole is not None or message.size > _AHEAD_LARGEST:
            return whole
        if number == self._last + 1:
            uids = self._view.following(number, most=_AHEAD_MOST, octets=_AHEAD_OCTETS, largest=_AHEAD_LARGEST)
        else:
            uids = MessageSet(((message.uid, message.uid),))
        self._ahead.clear()
        some = await self._store.maildrops.read(mailbox.account, mailbox.id, uids, small=message.size <= _BRIEF)
        self._ahead.update(((mailbox.id, uid), whole) for uid, whole in some)
        # It may be missing: another client has expunged it since. Its content stays for a while, so it can be streamed.
        return self._ahead.pop((mailbox.id, message.uid), None)

    async def _rewritten(self, whole: bytes) -> bytes:
        return _surrogate(whole) if len(whole) <= _ON_LOOP else await asyncio.to_thread(_surrogate, whole)

    async def _ranges(self, message: Entry) -> list[tuple[int, int]]:
        """Where a large message has header blocks, if anything in them is international."""
        mailbox, uids = message.mailbox, MessageSet(((message.uid, message.uid),))
        async for some in self._store.mailboxes.fetch(mailbox.account, mailbox.id, uids, Want.FACTS | Want.HEAD):
            for one in some:
                if one.facts is not None and one.head is not None:
                    # BODYSTRUCTURE tells of the parts' own fields, and of those of messages within.
                    if one.head.isascii() and one.facts.bodystructure.isascii():
                        return []
                    return header_ranges(await asyncio.to_thread(Part.load, one.facts.parts))
        head = await self._store.contents.read(message.content, 0, _AHEAD_LARGEST)
        return [] if head.isascii() else header_ranges(Part.load((await asyncio.to_thread(scan, head)).parts))


def _surrogate(whole: bytes) -> bytes:
    rewriting = Rewriting(header_ranges(Part.load(scan(whole).parts)))
    return rewriting.feed(whole) + rewriting.close()


async def _rewriting(stream: AsyncIterator[bytes], ranges: list[tuple[int, int]]) -> AsyncGenerator[bytes, None]:
    rewriting = Rewriting(ranges)
    async for chunk in stream:
        yield rewriting.feed(chunk)
    yield rewriting.close()
