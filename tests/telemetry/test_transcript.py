"""What is kept of what a session said: in bounded memory, and not of those who wanted nothing."""

from __future__ import annotations

import pytest

from mailsystem.telemetry import Event, Trace, transcript
from mailsystem.telemetry.journal import Recorder
from mailsystem.telemetry.trace import CLIENT, SERVER
from mailsystem.telemetry.transcript import MOST_OCTETS, MOST_REFUSALS, Transcript, number_at


def listening() -> tuple[Recorder, Trace]:
    recorder = Recorder(transcripts=True)
    return recorder, Trace([recorder], contents=True, transcripts=recorder.transcripts)


def session(trace: Trace, door: str = "smtp") -> Trace:
    child = trace.child("smtp", peer="192.0.2.7:4000")
    child.transcribe(door)
    child.event("connected")
    return child


def said(kept: Transcript) -> list[str]:
    return [row.split(" ", 1)[1] for row in kept.text.splitlines()]


def test_both_sides_are_kept_in_order_a_reply_as_one() -> None:
    recorder, trace = listening()
    one = session(trace, "submission")
    assert one.wants_lines
    one.line(SERVER, b"220 here")
    one.line(CLIENT, b"EHLO there")
    one.line(SERVER, b"250-here\r\n250 SIZE")
    one.line(CLIENT, b"MAIL FROM:<\xff\xc3\xa4@example.net>")
    one.event("disconnected", reason="left")
    [kept] = recorder.ended(10)
    assert (kept.door, kept.peer, kept.reason, kept.failed) == ("submission", "192.0.2.7:4000", "left", False)
    assert kept.text.split("\n")[2].endswith("S 250-here\r250 SIZE")
    assert [row.split(" ", 1)[1] for row in kept.text.split("\n")[:-1]] == [
        "S 220 here",
        "C EHLO there",
        "S 250-here\r250 SIZE",
        "C MAIL FROM:<\\xffä@example.net>",
    ]
    assert kept.ended is not None
    assert kept.ended >= kept.began


def test_nothing_is_kept_where_nobody_asks_for_it() -> None:
    events: list[Event] = []
    recorder = Recorder()
    trace = Trace([recorder, events.append], contents=True, transcripts=recorder.transcripts)
    one = session(trace)
    assert not one.wants_lines
    assert one.transcript is None
    one.line(CLIENT, b"MAIL")
    one.event("disconnected", reason="left")
    assert recorder.ended(10) == []
    assert [event.name for event in events] == ["connected", "disconnected"]


@pytest.mark.parametrize(
    ("lines", "kept"),
    [
        ([], False),
        ([b"EHLO x", b"NOOP", b"QUIT"], False),
        ([b"ehlo x", b"rset"], False),
        ([b"EHLO x", b"MAIL FROM:<a@b.example>"], True),
        ([b"EHLO x", b"AUTH PLAIN [redacted]"], True),
        ([b"[redacted]"], True),
    ],
)
def test_a_probe_is_not_kept(lines: list[bytes], kept: bool) -> None:
    recorder, trace = listening()
    one = session(trace)
    one.line(SERVER, b"220 here")
    for line in lines:
        one.line(CLIENT, line)
    one.event("disconnected", reason="connection closed by the peer")
    assert len(recorder.ended(10)) == kept


def test_whoever_was_refused_is_kept_even_if_they_said_nothing() -> None:
    recorder, trace = listening()
    one = session(trace)
    one.line(SERVER, b"554 5.7.1 go away")
    one.event("disconnected", reason="left")
    [kept] = recorder.ended(10)
    assert kept.failed
    assert [(each.command, each.reply) for each in kept.refused] == [("", "554 5.7.1 go away")]


def test_a_refusal_is_told_with_its_command_and_the_first_ones_alone() -> None:
    recorder, trace = listening()
    one = session(trace)
    for number in range(MOST_REFUSALS + 5):
        one.line(CLIENT, b"RCPT TO:<%d@example.org>" % number)
        one.line(SERVER, b"550 5.1.1 no such recipient" if number % 2 else b"452-4.5.3 later\r\n452 4.5.3 really")
    [copy] = recorder.news()
    assert len(copy.refused) == MOST_REFUSALS
    assert copy.refused[1][1:] == ("RCPT TO:<1@example.org>", "550 5.1.1 no such recipient")
    assert copy.failed
    one.event("disconnected", reason="left")
    other = session(trace)
    other.line(CLIENT, b"NOOP " + b"x" * 2000)
    other.line(SERVER, b"500 " + b"y" * 2000)
    [copy] = recorder.news()
    assert max(map(len, copy.refused[0][1:])) <= 300


