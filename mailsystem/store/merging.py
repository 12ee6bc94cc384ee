"""Merging shelves into one. Of each only one block is in memory at a time, and what comes of it is put away block by block:
so a large shelf takes little more memory than a small one, and nobody who writes waits for all of it.

The blocks of the new shelf are in the database before it is. It takes the place of the old ones in one step; whoever looks
sees those, or it. Blocks that belong to no shelf, since a process has died or was overtaken, are swept later.
"""

from __future__ import annotations

import asyncio
from array import array
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Generator, Sequence, Set
from contextlib import suppress
from itertools import pairwise
from typing import Final, NamedTuple, TypeAlias

from mailsystem.mail.mailbox import AccountId
from mailsystem.store import indexing
from mailsystem.store.database import Database
from mailsystem.store.indexing import Overtaken
from mailsystem.store.piles import Pile, stacked, terms_on
from mailsystem.store.shelves import (
    BLOCK,
    SORTED,
    Block,
    Shelf,
    Stored,
    among,
    bits_in,
    bits_of,
    blocked,
    breathe,
    map_length,
    row_of,
    row_of_bits,
    rows_of,
    shelve,
)

_SWEPT: Final = 8
"""Blocks that are removed in one step."""
_MANY: Final = 50_000
"""Places that are moved between two breaths."""


class Wanted(NamedTuple):
    """This block is needed now."""

    id: int


Steps: TypeAlias = Generator["Wanted | Block", "Block | None", None]
"""Asks for blocks of the old shelves, to be sent, and gives those of the new one."""


class Merging:
    """One shelf with the messages of all these, but for contents that are not `alive` any more."""

    def __init__(self, shelves: Sequence[Stored], alive: Set[int]) -> None:
        self._shelves = sorted(shelves, key=lambda shelf: shelf.contents)
        self.contents = array("Q", sorted({each for shelf in shelves for each in shelf.contents if each in alive}))
        place_of = {content: place for place, content in enumerate(self.contents)}
        self._moved = [[place_of.get(content, -1) for content in shelf.contents] for shelf in self._shelves]
        unread = {table[place] for shelf, table in self._each() for place in shelf.unread} - {-1}
        self.unread = array("H", sorted(unread))

    def _each(self) -> Sequence[tuple[Stored, list[int]]]:
        return list(zip(self._shelves, self._moved, strict=True))

    def steps(self) -> Steps:
        """Each takes some milliseconds, or lets others have the interpreter meanwhile."""
        for kind in sorted({kind for shelf in self._shelves for _, kind in shelf.blocks}):
            readers = [_Reader(shelf, kind, table, len(self.contents)) for shelf, table in self._each()]
            for reader in readers:
                yield from reader.next_block()
            yield from self._merged(kind, [reader for reader in readers if reader.terms])

    def _merged(self, kind: int, readers: list[_Reader]) -> Steps:
        terms: list[bytes] = []
        rows: list[Sequence[int]] = []
        while readers:
            taken = _Taken(len(self.contents))
            last = min(reader.terms[-1] for reader in readers)
            for reader in readers:
                yield from reader.take(last, taken)
            readers = [reader for reader in readers if reader.terms]
            ordered = sorted(taken.few.keys() | taken.many.keys())
            terms += ordered
            rows += map(taken.row, ordered)
            if full := len(terms) // BLOCK * BLOCK:
                yield from blocked(kind, terms[:full], rows[:full], len(self.contents))
                del terms[:full], rows[:full]
            breathe()
        yield from blocked(kind, terms, rows, len(self.contents))


class _Taken:
    """Where terms stand on the new shelf. Of those that stand in many messages it has maps: lists would take the room of
    whole mailboxes where all messages say the same."""

    def __init__(self, count: int) -> None:
        self._count = count
        self.few: defaultdict[bytes, array[int]] = defaultdict(lambda: array("H"))
        """Places."""
        self.many: defaultdict[bytes, int] = defaultdict(int)
        """Bits of maps."""

    def row(self, term: bytes) -> Sequence[int]:
        few, bits = self.few.get(term), self.many.get(term)
        if bits is None:
            return row_of(few or (), self._count)
        return row_of_bits(bits | bits_of(few or (), self._count), self._count)


