"""The headings of the mailboxes that people search in: kept in memory, shared by the sessions of this process, bounded.

A message never changes what it says, so what is in memory stays true. Each look asks the database whether messages have come
since, in some microseconds, and reads the headers of those alone.
"""

from __future__ import annotations

import asyncio
from array import array
from collections import OrderedDict
from collections.abc import Set
from functools import partial
from typing import Final, NamedTuple, TypeAlias

from mailsystem.mail import headings
from mailsystem.mail.headings import NAMES, Headings
from mailsystem.mail.kept import Columns, Kept
from mailsystem.mail.mailbox import AccountId, MailboxId, MessageSet, Uid
from mailsystem.store import listing, rights
from mailsystem.store.database import Database
from mailsystem.store.fetching import Fetching

MOST_OCTETS: Final = 32 << 20
"""Of all of them together: some two hundred thousand messages."""
_USUAL: Final = 160
"""Octets that a message takes, more or less."""
_EMPTY_OCTETS: Final = 1024
_CHUNK: Final = 1000
"""Messages whose lines stand side by side."""
_WORTH: Final = 20
"""All are read rather than one of so many: to read single ones costs more."""
_FEW: Final = 200
"""New messages that are read in any case."""
_SPARE: Final = 1000
"""Messages that are gone and known all the same."""

_Key: TypeAlias = tuple[AccountId, MailboxId]


class _Chunk(NamedTuple):
    uids: array[int]
    said: Headings


class Said(NamedTuple):
    """What the headings of all messages of a mailbox say. Some may have been expunged."""

    uidnext: Uid
    """Of all messages with lower UIDs."""
    chunks: tuple[_Chunk, ...]
    unkept: frozenset[int]
    """UIDs of messages of which they tell nothing."""
    messages: int
    octets: int

    def holding(self, name: bytes, needle: str) -> Set[int]:
        """UIDs of messages that have a field of that name (one of `NAMES`) which holds the needle, which is folded."""
        found: set[int] = set()
        for uids, said in self.chunks:
            found.update(map(uids.__getitem__, said.holding(name, needle)))
        return found

    def and_more(self, chunk: _Chunk) -> Said:
        """With these too, which come behind."""
        uids, said = chunk
        before = self.chunks
        if before and len(before[-1].uids) + len(uids) <= _CHUNK:
            last = before[-1]
            joined = _Chunk(last.uids + uids, last.said.and_more(said, len(last.uids)))
            chunks = (*before[:-1], joined)
        else:
            chunks = (*before, chunk)
        octets = sum(map(len, said.lines)) + 4 * len(uids) + 64 * len(said.unkept)
        unkept = self.unkept.union([uids[number] for number in said.unkept])
        return self._replace(
            chunks=chunks, unkept=unkept, messages=self.messages + len(uids), octets=self.octets + octets
        )


_NOTHING: Final = Said(Uid(1), (), frozenset(), 0, _EMPTY_OCTETS)


class Sayings:
    """What the headings of mailboxes say."""

    def __init__(self, database: Database, *, most_octets: int = MOST_OCTETS) -> None:
        self._database = database
        self._fetching = Fetching(database)
        self._most_octets = most_octets
        self._known: OrderedDict[_Key, Said] = OrderedDict()
        self._octets = 0
        self._reading: dict[_Key, asyncio.Future[Said]] = {}

    async def look(
        self, account: AccountId, mailbox: MailboxId, *, exists: int, about: int, actor: AccountId | None = None
    ) -> Said | None:
        """What is said in a mailbox where so many messages `exists`, of all that are there now.

        None where it is not in memory and not worth to be read, since otherwise only `about` so many would be. Raises
        `NoSuchMailbox`, also where `actor` may not read it.
        """
        key = account, mailbox
        unit = rights.within(actor, account, mailbox, "r", listing.extent(account, mailbox))
        uidnext = await self._database.read(unit, brief=True)
        while True:
            known = self._known.get(key)
            if known is not None and known.messages > 2 * exists + _SPARE:
                self._drop(key)
                known = None
            if known is not None and known.uidnext >= uidnext:
                self._known.move_to_end(key)
                return known
            came = exists if known is None else uidnext - known.uidnext
            if came > max(about * _WORTH, 0 if known is None else _FEW):
                return None
            if (exists if known is None else known.messages + came) * _USUAL > self._most_octets:
                return None
            known = await self._read(key, known or _NOTHING, uidnext)
            if known.uidnext >= uidnext:
                return known

    async def _read(self, key: _Key, known: Said, uidnext: Uid) -> Said:
        # Many may want the same at once; who gives up waiting takes it from nobody.
        reading = self._reading.get(key)
        # One that has ended stays there for a moment, and knows nothing of what came since.
        if reading is None or reading.done():
            reading = self._reading[key] = asyncio.ensure_future(self._further(key, known, uidnext))
            reading.add_done_callback(partial(self._has_read, key))
        return await asyncio.shield(reading)

    def _has_read(self, key: _Key, reading: asyncio.Future[Said]) -> None:
        if self._reading.get(key) is reading:
            del self._reading[key]

    async def _further(self, key: _Key, known: Said, uidnext: Uid) -> Said:
        come = MessageSet(((known.uidnext, uidnext - 1),))
        async for chunk in self._fetching.made(*key, come, (Kept.UID, Kept.HEAD), _chunk):
            known = known.and_more(chunk if known.octets < self._most_octets else _unkept(chunk))
        known = known._replace(uidnext=uidnext)
        self._drop(key)
        self._known[key] = known
        self._octets += known.octets
        while self._octets > self._most_octets and len(self._known) > 1:
            self._drop(next(iter(self._known)))
        return known

    def _drop(self, key: _Key) -> None:
        dropped = self._known.pop(key, None)
        if dropped is not None:
            self._octets -= dropped.octets


def _chunk(columns: Columns) -> _Chunk:
    return _Chunk(array("I", columns[Kept.UID]), headings.headings(columns[Kept.HEAD]))


def _unkept(chunk: _Chunk) -> _Chunk:
    count = len(chunk.uids)
    return _Chunk(chunk.uids, Headings((b"\n" * count,) * len(NAMES), tuple(range(count))))
