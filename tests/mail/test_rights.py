"""Rights, their letters, and the names that others see."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsystem.mail.errors import SyntaxFault
from mailsystem.mail.mailbox import DELETED, FLAGGED, SEEN, Flag
from mailsystem.mail.rights import (
    EVERY,
    combined,
    is_of_others,
    parted,
    rights_of,
    seen_as,
    settable,
    spelled,
    spelled_for_all,
)


def test_the_obsolete_rights_are_those_that_took_their_place() -> None:
    assert rights_of("lrswicda") == frozenset("lrswikxeta")
    assert rights_of("d") == frozenset("et")
    assert rights_of("c") == frozenset("kx")
    assert rights_of("") == frozenset()


@pytest.mark.parametrize("letters", ["lrq", "L", "lr s", "0", "+", "é"])
def test_an_unknown_right_is_refused(letters: str) -> None:
    with pytest.raises(SyntaxFault):
        rights_of(letters)


def test_older_clients_are_told_the_obsolete_rights_too() -> None:
    assert spelled_for_all(frozenset("lrswieta")) == "lrswiteda"
    assert spelled_for_all(frozenset("lrx")) == "lrxc"
    assert spelled_for_all(frozenset("lr")) == "lr"
    assert spelled_for_all(EVERY) == "lrswipkxtecda"


@given(st.frozensets(st.sampled_from(sorted(EVERY))))
def test_what_is_spelled_is_read_again(rights: frozenset[str]) -> None:
    assert rights_of(spelled(rights)) == rights


def test_what_is_taken_away_is_gone_whoever_grants_it() -> None:
    assert combined([(False, frozenset("lrs")), (False, frozenset("lw")), (True, frozenset("sw"))]) == frozenset("lr")
    assert combined([(True, frozenset("l"))]) == frozenset()


def test_each_flag_has_its_right() -> None:
    flags = frozenset({SEEN, DELETED, FLAGGED, Flag("$Forwarded")})
    assert settable(flags, frozenset("s")) == {SEEN}
    assert settable(flags, frozenset("t")) == {DELETED}
    assert settable(flags, frozenset("w")) == {FLAGGED, Flag("$Forwarded")}


@given(st.text(min_size=1), st.text(min_size=1))
def test_a_name_that_others_see_leads_back_to_its_owner(login: str, name: str) -> None:
    seen = seen_as(login, name)
    assert is_of_others(seen)
    parts = parted(seen)
    assert parts is not None
    assert parts[0] == login
    assert parts[1] == name or name[:5].upper() == "INBOX"


@pytest.mark.parametrize("name", ["Other Users", "Other Users/", "Other Users/ann@example.org", "Other Users/%41/x"])
def test_what_names_no_mailbox_of_somebody_is_none(name: str) -> None:
    assert parted(name) is None


def test_inbox_is_one_name_there_too() -> None:
    assert parted("Other Users/ann@example.org/inbox/Bills") == ("ann@example.org", "INBOX/Bills")
    assert not is_of_others("Other Users of mine")
