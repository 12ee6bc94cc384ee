"""The log: text for people, JSON for machines, and a thread that never holds up the loop."""

from __future__ import annotations

import io
import json
import threading
from typing import Any

import pytest

from mailsystem.telemetry import Event, Trace
from mailsystem.telemetry.log import (
    LEVELS,
    Log,
    as_json,
    as_text,
    json_log,
    level_of,
    printable,
    takes_colour,
    text_log,
)
from mailsystem.telemetry.trace import CLIENT, REDACTED, SERVER


def event(name: str = "accepted", door: str = "smtp", session: int = 3, **data: Any) -> Event:
    return Event(1_700_000_000.25, name, door, session, data)


def test_text_is_aligned_and_has_everything() -> None:
    first = as_text(event(sender="a@b.example", size=12), date=False)
    second = as_text(event("login failed", "pop3", 1234, login="x"), date=False)
    assert first.endswith("smtp  #3     accepted         sender=a@b.example  size=12")
    assert second.endswith("pop3  #1234  login failed     login=x")
    assert first.index("accepted") == second.index("login failed")
    assert first.index(".250") == second.index(".250") == 8


def test_text_has_the_date_where_it_is_wanted() -> None:
    assert as_text(event(), date=True).startswith("2023-11-1")
    assert not as_text(event(), date=False).startswith("2023")


def test_text_has_colours_only_where_they_are_wanted() -> None:
    assert "\x1b[" in as_text(event(), colour=True)
    assert "\x1b[" not in as_text(event())


def test_colours_are_for_terminals_whose_owner_wants_them(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    assert takes_colour(Terminal())
    assert not takes_colour(io.StringIO())
    monkeypatch.setenv("NO_COLOR", "1")
    assert not takes_colour(Terminal())


def test_a_line_is_shown_with_who_said_it() -> None:
    assert as_text(event("line", who=CLIENT, text="EHLO x"), date=False).endswith("#3     C:               EHLO x")


def test_a_line_that_a_fault_has_caused_says_so() -> None:
    event = Event(0.0, "line", "smtp", 7, {"who": "S", "text": "451 later", "fault": "rule 3"})
    assert as_text(event).endswith("451 later  [fault: rule 3]")


def test_a_traceback_follows_in_lines_of_its_own() -> None:
    text = as_text(event("bug", traceback="Traceback\n  File x\nBoom: 1\n"))
    assert text.splitlines()[1:] == ["    Traceback", "      File x", "    Boom: 1"]


def test_what_a_peer_says_cannot_steer_the_terminal_or_forge_a_line() -> None:
    evil = "x\r\n2026-01-01  smtp  accepted\x1b[2J\x9b1m"
    for text in (as_text(event(helo=evil)), as_text(event("line", who=SERVER, text=evil)), as_json(event(helo=evil))):
        assert "\n" not in text
        assert "\x1b" not in text
    assert printable("grün 日本") == "grün 日本"


def test_values_are_spelled_for_people() -> None:
    text = as_text(event(recipients=["a", "b"], ms=1.5, reason="no such user", none=""))
    assert text.endswith('recipients=a,b  ms=1.5  reason="no such user"  none=""')


def test_json_is_one_object_with_utc_and_all_data() -> None:
    told = json.loads(as_json(event("bug", recipients=("a", "b"), time="mine", level="loud")))
    assert told == {
        "time": "2023-11-14T22:13:20.250Z",
        "level": "error",
        "door": "smtp",
        "session": 3,
        "event": "bug",
        "recipients": ["a", "b"],
        "time_": "mine",
        "level_": "loud",
    }


def test_json_takes_any_value() -> None:
    assert json.loads(as_json(event(error=ValueError("x"))))["error"] == "x"


@pytest.mark.parametrize(("level", "names"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)])
def test_a_level_keeps_what_is_less_important_quiet(level: str, names: int) -> None:
    stream = io.StringIO()
    with json_log(stream, level=level) as log:
        for name in ("connected", "accepted", "login failed", "bug"):
            log(event(name))
    assert len(stream.getvalue().splitlines()) == names


def test_every_event_has_a_level() -> None:
    assert level_of(event("anything at all")) == "info"
    assert LEVELS.index(level_of(event("login failed"))) > LEVELS.index(level_of(event("accepted")))


def test_all_that_was_said_is_written_in_order_when_the_log_is_closed() -> None:
    stream = io.StringIO()
    with text_log(stream) as log:
        for number in range(5000):
            log(event(number=number))
    lines = stream.getvalue().splitlines()
    assert [int(line.rpartition("=")[2]) for line in lines] == list(range(5000))


def test_a_stuck_reader_holds_up_nobody_and_costs_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailsystem.telemetry.log.MOST_WAITING", 10)
    free = threading.Event()

    class Stuck(io.StringIO):
        def write(self, text: str) -> int:
            free.wait(10)
            return super().write(text)

    stream = Stuck()
    with Log(stream, as_json) as log:
        for number in range(5000):
            log(event(number=number))
        free.set()
    told = [json.loads(line) for line in stream.getvalue().splitlines()]
    dropped = sum(one["dropped"] for one in told if one["event"] == "log fell behind")
    kept = sum(one["event"] == "accepted" for one in told)
    assert dropped > 0
    assert dropped + kept == 5000


def test_a_reader_that_has_gone_ends_nothing() -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    with Log(Gone(), as_json) as log:
        log(event())


def test_a_redacted_secret_stays_out_of_every_format() -> None:
    stream = io.StringIO()
    with text_log(stream) as text, json_log(stream) as machine:
        trace = Trace([text, machine], lines=True).child("pop3", peer="127.0.0.1:1")
        trace.line(CLIENT, b"PASS " + REDACTED)
    assert stream.getvalue().count("PASS [redacted]") == 2


def test_nobody_can_write_fields_of_their_own_into_a_line() -> None:
    line = as_text(event("login failed", login='a b" peer=192.0.2.1 x="', peer="127.0.0.1:9"))
    assert 'login="a b\\" peer=192.0.2.1 x=\\""' in line
    assert 'login="x=1"' in as_text(event("login failed", login="x=1"))
