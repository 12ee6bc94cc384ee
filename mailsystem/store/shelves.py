"""Shelves: the terms of some thousand messages of one account, and in which of them each stands. Plain values.

A shelf is made once and never changed. New mail goes on small shelves of its own, on which it lies in a pile (`piles`); when
there are enough of one size they are merged into a larger one (`to_merge`, `merging`), so that each message is moved a few
times only. The more messages are on a shelf, the more of its terms they have in common, and the less there is to look through.
On a large one terms stand sorted, between line ends, in blocks: to look for what terms hold a needle is one search through
octets.

Messages have *places* on a shelf: their numbers there. The places of a term are a list of such numbers, or, when there are
many, a map of bits. Lists and maps alike are rows of 16-bit numbers, so that a whole block is read in one step; a map is
known by its length, for a list is always shorter.
"""

from __future__ import annotations

import sys
import time
from array import array
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from itertools import accumulate, chain, compress
from typing import Final, NamedTuple

from mailsystem.store.piles import Pile, piled

FULL: Final = 32_000
"""A shelf with so many messages stays as it is. There is room for twice as many: places are numbers of 16 bits."""
SORTED: Final = 512
"""When so many messages lie in piles they are sorted."""
FAN: Final = 8
"""Fewer shelves are never merged."""
_PILES: Final = 16
_SET: Final = bytes(octet == 0x31 for octet in range(256))
"""From digits to whether they are ones."""
BLOCK: Final = 4096
"""Terms in a block."""


_A_FEW: Final = 32
"""Messages between two breaths."""


def breathe() -> None:
    """In a thread that has long work to do: hand the interpreter to whoever serves people."""
    time.sleep(0.0005)


class Block(NamedTuple):
    """Terms of one kind, sorted, and their places."""

    kind: int
    terms: bytes
    """With a line end before, between and behind them."""
    places: bytes
    """Where in the row those of each term begin, and the last ones end, and the row. Empty where there is only one place on
    the shelf."""


@dataclass(frozen=True, slots=True)
class Shelf:
    """What is known of some messages of one account."""

    contents: array[int]
    """The content at each place, ascending."""
    unread: array[int]
    """Places of messages of which no terms are kept."""
    blocks: list[Block]
    pile: Pile | None = None
    """Instead of blocks, where there are few."""

    @property
    def octets(self) -> int:
        """Of all terms and what is noted of them."""
        if self.pile is not None:
            return 4 * len(self.pile.starts) + len(self.pile.fields) + len(self.pile.words)
        return sum(len(block.terms) + len(block.places) for block in self.blocks)


class Stored(NamedTuple):
    """A shelf whose blocks are left where they are."""

    contents: array[int]
    unread: array[int]
    pile: Pile | None
    blocks: Sequence[tuple[int, int]]
    """Under what id each of them is, and its kind; in their order."""


def pile_up(read: Sequence[tuple[int, Sequence[Set[bytes]] | None]]) -> Shelf:
    """As `shelve`, for a few messages."""
    contents, unread = _listed_in(read)
    return Shelf(contents, unread, [], piled([kinds for _, kinds in read]))


def _listed_in(read: Sequence[tuple[int, object | None]]) -> tuple[array[int], array[int]]:
    return (
        array("Q", [content for content, _ in read]),
        array("H", [place for place, (_, kinds) in enumerate(read) if kinds is None]),
    )


def shelve(read: Sequence[tuple[int, Sequence[Collection[bytes]] | None]]) -> Shelf:
    """Contents, ascending, with their terms by kind; None where none are kept."""
    contents, unread = _listed_in(read)
    blocks: list[Block] = []
    for kind in range(max((len(kinds) for _, kinds in read if kinds is not None), default=0)):
        places: defaultdict[bytes, list[int]] = defaultdict(list)
        for place, (_, kinds) in enumerate(read):
            if place % _A_FEW == _A_FEW - 1:
                breathe()
            for term in kinds[kind] if kinds is not None else ():
                places[term].append(place)
        ordered = sorted(places)
        blocks += blocked(kind, ordered, [row_of(places[term], len(contents)) for term in ordered], len(contents))
    return Shelf(contents, unread, blocks)


