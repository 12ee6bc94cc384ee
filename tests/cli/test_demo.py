"""`mailsystem demo`: the story is real, and drawn well."""

from __future__ import annotations

import asyncio
import io
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import program
import pytest
from rich.console import Console

from mailsystem.cli.demo import journey
from mailsystem.cli.demo.maildrop import Memory, memory
from mailsystem.cli.demo.parties import ALICE, LANES, OLD_PC, PC, PHONE, SERVER_A, SERVER_B
from mailsystem.cli.demo.play import Chapter, Comparison, Reading, Remembered, Took
from mailsystem.cli.demo.telling import Inside, spell_moment, spell_ms
from mailsystem.cli.demo.view import Sheet
from mailsystem.telemetry.flow import Arrow, Flow

if TYPE_CHECKING:
    from conftest import Cli

Told = dict[str, Any]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    """What `mailsystem demo --bounce --json` tells, once for all."""
    home = tmp_path_factory.mktemp("demo")
    return json.loads(program.command("demo", "--fast", "--bounce", "--json", home=home))  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def arrows(told: Told) -> list[Told]:
    return [arrow for chapter in told["chapters"] for arrow in chapter["arrows"]]


def at(arrows: list[Told], text: str, *, to: str | None = None, source: str | None = None, after: int = -1) -> int:
    """Where the first arrow with that text is."""
    for index, arrow in enumerate(arrows):
        if (
            index > after
            and any(text in line for line in arrow["lines"])
            and to in (None, arrow["to"])
            and source in (None, arrow["from"])
        ):
            return index
    raise AssertionError(f"nobody said {text!r}")


def between(arrows: list[Told], *parties: str) -> list[Told]:
    return [arrow for arrow in arrows if {arrow["from"], arrow["to"]} == set(parties)]


def test_every_chapter_explains_itself_and_shows_something(told: Told) -> None:
    assert len(told["chapters"]) == 7
    for chapter in told["chapters"]:
        assert chapter["title"]
        assert chapter["text"].endswith(".")
        assert len(chapter["arrows"]) >= 4


def test_times_run_forward(told: Told, arrows: list[Told]) -> None:
    times = [arrow["time"] for arrow in arrows]
    assert times == sorted(times)
    assert times[0] == 0


def test_alice_hands_over_to_her_own_server_under_tls_and_says_who_she_is(arrows: list[Told]) -> None:
    starttls = at(arrows, "STARTTLS", source=ALICE)
    login = at(arrows, "AUTH PLAIN [redacted]", source=ALICE)
    mail = at(arrows, "MAIL FROM:<alice@a.test>", source=ALICE)
    sent = at(arrows, " octets]", source=ALICE)
    promise = at(arrows, "250 2.0.0 ok, queued", to=ALICE)
    assert starttls < login < mail < sent < promise
    smtp = [arrow for arrow in between(arrows, ALICE, SERVER_A) if arrow["protocol"] == "smtp"]
    assert {(arrow["way"], arrow["opened_by"]) for arrow in smtp} == {("push", ALICE)}


def test_server_a_opens_a_connection_to_server_b_and_pushes(told: Told, arrows: list[Told]) -> None:
    sent = at(arrows, " octets]", source=ALICE)
    greeting = at(arrows, "220 mx.b.test ", source=SERVER_B, to=SERVER_A)
    body = at(arrows, " octets]", source=SERVER_A, to=SERVER_B)
    taken = at(arrows, "250 2.0.0 ok, queued", source=SERVER_B, to=SERVER_A)
    assert sent < greeting < body < taken
    hop = between(arrows, SERVER_A, SERVER_B)
    assert {(arrow["way"], arrow["opened_by"]) for arrow in hop} == {("push", SERVER_A)}
    assert any("STARTTLS" in arrow["lines"] for arrow in hop if arrow["from"] == SERVER_A)
    assert any("EHLO mx.a.test" in arrow["lines"] for arrow in hop if arrow["from"] == SERVER_A)
    # It is the queue that does it, and it knows the way from the DNS.
    assert [event["server"] for event in told["events"] if event["name"] == "sent"] == [SERVER_A, SERVER_A]


