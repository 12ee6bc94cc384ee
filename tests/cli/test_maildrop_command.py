"""`mailsystem user maildrop`: what POP3 does with a person's mail."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Cli

ANN = "ann@example.org"
USUAL = {"keep_days": None, "delete_to_trash": False, "shows": ["INBOX"], "login_delay": None}


@pytest.fixture
def here(cli: Cli) -> Cli:
    """A server with example.org and Ann."""
    cli("domain", "add", "example.org", "--no-dkim")
    cli("user", "add", ANN, "--password-stdin", stdin="secret\n")
    return cli


def test_a_maildrop_is_shown_and_set_in_parts(here: Cli) -> None:
    assert here("user", "maildrop", ANN).out == (
        f"{ANN} sees INBOX; what is downloaded stays; what is deleted is gone\n"
    )
    set_ = here("user", "maildrop", ANN, "--keep", "30", "--trash", "--show", "inbox", "--show", "Junk")
    assert set_.out == (
        f"{ANN} sees INBOX and Junk; what is downloaded goes 30 days later; what is deleted moves to Trash\n"
    )
    here("user", "maildrop", ANN, "--login-delay", "60")
    chosen = {"keep_days": 30, "delete_to_trash": True, "shows": ["INBOX", "Junk"], "login_delay": 60}
    assert here("user", "maildrop", ANN, "--json").json == {"login": ANN, **chosen}
    [listed] = here("user", "list", "--json").json
    assert listed["maildrop"] == chosen
    told = here("user", "maildrop", ANN, "--keep", "0", "--login-delay", "0").out
    assert "goes when the client quits" in told
    assert "0 seconds between two logins" in told
    back = ("--keep", "forever", "--delete", "--show", "INBOX", "--login-delay", "default")
    assert here("user", "maildrop", ANN, *back, "--json").json == {"login": ANN, **USUAL}
    [listed] = here("user", "list", "--json").json
    assert listed["maildrop"] == USUAL


@pytest.mark.parametrize("option", ["--keep", "--login-delay"])
@pytest.mark.parametrize("value", ["-1", "x", "1.5", "99999999", "\u0663"])
def test_what_is_no_number_is_refused(option: str, value: str, here: Cli) -> None:
    assert "is not a number of" in here.refused("user", "maildrop", ANN, f"{option}={value}")
    assert here("user", "maildrop", ANN, "--json").json == {"login": ANN, **USUAL}


def test_a_mailbox_that_is_not_there_is_refused_with_those_that_are(here: Cli) -> None:
    told = here.refused("user", "maildrop", ANN, "--show", "INBOX", "--show", "Spam")
    assert told.startswith("there is no mailbox Spam; those that are there: Archive, Drafts, INBOX")
    assert "there is no mailbox" in here.refused("user", "maildrop", ANN, "--show", "a//b")
    assert "there is no eve@example.org here" in here.refused("user", "maildrop", "eve@example.org", "--trash")
