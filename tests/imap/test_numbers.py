"""Many numbers as text: the same as one by one, and no more work than there are stretches of neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

from hypothesis import given
from hypothesis import strategies as st

from mailsystem.imap.numbers import runs, written, written_ascending
from mailsystem.imap.results import ascending, in_order
from mailsystem.imap.view import View
from mailsystem.mail.mailbox import ModSeq

stretches = st.lists(st.tuples(st.integers(1, 4_000), st.integers(1, 2_500)), max_size=5)
loose = st.sets(st.integers(1, 3_000), max_size=200)


def spread(parts: Sequence[tuple[int, int]], others: set[int]) -> list[int]:
    """Stretches with gaps between them, and among them some numbers that stand by themselves."""
    at, found = 0, set(others)
    for gap, length in parts:
        found.update(range(at + gap, at + gap + length))
        at += gap + length
    return sorted(found)


@given(stretches, loose)
def test_what_is_written_is_each_number(parts: Sequence[tuple[int, int]], others: set[int]) -> None:
    numbers = spread(parts, others)
    assert written_ascending(numbers) == written(numbers) == b"".join(b" %d" % number for number in numbers)
    assert ascending(numbers) == in_order(numbers)
    assert list(chain.from_iterable(numbers[first:stop] for first, stop in runs(numbers))) == numbers


@given(stretches, loose, st.sets(st.integers(1, 12_000), max_size=50))
def test_numbers_of_ascending_uids_are_those_of_any(
    parts: Sequence[tuple[int, int]], others: set[int], unknown: set[int]
) -> None:
    uids = spread(parts, others)
    known = [uid for uid in uids if uid not in unknown]
    view = View(known, ModSeq(1))
    one_by_one = [number for uid in uids if (number := view.number(uid))]
    assert list(view.numbers(uids, ascend=True)) == list(view.numbers(uids)) == one_by_one


class Watched(Sequence[int]):
    """Numbers that count how often one is looked at."""

    def __init__(self, numbers: range) -> None:
        self.numbers = numbers
        self.looks = 0

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, at):  # type: ignore[no-untyped-def]
        self.looks += 1
        return self.numbers[at]


def test_neighbours_are_not_looked_at_one_by_one() -> None:
    many = Watched(range(70_000, 170_000))
    assert written_ascending(many).count(b" ") == 100_000
    assert ascending(many) == b"70000:169999"
    assert many.looks < 200