def test_both_imap_clients_are_told_of_the_message_without_asking(arrows: list[Told]) -> None:
    sent = at(arrows, " octets]", source=SERVER_A, to=SERVER_B)
    for device in (PHONE, PC):
        idling = at(arrows, "+ idling", to=device)
        news = at(arrows, "* 1 EXISTS", to=device)
        assert idling < sent < news
        assert arrows[news]["way"] == "push"
        assert arrows[news]["opened_by"] == device
        assert 0 < arrows[news]["ms"] < 5000
        # Nothing was said by it in between: it had not asked.
        assert not any(arrow["from"] == device for arrow in arrows[idling:news])


def test_pop3_hears_nothing_until_it_asks(arrows: list[Told], told: Told) -> None:
    first = next(index for index, arrow in enumerate(arrows) if OLD_PC in (arrow["from"], arrow["to"]))
    assert first > at(arrows, "* 1 EXISTS", to=PHONE)
    assert first > at(arrows, "BODY[]", source=PHONE)
    pop3 = [arrow for arrow in arrows if arrow["protocol"] == "pop3"]
    assert {(arrow["way"], arrow["opened_by"]) for arrow in pop3} == {("pull", OLD_PC)}
    assert told["milliseconds"]["message_to_old_pc"] > told["milliseconds"]["message_to_phone"]


def test_pop3_deletes_only_at_quit_and_imap_sees_it_vanish(arrows: list[Told]) -> None:
    retr = at(arrows, "RETR 1", source=OLD_PC)
    dele = at(arrows, "DELE 1", source=OLD_PC)
    taken_back = at(arrows, "RSET", source=OLD_PC)
    again = at(arrows, "DELE 1", source=OLD_PC, after=taken_back)
    quit_ = at(arrows, "QUIT", source=OLD_PC)
    assert retr < dele < taken_back < again < quit_
    for device in (PHONE, PC):
        gone = at(arrows, "* 1 EXPUNGE", to=device)
        assert gone > quit_
        assert arrows[gone]["way"] == "push"
        assert arrows[gone]["ms"] > 0


def test_a_pop3_session_remembers_until_quit_and_sees_nothing_new(told: Told) -> None:
    moments = [one for chapter in told["chapters"] for one in chapter["remembered"]]
    assert [one.pop("after") for one in moments] == ["the greeting", "PASS", "new mail", "DELE 1", "RSET", "QUIT"]
    octets = moments[1]["snapshot"].removeprefix("1 message, ")
    assert moments == [
        {"lane": SERVER_B, "lock": lock, "snapshot": snapshot, "marked": marked, "in INBOX": inbox}
        for lock, snapshot, marked, inbox in (
            ("none", "none", "none", "1 message"),
            ("held", f"1 message, {octets}", "none", "1 message"),
            ("held", f"1 message, {octets}", "none", "2 messages"),
            ("held", f"1 message, {octets}", "1", "2 messages"),
            ("held", f"1 message, {octets}", "none", "2 messages"),
            ("given back", "forgotten", "forgotten", "1 message"),
        )
    ]


def test_what_stays_on_the_server_is_compared_as_it_was_found(told: Told) -> None:
    session, stays = told["compared"]
    assert [row[0] for row in session["rows"]] == ["the greeting", "PASS", "new mail", "DELE 1", "RSET", "QUIT"]
    assert stays["columns"] == ["", "POP3, download and delete", "IMAP"]
    rows = {row[0]: row[1:] for row in stays["rows"]}
    assert rows["when it has been read"] == [
        "INBOX: 1 message (the one that came meanwhile)",
        "INBOX: 1 message, 0 unread",
    ]
    assert rows["deleting"][1].endswith(": 0 messages")


def test_what_one_device_reads_and_deletes_the_other_sees(arrows: list[Told]) -> None:
    fetched = at(arrows, "BODY[]", source=PHONE)
    seen = at(arrows, "\\Seen", to=PC, after=fetched)
    assert arrows[seen]["way"] == "push"
    expunge = at(arrows, "EXPUNGE", source=PC)
    gone = at(arrows, "* 1 EXPUNGE", to=PHONE, after=expunge)
    assert arrows[gone]["way"] == "push"
    assert not any(OLD_PC in (arrow["from"], arrow["to"]) for arrow in arrows[expunge:])


