"""Shelves: what is put on them is found on them, before and after they are merged."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mailsystem.store.shelves import FULL, Shelf, chosen, matches, merge, shelve, to_merge, union

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
    assert len(shelf.blocks) > 1
    assert found(shelf, 0, b"all") == set(mail)
    assert found(shelf, 0, b"\nmod3\n") == {content for content in mail if content % 7 == 3}
    assert found(shelf, 0, b"599") == {content for content in mail if "599" in str(content)}


def test_shelves_of_one_size_are_merged_when_there_are_eight() -> None:
    assert to_merge([(number, 1) for number in range(7)]) == []
    assert to_merge([(number, 1) for number in range(8)]) == list(range(8))
    assert to_merge([(0, FULL), *((number, 1) for number in range(1, 8))]) == []
    assert to_merge([(0, FULL // 2), (1, FULL // 2)]) == [0, 1]


def test_each_message_is_moved_a_few_times_only() -> None:
    shelves: dict[int, int] = {}
    moved = 0
    for number in range(20_000):
        shelves[number] = 1
        while ids := to_merge(sorted(shelves.items())):
            total = sum(shelves.pop(shelf) for shelf in ids)
            moved += total
            shelves[max(ids)] = total
    assert moved < 6 * 20_000
    assert len(shelves) < 5 + 7 * 5
