"""`mailsystem doctor` says whether mail leaves."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from typing import TYPE_CHECKING

from mailsystem.app import opened
from mailsystem.mail.address import Address
from mailsystem.mail.envelope import Notification
from mailsystem.settings import Settings
from mailsystem.store import Leaving

if TYPE_CHECKING:
    from conftest import Cli

HOUR = 3600.0


def leave(cli: Cli, recipients: Sequence[str], *, age: float, due: float, reply: str = "") -> None:
    """A message in the queue that is so old, is due in so many seconds, and was answered so."""

    async def inside() -> None:
        async with opened(Settings(data_dir=cli.data_dir)) as store:
            spool = store.contents.spool()
            spool.write(b"Subject: Hello\r\n\r\nthe body\r\n")
            to = {Address.parse(each): Notification() for each in recipients}
            leaving = Leaving("5f0c3a9d1be27764", Address.parse("ann@example.org"), to, lifetime=432_000)
            await store.mailboxes.deliver((), spool, leaving=[leaving])

    asyncio.run(inside())
    with closing(sqlite3.connect(cli.data_dir / "mail.db")) as database, database:
        database.execute("UPDATE outbound SET arrived = arrived - ?", (age,))
        database.execute(
            "UPDATE outbound_recipients SET due = due + ?, attempted = CASE WHEN ?2 <> '' THEN due END, reply = ?2",
            (due, reply),
        )


def told(cli: Cli) -> tuple[str, str, str]:
    """State, words and advice; nobody lives here, which is wrong, but another matter."""
    findings = cli("doctor", "--offline", "--json", status=1).json["findings"]
    [found] = [one for one in findings if one["check"] == "queue"]
    return found["state"], found["said"], found["advice"]


def test_an_empty_queue_is_good(cli: Cli) -> None:
    cli("domain", "add", "example.org")
    assert told(cli) == ("good", "nothing waits to leave", "")


def test_what_waits_for_its_next_try_is_good(cli: Cli) -> None:
    leave(cli, ["bob@example.net"], age=120, due=120, reply="451 4.7.1 greylisted")
    assert told(cli) == ("good", "1 message waits to leave", "")


def test_what_nobody_tries_needs_a_process_that_does(cli: Cli) -> None:
    leave(cli, ["bob@example.net", "eve@example.com"], age=HOUR, due=-HOUR)
    state, said, advice = told(cli)
    assert state == "warning"
    assert said == "1 message waits to leave, and nobody has tried for 1 h what is due"
    assert "mailsystem serve queue" in advice


def test_what_has_waited_for_long_is_told_with_the_last_reply(cli: Cli) -> None:
    leave(cli, ["bob@example.net"], age=3 * HOUR, due=60, reply="451 4.7.1 come\nagain\x1b[2J")
    state, said, advice = told(cli)
    assert state == "warning"
    assert said.startswith("1 message waits to leave, the oldest for 3 h for example.net: 451 4.7.1 come again")
    assert "\x1b" not in said
    assert "mailsystem queue list --summary" in advice


def test_where_no_server_at_all_is_reached_port_25_may_be_blocked(cli: Cli) -> None:
    reply = "no connection to mx.example.net (192.0.2.1 port 25): no answer within 30 s"
    leave(cli, ["bob@example.net"], age=3 * HOUR, due=60, reply=reply)
    assert "port 25" not in told(cli)[2]
    leave(cli, ["eve@example.com"], age=3 * HOUR, due=60, reply=reply)
    state, _, advice = told(cli)
    assert state == "warning"
    assert "is port 25 blocked" in advice
    assert "queue.smarthost" in advice