def test_a_bounce_finds_its_way_back_to_alice(told: Told, arrows: list[Told]) -> None:
    promise = at(arrows, "250 2.0.0 ok, queued", to=ALICE, after=at(arrows, "nobody@b.test", source=ALICE))
    refusal = at(arrows, "550 5.1.1", source=SERVER_B, to=SERVER_A)
    news = at(arrows, "* 1 EXISTS", to=ALICE)
    assert max(promise, refusal) < news
    assert arrows[news]["way"] == "push"
    [read] = [one for chapter in told["chapters"] for one in chapter["read"]]
    assert read["lane"] == ALICE
    fields = dict(line.split(": ", 1) for line in read["lines"])
    assert fields["Final-Recipient"] == "rfc822; nobody@b.test"
    assert (fields["Action"], fields["Status"]) == ("failed", "5.1.1")
    assert fields["Diagnostic-Code"].startswith("smtp; 550 5.1.1")
    assert told["milliseconds"]["refusal_to_alice"] > 0


def test_all_that_was_taken_is_told_in_milliseconds(told: Told) -> None:
    assert set(told["milliseconds"]) == {
        "message_to_server_a",
        "message_to_server_b",
        "message_to_phone",
        "message_to_pc",
        "message_to_old_pc",
        "pop3_quit_to_phone",
        "pop3_quit_to_pc",
        "pc_expunge_to_phone",
        "refusal_to_alice",
    }
    assert all(0 < ms < 10_000 for ms in told["milliseconds"].values())


def test_events_have_a_time_and_no_password_is_anywhere(told: Told) -> None:
    names = [event["name"] for event in told["events"]]
    assert {"connected", "logged in", "accepted", "delivered", "disconnected"} <= set(names)
    assert "correct-horse" not in str(told)
    assert "YWxpY2VAYS50ZXN0" not in str(told), "nor what AUTH PLAIN makes of it"
    assert "[redacted]" in str(told)
    assert "lunch" not in str(told).lower(), "nor what Alice writes"


def test_nothing_is_told_twice(arrows: list[Told]) -> None:
    assert all(arrow["lines"].count("DONE") <= 1 for arrow in arrows)
    assert sum("DONE" in arrow["lines"] for arrow in arrows) == 4
    assert sum("RCPT TO:<bob@b.test>" in arrow["lines"] for arrow in between(arrows, SERVER_A, SERVER_B)) == 2


def test_every_lane_takes_part(told: Told, arrows: list[Told]) -> None:
    assert [lane["key"] for lane in told["lanes"]] == [lane.key for lane in LANES]
    assert {arrow["from"] for arrow in arrows} == {lane.key for lane in LANES}


