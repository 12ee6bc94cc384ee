"""`mailsystem find`."""

from __future__ import annotations

import asyncio
import smtplib
from typing import TYPE_CHECKING

import pytest

from mailsystem.app import opened, running
from mailsystem.mail.mailbox import SEEN
from mailsystem.settings import Settings, Smtp, Web

if TYPE_CHECKING:
    from conftest import Cli


def filled(cli: Cli, *logins: str) -> None:
    async def fill() -> None:
        async with opened(Settings(data_dir=cli.data_dir)) as store:
            for login in logins:
                account = await store.accounts.ensure(login)
                await store.mailboxes.create(account.id, "Work")
                for number in range(3):
                    spool = store.contents.spool()
                    spool.write(
                        b"From: Bob <bob@shop.test>\r\nTo: %b\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= %d \x1b[31m\r\n"
                        b"Message-ID: <%d@shop.test>\r\n\r\nhello\r\n" % (login.encode(), number, number)
                    )
                    await store.mailboxes.append(
                        account.id,
                        "INBOX" if number else "Work",
                        spool,
                        internaldate=1_767_225_600.0 + number,
                        flags=frozenset({SEEN}) if number == 1 else frozenset(),
                    )

    asyncio.run(fill())


def test_the_newest_come_first_in_a_table(cli: Cli) -> None:
    filled(cli, "ann@example.org")
    told = cli("find", "from:bob@shop.test").out
    title, _, *rows = told.splitlines()
    assert title.split() == ["id", "received", "from", "subject", "size", "flags", "mailbox"]
    assert [row.split()[1] for row in rows] == [f"2026-01-01T00:00:0{second}Z" for second in (2, 1, 0)]
    assert "Bob <bob@shop.test>" in rows[0]
    assert "Grüße 2" in rows[0]
    assert rows[2].rstrip().endswith("Work")
    assert "Seen" in rows[1]
    # What a message says cannot steer the terminal.
    assert "\x1b" not in told


def test_the_envelope_may_be_asked_for_when_the_sink_is_gone(cli: Cli) -> None:
    async def fill() -> None:
        settings = Settings(data_dir=cli.data_dir, host="127.0.0.1", smtp=Smtp(port=0), web=Web(port=None))
        async with running(settings, ["smtp"], sink=True) as house:
            place = house.bound["smtp"]

            def send() -> None:
                with smtplib.SMTP(place.host, place.port) as client:
                    client.sendmail("bounce@shop.test", ["ann@a.test", "bob@a.test"], "Subject: two\r\n\r\n")

            await asyncio.to_thread(send)

    asyncio.run(fill())
    for query, found in (
        ("envelope-to:bob@a.test", 1),
        ("envelope-from:@shop.test", 1),
        ("envelope-to:carl@a.test", 0),
    ):
        assert len(cli("find", query, "--json").json["messages"]) == found, query
    assert cli("find", "--explain", "envelope-to:bob@a.test").out == (
        "Messages that have bob@a.test as a recipient in their envelope.\n"
    )


def test_the_words_of_a_query_may_stand_apart(cli: Cli) -> None:
    filled(cli, "ann@example.org")
    assert len(cli("find", "from:bob", "subject:GRÜSSE", "is:unread", "--json").json["messages"]) == 2
    assert len(cli("find", "--json").json["messages"]) == 3
    assert len(cli("find", "--json", "--", "-is:read").json["messages"]) == 2
    assert cli("find", "to:joann@example.org").out == "nothing was found\n"


def test_programs_get_json(cli: Cli) -> None:
    filled(cli, "ann@example.org")
    told = cli("find", "in:work", "larger:0.1K", "--json").json
    assert (told["query"], told["total"], told["more"]) == ("in:work larger:102", 1, False)
    [one] = told["messages"]
    assert one["subject"].startswith("Grüße 0")
    assert one | {"id": "", "subject": "", "size": 0} == {
        "id": "",
        "mailbox": "Work",
        "uid": 1,
        "received": "2026-01-01T00:00:00Z",
        "size": 0,
        "flags": [],
        "from": "Bob <bob@shop.test>",
        "to": "ann@example.org",
        "cc": None,
        "subject": "",
        "date": None,
        "message_id": "<0@shop.test>",
    }
    assert cli("find", f"id:{one['id']}", "--json").json["messages"] == [one]


def test_some_of_many(cli: Cli) -> None:
    filled(cli, "ann@example.org")
    told = cli("find", "--limit", "2").out
    assert told.splitlines()[-1] == "the newest 2 of 3; --limit shows more of them"
    assert cli("find", "--limit", "2", "--json").json["more"] is True


def test_in_one_mailbox(cli: Cli) -> None:
    filled(cli, "ann@example.org")
    assert {one["mailbox"] for one in cli("find", "--mailbox", "inbox", "--json").json["messages"]} == {"INBOX"}
    assert cli.refused("find", "--mailbox", "Wrk").startswith("there is no mailbox Wrk; there are: INBOX, ")


def test_whose_mail_is_meant(cli: Cli) -> None:
    filled(cli, "ann@example.org", "bob@example.org")
    say_whose = "say whose mail is meant, with --account; those who are here: mailsystem user list"
    assert cli.refused("find", "x") == say_whose
    assert cli.refused("find", "x", "--account", "sink") == say_whose
    found = cli("find", "--account", "bob@example.org", "--json").json["messages"]
    assert [one["to"] for one in found] == ["bob@example.org"] * 3
    assert cli.refused("find", "--account", "zoe@example.org").startswith("there is no zoe@example.org here")
    filled(cli, "sink")
    assert cli("find", "--json").json["messages"][0]["to"] == "sink"


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("a form:x", 'there is no "form:"; did you mean "from:"? to look for it as text, put it in quotes'),
        ('a "b', "this quote is never closed"),
    ],
)
def test_a_query_that_cannot_be_read(cli: Cli, query: str, told: str) -> None:
    assert cli.refused("find", query) == f"{told} (at character 3 of the query)"


def test_what_a_query_asks_for_is_explained_without_a_store(cli: Cli) -> None:
    sentence = "Messages that say “a” anywhere or (say “b” anywhere and are not read)."
    assert cli("find", "--explain", "a OR b is:unread").out == f"{sentence}\n"
    assert cli("find", "--explain", "--json", "a OR b -is:read").json == {
        "query": "a OR b is:unread",
        "explanation": sentence,
    }
    assert not cli.data_dir.exists()


def test_a_space_is_named_as_where_one_logs_in(cli: Cli) -> None:
    filled(cli, "ann@example.org")
    cli("space", "add", "ci-1")
    for name in ("ci-1", "CI-1", "ci-1+job", "space:ci-1"):
        assert cli("find", "-a", name).out == "nothing was found\n"
    assert "not a full address" in cli("find", "-a", "ci-2", status=1).err
