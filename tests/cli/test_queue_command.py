"""`mailsystem queue`: what waits and why, and what can be done about it, beside a server that runs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from mailsystem.app import opened
from mailsystem.mail.address import Address
from mailsystem.mail.envelope import Notification
from mailsystem.mail.outgoing import Attempt, State
from mailsystem.settings import Settings
from mailsystem.store import QUEUE, Caps, Leaving, Level, Settled, Store

if TYPE_CHECKING:
    from conftest import Cli

T = TypeVar("T")

ANN = "ann@example.org"
FIRST = "5f0c3a9d1be27764"
SECOND = "77640c3a9d1be25f"
LETTER = (
    b"Received: from client\r\n\tby mail.example.org\r\nFrom: Ann <ann@example.org>\r\n"
    b"Date: Fri, 27 Nov 2026 07:00:00 +0000\r\n"
    b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n and more\x1b[2J\r\nBcc: nobody@example.org\r\n\r\nthe body\r\n"
)


def on_the_server(cli: Cli, work: Callable[[Store], Awaitable[T]]) -> T:
    async def inside() -> T:
        async with opened(Settings(data_dir=cli.data_dir)) as store:
            return await work(store)

    return asyncio.run(inside())


async def leave(store: Store, ident: str, *recipients: str, sender: str = ANN) -> None:
    spool = store.contents.spool()
    spool.write(LETTER)
    leaving = Leaving(
        ident,
        Address.parse(sender) if sender else Address.NULL,
        {Address.parse(each): Notification() for each in recipients},
        lifetime=432_000,
        login=ANN,
    )
    await store.mailboxes.deliver((), spool, prefix=b"Return-Path: <ann@example.org>\r\n", leaving=[leaving])


async def put_off(store: Store, domain: str, reply: str) -> None:
    for job in await store.outbound.take(domain, most=100):
        await store.outbound.settle(
            job,
            [
                Settled(
                    Attempt(each.address, State.WAITING, reply.split()[1], reply, "mx.example.net"),
                    time.time() + 9000,
                )
                for each in job.recipients
            ],
        )


@pytest.fixture
def busy(cli: Cli) -> Cli:
    """A server with two messages in its queue, of which the one to example.net was put off."""

    async def work(store: Store) -> None:
        await leave(store, FIRST, "bob@example.net", "eve@example.com")
        await leave(store, SECOND, "Bob@example.net", "dan@example.net", sender="")
        await put_off(store, "example.net", "451 4.7.1 greylisted, come again")

    on_the_server(cli, work)
    return cli


def states(cli: Cli) -> dict[str, str]:
    return {
        f"{one['id'][:2]} {to['address']}": "due" if to["state"] == "waiting" and is_due(to) else to["state"]
        for one in cli("queue", "list", "--json").json
        for to in one["recipients"]
    }


def is_due(to: dict[str, Any]) -> bool:
    return to["next_try"] is not None and to["next_try"] <= time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


WAITING = {
    "5f bob@example.net": "waiting",
    "5f eve@example.com": "due",
    "77 Bob@example.net": "waiting",
    "77 dan@example.net": "waiting",
}


# list


def test_the_queue_is_listed_with_the_last_reply_of_the_other_side(busy: Cli) -> None:
    head, _, *lines = busy("queue", "list").out.splitlines()
    assert head.split("  ")[0] == "id"
    first, second = (" ".join(line.split()) for line in lines)
    assert first.startswith(f"{FIRST} ")
    assert "B ann@example.org bob@example.net and 1 more now mx.example.net: 451 4.7.1 greylisted, come again" in first
    assert "B <> Bob@example.net and 1 more in 2 h mx.example.net: 451 4.7.1" in second


def test_in_a_narrow_terminal_ids_stay_whole_and_replies_have_lines_of_their_own(
    busy: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"FORCE_COLOR": "1", "TERM": "dumb", "COLUMNS": "80"}.items():
        monkeypatch.setenv(name, value)
    lines = busy("queue", "list").out.splitlines()
    assert max(len(line) for line in lines) <= 80
    assert FIRST in lines
    assert SECOND in lines
    reply = "  mx.example.net: 451 4.7.1 greylisted, come again"
    assert [line.rstrip() for line in lines].count(reply) == 2
    assert any("next try in 2 h" in line for line in lines)
    assert "example.net" in [line.rstrip() for line in busy("queue", "list", "--summary").out.splitlines()]


def test_an_empty_queue_is_told_in_words_and_as_json(cli: Cli) -> None:
    cli("domain", "add", "example.org", "--no-dkim")
    assert cli("queue", "list").out == "nothing waits\n"
    assert cli("queue", "list", "--summary").out == "nothing waits\n"
    assert cli("queue", "list", "--domain", "example.net").out == "nothing waits that fits\n"
    assert cli("queue", "list", "--json").json == []
    assert cli("queue", "list", "--summary", "--json").json == []


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (["--domain", "EXAMPLE.com"], ["5f eve@example.com"]),
        (["--domain", "example.net"], ["5f bob@example.net", "77 Bob@example.net", "77 dan@example.net"]),
        (
            ["--sender", ANN, "--domain", "example.net"],
            ["5f bob@example.net", "77 Bob@example.net", "77 dan@example.net"],
        ),
        (["--sender", "<>"], ["77 Bob@example.net", "77 dan@example.net"]),
        (["--sender", "eve@example.com"], []),
        (["--state", "held"], ["77 dan@example.net"]),
        (["--state", "waiting", "--sender", "<>"], ["77 Bob@example.net"]),
    ],
)
def test_the_list_is_narrowed_by_filters(busy: Cli, options: list[str], found: list[str]) -> None:
    if "--state" in options:
        busy("queue", "hold", SECOND, "dan@example.net")
    listed = busy("queue", "list", *options, "--json").json
    assert sorted(f"{one['id'][:2]} {to['address']}" for one in listed for to in one["recipients"]) == sorted(found)


def test_a_long_list_says_how_much_more_there_is(busy: Cli) -> None:
    told = busy("queue", "list", "--limit", "1").out
    assert FIRST in told
    assert SECOND not in told
    assert told.endswith("and 1 more; see sums by --summary, or all of them by --limit 0\n")
    assert SECOND in busy("queue", "list", "--limit", "0").out


def test_sums_are_told_for_each_domain(busy: Cli) -> None:
    busy("queue", "hold", SECOND, "dan@example.net")
    net, com = busy("queue", "list", "--summary", "--json").json
    assert (net["domain"], net["messages"], net["waiting"], net["held"]) == ("example.net", 2, 2, 1)
    assert (net["remote"], net["status"], net["reply"]) == (
        "mx.example.net",
        "4.7.1",
        "451 4.7.1 greylisted, come again",
    )
    assert (com["domain"], com["waiting"], com["reply"]) == ("example.com", 1, "")
    lines = busy("queue", "list", "--summary").out.splitlines()
    assert lines[2].split()[:4] == ["example.net", "2", "2", "1"]
    assert " ".join(lines[2].split()).endswith("in 2 h mx.example.net: 451 4.7.1 greylisted, come again")


# show


def test_a_message_is_shown_with_its_recipients_and_never_its_text(busy: Cli) -> None:
    busy("queue", "hold", FIRST, "eve@example.com")
    told = busy("queue", "show", FIRST).out
    facts, bob, eve = told.split("\n\n")
    shown = dict(line.split(":", 1) for line in facts.splitlines())
    assert {name: value.strip() for name, value in shown.items()} == {
        "id": FIRST,
        "sender": ANN,
        "login": ANN,
        "size": f"{len(LETTER) + 32} B",
        "arrived": shown["arrived"].strip(),
        "given up": shown["given up"].strip(),
        "From": "Ann <ann@example.org>",
        "Date": "Fri, 27 Nov 2026 07:00:00 +0000",
        "Subject": "Grüße and more [2J",
    }
    assert shown["given up"].endswith("in 4 d")
    first, *rest = bob.splitlines()
    assert first.startswith("bob@example.net: waits, next try at 20")
    assert rest[0].startswith("  tried 1 time, last 20")
    assert rest[0].endswith(" at mx.example.net")
    assert rest[1] == "  451 4.7.1 greylisted, come again"
    assert eve == "eve@example.com: is held until it is released\n  not tried yet\n"
    assert "the body" not in told
    [one] = busy("queue", "show", FIRST, "--json").json
    assert one["header"]["Subject"] == "Grüße and more [2J"
    assert one["recipients"][0]["reply"] == "451 4.7.1 greylisted, come again"
    assert one["recipients"][1]["next_try"] is None


def test_what_is_being_tried_says_so(busy: Cli) -> None:
    async def take(store: Store) -> None:
        await store.outbound.take("example.com")

    on_the_server(busy, take)
    assert "eve@example.com: is being tried now" in busy("queue", "show", FIRST).out
    assert busy.refused("queue", "retry", FIRST, "eve@example.com") == f"{FIRST} is being tried now"
    told = busy("queue", "drop", FIRST, "--yes").out
    assert told == ("dropped: 2 recipients of 1 message; 1 of them are being tried now and may still get it\n")


# retry, hold, release


def test_what_is_retried_is_due_at_once(busy: Cli) -> None:
    assert busy("queue", "retry", SECOND, "bob@example.net").out == "tried now: 1 recipient of 1 message\n"
    assert states(busy) == {**WAITING, "77 Bob@example.net": "due"}
    assert busy("queue", "retry", "--domain", "example.net").out == "tried now: 3 recipients of 2 messages\n"
    assert set(states(busy).values()) == {"due"}
    assert busy("queue", "retry", "--all", "--json").json == {"messages": 2, "recipients": 4, "trying": 0}


def test_a_server_that_runs_hears_of_it_at_once(busy: Cli) -> None:
    async def inside() -> None:
        async with opened(Settings(data_dir=busy.data_dir)) as store:
            heard = store.bell.rung
            await asyncio.to_thread(busy, "queue", "retry", "--all")
            async with asyncio.timeout(10):
                await store.bell.wait(heard, QUEUE)
            assert len(await store.outbound.take("example.net", most=5)) == 2

    asyncio.run(inside())


def test_what_is_held_is_not_tried_until_it_is_released(busy: Cli) -> None:
    assert busy("queue", "hold", FIRST).out == "held: 2 recipients of 1 message\n"
    assert states(busy) == {**WAITING, "5f bob@example.net": "held", "5f eve@example.com": "held"}
    assert busy.refused("queue", "hold", FIRST) == f"{FIRST} is held already"
    assert busy.refused("queue", "retry", FIRST) == (
        f"{FIRST} is held; to let it go on run: mailsystem queue release {FIRST}"
    )
    assert busy("queue", "hold", "--sender", "<>").out == "held: 2 recipients of 1 message\n"
    assert busy("queue", "hold", "--all").out == "nothing waits that is not held\n"
    assert busy("queue", "retry", "--all").out == "nothing waits to be tried again\n"
    assert busy("queue", "release", FIRST, "bob@example.net").out == "released: 1 recipient of 1 message\n"
    assert busy.refused("queue", "release", FIRST, "bob@example.net") == f"{FIRST} is not held"
    assert busy("queue", "release", "--all").out == "released: 3 recipients of 2 messages\n"
    assert set(states(busy).values()) == {"due"}
    assert busy("queue", "release", "--domain", "example.net").out == "nothing is held\n"


# drop


def test_what_is_dropped_is_gone_in_silence(busy: Cli) -> None:
    told = busy.refused("queue", "drop", FIRST)
    assert told == "nothing was removed: without a terminal to ask at, --yes must say it"
    assert states(busy) == WAITING
    assert busy("queue", "drop", FIRST, "--yes").out == "dropped: 2 recipients of 1 message\n"
    assert busy("queue", "drop", "--domain", "example.com", "--yes").out == "nothing waits that could be taken out\n"
    assert busy("queue", "drop", "--all", "-y").out == "dropped: 2 recipients of 1 message\n"
    assert states(busy) == {}
    assert on_the_server(busy, lambda store: store.outbound.to_report()) == ([], None)


def test_what_is_given_up_is_left_to_be_reported(busy: Cli) -> None:
    assert busy("queue", "drop", FIRST, "bob@example.net", "--bounce", "--yes").out == (
        "given up: 1 recipient of 1 message\n"
    )
    assert states(busy) == {each: state for each, state in WAITING.items() if each != "5f bob@example.net"}

    async def unreported(store: Store) -> list[tuple[str, str]]:
        [id_], _ = await store.outbound.to_report()
        found = await store.outbound.unreported(id_)
        assert found is not None
        return [(str(to.address), to.reply) for to in found[1]]

    assert on_the_server(busy, unreported) == [("bob@example.net", "given up by the postmaster of this server")]
    assert "bob@example.net: failed, its sender is yet to be told" in busy("queue", "show", FIRST).out


def test_what_was_done_by_hand_is_part_of_the_life_of_a_message(busy: Cli) -> None:
    busy("queue", "hold", FIRST)
    busy("queue", "release", FIRST)
    busy("queue", "retry", FIRST, "bob@example.net")
    busy("queue", "drop", FIRST, "bob@example.net", "--bounce", "--yes")
    busy("queue", "drop", FIRST, "--yes")
    told = busy("trace", FIRST).out
    lines = [" ".join(line.partition(" queue ")[2].split()) for line in told.splitlines() if "by hand" in line]
    assert lines == [
        "held for bob@example.net, eve@example.com, by hand",
        "released for bob@example.net, eve@example.com, by hand",
        "retried for bob@example.net, by hand",
        "given up for bob@example.net, by hand",
        "dropped for eve@example.com, by hand",
    ]


def test_without_a_journal_nothing_is_written_down(busy: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAILSYSTEM_JOURNAL__DAYS", "0")
    busy("queue", "hold", FIRST)
    assert on_the_server(busy, lambda store: store.journal.forget(time.time() + 3600)) == 0


# What makes no sense


@pytest.mark.parametrize("verb", ["retry", "hold", "release", "drop"])
def test_which_mail_is_meant_must_be_said_and_there(busy: Cli, verb: str) -> None:
    yes = ["--yes"] if verb == "drop" else []
    assert "say which mail is meant" in " ".join(busy("queue", verb, *yes, status=2).err.split())
    assert "--all is everything" in " ".join(busy("queue", verb, FIRST, "--all", *yes, status=2).err.split())
    assert busy.refused("queue", verb, "abc", *yes) == (
        "no message abc waits; those that do: mailsystem queue list; what became of it: mailsystem trace abc"
    )
    assert busy.refused("queue", verb, FIRST, "dan@example.net", *yes) == (
        f"{FIRST} does not wait for dan@example.net; see for whom: mailsystem queue show {FIRST}"
    )
    assert busy.refused("queue", verb, FIRST, "--domain", "example.de", *yes) == (
        f"{FIRST} waits for nobody who fits; see for whom: mailsystem queue show {FIRST}"
    )
    assert "is not an address" in busy.refused("queue", verb, FIRST, "dan", *yes)
    assert "is not a domain" in busy.refused("queue", verb, "--domain", "a b", *yes)
    assert states(busy) == WAITING


def test_a_message_that_is_not_there_cannot_be_shown(busy: Cli) -> None:
    assert busy.refused("queue", "show", "abc") == (
        "no message abc waits; those that do: mailsystem queue list; what became of it: mailsystem trace abc"
    )


# suppress


def test_addresses_are_suppressed_and_let_go_again(cli: Cli) -> None:
    cli("domain", "add", "example.org", "--no-dkim")
    assert cli("queue", "suppress", "list").out == "nothing is suppressed\n"
    assert cli("queue", "suppress", "add", "Bob@example.net", "--reason", "asked us to stop").out == (
        "nothing is sent to bob@example.net any more\n"
    )

    async def fail(store: Store) -> None:
        for _ in range(3):
            await store.suppression.note_failure("eve@example.com", "5.1.1")

    on_the_server(cli, fail)
    eve, bob = cli("queue", "suppress", "list", "--json").json
    assert (eve["address"], eve["added"], eve["failures"], eve["status"]) == ("eve@example.com", False, 3, "5.1.1")
    assert (bob["address"], bob["added"], bob["reason"]) == ("bob@example.net", True, "asked us to stop")
    told = cli("queue", "suppress", "list").out
    assert "added by hand: asked us to stop" in told
    assert "refused 3 times in a row, last 20" in told
    assert cli("queue", "suppress", "remove", "EVE@example.com").out == "mail is sent to eve@example.com again\n"
    assert "eve@example.com is not suppressed" in cli.refused("queue", "suppress", "remove", "eve@example.com")
    assert "is an address here" in cli.refused("queue", "suppress", "add", "ann@example.org")
    assert "is not an address" in cli.refused("queue", "suppress", "add", "ann")
    assert [one["address"] for one in cli("queue", "suppress", "list", "--json").json] == ["bob@example.net"]


def test_how_many_failures_suppress_is_a_setting(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    cli("domain", "add", "example.org", "--no-dkim")

    async def fail(store: Store) -> None:
        await store.suppression.note_failure("eve@example.com", "5.1.1")

    on_the_server(cli, fail)
    assert cli("queue", "suppress", "list", "--json").json == []
    monkeypatch.setenv("MAILSYSTEM_QUEUE__SUPPRESS_AFTER", "1")
    assert [one["address"] for one in cli("queue", "suppress", "list", "--json").json] == ["eve@example.com"]


# tls


def test_remembered_protection_is_listed_and_forgotten(cli: Cli) -> None:
    cli("domain", "add", "example.org", "--no-dkim")
    assert cli("queue", "tls", "list").out == "nothing is remembered yet\n"

    async def see(store: Store) -> None:
        await store.tls_levels.seen("example.net", Level.VERIFIED)

    on_the_server(cli, see)
    [one] = cli("queue", "tls", "list", "--json").json
    assert (one["domain"], one["level"]) == ("example.net", "verified")
    assert cli("queue", "tls", "list").out.splitlines()[2].split()[:2] == ["example.net", "verified"]
    assert cli("queue", "tls", "forget", "Example.net").out == "forgot how mail to example.net was protected\n"
    assert "nothing is remembered of example.net" in cli.refused("queue", "tls", "forget", "example.net")


# user limits


def test_a_person_has_the_caps_of_everybody_or_their_own(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    cli("domain", "add", "example.org", "--no-dkim")
    cli("user", "add", ANN, "--password-stdin", stdin="secret\n")
    assert cli("user", "limits", ANN).out == (
        f"{ANN} has written to 0 of 1,000 recipients on other servers today, 0 of 200 strangers among them\n"
    )
    told = cli("user", "limits", ANN, "--recipients-per-day", "20000", "--strangers-per-day", "none").out
    assert told == (
        f"{ANN} has written to 0 of 20,000 recipients on other servers today, 0 of any number of strangers among them\n"
    )

    shown = {line[:25].strip(): line[25:] for line in cli("user", "show", ANN).out.splitlines()}
    assert (shown["recipients per day"], shown["strangers per day"]) == ("20,000", "no limit")
    assert cli("user", "show", ANN, "--json").json["recipients_per_day"] == 20_000

    async def send(store: Store) -> None:
        account = await store.accounts.find(ANN)
        await store.sending.count(account.id, ["bob@example.net", "eve@example.com"], Caps())

    on_the_server(cli, send)
    assert "has written to 2 of 20,000" in cli("user", "limits", ANN).out
    cli("user", "limits", ANN, "--recipients-per-day", "default")
    monkeypatch.setenv("MAILSYSTEM_LIMITS__RECIPIENTS_PER_DAY_LOGIN", "7")
    assert cli("user", "limits", ANN, "--json").json == {
        "login": ANN,
        "recipients_today": 2,
        "strangers_today": 2,
        "recipients_per_day": 7,
        "strangers_per_day": None,
        "own": {"recipients_per_day": None, "strangers_per_day": 0},
    }
    for wrong in ("0", "-1", "x", "1e3"):
        assert "is not a number of recipients" in cli.refused("user", "limits", ANN, f"--recipients-per-day={wrong}")