async def test_nothing_is_left_behind(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    play = journey.the_play(bounce=False)
    before = asyncio.all_tasks()
    async with play.stage(Flow()) as cast:
        assert list(tmp_path.iterdir())
        async for _ in play.tell(cast):
            pass
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("width", [80, 120])
def test_the_drawing_fits_and_shows_push_and_pull(cli: Cli, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    page = cli("demo", "--fast", "--bounce").out
    lines = page.splitlines()
    assert max(len(line) for line in lines) < width
    assert not any(line != line.rstrip() for line in lines)
    for said in (
        "* 1 EXISTS",
        "* 1 EXPUNGE",
        "RETR 1",
        "MAIL FROM:<alice@a.test>",
        "hears nothing",
        "remembers: lock held",
        "Action: failed",
        "What it took",
        "What server B remembered of the POP3 session",
        "What stays on the server",
    ):
        assert said in page
    for glyph in ("───▶┃", "│◀─", "╌╌▶│", "┃◀╌╌╌", "●─", "╌●", "┃◀─"):
        assert glyph in page
    assert "\x1b" not in page


def draw(*, width: int = 80, encoding: str = "utf-8") -> tuple[Sheet, io.TextIOWrapper]:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    console = Console(file=stream, width=width, force_terminal=False)
    return Sheet(console, lambda lane, at: lane == PHONE, LANES), stream


def drawn(stream: io.TextIOWrapper) -> str:
    stream.flush()
    buffer = stream.buffer
    assert isinstance(buffer, io.BytesIO)
    return buffer.getvalue().decode(stream.encoding)


def to_phone(*lines: str, ms: float | None = None) -> Arrow:
    return Arrow(1.0, 1, "imap", PHONE, SERVER_B, PHONE, "push", list(lines), ms, SERVER_B)


def test_a_terminal_without_unicode_gets_plain_letters() -> None:
    sheet, stream = draw(encoding="ascii")
    sheet.title("One message")
    sheet.chapter(Chapter("Bob’s phone", "It listens…"))
    sheet.arrow(to_phone("* 1 EXISTS", ms=2.0))
    sheet.arrow(Arrow(1.0, 1, "pop3", OLD_PC, OLD_PC, SERVER_B, "pull", ["STAT"], server=SERVER_B, opened=1.0))
    sheet.inside(Inside(1.0, SERVER_A, "signed · sent"))
    sheet.silence(OLD_PC, "hears nothing…")
    sheet.remembered(Remembered(SERVER_B, "DELE 1", "held", "1 message", "1", "2 messages"))
    sheet.reading(Reading(ALICE, "What Alice’s client reads", ("Action: failed",)))
    sheet.summary([Took("a", "… the phone", 1.0, "push")])
    sheet.comparison(Comparison("a", "Bob’s", "Two…", ("", "POP3"), (("news", "none · ever"),)))
    page = drawn(stream)
    assert "->|" in page
    assert "|< - - -" in page
    assert " POP3 - -o" in page


def test_long_answers_are_shortened_and_long_lines_are_cut() -> None:
    sheet, stream = draw()
    sheet.arrow(to_phone(*(f"* line {number}" for number in range(9))))
    sheet.arrow(to_phone("x" * 500))
    page = drawn(stream)
    assert "… 7 more lines …" in page
    assert "* line 3" not in page
    assert "xxx…\n" in page


def test_nothing_that_is_said_reaches_the_terminal_as_a_command_to_it() -> None:
    sheet, stream = draw()
    sheet.arrow(to_phone("* OK \x1b[2J\x07"))
    sheet.reading(Reading(PHONE, "A report", ("Status: \x1b]0;x\x07",)))
    assert "\x1b" not in drawn(stream)
    assert "␛[2J␇" in drawn(stream)


def test_times_are_spelled_for_people() -> None:
    assert [spell_ms(ms) for ms in (0.034, 1.25, 105.4, 8300)] == ["0.03 ms", "1.2 ms", "105 ms", "8.3 s"]
    assert [spell_moment(seconds) for seconds in (0, 0.0312, 4.5671, 61.25)] == ["0 ms", "31 ms", "4567 ms", "61.2 s"]


def test_what_a_pop3_session_remembers_is_read_from_its_lines() -> None:
    said = [
        (False, "+OK ready"),
        (True, "PASS [redacted]"),
        (False, "-ERR no"),
        (True, "PASS [redacted]"),
        (False, "+OK 2 messages (30 octets)"),
        (True, "DELE 1"),
        (False, "+OK message 1 deleted"),
        (True, "DELE 9"),
        (False, "-ERR no such message"),
        (True, "RSET"),
        (False, "+OK 2 messages (30 octets)"),
        (True, "QUIT"),
        (False, "+OK bye"),
    ]
    assert [memory(said[:length]) for length in (1, 3, 5, 7, 9, 11, 13)] == [
        Memory(),
        Memory(),
        Memory(2, 30),
        Memory(2, 30, (1,)),
        Memory(2, 30, (1,)),
        Memory(2, 30),
        Memory(is_over=True),
    ]


def test_a_server_that_does_not_answer_ends_the_story_in_one_sentence(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mailsystem.cli.demo.play.PASSWORD", "wrong")
    said = cli.refused("demo", "--json")
    assert said.startswith("the demonstration broke off: phone wanted OK, the server said a1 NO [AUTHENTICATIONFAILED]")


def test_what_cannot_be_had_together_is_refused(cli: Cli, tmp_path: Path) -> None:
    assert "no bounce" in cli.refused("demo", "--history", "--bounce")
    assert "--html -" in cli.refused("demo", "--json", "--html", "-")
    nowhere = tmp_path / "missing" / "page.html"
    assert (
        cli.refused("demo", "--history", "--html", str(nowhere)) == f"cannot write {nowhere}: no such file or directory"
    )
