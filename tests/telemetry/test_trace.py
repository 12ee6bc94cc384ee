"""One instrument: what is said to a trace reaches every sink, once, with its context."""

from __future__ import annotations

import time
from io import StringIO

import pytest

from mailsystem.telemetry import Event, Trace
from mailsystem.telemetry.journal import Recorder
from mailsystem.telemetry.log import text_log
from mailsystem.telemetry.trace import CLIENT, REDACTED, SERVER


def test_an_event_reaches_every_sink() -> None:
    one: list[Event] = []
    two: list[Event] = []
    before = time.time()
    Trace([one.append, two.append]).event("delivered", uid=7)
    assert one == two
    [event] = one
    assert (event.name, event.door, event.session, event.data) == ("delivered", "app", 0, {"uid": 7})
    assert before <= event.time <= time.time()


def test_a_child_has_a_door_a_number_and_its_context() -> None:
    heard: list[Event] = []
    trace = Trace([heard.append], context={"host": "a"})
    first, second = trace.child("imap", peer="x"), trace.child("smtp")
    first.event("connected", peer="y", more=1)
    second.event("connected")
    first.child("imap").event("inner")
    assert [event.door for event in heard] == ["imap", "smtp", "imap"]
    assert len({event.session for event in heard} | {0}) == 4
    assert heard[0].data == {"host": "a", "peer": "y", "more": 1}
    assert heard[1].data == {"host": "a"}
    assert heard[2].data == {"host": "a", "peer": "x"}


def test_lines_are_said_only_where_somebody_reads_them() -> None:
    heard: list[Event] = []
    quiet, loud = Trace([heard.append]), Trace([heard.append], lines=True)
    assert not quiet.wants_lines
    assert not Trace(lines=True).wants_lines
    assert loud.child("imap").wants_lines
    quiet.line(CLIENT, b"a NOOP")
    loud.line(SERVER, b"a OK \xff\xc3\xa4")
    loud.line(CLIENT, REDACTED)
    assert [(event.name, dict(event.data)) for event in heard] == [
        ("line", {"who": "S", "text": "a OK \\xff\xe4"}),
        ("line", {"who": "C", "text": "[redacted]"}),
    ]


class Choosy:
    """A sink that wants to hear of few things."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.asked: list[str] = []

    def wants(self, name: str) -> bool:
        self.asked.append(name)
        return name == "delivered"

    def __call__(self, event: Event) -> None:
        self.heard.append(event.name)


def test_a_sink_may_choose_and_is_asked_once_for_all_sessions() -> None:
    choosy, heard = Choosy(), list[Event]()
    trace = Trace([choosy])
    for session in (trace.child("smtp"), trace.child("smtp")):
        for name in ("delivered", "accepted"):
            session.event(name)
    assert choosy.heard == ["delivered", "delivered"]
    assert choosy.asked == ["delivered", "accepted"]
    assert trace.wants("delivered")
    assert not trace.wants("accepted")
    both = Trace([choosy, heard.append])
    assert both.child("smtp").wants("accepted")
    both.event("accepted")
    assert [event.name for event in heard] == ["accepted"]
    assert not Trace().wants("delivered")


def test_log_and_journal_want_what_they_write() -> None:
    quiet, loud = text_log(StringIO(), level="warning"), text_log(StringIO())
    assert quiet.wants("login failed")
    assert loud.wants("accepted")
    assert not quiet.wants("accepted")
    assert not loud.wants("connected")
    assert Recorder.wants("delivered")
    assert Recorder.wants("logged in")
    assert not Recorder.wants("accepted")


def test_a_trace_without_sinks_says_nothing() -> None:
    trace = Trace()
    trace.event("delivered")
    trace.line(CLIENT, b"x")
    with trace.span("committed"):
        pass


def test_a_span_says_how_long_it_took() -> None:
    heard: list[Event] = []
    with Trace([heard.append]).span("committed", messages=2):
        assert heard == []
        time.sleep(0.002)
    [event] = heard
    assert event.name == "committed"
    assert event.data["messages"] == 2
    assert event.data["ms"] >= 1
    assert "failed" not in event.data


def test_a_span_says_with_what_it_failed_and_lets_it_pass() -> None:
    heard: list[Event] = []
    with pytest.raises(ValueError, match="password"), Trace([heard.append]).span("committed"):
        raise ValueError("password")
    [event] = heard
    assert event.data["failed"] == "ValueError"
    assert "password" not in str(event)


def test_a_voice_in_another_room_begins_no_session() -> None:
    heard: list[Event] = []
    trace = Trace([heard.append])
    first = trace.child("smtp").session
    trace.at("hooks").event("told")
    assert trace.child("smtp").session == first + 1
    assert (heard[0].door, heard[0].session) == ("hooks", 0)


def test_what_the_server_says_next_is_marked_and_nothing_else() -> None:
    heard: list[Event] = []
    trace = Trace([heard.append], lines=True).child("smtp")
    trace.mark = "rule 3"
    trace.line(CLIENT, b"[9 octets]")
    trace.line(SERVER, b"451-one\r\n451 two")
    trace.line(SERVER, b"250 ok")
    assert [event.data.get("fault") for event in heard] == [None, "rule 3", "rule 3", None]
