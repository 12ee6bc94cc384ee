"""`mailsystem demo`: the story is real, and drawn well."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from mailsystem.cli.demo.story import ALICE, LANES, OLD_PC, PC, PHONE, Chapter, Took
from mailsystem.cli.demo.view import Sheet, spell_ms
from mailsystem.telemetry.flow import SERVER_LANE, Arrow

if TYPE_CHECKING:
    from conftest import Cli

Told = dict[str, Any]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    """What `mailsystem demo --json` tells, once for all."""
    import json

    import program

    return json.loads(program.command("demo", "--fast", "--json", home=tmp_path_factory.mktemp("demo")))  # type: ignore[no-any-return]


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


def test_every_chapter_explains_itself_and_shows_something(told: Told) -> None:
    assert len(told["chapters"]) == 5
    for chapter in told["chapters"]:
        assert chapter["title"]
        assert chapter["text"].endswith(".")
        assert len(chapter["arrows"]) >= 4


def test_times_run_forward(arrows: list[Told]) -> None:
    times = [arrow["time"] for arrow in arrows]
    assert times == sorted(times)
    assert times[0] == 0


def test_both_imap_clients_are_told_of_the_message_without_asking(arrows: list[Told]) -> None:
    sent = at(arrows, " octets]", source=ALICE)
    for device in (PHONE, PC):
        idling = at(arrows, "+ idling", to=device)
        news = at(arrows, "* 1 EXISTS", to=device)
        assert idling < sent < news
        assert arrows[news]["way"] == "push"
        assert arrows[news]["opened_by"] == device
        assert 0 < arrows[news]["ms"] < 5000
        # Nothing was said by it in between: it had not asked.
        assert not any(arrow["from"] == device for arrow in arrows[idling:news])


def test_smtp_is_opened_by_who_has_the_mail_and_promises_only_at_the_end(arrows: list[Told]) -> None:
    mail = at(arrows, "MAIL FROM:", source=ALICE)
    body = at(arrows, " octets]", source=ALICE)
    promise = at(arrows, "250 2.0.0 ", to=ALICE)
    assert mail < body < promise
    smtp = [arrow for arrow in arrows if arrow["protocol"] == "smtp"]
    assert {arrow["way"] for arrow in smtp} == {"push"}
    assert {arrow["opened_by"] for arrow in smtp} == {ALICE}


def test_tls_is_there_to_be_had_with_a_certificate_of_its_own(told: Told) -> None:
    said = "\n".join(line for chapter in told["chapters"] for arrow in chapter["arrows"] for line in arrow["lines"])
    assert "250-STARTTLS" in said
    assert " STARTTLS " in said.partition("CAPABILITY IMAP4rev1")[2].partition("]")[0]


def test_pop3_hears_nothing_until_it_asks(arrows: list[Told], told: Told) -> None:
    first = next(index for index, arrow in enumerate(arrows) if OLD_PC in (arrow["from"], arrow["to"]))
    assert first > at(arrows, "* 1 EXISTS", to=PHONE)
    assert first > at(arrows, "BODY[]", source=PHONE)
    pop3 = [arrow for arrow in arrows if arrow["protocol"] == "pop3"]
    assert {arrow["way"] for arrow in pop3} == {"pull"}
    assert {arrow["opened_by"] for arrow in pop3} == {OLD_PC}
    assert told["milliseconds"]["message_to_old_pc"] > told["milliseconds"]["message_to_phone"]


def test_pop3_deletes_only_at_quit_and_imap_sees_it_vanish(arrows: list[Told]) -> None:
    retr = at(arrows, "RETR 1", source=OLD_PC)
    dele = at(arrows, "DELE 1", source=OLD_PC)
    quit_ = at(arrows, "QUIT", source=OLD_PC)
    assert retr < dele < quit_
    for device in (PHONE, PC):
        gone = at(arrows, "* 1 EXPUNGE", to=device)
        assert gone > quit_
        assert arrows[gone]["way"] == "push"
        assert arrows[gone]["ms"] > 0


def test_what_one_device_reads_and_deletes_the_other_sees(arrows: list[Told]) -> None:
    fetched = at(arrows, "BODY[]", source=PHONE)
    seen = at(arrows, "\\Seen", to=PC, after=fetched)
    assert arrows[seen]["way"] == "push"
    expunge = at(arrows, "EXPUNGE", source=PC)
    gone = at(arrows, "* 1 EXPUNGE", to=PHONE, after=expunge)
    assert arrows[gone]["way"] == "push"
    assert not any(OLD_PC in (arrow["from"], arrow["to"]) for arrow in arrows[expunge:])


def test_all_that_was_taken_is_told_in_milliseconds(told: Told) -> None:
    assert set(told["milliseconds"]) == {
        "message_to_phone",
        "message_to_pc",
        "message_to_old_pc",
        "pop3_quit_to_phone",
        "pop3_quit_to_pc",
        "pc_expunge_to_phone",
    }
    assert all(0 < ms < 10_000 for ms in told["milliseconds"].values())


def test_events_have_a_time_and_no_password_is_anywhere(told: Told) -> None:
    names = [event["name"] for event in told["events"]]
    assert {"connected", "logged in", "accepted", "delivered", "disconnected"} <= set(names)
    assert "correct-horse" not in str(told)
    assert "[redacted]" in str(told)


def test_nothing_is_told_twice(arrows: list[Told]) -> None:
    assert all(arrow["lines"].count("DONE") <= 1 for arrow in arrows)
    assert sum("DONE" in arrow["lines"] for arrow in arrows) == 3


def test_every_lane_takes_part(told: Told, arrows: list[Told]) -> None:
    assert [lane["key"] for lane in told["lanes"]] == [lane.key for lane in LANES]
    assert {arrow["from"] for arrow in arrows} == {lane.key for lane in LANES}


@pytest.mark.parametrize("width", [80, 140])
def test_the_drawing_fits_and_shows_push_and_pull(cli: Cli, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    page = cli("demo", "--fast").out
    lines = page.splitlines()
    assert max(len(line) for line in lines) < width
    assert not any(line != line.rstrip() for line in lines)
    for said in (
        "* 1 EXISTS",
        "* 1 EXPUNGE",
        "RETR 1",
        "MAIL FROM:<alice@example.net>",
        "hears nothing",
        "What it took",
    ):
        assert said in page
    for glyph in ("───▶│", "│◀───", "╌╌▶│", "│◀╌╌╌"):
        assert glyph in page
    assert "\x1b" not in page


def draw(*, width: int = 80, encoding: str = "utf-8") -> tuple[Sheet, io.TextIOWrapper]:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    console = Console(file=stream, width=width, force_terminal=False)
    return Sheet(console, lambda lane, at: lane == PHONE), stream


def drawn(stream: io.TextIOWrapper) -> str:
    stream.flush()
    buffer = stream.buffer
    assert isinstance(buffer, io.BytesIO)
    return buffer.getvalue().decode(stream.encoding)


def test_a_terminal_without_unicode_gets_plain_letters() -> None:
    sheet, stream = draw(encoding="ascii")
    sheet.title("One message")
    sheet.chapter(Chapter("Bob’s phone", "It listens…"))
    sheet.arrow(Arrow(1.0, 1, "imap", PHONE, SERVER_LANE, PHONE, "push", ["* 1 EXISTS"], 2.0))
    sheet.arrow(Arrow(1.0, 1, "pop3", OLD_PC, OLD_PC, SERVER_LANE, "pull", ["STAT"]))
    sheet.summary([Took("a", "… the phone", 1.0, "push")])
    page = drawn(stream)
    assert "->|" in page
    assert "|< - - -" in page


def test_long_answers_are_shortened_and_long_lines_are_cut() -> None:
    sheet, stream = draw()
    many = [f"* line {number}" for number in range(9)]
    sheet.arrow(Arrow(1.0, 1, "imap", PHONE, SERVER_LANE, PHONE, "pull", many))
    sheet.arrow(Arrow(1.0, 1, "imap", PHONE, SERVER_LANE, PHONE, "pull", ["x" * 500]))
    page = drawn(stream)
    assert "… 7 more lines …" in page
    assert "* line 3" not in page
    assert "xxx…\n" in page


def test_milliseconds_are_spelled_for_people() -> None:
    assert [spell_ms(ms) for ms in (0.034, 1.25, 105.4, 8300)] == ["0.03 ms", "1.2 ms", "105 ms", "8.3 s"]


def test_a_server_that_does_not_answer_ends_the_story_in_one_sentence(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mailsystem.cli.demo.story.PASSWORD", "wrong")

    async def other(password: str) -> str:
        return "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

    monkeypatch.setattr("mailsystem.directory.hash_password", other)
    said = cli.refused("demo", "--json")
    assert said.startswith("the demonstration broke off: phone wanted OK, the server said a1 NO [AUTHENTICATIONFAILED]")


# The history of POP


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Told:
    """What `mailsystem demo --history --json` tells, once for all."""
    import json

    import program

    home = tmp_path_factory.mktemp("history")
    return json.loads(program.command("demo", "--history", "--json", home=home))  # type: ignore[no-any-return]


def said_by(told: Told, lane: str) -> list[str]:
    """All that was said to and by one client, in order."""
    arrows = [arrow for chapter in told["chapters"] for arrow in chapter["arrows"]]
    return [line for arrow in arrows if lane in (arrow["from"], arrow["to"]) for line in arrow["lines"]]


def test_three_generations_fetch_the_same_mail(history: Told) -> None:
    assert [lane["note"] for lane in history["lanes"]] == ["SMTP client", "one store", "POP1", "POP2", "POP3"]
    assert len(history["chapters"]) == 5
    for chapter in history["chapters"]:
        assert chapter["text"].endswith(".")
        assert chapter["arrows"]
    first, second, third = (said_by(history, lane) for lane in ("pop1", "pop2", "pop3"))
    whole = int(next(line for line in first if line.startswith("#"))[1:].split()[0])
    each = [int(line[1:].split()[0]) for line in second if line.startswith("=") and not line.startswith("=0 ")]
    assert f"[{whole} octets]" in first
    assert all(f"[{octets} octets]" in second for octets in each)
    assert f"+OK {each[0]} octets" in third
    one, again, two, _ = each
    assert one == again, "NACK has it sent again"
    assert one + two < whole < one + two + 200, "all of INBOX, and a line before each message"
    assert f"+OK 2 messages ({one + two} octets)" in third


def test_each_generation_shows_what_it_added(history: Told) -> None:
    first, second, third = (said_by(history, lane) for lane in ("pop1", "pop2", "pop3"))
    for said, words in (
        (first, ["USER bob@example.org", "RETR INBOX", "RCEV", "RCVD"]),
        (second, ["HELO bob@example.org [redacted]", "READ 1", "NACK", "ACKS", "FOLD Lists", "ACKD", "QUIT"]),
        (third, ["CAPA", "STLS", "UIDL", "RETR 1", "TOP 2 0", "DELE 1", "DELE 2", "RSET", "+OK bye, 1 deleted"]),
    ):
        places = [said.index(word) for word in words]
        assert places == sorted(places)
    assert "-ERR maildrop already locked" in first
    assert any(event["name"] == "secured" and event["protocol"] == "pop3" for event in history["events"])
    assert [one["name"] for one in history["generations"]] == ["POP1", "POP2", "POP3"]
    assert set(history["milliseconds"]) == {"pop1_to_first_mail", "pop2_to_first_mail", "pop3_to_first_mail"}
    assert all(0 < ms < 5000 for ms in history["milliseconds"].values())
    assert "correct-horse" not in str(history)


@pytest.mark.parametrize("width", [80, 120])
def test_the_drawing_of_the_history_fits(cli: Cli, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    page = cli("demo", "--history", "--fast").out
    lines = page.splitlines()
    assert max(len(line) for line in lines) < width
    assert not any(line != line.rstrip() for line in lines)
    for said in ("Bob, 1984", "#2 messages", "FOLD Lists", "STLS", "What each generation added", "RFC 937"):
        assert said in page
    assert "\x1b" not in page
