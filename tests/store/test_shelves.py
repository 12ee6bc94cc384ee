"""Shelves: what is put on them is found on them, before and after they are merged."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from mailsystem.mail.terms import Kind
from mailsystem.store.merging import Merging, Wanted, merge_piles
from mailsystem.store.piles import KINDS, holding
from mailsystem.store.shelves import (
    FULL,
    SORTED,
    Block,
    Shelf,
    Stored,
    chosen,
    matches,
    pile_up,
    shelve,
    to_merge,
    union,
)

TERM = st.binary(min_size=1, max_size=4).map(lambda octets: octets.replace(b"\n", b"x"))
MESSAGE = st.one_of(st.none(), st.lists(st.sets(TERM, max_size=6), min_size=2, max_size=2))
MAIL = st.dictionaries(st.integers(1, 200), MESSAGE, min_size=1, max_size=40)


def found(shelf: Shelf, kind: int, clue: bytes) -> set[int]:
    bits = 0
    for block in shelf.blocks:
        if block.kind == kind:
            numbers = matches(block.terms, clue)
            listed = block.terms[1:-1].split(b"\n")
            assert [listed[number] for number in numbers] == [term for term in listed if clue in b"\n%b\n" % term]
            bits |= union(block.places, len(listed), numbers, len(shelf.contents))
    return set(chosen(shelf.contents, bits))


def wanted(mail: dict[int, list[set[bytes]] | None], kind: int, clue: bytes) -> set[int]:
    return {
        content
        for content, kinds in mail.items()
        if kinds is not None and any(clue in b"\n%b\n" % term for term in kinds[kind])
    }


def unread(shelf: Shelf) -> set[int]:
    return {shelf.contents[place] for place in shelf.unread}


def merge(shelves: Sequence[Shelf], alive: set[int]) -> Shelf:
    """What `renew` does, with everything in memory."""
    blocks = [block for shelf in shelves for block in shelf.blocks]
    stored = []
    for shelf in shelves:
        first = sum(len(other.blocks) for other in shelves[: len(stored)])
        kinds = [(first + number, block.kind) for number, block in enumerate(shelf.blocks)]
        stored.append(Stored(shelf.contents, shelf.unread, None, kinds))
    merging = Merging(stored, alive)
    made: list[Block] = []
    steps, answer = merging.steps(), None
    with suppress(StopIteration):
        while True:
            step = steps.send(answer)
            answer = blocks[step.id] if isinstance(step, Wanted) else None
            made += [step] if isinstance(step, Block) else []
    return Shelf(merging.contents, merging.unread, made)


@given(MAIL, TERM)
def test_terms_are_found_where_they_stand(mail: dict[int, list[set[bytes]] | None], term: bytes) -> None:
    shelf = shelve(sorted(mail.items()))
    for kind in (0, 1):
        for clue in (term, b"\n" + term, term + b"\n", b"\n%b\n" % term):
            assert found(shelf, kind, clue) == wanted(mail, kind, clue)
    assert unread(shelf) == {content for content, kinds in mail.items() if kinds is None}


@given(st.lists(MAIL, min_size=1, max_size=5), st.sets(st.integers(1, 200)), TERM)
def test_merged_shelves_say_the_same_but_for_what_is_gone(
    mails: list[dict[int, list[set[bytes]] | None]], gone: set[int], term: bytes
) -> None:
    seen: set[int] = set()
    apart = []
    for mail in mails:  # a content is on one shelf only
        apart.append({content: kinds for content, kinds in mail.items() if content not in seen})
        seen.update(mail)
    merged = merge([shelve(sorted(mail.items())) for mail in apart if mail], seen - gone)
    together = {content: kinds for mail in apart for content, kinds in mail.items() if content not in gone}
    assert list(merged.contents) == sorted(together)
    assert unread(merged) == {content for content, kinds in together.items() if kinds is None}
    for kind in (0, 1):
        assert found(merged, kind, term) == wanted(together, kind, term)


def test_many_messages_and_terms_fill_several_blocks() -> None:
    mail = {content: [{b"all", b"%d" % content, b"mod%d" % (content % 7)}] for content in range(1, 6001)}
    shelf = merge(
        [shelve([(c, mail[c]) for c in range(start, start + 600)]) for start in range(1, 6001, 600)], set(mail)
    )
    assert [len(block.terms[1:-1].split(b"\n")) for block in shelf.blocks] == [4096, 6008 - 4096]
    assert found(shelf, 0, b"all") == set(mail)
    assert found(shelf, 0, b"\nmod3\n") == {content for content in mail if content % 7 == 3}
    assert found(shelf, 0, b"599") == {content for content in mail if "599" in str(content)}


def test_shelves_of_one_size_are_merged_when_there_are_eight() -> None:
    assert to_merge([(number, 1, False) for number in range(7)]) == []
    assert to_merge([(number, 1, False) for number in range(8)]) == list(range(8))
    assert to_merge([(0, FULL, False), *((number, 1, False) for number in range(1, 8))]) == []
    assert to_merge([(0, FULL // 2, False), (1, FULL // 2, False)]) == [0, 1]


def test_piles_are_merged_when_there_are_sixteen_or_enough_to_be_sorted() -> None:
    assert to_merge([(number, 15, True) for number in range(15)]) == []
    assert to_merge([(number, 15, True) for number in range(16)]) == list(range(16))
    assert to_merge([(0, 1, False), (1, SORTED // 2, True), (2, SORTED // 2, True)]) == [1, 2]
    assert to_merge([(0, 100, False), (1, 100, True)]) == []


def test_each_message_is_moved_a_few_times_only() -> None:
    shelves: dict[int, tuple[int, bool]] = {}
    moved = 0
    for number in range(20_000):
        shelves[number] = 1, True
        while ids := to_merge([(shelf, *rest) for shelf, rest in sorted(shelves.items())]):
            piles = {shelves[shelf][1] for shelf in ids}
            assert len(piles) == 1
            total = sum(shelves.pop(shelf)[0] for shelf in ids)
            moved += total
            shelves[max(ids)] = total, piles.pop() and total < SORTED
    assert moved < 5 * 20_000
    assert len(shelves) < 5 + 16 * 3 + 8


PILED = st.dictionaries(
    st.integers(1, 200),
    st.one_of(st.none(), st.lists(st.sets(TERM, max_size=4), min_size=KINDS, max_size=KINDS)),
    min_size=1,
    max_size=12,
)
SOME = st.sets(st.integers(0, KINDS - 1), min_size=1)


def on_pile(shelf: Shelf, clue: bytes, kinds: set[int]) -> set[int]:
    assert shelf.pile is not None
    return set(chosen(shelf.contents, holding(shelf.pile, clue, kinds)))


@given(PILED, TERM, SOME)
def test_terms_are_found_in_a_pile(mail: dict[int, list[set[bytes]] | None], term: bytes, kinds: set[int]) -> None:
    shelf = pile_up(sorted(mail.items()))
    for clue in (term, b"\n" + term, term + b"\n", b"\n%b\n" % term):
        assert on_pile(shelf, clue, kinds) == set().union(*(wanted(mail, kind, clue) for kind in kinds))
    assert unread(shelf) == {content for content, read in mail.items() if read is None}


@given(st.lists(PILED, min_size=1, max_size=5), st.sets(st.integers(1, 200)), TERM, SOME, st.booleans())
def test_merged_piles_say_the_same_but_for_what_is_gone(
    mails: list[dict[int, list[set[bytes]] | None]], gone: set[int], term: bytes, kinds: set[int], many: bool
) -> None:
    first: dict[int, list[set[bytes]] | None] = {}
    for mail in mails:  # whatever is there twice is the same
        for content, read in mail.items():
            mail[content] = first.setdefault(content, read)
    together = {content: read for content, read in first.items() if content not in gone}
    with patch("mailsystem.store.merging.SORTED", 0 if many else 10_000):
        piles = [pile_up(sorted(mail.items())) for mail in mails]
        there = [(shelf.contents, shelf.unread, shelf.pile) for shelf in piles if shelf.pile is not None]
        merged = merge_piles(there, set(first) - gone)
    assert (merged.pile is None) is many
    assert sorted(merged.contents) == sorted(together)
    assert unread(merged) == {content for content, read in together.items() if read is None}
    for kind in kinds:
        held = found(merged, kind, term) if many else on_pile(merged, term, {kind})
        assert held == wanted(together, kind, term)


def test_a_pile_has_room_for_every_kind() -> None:
    assert len(Kind) == KINDS