@pytest.mark.parametrize(
    ("lines", "delivered", "failed"),
    [
        ([b"MAIL FROM:<a@b.example>"], False, True),
        ([b"DATA", b"[20 octets]"], True, False),
        ([b"DATA", b"[20 octets]", b"RSET"], True, False),
        ([b"DATA", b"[20 octets]", b"MAIL FROM:<a@b.example>"], True, True),
        ([b"DATA", b"[20 octets]", b"[9 octets, and no end]"], True, True),
        ([b"DATA", b"[20 octets]"], False, True),
    ],
)
def test_who_leaves_without_a_word_has_failed_unless_all_was_delivered(
    lines: list[bytes], delivered: bool, failed: bool
) -> None:
    recorder, trace = listening()
    one = session(trace)
    for line in lines:
        one.line(CLIENT, line)
        if line.endswith(b"20 octets]") and delivered:
            one.event("delivered", contents=[7])
            one.line(SERVER, b"250 ok")
    one.event("disconnected", reason="connection closed by the peer")
    [kept] = recorder.ended(10)
    assert kept.failed is failed


def test_of_a_long_session_the_beginning_and_the_end_are_kept() -> None:
    recorder, trace = listening()
    one = session(trace)
    for number in range(5000):
        one.line(CLIENT, b"NOOP %d" % number)
    one.line(CLIENT, b"MAIL")
    one.event("disconnected", reason="left")
    [kept] = recorder.ended(10)
    rows = said(kept)
    assert len(kept.text) <= MOST_OCTETS
    assert rows[0] == "C NOOP 0"
    assert rows[-2:] == ["C NOOP 4999", "C MAIL"]
    [gap] = [row for row in rows if row.startswith("S")]
    assert gap == f"S [{5001 - (len(rows) - 1)} lines left out]"
    times = [int(row.split(" ")[0]) for row in kept.text.splitlines()]
    assert times == sorted(times)


def test_what_is_delivered_belongs_to_its_session_and_names_it() -> None:
    recorder, trace = listening()
    one, other = session(trace), session(trace)
    one.line(CLIENT, b"MAIL FROM:<a@b.example>")
    assert recorder.news() == []  # nothing has come of it yet
    one.event("delivered", contents=[7], sender="a@b.example")
    one.event("queued", contents=[7], sender="a@b.example")
    one.event("delivered", contents=[8])
    other.event("refused", command="RCPT", code=550)
    [copy] = recorder.news()
    assert copy.contents == [7, 8]
    entries = recorder.take(10)
    assert [entry.data["session"] for entry in entries] == [copy.name] * 3
    assert copy.ended is None
    assert recorder.news() == []
    one.line(SERVER, b"250 ok")
    assert recorder.has_news
    [again] = recorder.news()
    assert said(again) == ["C MAIL FROM:<a@b.example>", "S 250 ok"]
    assert said(copy) == ["C MAIL FROM:<a@b.example>"]
    assert again.number == copy.number


def test_the_oldest_that_wait_are_given_up_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transcript, "MOST_WAITING", 3)
    recorder, trace = listening()
    for number in range(5):
        one = session(trace)
        one.line(CLIENT, b"MAIL FROM:<%d>" % number)
        one.event("disconnected", reason="left")
    assert recorder.lost() == 2
    assert [said(kept) for kept in recorder.ended(2)] == [["C MAIL FROM:<2>"], ["C MAIL FROM:<3>"]]
    assert len(recorder.ended(10)) == 1
    assert not recorder.transcripts or not recorder.transcripts.have_news


def test_numbers_ascend_with_time() -> None:
    many = [Transcript("smtp", "") for _ in range(1000)]
    numbers = [each.number for each in many]
    assert [each >> 10 for each in numbers] == sorted(each >> 10 for each in numbers)
    assert all(number_at(each.began) <= each.number < number_at(each.began + 1) for each in many)
    assert all(len(each.name) == 16 for each in many)
