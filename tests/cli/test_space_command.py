"""`mailsystem space`, on the store of a sink."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from mailsystem.app import opened
from mailsystem.settings import Settings

if TYPE_CHECKING:
    from conftest import Cli


def test_spaces_are_opened_listed_and_removed(cli: Cli) -> None:
    assert cli("space", "list").out == "there are no spaces\n"
    told = cli("space", "add", "CI-1", "--ttl", "2h", "--domain", "*.Shop.test", "--keep-messages", "5", "--json").json
    assert told == {"name": "ci-1", "account": "space:ci-1", "ttl": 7200.0}
    assert "log in as space:job-2" in cli("space", "add", "job-2", "--no-tag").out
    first, second = cli("space", "list", "--json").json
    assert (first["name"], first["domains"], first["accounts"], first["messages"]) == ("ci-1", ["*.shop.test"], 1, 0)
    assert (second["name"], second["ttl"]) == ("job-2", 86_400.0)
    assert "ci-1" in cli("space", "list").out
    assert cli("space", "remove", "ci-1", "--yes").out == "ci-1 is gone\n"
    assert [each["name"] for each in cli("space", "list", "--json").json] == ["job-2"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["add", "a b"], "letters, digits and hyphens"),
        (["add", "sink"], "not sink"),
        (["add", "a", "--ttl", "soon"], "--ttl should be a number of seconds or a time such as 30m"),
        (["add", "a", "--domain", "no domain"], "is not a domain"),
        (["remove", "a", "--yes"], "there is no space a"),
    ],
)
def test_what_cannot_be_is_one_sentence(cli: Cli, words: list[str], said: str) -> None:
    told = cli("space", *words, status=1)
    assert said in told.err
    assert told.err.count("\n") == 1


def test_two_of_one_name_or_domain_cannot_be_and_nothing_goes_unasked(cli: Cli) -> None:
    cli("space", "add", "a", "--domain", "a.test")
    assert "already" in cli("space", "add", "a", status=1).err
    assert "domains" in cli("space", "add", "b", "--domain", "a.test", status=1).err
    assert "--yes" in cli("space", "remove", "a", status=1).err
    assert len(cli("space", "list", "--json").json) == 1


def test_a_server_has_no_spaces(cli: Cli) -> None:
    cli("domain", "add", "example.org", "--no-dkim")
    assert "only a sink has spaces" in cli("space", "add", "a", status=1).err
    assert cli("space", "list").out == "there are no spaces\n"


def test_tokens_of_a_space_are_shown_once(cli: Cli) -> None:
    told = cli("space", "add", "a", "--token", "--json").json
    assert told["token"].startswith("ms_")
    assert "ms_" in cli("space", "add", "b", "--token").out
    more = cli("space", "token", "a", "watcher", "--scope", "read", "--json").json
    assert (more["space"], more["name"], more["scopes"]) == ("a", "watcher", ["read"])
    assert more["token"] not in (told["token"], "")
    assert "read, send, write" in cli("space", "token", "a", "all").out
    assert "take another name" in cli("space", "token", "a", "first", status=1).err
    assert "there is no space c" in cli("space", "token", "c", "x", status=1).err
    assert "can be printed" in cli("space", "token", "a", "\x07", status=1).err


def test_tokens_of_a_space_are_listed_and_taken_away(cli: Cli) -> None:
    secret = cli("space", "add", "a", "--token", "--json").json["token"]
    cli("space", "token", "a", "watcher", "--scope", "read")
    cli("space", "add", "b", "--token")
    first, watcher = cli("space", "tokens", "A", "--json").json
    assert (first["name"], first["scopes"]) == ("first", ["read", "send", "write"])
    assert (watcher["name"], watcher["scopes"]) == ("watcher", ["read"])
    assert watcher["created"] == watcher["last_used"]
    shown = cli("space", "tokens", "a").out
    assert "watcher" in shown
    assert secret not in shown
    assert "--yes" in cli("space", "revoke", "a", "first", status=1).err
    assert cli("space", "revoke", "a", "first", "--yes").out == "first opens a no more\n"
    assert cli("space", "revoke", "a", "watcher", "--yes", "--json").json == {"space": "a", "name": "watcher"}
    assert "mailsystem space token a" in cli("space", "tokens", "a").out
    assert [each["name"] for each in cli("space", "tokens", "b", "--json").json] == ["first"]
    assert "has no token named first; those there are" in cli.refused("space", "revoke", "a", "first", "--yes")
    assert "there is no space c" in cli.refused("space", "tokens", "c")
    assert "there is no space c" in cli.refused("space", "revoke", "c", "first", "--yes")


def test_a_token_that_was_taken_away_opens_nothing(cli: Cli) -> None:
    secret = cli("space", "add", "a", "--token", "--json").json["token"]

    async def opens() -> bool:
        async with opened(Settings(data_dir=cli.data_dir)) as store:
            return await store.access_tokens.find(secret) is not None

    assert asyncio.run(opens())
    cli("space", "revoke", "a", "first", "--yes")
    assert not asyncio.run(opens())
