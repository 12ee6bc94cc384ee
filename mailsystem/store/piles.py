"""Piles: the terms of a few messages of one account, as they came. Plain values.

Most accounts get a few messages at a time. To sort their terms and to note for each where it stands (`shelves`) costs more
than ever to look through them, so they are only laid one upon another, message by message, until there are so many that it
pays.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence, Set
from typing import Final, NamedTuple

KINDS: Final = 7
_WORDS: Final = range(2)
"""Kinds of which there is much in each message; the others are looked through without reading these."""
_FIELDS: Final = range(2, KINDS)


class Pile(NamedTuple):
    """The terms of some messages: kind by kind, and within each message by message."""

    starts: array[int]
    """Where those of each message begin, and where the last ones end: in the words, and then in the fields."""
    fields: bytes
    """With a line end before, between and behind the terms of a message."""
    words: bytes


def piled(read: Sequence[Sequence[Set[bytes]] | None]) -> Pile:
    """The terms of some messages by kind; None where none are kept."""
    starts = array("I")
    halves: list[bytes] = []
    for half in (_WORDS, _FIELDS):
        laid: list[bytes] = []
        at = 0
        for kind in half:
            for kinds in read:
                starts.append(at)
                if kinds is not None and kinds[kind]:
                    laid.append(b"\n%b\n" % b"\n".join(kinds[kind]))
                    at += len(laid[-1])
        starts.append(at)
        halves.append(b"".join(laid))
    words, fields = halves
    return Pile(starts, fields, words)


def stacked(piles: Sequence[tuple[Pile, Sequence[int]]]) -> Pile:
    """One pile of several, each with the places on it of those messages that are to stay."""
    starts = array("I")
    halves: list[bytes] = []
    for half in (_WORDS, _FIELDS):
        laid: list[bytes] = []
        at = 0
        for kind in half:
            for pile, places in piles:
                count = _count(pile)
                octets, first = _section(pile, kind, count)
                if len(places) == count:  # as a whole
                    begin, end = pile.starts[first], pile.starts[first + count]
                    starts.extend([start - begin + at for start in pile.starts[first : first + count]])
                    laid.append(octets[begin:end])
                    at += end - begin
                else:
                    for place in places:
                        starts.append(at)
                        laid.append(octets[pile.starts[first + place] : pile.starts[first + place + 1]])
                        at += len(laid[-1])
        starts.append(at)
        halves.append(b"".join(laid))
    words, fields = halves
    return Pile(starts, fields, words)


def terms_on(pile: Pile, place: int) -> list[list[bytes]]:
    """The terms of one message, by kind."""
    count = _count(pile)
    found: list[list[bytes]] = []
    for kind in range(KINDS):
        octets, first = _section(pile, kind, count)
        found.append(octets[pile.starts[first + place] : pile.starts[first + place + 1]].split())
    return found


def holding(pile: Pile, clue: bytes, kinds: Iterable[int]) -> int:
    """Places of the messages that have a term of one of these kinds which holds `clue`, as bits."""
    count, bits = _count(pile), 0
    for kind in kinds:
        octets, first = _section(pile, kind, count)
        for place in _places(octets, clue, pile.starts, first, count):
            bits |= 1 << place
    return bits


def is_of_words(kind: int) -> bool:
    """Whether terms of that kind stand in the words of a pile."""
    return kind in _WORDS


def _places(octets: bytes, clue: bytes, starts: Sequence[int], first: int, count: int) -> Iterator[int]:
    last = first + count
    end, at = starts[last], starts[first]
    while (at := octets.find(clue, at, end)) >= 0:
        # Of those that begin at the same octet, all but the last one say nothing.
        place = bisect_right(starts, at, first, last) - 1
        yield place - first
        at = starts[place + 1]


def _count(pile: Pile) -> int:
    return (len(pile.starts) - 2) // KINDS


def _section(pile: Pile, kind: int, count: int) -> tuple[bytes, int]:
    """The half in which a kind stands, and the number of the start of its first message."""
    if kind in _WORDS:
        return pile.words, kind * count
    return pile.fields, kind * count + 1
