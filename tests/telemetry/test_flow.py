"""The flow: protocol lines become arrows; who pushed and who had to ask."""

from __future__ import annotations

import asyncio

from mailsystem.telemetry import Event
from mailsystem.telemetry.flow import SERVER_LANE, Arrow, Flow, as_dict
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


class Two(Play):
    """Two servers in one flow: sessions up to 9 are at A, all others at B."""

    def __init__(self) -> None:
        super().__init__()
        sinks = {"a": self.flow.at("a"), "b": self.flow.at("b", strangers="a")}
        self.sink = lambda event: sinks["a" if event.session < 10 else "b"](event)

    def say(self, session: int, door: str, who: str, *lines: str, after: float = 0.1) -> None:
        self.now += after
        for text in lines:
            self.sink(Event(self.now, "line", door, session, {"peer": f"peer:{session}", "who": who, "text": text}))


def test_what_one_server_tells_another_is_an_arrow_between_them() -> None:
    play = Two()
    play.flow.name("peer:1", "alice")
    play.flow.name("peer:11", "phone")
    play.say(1, "smtp", CLIENT, "[100 octets]")
    play.say(10, "smtp", SERVER, "220 b")
    play.say(10, "smtp", CLIENT, "EHLO a")
    play.say(11, "imap", SERVER, "* OK")
    assert [(arrow.source, arrow.target, arrow.opener) for arrow in play.flow.arrows] == [
        ("alice", "a", "alice"),
        ("b", "a", "a"),
        ("a", "b", "a"),
        ("b", "phone", "phone"),
    ]


def test_what_a_queue_hears_is_told_by_whom_it_calls() -> None:
    play = Two()
    play.say(2, "queue", SERVER, "220 b")
    play.sink(Event(play.now, "secured", "queue", 2, {}))
    assert play.flow.arrows == []
    assert [(mark.server, mark.event.name) for mark in play.flow.marks] == [("a", "secured")]


def test_the_milliseconds_of_a_push_count_from_what_its_own_server_has_heard() -> None:
    play = Two()
    play.flow.name("peer:1", "alice")
    for session, name in ((2, "alice"), (11, "phone")):
        play.flow.name(f"peer:{session}", name)
        play.say(session, "imap", CLIENT, "a IDLE")
        play.say(session, "imap", SERVER, "+ idling")
    play.say(10, "smtp", CLIENT, "[100 octets]", after=9)
    play.say(10, "smtp", SERVER, "250 ok", after=0.001)
    play.say(1, "smtp", CLIENT, "NOOP", after=0.001)
    play.say(11, "imap", SERVER, "* 1 EXISTS", after=0.002)
    assert play.flow.arrows[-1].ms == 4.0, "since B had the octets, whatever Alice told A meanwhile"
    play.say(10, "smtp", SERVER, "550 no", after=1)
    play.say(2, "imap", SERVER, "* 1 EXISTS", after=0.003)
    assert play.flow.arrows[-1].ms == 3.0, "since A heard B's answer"


def test_what_was_taken_is_not_added_to() -> None:
    play = Play()
    play.say(1, "pop3", SERVER, "+OK 2 messages")
    play.event(1, "pop3", "logged in")
    assert [type(one).__name__ for one in play.flow.fresh()] == ["Arrow", "Mark"]
    play.say(1, "pop3", SERVER, "more of it", after=0.001)
    [late] = play.flow.fresh()
    assert isinstance(late, Arrow)
    assert late.lines == ["more of it"]
    assert play.flow.fresh() == []


def test_the_first_arrow_of_a_connection_tells_when_it_was_opened() -> None:
    play = Play()
    play.event(1, "pop3", "connected")
    opened = play.now
    play.say(1, "pop3", SERVER, "+OK")
    play.say(1, "pop3", CLIENT, "STAT")
    assert [arrow.opened for arrow in play.flow.arrows] == [opened, None]


async def test_who_waits_for_news_is_woken_from_any_thread() -> None:
    play = Play()
    waiting = asyncio.create_task(play.flow.news())
    await asyncio.sleep(0)
    await asyncio.to_thread(play.event, 1, "pop3", "connected")
    await asyncio.wait_for(waiting, 10)
