"""`mailsystem token` as somebody uses it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Cli

ANN = "ann@example.org"


@pytest.fixture
def here(cli: Cli) -> Cli:
    """A server with Ann."""
    cli("domain", "add", "example.org", "--no-dkim")
    cli("user", "add", ANN, "--generate")
    return cli


def test_a_token_is_made_listed_and_taken_away(here: Cli) -> None:
    assert "mailsystem token add" in here("token", "list", ANN).out
    made = here("token", "add", ANN, "ci", "--scope", "send", "--scope", "read", "--days", "30", "--json").json
    assert (made["login"], made["name"], made["scopes"]) == (ANN, "ci", ["read", "send"])
    assert made["token"].startswith("ms_")
    [listed] = here("token", "list", ANN, "--json").json
    assert (listed["name"], listed["scopes"], listed["days"]) == ("ci", ["read", "send"], 30)
    assert made["token"] not in here("token", "list", ANN).out
    assert "first run: mailsystem token remove" in here.refused("token", "add", ANN, "ci")
    assert "there is no eve@example.org here" in here.refused("token", "add", "eve@example.org", "ci")
    here("token", "remove", ANN, "ci", "--yes")
    assert here("token", "list", ANN, "--json").json == []
    assert "has no token named ci" in here.refused("token", "remove", ANN, "ci", "--yes")