def to_merge(counts: Sequence[tuple[int, int, bool]]) -> list[int]:
    """Of shelves, how many messages are on each and whether in a pile, oldest first: those that should become one.

    None if all is well. Those in piles are among themselves, and so are the others.
    """
    sizes: dict[int, list[tuple[int, int]]] = {}
    piles: dict[int, list[tuple[int, int]]] = {}
    for shelf, count, in_pile in counts:
        if in_pile:
            piles.setdefault((count.bit_length() - 1) // 4, []).append((shelf, count))
        elif count < FULL:
            sizes.setdefault(count.bit_length() // 3, []).append((shelf, count))
    for size in sorted(piles):
        chosen, total = _chosen(piles[size], SORTED)
        if len(chosen) >= _PILES or total >= SORTED:
            return chosen
    for size in sorted(sizes):
        chosen, total = _chosen(sizes[size], FULL)
        if len(chosen) >= FAN or total >= FULL:
            return chosen
    return []


def _chosen(sized: Sequence[tuple[int, int]], most: int) -> tuple[list[int], int]:
    chosen, total = [], 0
    for shelf, count in sized:
        chosen.append(shelf)
        total += count
        if total >= most:
            break
    return chosen, total


def blocked(kind: int, terms: list[bytes], rows: list[Sequence[int]], count: int) -> Iterator[Block]:
    """Sorted terms in blocks, each with the places where it stands, as `row_of` or `row_of_bits` gives them."""
    for at in range(0, len(terms), BLOCK):
        listed = b""
        if count > 1:
            some = rows[at : at + BLOCK]
            starts = array("I", accumulate(map(len, some), initial=0))
            listed = _octets(starts) + _octets(array("H", chain.from_iterable(some)))
        yield Block(kind, b"\n%b\n" % b"\n".join(terms[at : at + BLOCK]), listed)


def matches(terms: bytes, clue: bytes) -> list[int]:
    """Numbers of the terms in a block which hold `clue`."""
    found: list[int] = []
    at = terms.find(clue)
    number = counted = 0
    while at >= 0:
        # Line ends up to the beginning of the term: one more than its number.
        number += terms.count(b"\n", counted, at + 1)
        counted = at + 1
        found.append(number - 1)
        # On from the line end behind the term, which the next clue may begin with.
        behind = terms.find(b"\n", at + 1)
        at = terms.find(clue, behind)
    return found


def union(places: bytes, terms: int, numbers: Sequence[int], count: int) -> int:
    """Places of a block of so many terms: where those of these numbers stand, as the bits of a map of `count` messages."""
    if count == 1:
        return 1 if numbers else 0
    starts, row = rows_of(places, terms)
    as_map = map_length(count)
    bits = 0
    loose: list[Sequence[int]] = []
    for number in numbers:
        start, stop = starts[number], starts[number + 1]
        if stop - start == as_map:
            bits |= bits_in(row[start:stop])
        else:
            loose.append(row[start:stop])
    # A set, since the terms of a short needle name the same places over and over.
    return bits | bits_of(set(chain.from_iterable(loose)), count)


def chosen(contents: Sequence[int], bits: int) -> list[int]:
    """The contents at the places whose bits are set."""
    written = f"{bits:b}"[::-1].encode()
    if bits.bit_count() * 16 > len(written):
        return list(compress(contents, written.translate(_SET)))
    found: list[int] = []
    at = written.find(b"1")
    while at >= 0:
        found.append(contents[at])
        at = written.find(b"1", at + 1)
    return found


def rows_of(places: bytes, count: int) -> tuple[array[int], array[int]]:
    """Where in the row the places of each of `count` terms begin, and the row."""
    if not places:
        return array("I", range(count + 1)), array("H", bytes(2 * count))
    end = 4 * (count + 1)
    return _array("I", places[:end]), _array("H", places[end:])


def map_length(count: int) -> int:
    """Numbers in a map of so many messages."""
    return (count + 15) // 16


def row_of(places: Sequence[int], count: int) -> Sequence[int]:
    """Places as a list, or as a map where there are many."""
    as_map = map_length(count)
    return places if len(places) < as_map else _map(places, as_map)


def row_of_bits(bits: int, count: int) -> Sequence[int]:
    """As `row_of`, of the bits of a map."""
    as_map = map_length(count)
    if bits.bit_count() < as_map:
        return array("H", among(range(count), bits))
    return _array("H", bits.to_bytes(2 * as_map, "little"))


def bits_of(places: Iterable[int], count: int) -> int:
    """A map of so many messages."""
    return int.from_bytes(_octets(_map(places, map_length(count))), "little")


def bits_in(row: array[int]) -> int:
    """A row that is a map."""
    return int.from_bytes(_octets(row), "little")


def among(each: Iterable[int], bits: int) -> Iterable[int]:
    """Those of them whose bits are set."""
    return compress(each, f"{bits:b}"[::-1].encode().translate(_SET))


def _map(places: Iterable[int], length: int) -> array[int]:
    found = array("H", bytes(2 * length))
    for place in places:
        found[place >> 4] |= 1 << (place & 15)
    return found


def dumped(numbers: array[int]) -> bytes:
    """Little-endian, whatever the machine."""
    return _octets(numbers)


def loaded(typecode: str, octets: bytes) -> array[int]:
    """Back from `dumped`."""
    return _array(typecode, octets)


def _octets(numbers: array[int]) -> bytes:
    if sys.byteorder == "big":
        numbers = array(numbers.typecode, numbers)
        numbers.byteswap()
    return numbers.tobytes()


def _array(typecode: str, octets: bytes) -> array[int]:
    numbers = array(typecode)
    numbers.frombytes(octets)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers
