"""`mailsystem trace`: one readable line for each event, on a terminal of 80 columns and in a pipe, and JSON."""

from __future__ import annotations

import asyncio
import io
import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from mailsystem.cli.trace.timeline import Timeline
from mailsystem.mail.address import Address
from mailsystem.mail.envelope import Notification
from mailsystem.mail.mailbox import Uid
from mailsystem.mail.outgoing import Attempt, State
from mailsystem.store import Leaving, Settled, open_store
from mailsystem.store.lives import Life, Note, Whereabouts
from mailsystem.telemetry.journal import Entry
from mailsystem.telemetry.trace import CLIENT, SERVER
from mailsystem.telemetry.transcript import Transcript

if TYPE_CHECKING:
    from conftest import Cli

START = 1_767_606_400.0
ALICE = Address.parse("alice@a.example")
FAR = Address.parse("bob@b.example")


@pytest.fixture(autouse=True)
def zone(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def sent(cli: Cli) -> None:
    """A message that waits in the queue after one try, as the worker tells it."""

    async def work() -> None:
        async with open_store(cli.data_dir) as store:
            spool = store.contents.spool()
            spool.write(b"Message-ID: <far@a.example>\r\n\r\nhello\r\n")
            leaving = Leaving("feed0123", ALICE, {FAR: Notification()}, 5 * 86_400.0, login=str(ALICE))
            done = await store.mailboxes.deliver([], spool, leaving=[leaving])
            [job] = await store.outbound.take("b.example")
            reply = "450 4.2.0 mailbox busy, \x1b[31mcome again"
            attempt = Attempt(FAR, State.WAITING, "4.2.0", reply, "mx.b.example", "192.0.2.9", "TLSv1.3 AES")
            await store.outbound.settle(job, [Settled(attempt, START + 600)])
            told: dict[str, Any] = {"door": "queue", "id": "feed0123", "recipient": str(FAR)}
            server = {"remote": "mx.b.example", "ip": "192.0.2.9", "tls": "TLSv1.3 AES"}
            entries = [
                ("accepted", 0.0, {"sender": str(ALICE), "recipients": [str(FAR)], "octets": 40, "protocol": "ESMTPSA",
                                   "door": "smtp", "id": "feed0123", "login": str(ALICE), "peer": "192.0.2.1:99"}),
                ("queued", 0.001, {"door": "smtp", "id": "feed0123", "sender": str(ALICE), "recipients": [str(FAR)]}),
                ("attempted", 0.5, {**told, **server}),
                ("deferred", 0.75, {**told, **server, "reply": reply, "status": "4.2.0", "next": START + 600}),
                ("sent", 601.0, {**told, "remote": "mx.b.example", "reply": "250 2.0.0 ok"}),
                ("failed", 602.0, {**told, "reply": "550 5.1.1 no such user"}),
                ("bounced", 603.0, {**told, "to": str(ALICE), "action": "failed", "status": "5.1.1", "report": "beef"}),
            ]  # fmt: skip
            await store.journal.write([Entry(name, START + at, [done.content], (), data) for name, at, data in entries])

    asyncio.run(work())


def test_an_unknown_message_is_told_with_what_to_do(cli: Cli) -> None:
    cli("domain", "add", "example.org", "--no-dkim")
    said = cli.refused("trace", "<nobody@example.net>")
    assert said.startswith("nothing is known of <nobody@example.net>; give the id that the 250 told")
    assert said.endswith("of a message of the last 14 days (journal.days)")


def test_where_nothing_is_kept_that_is_why(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAILSYSTEM_JOURNAL__DAYS", "0")
    cli("domain", "add", "example.org", "--no-dkim")
    said = cli.refused("trace", "nobody@example.net")
    assert said.endswith("journal.days is 0, so nothing is kept of any message")


def test_json_and_following_do_not_go_together(cli: Cli) -> None:
    assert "--follow tells lines" in cli("trace", "x", "--json", "--follow", status=2).err


def test_the_way_to_other_servers_is_told_to_the_waiting_recipient(cli: Cli) -> None:
    sent(cli)
    lines = cli("trace", "feed0123").out.splitlines()
    assert lines[0] == "<far@a.example>"
    assert lines[1].startswith("id feed0123, ")
    assert lines[1].endswith("times in CET (UTC+0100)")
    assert [line[:29] for line in lines[2:5]] == [
        "2026-01-05 10:46:40.000 +0100",
        "2026-01-05 10:46:40.001 +0100",
        "2026-01-05 10:46:40.500 +0100",
    ]
    said = [line[29:] for line in lines[2:]]
    at = "for bob@b.example at mx.b.example [192.0.2.9], TLSv1.3 AES"
    mail = "from alice@a.example to bob@b.example, 40 B by ESMTPSA from 192.0.2.1:99, login alice@a.example"
    assert said[:7] == [
        f"     +0 ms  smtp   accepted   {mail}",
        "     +1 ms  smtp   queued     for bob@b.example, from alice@a.example",
        f"   +499 ms  queue  attempted  {at}",
        f"   +250 ms  queue  deferred   {at}: 450 4.2.0 mailbox busy, \\x1b[31mcome again, next try 2026-01-05 10:56:40 +0100",
        "  +10.0 min  queue  sent       for bob@b.example at mx.b.example, in clear: 250 2.0.0 ok",
        "    +1.0 s  queue  failed     for bob@b.example: 550 5.1.1 no such user",
        "    +1.0 s  queue  bounced    alice@a.example was told of bob@b.example: failed 5.1.1, by report beef",
    ]
    assert lines[9].startswith(
        "now  in the queue  for bob@b.example: waiting, tried 1 time, next 2026-01-05 10:56:40 +0100"
    )
    assert lines[9].endswith("last answer 450 4.2.0 mailbox busy, \\x1b[31mcome again")


def test_json_has_all_of_it(cli: Cli) -> None:
    sent(cli)
    [life] = cli("trace", "<far@a.example>", "--json").json
    assert sorted(life["names"]) == ["far@a.example", "feed0123"]
    assert life["events"][0]["time"] == "2026-01-05T10:46:40.000+01:00"
    assert life["events"][3]["reply"] == "450 4.2.0 mailbox busy, \x1b[31mcome again"
    [waiting] = life["queue"]
    assert (waiting["recipient"], waiting["state"], waiting["attempts"]) == ("bob@b.example", "waiting", 1)


def drawn(*notes: Note, width: int = 80, places: tuple[Whereabouts, ...] = ()) -> list[str]:
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None, highlight=False)
    Timeline(console).tell([Life(1, ["one@example.net"], 1234, notes, places)])  # type: ignore[arg-type]
    assert isinstance(console.file, io.StringIO)
    return [
        line.rstrip() for line in console.file.getvalue().replace("\x1b[1m", "").replace("\x1b[0m", "").splitlines()
    ]


def test_on_a_terminal_the_day_stands_above_and_long_lines_hang() -> None:
    data = {
        "door": "imap",
        "login": "ann@example.org",
        "peer": "192.0.2.7",
        "client": "Pocket Mail 7",
        "mailbox": "INBOX",
    }
    lines = drawn(
        Note("read", START, START + 65, 12, None, data),
        Note("expunged", START + 86_400, START + 86_400, 1, 4, data),
        places=(Whereabouts("bob@example.org", "INBOX", Uid(5), frozenset()),),
    )
    assert max(map(len, lines)) <= 80
    plain = [line.replace("\x1b[2m", "") for line in lines]
    assert plain[2] == "2026-01-05"
    assert plain[3] == "10:46:40.000     +0 ms  imap   read       by ann@example.org at 192.0.2.7 with"
    assert plain[4].startswith(" " * 42)
    text = " ".join(" ".join(plain).split())
    assert "in INBOX, 12 times, last 10:47:45.000" in text
    assert "2026-01-06 10:46:40.000 +1.0 d imap expunged from INBOX (uid 4)" in text
    assert plain[-1] == "now  in  bob@example.org INBOX (uid 5)"


def test_many_recipients_are_counted_and_not_listed() -> None:
    everybody = [f"person{number}@example.org" for number in range(1000)]
    data = {"door": "smtp", "sender": "", "recipients": everybody, "octets": 5, "protocol": "LMTP"}
    text = " ".join(" ".join(drawn(Note("accepted", START, START, 1, None, data))).split())
    assert "from <> to person0@example.org, person1@example.org" in text
    assert "person11@example.org and 988 more, 5 B by LMTP" in text


def test_what_came_since_is_told_once() -> None:
    console = Console(file=io.StringIO(), width=200, highlight=False)
    timeline = Timeline(console)
    data = {"door": "imap", "login": "ann@example.org"}
    first = Note("read", START, START, 1, None, data)
    again = first._replace(times=2, last=START + 5)
    moved = Note("moved", START + 6, START + 6, 1, 3, {**data, "mailbox": "INBOX", "target": "Trash"})
    timeline.tell([Life(1, ["x"], 5, [first], ())])  # type: ignore[arg-type]
    assert isinstance(console.file, io.StringIO)
    before = len(console.file.getvalue())
    for _ in range(2):
        timeline.go_on([Life(1, ["x"], 5, [again, moved], ())])  # type: ignore[arg-type]
    news = console.file.getvalue()[before:].splitlines()
    assert len(news) == 2
    assert "read       by ann@example.org, 2 times" in news[0]
    assert "moved      from INBOX to Trash (uid 3)" in news[1]


def transcribed(cli: Cli) -> None:
    """A message that came in a session, and one that did not."""

    async def work() -> None:
        one = Transcript("submission", "192.0.2.1:99")
        one.helo, one.contents = "client.example", [7]
        one.add(CLIENT, b"MAIL FROM:<\x1b[31m@a.example>")
        one.add(SERVER, b"250-one\r\n250 two")
        one.end("too slow")
        data = {"door": "smtp", "id": "cafe", "session": one.name}
        entries = [Entry("accepted", START, [7], (), data), Entry("appended", START, [8], (), {"id": "beef"})]
        async with open_store(cli.data_dir) as store:
            await store.journal.write(entries, [one])

    asyncio.run(work())


def test_the_session_is_shown_line_by_line(cli: Cli) -> None:
    transcribed(cli)
    assert "MAIL FROM" not in cli("trace", "cafe").out
    lines = cli("trace", "cafe", "--transcript").out.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("session "))
    assert "by submission" in lines[start]
    assert lines[start].endswith("from 192.0.2.1:99 as client.example, in clear")
    assert [line.split(" ms  ")[-1].strip() for line in lines[start + 1 :]] == [
        "C  MAIL FROM:<\\x1b[31m@a.example>",
        "S  250-one",
        "S  250 two",
        "too slow",
    ]
    [told] = json.loads(cli("trace", "cafe", "--transcript", "--json").out)
    assert told["session"]["door"] == "submission"
    assert [line["who"] for line in told["session"]["lines"]] == ["C", "S", "S"]


def test_where_no_session_is_kept_that_is_said(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    transcribed(cli)
    assert "no session is kept: it came another way" in cli("trace", "beef", "--transcript").out
    assert json.loads(cli("trace", "beef", "--transcript", "--json").out)[0]["session"] is None
    monkeypatch.setenv("MAILSYSTEM_JOURNAL__TRANSCRIPTS", "false")
    assert "no session is kept: journal.transcripts is off" in cli("trace", "beef", "--transcript").out
