"""Some or all but some of a mailbox: the same as sets of UIDs."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mailsystem.finding.those import ALL, NONE, Those
from mailsystem.imap.view import View
from mailsystem.mail.mailbox import ModSeq

UIDS = st.frozensets(st.integers(1, 40))
THOSE = st.builds(Those, UIDS, st.booleans())
EVERY = frozenset(range(1, 41))


def members(those: Those) -> frozenset[int]:
    return EVERY - those.uids if those.but else frozenset(those.uids)


@given(THOSE, THOSE)
def test_they_are_put_together_as_sets_are(one: Those, other: Those) -> None:
    assert members(one & other) == members(one) & members(other)
    assert members(one | other) == members(one) | members(other)
    assert members(one - other) == members(one) - members(other)
    assert members(~one) == EVERY - members(one)


@given(THOSE, UIDS)
def test_within_a_view_are_those_that_the_client_knows(those: Those, known: frozenset[int]) -> None:
    view = View(sorted(known), ModSeq(1))
    assert those.within(view) == sorted(members(those) & known)
    assert bool(those) or not those.within(view)


def test_no_set_is_made_of_all_messages() -> None:
    few = Those(frozenset([1, 2]))
    for those in (ALL & few, ALL - (ALL - few), few | NONE, ~(ALL - few), ALL - few, ALL | few):
        assert len(those.uids) <= 2
