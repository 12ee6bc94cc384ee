"""The flow: protocol lines become arrows; who pushed and who had to ask."""

from __future__ import annotations

from mailsystem.telemetry import Event
from mailsystem.telemetry.flow import SERVER_LANE, Flow, as_dict
from mailsystem.telemetry.trace import CLIENT, SERVER


class Play:
    """Says lines to a flow, a hundredth of a second apart unless told otherwise."""

    def __init__(self) -> None:
        self.flow = Flow()
        self.now = 100.0

    def say(self, session: int, door: str, who: str, *lines: str, after: float = 0.1) -> None:
        self.now += after
        for text in lines:
            self.flow(Event(self.now, "line", door, session, {"peer": f"peer:{session}", "who": who, "text": text}))

    def event(self, session: int, door: str, name: str) -> None:
        self.flow(Event(self.now, name, door, session, {"peer": f"peer:{session}"}))


def test_lines_said_in_one_breath_are_one_arrow() -> None:
    play = Play()
    play.say(1, "smtp", SERVER, "220 hello")
    play.say(1, "smtp", CLIENT, "EHLO x")
    play.say(1, "smtp", SERVER, "250-a", "250 b")
    assert [arrow.lines for arrow in play.flow.arrows] == [["220 hello"], ["EHLO x"], ["250-a", "250 b"]]


def test_smtp_is_push_and_pop3_is_pull_whoever_speaks() -> None:
    play = Play()
    for session, door in ((1, "smtp"), (2, "pop3")):
        play.say(session, door, SERVER, "hello")
        play.say(session, door, CLIENT, "QUIT")
    assert [(arrow.door, arrow.way) for arrow in play.flow.arrows] == [
        ("smtp", "push"),
        ("smtp", "push"),
        ("pop3", "pull"),
        ("pop3", "pull"),
    ]


def test_imap_pushes_only_between_the_go_ahead_of_idle_and_done() -> None:
    play = Play()
    said = [
        (SERVER, "* OK hello", "pull"),
        (CLIENT, "a NOOP", "pull"),
        (SERVER, "* 1 EXISTS", "pull"),
        (CLIENT, "b IDLE", "pull"),
        (SERVER, "+ idling", "pull"),
        (SERVER, "* 2 EXISTS", "push"),
        (CLIENT, "DONE", "pull"),
        (SERVER, "b OK", "pull"),
        (SERVER, "* 3 EXISTS", "pull"),
    ]
    for who, text, _ in said:
        play.say(1, "imap", who, text)
    assert [(arrow.lines[0], arrow.way) for arrow in play.flow.arrows] == [(text, way) for _, text, way in said]


def test_the_milliseconds_of_an_answer_count_from_its_question() -> None:
    play = Play()
    play.say(1, "pop3", CLIENT, "STAT")
    play.say(2, "pop3", CLIENT, "LIST", after=0.002)
    play.say(1, "pop3", SERVER, "+OK", after=0.003)
    assert play.flow.arrows[-1].ms == 5.0
    assert play.flow.arrows[0].ms is None


def test_the_milliseconds_of_a_push_count_from_what_somebody_else_said() -> None:
    play = Play()
    play.say(1, "imap", CLIENT, "a IDLE")
    play.say(1, "imap", SERVER, "+ idling")
    play.say(2, "smtp", CLIENT, "[100 octets]", after=9)
    play.say(1, "imap", SERVER, "* 1 EXISTS", after=0.004)
    assert play.flow.arrows[-1].ms == 4.0
    assert play.flow.arrows[-1].way == "push"


def test_a_lane_may_get_its_name_after_it_has_spoken() -> None:
    play = Play()
    play.say(1, "imap", SERVER, "* OK hello")
    play.flow.name("peer:1", "phone")
    play.say(1, "imap", CLIENT, "a NOOP")
    greeting, noop = play.flow.arrows
    assert (greeting.source, greeting.target, greeting.opener) == (SERVER_LANE, "phone", "phone")
    assert (noop.source, noop.target) == ("phone", SERVER_LANE)
    assert play.flow.first_said("phone") == noop.time


def test_a_lane_is_open_between_connected_and_disconnected() -> None:
    play = Play()
    play.flow.name("peer:1", "phone")
    play.event(1, "imap", "connected")
    start = play.now
    play.now += 5
    play.event(1, "imap", "disconnected")
    assert [play.flow.is_open("phone", start + seconds) for seconds in (-1, 0, 4, 5)] == [False, True, True, False]
    assert not play.flow.is_open("pc", start)


def test_an_arrow_for_machines_has_everything() -> None:
    play = Play()
    play.flow.name("peer:1", "alice")
    play.say(1, "smtp", CLIENT, "QUIT")
    assert as_dict(play.flow.arrows[0], start=100.0) == {
        "time": 0.1,
        "from": "alice",
        "to": "server",
        "way": "push",
        "protocol": "smtp",
        "opened_by": "alice",
        "session": 1,
        "ms": None,
        "lines": ["QUIT"],
    }
