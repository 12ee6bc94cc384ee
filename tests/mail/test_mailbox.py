"""Flags and message sets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsystem.mail.errors import SyntaxFault
from mailsystem.mail.mailbox import RECENT, SEEN, STAR, MessageSet, flag_of


def test_a_system_flag_has_one_spelling() -> None:
    assert flag_of("\\SEEN") == SEEN
    assert flag_of("\\recent") == RECENT


@pytest.mark.parametrize("keyword", ["$Forwarded", "work", "A}b", "x" * 128])
def test_a_keyword_stays_as_it_is_given(keyword: str) -> None:
    assert flag_of(keyword) == keyword


@pytest.mark.parametrize(
    "bad", ["", "a b", "\\Foo", "\\", "a(", "a)", "a{", "a%", "a*", 'a"', "a\\b", "a]", "ä", "a\r\n", "x" * 129]
)
def test_what_is_no_flag_is_refused(bad: str) -> None:
    with pytest.raises(SyntaxFault):
        flag_of(bad)


@pytest.mark.parametrize(
    ("written", "ranges"),
    [
        ("1", ((1, 1),)),
        ("2:1", ((1, 2),)),
        ("5,2:3,4", ((2, 5),)),
        ("1,3", ((1, 1), (3, 3))),
        ("1:9,2:3", ((1, 9),)),
        ("*", ((STAR, STAR),)),
        ("3:*", ((3, STAR),)),
        ("*:3,1", ((1, 1), (3, STAR))),
        ("4294967295", ((4294967295, 4294967295),)),
        ("1:4294967295", ((1, 4294967295),)),
    ],
)
def test_a_set_is_read_as_ranges(written: str, ranges: tuple[tuple[int, int], ...]) -> None:
    assert MessageSet.parse(written).ranges == ranges
    assert MessageSet.parse(str(MessageSet.parse(written))).ranges == ranges


@pytest.mark.parametrize(
    "bad", ["", "0", "1,", ",1", "1:", ":1", "1:2:3", "a", "-1", "+1", " 1", "1 ", "4294967296", "9" * 11, "²", "١"]
)
def test_what_is_no_set_is_refused(bad: str) -> None:
    with pytest.raises(SyntaxFault):
        MessageSet.parse(bad)


def test_the_largest_number_is_not_the_star() -> None:
    assert STAR not in MessageSet.parse("4294967295")
    assert str(MessageSet.parse("4294967295,*")) in ("4294967295:*", "4294967295,*")


def test_too_many_ranges_are_refused() -> None:
    assert len(MessageSet.parse("1,3,5", most_ranges=3)) == 3
    with pytest.raises(SyntaxFault):
        MessageSet.parse("1,3,5,7", most_ranges=3)


NUMBERS = st.sets(st.integers(1, 60))


@given(NUMBERS)
def test_a_set_of_numbers_is_that_set(numbers: set[int]) -> None:
    made = MessageSet.of(numbers)
    assert list(made) == sorted(numbers)
    assert len(made) == len(numbers)
    assert bool(made) == bool(numbers)
    assert {number for number in range(70) if number in made} == numbers
    if numbers:
        assert MessageSet.parse(str(made)) == made


@given(st.lists(st.tuples(st.integers(1, 50), st.integers(0, 20)).map(lambda pair: (pair[0], sum(pair))), max_size=12))
def test_ranges_are_merged_into_few(pairs: list[tuple[int, int]]) -> None:
    made = MessageSet.of_ranges(pairs)
    assert set(made) == {number for low, high in pairs for number in range(low, high + 1)}
    for (_, high), (low, _) in zip(made.ranges, made.ranges[1:], strict=False):
        assert low > high + 1


def test_membership_in_many_ranges_is_not_a_walk() -> None:
    odd = MessageSet.of(range(1, 200_000, 2))
    assert sum(number in odd for number in range(1, 200_000, 100)) == 2000


@given(st.sets(st.integers(1, 60)), st.sets(st.integers(1, 60)))
def test_what_two_sets_share_and_what_one_lacks(one: set[int], other: set[int]) -> None:
    assert set(MessageSet.of(one) & MessageSet.of(other)) == one & other
    assert set(MessageSet.of(one) - MessageSet.of(other)) == one - other
