"""What `mailsystem user` and `domain` set beside names and passwords; a running server sees it without a restart."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import pytest

from mailsystem.app import opened
from mailsystem.directory import AccountsDirectory
from mailsystem.mail.envelope import Peer
from mailsystem.mail.errors import AuthFailed
from mailsystem.mail.sasl import Credentials
from mailsystem.settings import Settings
from mailsystem.store import Store

if TYPE_CHECKING:
    from conftest import Cli

ANN = "ann@example.org"
PEER = Peer("192.0.2.7", 4711)


@pytest.fixture
def here(cli: Cli) -> Cli:
    """A server with example.org and Ann."""
    cli("domain", "add", "example.org", "--no-dkim")
    cli("user", "add", ANN, "--password-stdin", stdin="secret\n")
    return cli


def on_the_server(cli: Cli, work: Callable[[Store], Awaitable[None]]) -> None:
    async def inside() -> None:
        async with opened(Settings(data_dir=cli.data_dir)) as store:
            await work(store)

    asyncio.run(inside())


def may_log_in(cli: Cli, password: str) -> bool:
    found: list[bool] = []

    async def ask(store: Store) -> None:
        try:
            await AccountsDirectory(store, default_domain="").login(Credentials(ANN, password), PEER)
        except AuthFailed:
            found.append(False)
        else:
            found.append(True)

    on_the_server(cli, ask)
    return found[0]


def test_a_quota_is_shown_set_in_parts_and_lifted(here: Cli) -> None:
    assert here("user", "quota", ANN).out == f"{ANN} keeps 0 of any number of messages and 0 B of any size\n"
    set_ = here("user", "quota", ANN, "--size", "1.5GB", status=1)
    assert "1.5GB is not a size" in set_.err
    assert here("user", "quota", ANN, "--size", "2GB", "--json").json["most_size"] == 2_000_000_000
    told = here("user", "quota", ANN, "--messages", "100000", "--json").json
    assert told == {"login": ANN, "messages": 0, "size": 0, "most_messages": 100_000, "most_size": 2_000_000_000}
    assert here("user", "quota", ANN).out == f"{ANN} keeps 0 of 100,000 messages and 0 B of 2.0 GB\n"
    told = here("user", "quota", ANN, "--messages", "none", "--size", "500 kB", "--json").json
    assert (told["most_messages"], told["most_size"]) == (None, 500_000)
    assert "not a number of messages" in here.refused("user", "quota", ANN, "--messages", "-1")
    assert "there is no bob@example.org here" in here.refused("user", "quota", "bob@example.org")


def test_a_further_address_is_added_listed_and_removed(here: Cli) -> None:
    assert "mailsystem user address add" in here("user", "address", "list", ANN).out
    assert here("user", "address", "add", ANN, "Annie@example.org", "--json").json == {
        "login": ANN,
        "address": "annie@example.org",
    }
    assert here("user", "address", "list", ANN, "--json").json["addresses"] == ["annie@example.org"]
    assert "annie@example.org" in here("user", "address", "list", ANN).out
    here("alias", "add", "info@example.org", "annie@example.org")
    gone = here("user", "address", "remove", ANN, "annie@example.org", "-y", "--json").json
    assert gone == {"login": ANN, "address": "annie@example.org", "aliases": ["info@example.org"]}
    assert "is no further address of" in here.refused("user", "address", "remove", ANN, "annie@example.org", "-y")


def test_an_address_belongs_to_one_person_or_alias(here: Cli) -> None:
    here("user", "address", "add", ANN, "annie@example.org")
    here("alias", "add", "info@example.org", ANN)
    for taken in (ANN, "annie@example.org", "info@example.org"):
        assert "is taken by a person or an alias" in here.refused("user", "address", "add", ANN, taken)
    assert "mailsystem domain add example.net" in here.refused("user", "address", "add", ANN, "ann@example.net")
    assert f"is an address of {ANN}" in here.refused("user", "add", "annie@example.org", "--generate")
    assert f"is an address of {ANN}" in here.refused("alias", "add", "annie@example.org", ANN)


def test_a_domain_with_further_addresses_stays(here: Cli) -> None:
    here("domain", "add", "example.net", "--no-dkim")
    here("user", "address", "add", ANN, "ann@example.net")
    assert here.refused("domain", "remove", "example.net", "-y") == (
        "example.net still has ann@example.net, an address of ann@example.org; first run:"
        " mailsystem user address remove ann@example.org ann@example.net"
    )


def test_an_app_password_is_shown_once_works_and_is_taken_away(here: Cli) -> None:
    assert "mailsystem user app-password add" in here("user", "app-password", "list", ANN).out
    password = here("user", "app-password", "add", ANN, "phone", "--json").json["password"]
    assert re.fullmatch(r"(?:[a-z2-9]{4}-){4}[a-z2-9]{4}", password)
    [row] = here("user", "app-password", "list", ANN, "--json").json
    assert (row["name"], row["last_used"]) == ("phone", None)
    assert "never" in here("user", "app-password", "list", ANN).out
    assert may_log_in(here, password)
    assert may_log_in(here, password.replace("-", "").upper())
    assert may_log_in(here, "secret")
    assert not may_log_in(here, password[:-1])
    assert here("user", "app-password", "list", ANN, "--json").json[0]["last_used"]
    assert "first run: mailsystem user app-password remove" in here.refused("user", "app-password", "add", ANN, "phone")
    here("user", "app-password", "remove", ANN, "phone", "--yes")
    assert not may_log_in(here, password)
    assert "has no app password named" in here.refused("user", "app-password", "remove", ANN, "phone", "-y")


def test_a_disabled_person_cannot_log_in_until_enabled(here: Cli) -> None:
    assert here("user", "disable", ANN, "--defer").out == f"{ANN} is disabled; mail for it is deferred\n"
    assert here("user", "list", "--json").json[0]["disabled"] == "defer"
    assert "disabled" in here("user", "list").out
    assert not may_log_in(here, "secret")
    assert here("user", "disable", ANN, "--json").json == {"login": ANN, "disabled": "reject"}
    assert here("user", "enable", ANN).out == f"{ANN} is enabled\n"
    assert may_log_in(here, "secret")


def test_a_disabled_domain_lets_nobody_in_until_enabled(here: Cli) -> None:
    assert here("domain", "disable", "example.org", "--json").json == {"domain": "example.org", "disabled": "reject"}
    assert "disabled" in here("domain", "list").out
    assert not may_log_in(here, "secret")
    assert here("domain", "enable", "example.org").out == "example.org is enabled\n"
    assert may_log_in(here, "secret")
    assert "mailsystem domain list" in here.refused("domain", "disable", "example.net")
    assert "mailsystem domain list" in here.refused("domain", "enable", "example.net")


def test_a_catch_all_leads_to_somebody_who_is_here(here: Cli) -> None:
    assert here("domain", "catch-all", "example.org").out == "mail for nobody in example.org is refused\n"
    assert "first run: mailsystem user add bob@example.org" in here.refused(
        "domain", "catch-all", "example.org", "bob@example.org"
    )
    assert here("domain", "catch-all", "example.org", ANN, "--json").json == {"domain": "example.org", "catch_all": ANN}
    assert ANN in here("domain", "list").out
    assert here("domain", "catch-all", "example.org", "--off").out == "mail for nobody in example.org is refused\n"
    here("domain", "catch-all", "example.org", ANN)
    here("user", "remove", ANN, "--yes")
    assert here("domain", "list", "--json").json[0]["catch_all"] is None
    assert "mailsystem domain list" in here.refused("domain", "catch-all", "example.net")
    here("domain", "catch-all", "example.org", ANN, "--off", status=2)


def test_who_may_send_in_anybodys_name_is_set(here: Cli) -> None:
    assert here("user", "sender", ANN).out == f"{ANN} may send from addresses of their own\n"
    assert here("user", "sender", ANN, "--any").out == f"{ANN} may send from any address\n"
    assert here("user", "sender", ANN, "--json").json == {"login": ANN, "any_sender": True}
    assert here("user", "sender", ANN, "--own", "--json").json == {"login": ANN, "any_sender": False}


def test_capabilities_are_hidden_and_offered_again(here: Cli) -> None:
    assert here("user", "capability", ANN).out == f"nothing is hidden from {ANN}\n"
    told = here("user", "capability", ANN, "--off", "uidonly", "--off", "NOTIFY", "--json").json
    assert told == {"login": ANN, "capabilities_off": ["NOTIFY", "UIDONLY"]}
    assert here("user", "capability", ANN, "--on", "notify").out == f"hidden from {ANN}: UIDONLY\n"
    assert "is not the name of a capability" in here.refused("user", "capability", ANN, "--off", "A B")


def test_logins_are_listed_with_when_where_and_how(here: Cli) -> None:
    assert here("user", "logins", ANN).out == "nobody tried yet\n"

    async def try_twice(store: Store) -> None:
        await store.accounts.record_login(ANN, door="imap", peer=PEER, ok=True, mechanism="PLAIN")
        await store.accounts.record_login(ANN, door="pop3", peer=PEER, ok=False, mechanism="USER")

    on_the_server(here, try_twice)
    rows = {row["door"]: row for row in here("user", "logins", ANN, "--json").json}
    assert (rows["imap"]["ok"], rows["imap"]["host"], rows["imap"]["mechanism"]) == (True, "192.0.2.7", "PLAIN")
    assert rows["imap"]["times"] == 1
    assert re.search(r"failed +pop3 +192\.0\.2\.7 +USER +1", here("user", "logins", ANN).out)
    assert [row["door"] for row in here("user", "logins", ANN, "--failed", "--json").json] == ["pop3"]


def test_all_that_is_set_is_shown(here: Cli) -> None:
    here("user", "quota", ANN, "--size", "2GB")
    here("user", "app-password", "add", ANN, "phone")
    here("user", "address", "add", ANN, "annie@example.org")
    told = here("user", "show", ANN, "--json").json
    created = told.pop("created")
    assert told == {
        "login": ANN,
        "disabled": None,
        "password": True,
        "app_passwords": ["phone"],
        "addresses": ["annie@example.org"],
        "any_sender": False,
        "recipients_per_day": None,
        "strangers_per_day": None,
        "capabilities_off": [],
        "maildrop_keep_days": None,
        "maildrop_delete_to_trash": False,
        "maildrop_shows": ["INBOX"],
        "maildrop_login_delay": None,
        "messages": 0,
        "size": 0,
        "most_messages": None,
        "most_size": 2_000_000_000,
    }
    page = here("user", "show", ANN).out
    assert created in page
    assert re.search(r"most messages +no limit", page)
    assert re.search(r"maildrop keep days +forever", page)
    assert re.search(r"maildrop login delay +as the server's", page)
    assert re.search(r"most size +2\.0 GB", page)


def test_mailboxes_are_shared_listed_and_shared_no_more(here: Cli) -> None:
    here("user", "add", "bob@example.org", "--password-stdin", stdin="secret\n")
    share = ("user", "share")
    assert f"mailsystem user share grant {ANN}" in here(*share, "list", ANN).out
    told = here(*share, "grant", ANN, "Archive", "bob@example.org", "read").out
    assert told == f"bob@example.org may read Archive of {ANN}\n"
    assert here(*share, "grant", ANN, "Archive", "bob@example.org", "write", "--json").json["rights"] == "lrswipte"
    assert here(*share, "grant", ANN, "inbox", "anyone", "cl").out == f"anyone may do lkx in INBOX of {ANN}\n"
    denied = here(*share, "grant", ANN, "INBOX", "bob@example.org", "l", "--deny").out
    assert denied == f"bob@example.org may never do l in INBOX of {ANN}\n"
    assert here(*share, "list", ANN, "--json").json == [
        {"mailbox": "Archive", "who": "bob@example.org", "rights": "lrswipte"},
        {"mailbox": "INBOX", "who": "-bob@example.org", "rights": "l"},
        {"mailbox": "INBOX", "who": "anyone", "rights": "lkx"},
    ]
    assert here(*share, "list", "bob@example.org", "--json").json == [
        {"mailbox": f"Other Users/{ANN}/Archive", "who": "bob@example.org", "rights": "lrswipte"}
    ]
    assert "lrswipte" in here(*share, "list", ANN).out
    assert "no more" in here(*share, "revoke", ANN, "Archive", "bob@example.org").out
    assert here(*share, "list", "bob@example.org", "--json").json == []
    here(*share, "revoke", ANN, "INBOX", "bob@example.org", "--deny")
    assert len(here(*share, "list", "bob@example.org", "--json").json) == 1


def test_sharing_says_what_is_wrong(here: Cli) -> None:
    share = ("user", "share")
    assert "there is no bob@example.org here" in here.refused(*share, "grant", ANN, "INBOX", "bob@example.org", "read")
    here("user", "add", "bob@example.org", "--password-stdin", stdin="secret\n")
    for nonsense in ("", "lq", "Read"):
        assert "write read, write, all" in here.refused(*share, "grant", ANN, "INBOX", "bob@example.org", nonsense)
    assert "has no mailbox Nowhere" in here.refused(*share, "grant", ANN, "Nowhere", "bob@example.org", "read")
    assert "has an empty level" in here.refused(*share, "grant", ANN, "a//b", "bob@example.org", "read")
    assert "has every right there" in here.refused(*share, "grant", ANN, "INBOX", ANN, "read")
    assert "mailsystem user share list" in here.refused(*share, "revoke", ANN, "INBOX", "bob@example.org")