class _Reader:
    """Reads the blocks of one kind on a shelf that is being merged."""

    def __init__(self, shelf: Stored, kind: int, table: list[int], count: int) -> None:
        self._blocks = iter([Wanted(ident) for ident, each in shelf.blocks if each == kind])
        self._count = len(shelf.contents)
        self._table = table
        """The new place for each place of this shelf, -1 for what is dropped."""
        self._drops = -1 in table
        first = table[0] if table else 0
        self._moves_together = not self._drops and table == [*range(first, first + len(table))]
        self._new_count = count
        self.terms: list[bytes] = []

    def next_block(self) -> Steps:
        """Have the next block; without `terms` there is none."""
        wanted = next(self._blocks, None)
        block = None if wanted is None else (yield wanted)
        self.at = 0
        self.terms = [] if block is None else block.terms[1:-1].split(b"\n")
        if block is not None:
            starts, self._row = rows_of(block.places, len(self.terms))
            self._bounds = list(pairwise(starts))

    def take(self, last: bytes, taken: _Taken) -> Steps:
        """Give all terms up to `last`, and then have the next ones ready."""
        end = bisect_right(self.terms, last, self.at)
        row, table = self._row, self._table
        as_map = map_length(self._count) if self._count > 1 else 0
        moved = 0
        for term, (start, stop) in zip(self.terms[self.at : end], self._bounds[self.at : end], strict=True):
            if stop - start != as_map:
                places = [table[place] for place in row[start:stop]]
                if self._drops:
                    places = [place for place in places if place >= 0]
                if places:
                    taken.few[term].extend(places)
            elif self._moves_together:
                taken.many[term] |= bits_in(row[start:stop]) << table[0]
            else:
                places = [place for place in among(table, bits_in(row[start:stop])) if place >= 0]
                if places:
                    taken.many[term] |= bits_of(places, self._new_count)
                moved += self._count
            if moved > _MANY:
                moved = 0
                breathe()
        self.at = end
        if end == len(self.terms):
            yield from self.next_block()


def merge_piles(shelves: Sequence[tuple[array[int], array[int], Pile]], alive: Set[int]) -> Shelf:
    """One shelf with the messages that lie in all these piles: contents, places that are unread, the pile. Takes its time."""
    left = set(alive)
    stay: list[tuple[Pile, list[int]]] = []
    contents, unread = array("Q"), array("H")
    for there, without, pile in shelves:
        places = [place for place, content in enumerate(there) if content in left]
        not_read = set(without)
        for place in places:
            content = there[place]
            left.discard(content)
            if place in not_read:
                unread.append(len(contents))
            contents.append(content)
        stay.append((pile, places))
    merged = stacked(stay)
    if len(contents) < SORTED:
        return Shelf(contents, unread, [], merged)
    not_read = set(unread)
    ascending = sorted(range(len(contents)), key=contents.__getitem__)
    return shelve([(contents[place], None if place in not_read else terms_on(merged, place)) for place in ascending])


async def renew(database: Database, account: AccountId, ids: Sequence[int]) -> None:
    """One shelf instead of these, or none where nothing is left on it. Raises `Overtaken` and `Unavailable`."""
    shelves, alive = await database.read(indexing.take(account, ids))
    piles = [(shelf.contents, shelf.unread, shelf.pile) for shelf in shelves if shelf.pile is not None]
    if len(piles) == len(shelves):
        merged = await asyncio.to_thread(merge_piles, piles, alive)
        unit = indexing.replace(account, ids, merged)
        await database.write(unit, weight=merged.octets, durable=False, patient=True)
        return
    new = await database.write(indexing.number(), durable=False, patient=True)
    try:
        merging = await asyncio.to_thread(Merging, shelves, alive)
        count = await _put_away(database, account, new, merging.steps())
        unit = indexing.exchange(account, ids, new, Shelf(merging.contents, merging.unread, []), count)
        await database.write(unit, durable=False, patient=True)
    except Overtaken:
        await sweep(database, account, [new])
        raise
    await sweep(database, account, ids)


async def _put_away(database: Database, account: AccountId, shelf: int, steps: Steps) -> int:
    """Returns how many blocks there are."""
    count, answer = 0, None
    while True:
        step = await asyncio.to_thread(_next, steps, answer)
        match step:
            case None:
                return count
            case Wanted(ident):
                answer = await database.read(indexing.block(ident))
            case Block():
                answer, count = None, count + 1
                weight = len(step.terms) + len(step.places)
                await database.write(indexing.put(account, shelf, step), weight=weight, durable=False, patient=True)


def _next(steps: Steps, answer: Block | None) -> Wanted | Block | None:
    """The next step, None after the last: a thread cannot hand over `StopIteration`."""
    with suppress(StopIteration):
        return steps.send(answer)
    return None


async def sweep(database: Database, account: AccountId, shelves: Sequence[int]) -> None:
    """Remove the blocks of shelves that are not there, some at a time. Raises `Unavailable`."""
    while await database.write(indexing.swept(account, shelves, _SWEPT), durable=False, patient=True):
        pass
