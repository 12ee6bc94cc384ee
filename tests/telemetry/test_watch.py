"""Looking on: lines are made up while somebody does, and whoever is slow loses the oldest and is told so."""

from __future__ import annotations

import asyncio

import pytest

from mailsystem.telemetry import Event, Trace
from mailsystem.telemetry import watch as watching
from mailsystem.telemetry.trace import CLIENT
from mailsystem.telemetry.watch import MOST_RECENT, Watch, fields


async def test_lines_are_wanted_while_somebody_looks_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "LINGERING", 0.0)
    heard: list[Event] = []
    watch = Watch()
    root = Trace([heard.append], watch=watch)
    before = root.child("imap", peer="x")
    assert [before.wants_lines, before.wants("line")] == [False, False]
    with watch.reading() as reader:
        after = root.child("smtp", peer="y")
        assert [before.wants_lines, after.wants_lines] == [True, True]
        before.line(CLIENT, b"a NOOP")
        after.event("delivered", id="q1")
        assert [told.event.name for told in (await reader.take())[1]] == ["line", "delivered"]
    await asyncio.sleep(0.01)
    assert [before.wants_lines, after.wants_lines, root.child("pop3").wants_lines] == [False, False, False]
    # A log that was promised no lines gets none.
    assert [event.name for event in heard] == ["delivered"]


async def test_lines_for_all_sinks_stay_when_the_last_reader_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "LINGERING", 0.0)
    heard: list[Event] = []
    watch = Watch()
    trace = Trace([heard.append], lines=True, watch=watch).child("imap")
    with watch.reading():
        trace.line(CLIENT, b"one")
    await asyncio.sleep(0.01)
    trace.line(CLIENT, b"two")
    assert [event.data["text"] for event in heard] == ["one", "two"]


async def test_who_is_slow_loses_the_oldest_and_is_told_how_many() -> None:
    watch = Watch(most_waiting=10)
    trace = Trace(watch=watch).child("imap")
    with watch.reading() as slow, watch.reading() as quick:
        for number in range(8):
            trace.line(CLIENT, b"%d" % number)
        assert len((await quick.take())[1]) == 8
        for number in range(8, 16):
            trace.line(CLIENT, b"%d" % number)
        missed, told = await slow.take()
        assert missed == 6
        assert [one.event.data["text"] for one in told] == [str(number) for number in range(6, 16)]
        assert (await quick.take())[0] == 0
        trace.line(CLIENT, b"more")
        assert await slow.take() == (0, (await quick.take())[1])


async def test_who_joins_a_moment_later_hears_what_was_just_said() -> None:
    watch = Watch(most_recent=5)
    trace = Trace(watch=watch).child("imap", peer="p")
    trace.event("connected")
    with watch.reading():
        for number in range(9):
            trace.line(CLIENT, b"%d" % number)
        with watch.reading() as later:
            assert [one.event.data["text"] for one in (await later.take())[1]] == ["4", "5", "6", "7", "8"]
        with watch.reading(after=8) as again:
            assert [one.number for one in (await again.take())[1]] == [9]
    assert MOST_RECENT > 100


async def test_sessions_are_known_before_anybody_looks_on() -> None:
    watch = Watch()
    trace = Trace(watch=watch).child("imap", peer="10.0.0.1:9")
    trace.event("connected", tls="TLSv1.3")
    trace.event("logged in", login="ann@shop.test", mechanism="PLAIN")
    [known] = watch.sessions
    assert {"door": "imap", "peer": "10.0.0.1:9", "login": "ann@shop.test", "tls": "TLSv1.3"}.items() <= known.items()
    trace.event("disconnected", reason="logout")
    assert watch.sessions == []


async def test_what_is_said_in_another_thread_wakes_a_reader() -> None:
    watch = Watch()
    trace = Trace(watch=watch).child("imap")
    with watch.reading() as reader:
        taking = asyncio.create_task(reader.take())
        await asyncio.to_thread(trace.line, CLIENT, b"from a thread")
        async with asyncio.timeout(10):
            assert len((await taking)[1]) == 1


def test_only_what_is_meant_to_be_told_is_told_and_shortly() -> None:
    event = Event(
        0.0, "delivered", "smtp", 1, {"id": "q", "contents": [1], "password": "x", "text": "y" * 9000, "login": None}
    )
    found = fields(event)
    assert found.keys() == {"id", "text"}
    assert len(found["text"]) < 2100
