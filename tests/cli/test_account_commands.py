"""`mailsystem user`, `domain` and `alias`."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mailsystem.app import opened
from mailsystem.directory import AccountsDirectory, Away
from mailsystem.mail.address import Address
from mailsystem.mail.envelope import Peer
from mailsystem.mail.errors import AuthFailed
from mailsystem.mail.sasl import Credentials
from mailsystem.settings import Settings

if TYPE_CHECKING:
    from conftest import Cli

ANN = "ann@example.org"


@pytest.fixture
def here(cli: Cli) -> Cli:
    """A server with example.org."""
    cli("domain", "add", "example.org", "--no-dkim")
    return cli


def add(cli: Cli, login: str, password: str = "secret") -> None:
    cli("user", "add", login, "--password-stdin", stdin=password + "\n")


def may_log_in(cli: Cli, login: str, password: str) -> bool:
    async def ask() -> bool:
        async with opened(Settings(data_dir=cli.data_dir)) as store:
            directory = AccountsDirectory(store, default_domain="")
            try:
                await directory.login(Credentials(login, password), Peer("127.0.0.1", 1))
            except AuthFailed:
                return False
            return True

    return asyncio.run(ask())


def test_who_adds_a_domain_is_told_of_people_and_of_postmaster(cli: Cli) -> None:
    told = cli("domain", "add", "example.net").out
    assert "mailsystem user add ann@example.net" in told
    assert "mailsystem alias add postmaster@example.net ann@example.net" in " ".join(told.split())


def test_a_domain_is_added_listed_and_removed(cli: Cli) -> None:
    assert "mailsystem domain add" in cli.refused("domain", "list")
    assert cli("domain", "add", "Bücher.Example", "--json").json["domain"] == "xn--bcher-kva.example"
    assert "added example.org" in cli("domain", "add", "example.org").out
    assert cli("domain", "list", "--json").json == [
        {"domain": "example.org", "users": 0, "aliases": 0, "catch_all": None, "disabled": None},
        {"domain": "xn--bcher-kva.example", "users": 0, "aliases": 0, "catch_all": None, "disabled": None},
    ]
    assert cli("domain", "remove", "bücher.example", "--yes").out == "removed xn--bcher-kva.example\n"
    assert [row["domain"] for row in cli("domain", "list", "--json").json] == ["example.org"]


def test_what_is_no_domain_is_refused(here: Cli) -> None:
    assert here.refused("domain", "add", "not a domain") == "not a domain is not a domain; write one like example.org"
    assert "address literal" in here.refused("domain", "add", "[127.0.0.1]")
    assert here.refused("domain", "add", "EXAMPLE.org") == "example.org is one of this server's domains already"
    assert here.refused("domain", "remove", "example.net", "-y") == (
        "example.net is not one of this server's domains; those that are: mailsystem domain list"
    )


def test_a_domain_with_people_or_aliases_stays(here: Cli) -> None:
    add(here, ANN)
    here("alias", "add", "info@example.org", ANN)
    assert here.refused("domain", "remove", "example.org", "-y") == (
        "example.org still has ann@example.org; first run: mailsystem user remove ann@example.org"
    )
    [row] = here("domain", "list", "--json").json
    assert (row["domain"], row["users"], row["aliases"]) == ("example.org", 1, 1)


def test_a_new_person_has_the_mailboxes_that_clients_look_for(here: Cli) -> None:
    add(here, "Ann@Example.ORG")

    async def mailboxes() -> dict[str, str | None]:
        async with opened(Settings(data_dir=here.data_dir)) as store:
            account = await store.accounts.find(ANN)
            return {box.name: box.special_use for box in await store.mailboxes.list(account.id)}

    assert asyncio.run(mailboxes()) == {
        "INBOX": None,
        "Archive": "\\Archive",
        "Drafts": "\\Drafts",
        "Junk": "\\Junk",
        "Sent": "\\Sent",
        "Trash": "\\Trash",
    }


def test_a_person_logs_in_with_the_password_that_was_given(here: Cli) -> None:
    add(here, ANN, "first word")
    assert may_log_in(here, ANN, "first word")
    here("user", "password", ANN, "--password-stdin", stdin="second\n")
    assert may_log_in(here, ANN, "second")
    assert not may_log_in(here, ANN, "first word")


def test_a_generated_password_is_told_and_good(here: Cli) -> None:
    told = here("user", "add", ANN, "--generate", "--json").json
    assert told["login"] == ANN
    assert re.fullmatch(r"(\w{5}-){3}\w{5}", told["password"])
    assert may_log_in(here, ANN, told["password"])
    said = here("user", "password", ANN, "--generate").out
    assert may_log_in(here, ANN, said.split(": ")[1].strip())


def test_a_password_given_by_stdin_is_not_repeated(here: Cli) -> None:
    told = here("user", "add", ANN, "--password-stdin", "--json", stdin="hush-hush\n")
    assert told.json == {"login": ANN}
    assert "hush" not in told.out + told.err


def test_people_are_listed(here: Cli) -> None:
    assert "mailsystem user add" in here("user", "list").out
    add(here, ANN)
    [row] = here("user", "list", "--json").json
    assert (row["login"], row["messages"], row["size"]) == (ANN, 0, 0)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", row["created"])
    assert re.search(rf"{re.escape(ANN)} +0 +0 B +\d{{4}}-\d\d-\d\d", here("user", "list").out)


def test_a_bare_name_is_completed_by_the_default_domain(here: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    assert here.refused("user", "add", "ann", "--generate") == (
        "ann is not a full address; write ann@example.org, or set default_domain"
    )
    monkeypatch.setenv("MAILSYSTEM_DEFAULT_DOMAIN", "example.net")
    assert here("user", "add", "ann", "--generate", "--json").json["login"] == "ann@example.net"


def test_who_cannot_be_added_is_told_why(here: Cli) -> None:
    add(here, ANN)
    here("alias", "add", "info@example.org", ANN)
    assert here.refused("user", "add", "ann@example.net", "--generate") == (
        "example.net is not one of this server's domains; if it should be, first run: mailsystem domain add example.net"
    )
    assert here.refused("user", "add", ANN, "--generate") == (
        "ann@example.org is here already; to set another password run: mailsystem user password ann@example.org"
    )
    assert here.refused("user", "add", "@example.org", "--generate") == "@example.org is not an address: bad local part"
    assert "is an alias" in here.refused("user", "add", "info@example.org", "--generate")
    assert here.refused("user", "add", "bob@example.org", "--password-stdin", stdin="\n") == (
        "an empty password is none; give one"
    )
    assert [row["login"] for row in here("user", "list", "--json").json] == [ANN]


def test_a_person_who_is_not_here_has_no_password_and_cannot_be_removed(here: Cli) -> None:
    sentence = "there is no ann@example.org here; those who are: mailsystem user list"
    assert here.refused("user", "password", ANN, "--generate") == sentence
    assert here.refused("user", "remove", ANN, "--yes") == sentence


def test_without_a_terminal_the_password_must_come_from_somewhere(here: Cli) -> None:
    assert "--password-stdin" in here("user", "add", ANN, status=2).err
    both = here("user", "add", ANN, "--password-stdin", "--generate", stdin="x\n", status=2)
    assert "exclude each other" in both.err


def test_removal_asks_first(here: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    add(here, ANN)
    assert here.refused("user", "remove", ANN) == "nothing was removed: without a terminal to ask at, --yes must say it"
    monkeypatch.setattr("mailsystem.cli.accounts.at_terminal", lambda: True)
    told = here("user", "remove", ANN, stdin="n\n", status=1)
    assert "Remove ann@example.org and 0 messages for good?" in told.err
    assert told.err.endswith("error: nothing was removed\n")
    assert here("user", "list", "--json").json
    assert here("user", "remove", ANN, stdin="y\n").out.endswith("removed ann@example.org\n")
    assert here("user", "list", "--json").json == []


def test_a_password_is_asked_for_twice_at_a_terminal(here: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailsystem.cli.user.people.at_terminal", lambda: True)
    here("user", "add", ANN, stdin="one\none\n")
    assert may_log_in(here, ANN, "one")


def test_an_alias_is_added_extended_listed_and_removed(here: Cli) -> None:
    for name in ("ann", "bob", "cid"):
        add(here, f"{name}@example.org")
    assert "mailsystem alias add" in here("alias", "list").out
    here("alias", "add", "info@example.org", "cid@example.org", "ann@example.org")
    assert here("alias", "add", "Info@example.org", "bob@example.org", "--json").json["address"] == "info@example.org"
    [alias] = here("alias", "list", "--json").json
    assert sorted(alias["targets"]) == ["ann@example.org", "bob@example.org", "cid@example.org"]
    assert "info@example.org" in here("alias", "list").out
    assert here("alias", "remove", "info@example.org", "-y").out == "removed info@example.org\n"
    assert here("alias", "list", "--json").json == []


def test_an_alias_leads_to_other_servers_too(here: Cli) -> None:
    add(here, ANN)
    assert here("alias", "add", "carl@example.org", ANN, "carl@example.net").out == (
        "mail for carl@example.org goes to ann@example.org, carl@example.net\n"
    )


def test_an_address_elsewhere_keeps_its_spelling(here: Cli) -> None:
    """RFC 5321 2.4: what stands before the @ is for that server alone to read."""
    add(here, ANN)
    elsewhere = ['"carl smith"@example.net', "Carl.Smith@example.net"]
    here("alias", "add", "carl@example.org", "carl.smith@example.net")
    here("alias", "add", "carl@example.org", *elsewhere, "Ann@Example.org")
    [alias] = here("alias", "list", "--json").json
    assert alias["targets"] == [*elsewhere, ANN]

    async def resolved() -> tuple[object, ...]:
        async with opened(Settings(data_dir=here.data_dir)) as store:
            directory = AccountsDirectory(store, default_domain="example.org")
            return await directory.resolve(Address.parse("carl@example.org"))

    away = [place for place in asyncio.run(resolved()) if isinstance(place, Away)]
    assert [str(place.address) for place in away] == elsewhere


def test_who_is_removed_is_forgotten_however_they_are_spelled(here: Cli) -> None:
    add(here, ANN)

    async def spell() -> None:
        async with opened(Settings(data_dir=here.data_dir)) as store:
            await store.accounts.set_alias("info@example.org", ["Ann@example.org"])

    asyncio.run(spell())
    here("user", "remove", ANN, "--yes")
    assert here("alias", "list", "--json").json == []


def test_an_alias_that_leads_nowhere_or_in_a_circle_is_refused(here: Cli) -> None:
    add(here, ANN)
    here("alias", "add", "a@example.org", ANN)
    here("alias", "add", "b@example.org", "a@example.org")
    assert here.refused("alias", "add", "c@example.org", "nobody@example.org") == (
        "there is no nobody@example.org here; first run: mailsystem user add nobody@example.org"
    )
    assert here.refused("alias", "add", "a@example.org", "b@example.org") == (
        "a@example.org would lead to itself by b@example.org"
    )
    assert here.refused("alias", "add", "a@example.org", "a@example.org") == (
        "a@example.org would lead to itself by a@example.org"
    )
    assert here.refused("alias", "add", ANN, "a@example.org") == (
        "ann@example.org is a person's own address and cannot be an alias"
    )
    assert "mailsystem domain add example.net" in here.refused("alias", "add", "x@example.net", ANN)
    assert here.refused("alias", "remove", "x@example.org", "-y") == (
        "there is no alias x@example.org; those that are: mailsystem alias list"
    )


def test_who_is_removed_is_forgotten_by_all_aliases(here: Cli) -> None:
    add(here, ANN)
    add(here, "bob@example.org")
    here("alias", "add", "both@example.org", ANN, "bob@example.org")
    here("alias", "add", "only@example.org", ANN)
    here("alias", "add", "far@example.org", "only@example.org")
    gone = here("user", "remove", ANN, "--yes", "--json").json
    assert gone == {
        "login": ANN,
        "messages": 0,
        "aliases": ["both@example.org", "only@example.org", "far@example.org"],
    }
    assert here("alias", "list", "--json").json == [{"address": "both@example.org", "targets": ["bob@example.org"]}]


def test_a_missing_data_directory_is_one_sentence(cli: Cli) -> None:
    said = cli.refused("domain", "add", "example.org", "--data-dir", "/nowhere/at/all")
    assert said.startswith("/nowhere/at/all (data_dir) cannot be made, since /nowhere/at does not exist; ")


@pytest.mark.parametrize("command", ["user list", "queue list", "find", "dump out", "trace x", "index status"])
def test_what_only_looks_makes_no_store_where_there_is_none(cli: Cli, command: str) -> None:
    """A slip of the pen, or another program's directory."""
    other = cli.home / "other"
    other.mkdir()
    for place in (cli.home / "nowhere", other):
        said = cli.refused(*command.split(), "--data-dir", str(place))
        assert said.startswith(f"no mail is kept in {place} (data_dir) yet; choose another with --data-dir")
        assert "mailsystem domain add" in said
    assert not (cli.home / "nowhere").exists()
    assert not [*other.iterdir()]
    # Whoever has tried a sink is told where that is.
    sink = cli.home / ".local/state/mailsystem/sink"
    cli("space", "add", "job-1", "--data-dir", str(sink))
    assert cli.refused(*command.split()).endswith(f"a sink of yours keeps its mail in {sink}")


def test_a_bad_setting_is_one_sentence(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAILSYSTEM_SMPT__PORT", "1")
    assert cli.refused("domain", "list") == (
        "unknown variable MAILSYSTEM_SMPT__PORT; did you mean MAILSYSTEM_SMTP__PORT?"
    )


def test_the_data_directory_may_come_from_a_file(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MAILSYSTEM_DATA_DIR")
    Path("own.toml").write_text("data_dir = 'elsewhere'\n")
    cli("domain", "add", "example.org", "--config", "own.toml")
    assert (cli.home / "elsewhere" / "mail.db").exists()


def test_tables_in_a_pipe_are_never_folded(here: Cli) -> None:
    long = "a" * 60 + "@example.org"
    add(here, long)
    here("alias", "add", "all@example.org", long)
    for line in here("alias", "list").out.splitlines():
        assert line.count("@") in (0, 2)


def test_a_reader_that_leaves_early_sees_no_traceback(here: Cli) -> None:
    program = f"'{sys.executable}' -m mailsystem settings --json | head -c 1"
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, cwd=here.home)
    assert done.stdout == "{"
    assert done.stderr == ""
