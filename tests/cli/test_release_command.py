"""`mailsystem release`, on the store of a sink."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Cli


@pytest.fixture
def caught(cli: Cli) -> str:
    """The id of a message that a sink has."""
    cli("space", "add", "a")  # an account to have it
    assert cli("ingest", "-", "-a", "space:a", stdin="Subject: x\n\nx\n").out == "1 message is in\n"
    return str(cli("find", "-a", "space:a", "--json").json["messages"][0]["id"])


def test_it_is_put_into_the_queue_where_that_is_allowed(cli: Cli, caught: str, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = cli("release", caught, "--to", "ann@example.org", status=1)
    assert "queue.sink_allow does not name ann@example.org" in refused.err
    monkeypatch.setenv("MAILSYSTEM_QUEUE__SINK_ALLOW", "*@example.org")
    told = cli("release", caught, "--to", "ann@example.org", "--from", "dev@example.org", "--json").json
    assert told["to"] == ["ann@example.org"]
    listed = cli("queue", "list", "--json").out
    assert told["queue_id"] in listed
    assert "dev@example.org" in listed
    assert "no such message" in cli("release", "M99", "--to", "ann@example.org", "--from", "a@b.test", status=1).err
    assert "like M12" in cli("release", "12", "--to", "ann@example.org", status=1).err
    assert "not an address" in cli("release", caught, "--to", "nobody", status=1).err


def test_a_server_holds_nothing_back(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAILSYSTEM_QUEUE__SINK_ALLOW", "*@example.org")
    cli("domain", "add", "example.org", "--no-dkim")
    assert "only a sink" in cli("release", "M1", "--to", "ann@example.org", status=1).err
