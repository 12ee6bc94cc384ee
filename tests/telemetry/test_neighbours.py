"""Watches of several processes: what is said in one is heard in the other, only while somebody looks on, and boundedly."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from mailsystem.telemetry import Trace, neighbours
from mailsystem.telemetry import watch as watching
from mailsystem.telemetry.neighbours import Line, Neighbours
from mailsystem.telemetry.trace import CLIENT, SERVER
from mailsystem.telemetry.watch import Reader, Watch

PATIENCE = 10.0


class Process:
    """One of several, as far as it is watched."""

    def __init__(self, number: int, lines: list[Line]) -> None:
        self.watch = Watch()
        self.trace = Trace(watch=self.watch)
        self._stack = ExitStack()
        self._stack.enter_context(Neighbours(self.watch, number, lines).talking())

    def end(self) -> None:
        self._stack.close()


@pytest.fixture
def lines() -> Iterator[list[Line]]:
    made = neighbours.lines(3)
    yield made
    for pair in made:
        for end in pair:
            end.close()


@pytest.fixture
async def three(lines: list[Line]) -> Any:
    processes = [Process(number, lines) for number in range(3)]
    yield processes
    for each in processes:
        each.end()


async def until(true: Any) -> None:
    async with asyncio.timeout(PATIENCE):
        while not true():  # noqa: ASYNC110 - it comes over a socket
            await asyncio.sleep(0.005)


async def heard(reader: Reader, count: int) -> list[Any]:
    """The text or the name of so many events."""
    told: list[Any] = []
    async with asyncio.timeout(PATIENCE):
        while len(told) < count:
            told += [one.event.data.get("text", one.event.name) for one in (await reader.take())[1]]
    return told


async def test_what_is_said_in_others_is_heard_and_nothing_is_made_up_before(three: list[Process]) -> None:
    here, there, third = three
    imap = there.trace.child("imap", peer="192.0.2.1:5")
    imap.event("connected")
    imap.event("logged in", login="ann@shop.test", client={"name": "x", "version": "9"})
    assert not imap.wants_lines
    with here.watch.reading() as reader:
        await here.watch.gathered()
        assert there.watch.is_watched
        assert imap.wants_lines
        [known] = here.watch.sessions
        assert (known["session"], known["peer"], known["login"]) == (imap.session, "192.0.2.1:5", "ann@shop.test")
        imap.line(CLIENT, "a NOOP \u2028 \udcff".encode("utf-8", "surrogatepass"))
        third.trace.child("smtp", peer="p").line(SERVER, b"220 hello")
        here.trace.child("pop3").line(SERVER, b"+OK")
        told = await heard(reader, 3)
        assert sorted(told)[:2] == ["+OK", "220 hello"]
        imap.event("disconnected", reason="left")
        await heard(reader, 1)
        assert here.watch.sessions == []
    assert there.watch.sessions == third.watch.sessions == []


async def test_numbers_ascend_in_each_and_sessions_are_as_they_were(three: list[Process]) -> None:
    here, there, _ = three
    voices = [each.trace.child("imap") for each in (here, there)]
    with here.watch.reading() as reader, there.watch.reading() as other:
        await asyncio.gather(here.watch.gathered(), there.watch.gathered())
        for number in range(20):
            voices[number % 2].line(CLIENT, b"%d" % number)
        for one in (reader, other):
            told: list[Any] = []
            async with asyncio.timeout(PATIENCE):
                while len(told) < 20:
                    told += (await one.take())[1]
            numbers = [each.number for each in told]
            assert numbers == sorted(set(numbers))
            assert {each.event.session for each in told} == {voice.session for voice in voices}
            for voice in voices:
                mine = [each.event.data["text"] for each in told if each.event.session == voice.session]
                assert mine == sorted(mine, key=int)


async def test_when_nobody_looks_on_any_more_nothing_is_told(
    three: list[Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "LINGERING", 0.0)
    here, there, _ = three
    with here.watch.reading():
        await here.watch.gathered()
        assert there.watch.is_watched
    await until(lambda: not there.watch.is_watched)
    assert not there.trace.child("imap").wants_lines


async def test_who_is_never_heard_of_again_is_told_no_more(
    three: list[Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neighbours, "AGAIN", 0.05)
    monkeypatch.setattr(neighbours, "FORGOTTEN", 0.1)
    here, there, _ = three
    with here.watch.reading():
        await here.watch.gathered()
        await asyncio.sleep(0.3)
        assert there.watch.is_watched  # it is said again and again
        asyncio.get_running_loop().remove_reader(there_ear(there))
        monkeypatch.setattr(Neighbours, "_wish", lambda self: {"say": "nothing"})
        await until(lambda: not three[2].watch.is_watched)


def there_ear(process: Process) -> Any:
    elsewhere: Any = process.watch.elsewhere
    return elsewhere._ear


async def test_one_that_does_not_keep_up_loses_the_oldest_and_is_told_how_many(
    three: list[Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neighbours, "MOST_WAITING", 50)
    here, there, _ = three
    voice = there.trace.child("imap")
    with here.watch.reading() as reader:
        await here.watch.gathered()
        for number in range(1000):
            voice.line(CLIENT, b"%d" % number)
        missed, told = await reader.take(most=2000)
        assert missed == 950
        assert [one.event.data["text"] for one in told] == [str(number) for number in range(950, 1000)]
        voice.event("delivered", recipients=["\u20ac" * 500] * 20, login="\u20ac" * 9000, sender="\u20ac" * 9000)
        voice.line(CLIENT, b"after")
        missed, told = await reader.take()
        assert (missed, [one.event.data["text"] for one in told]) == (1, ["after"])


async def test_more_than_fits_into_the_sockets_comes_all_the_same(three: list[Process]) -> None:
    here, there, _ = three
    for number in range(400):
        there.trace.child("imap", peer=f"192.0.2.1:{number}").event("connected", login="\u20ac" * 1500)
    voice = there.trace.child("imap")
    with here.watch.reading() as reader:
        await until(lambda: len(here.watch.sessions) == 400)
        for number in range(2000):
            voice.line(CLIENT, b"%d " % number + b"x" * 1900)
        told = await heard(reader, 2000)
        assert [int(text.split()[0]) for text in told] == list(range(2000))


async def test_a_process_that_is_started_again_ends_the_sessions_of_the_one_before(
    three: list[Process], lines: list[Line]
) -> None:
    here, there, _ = three
    old = there.trace.child("imap", peer="192.0.2.1:5")
    old.event("connected")
    with here.watch.reading() as reader:
        await here.watch.gathered()
        assert [known["session"] for known in here.watch.sessions] == [old.session]
        asyncio.get_running_loop().remove_reader(there_ear(there))  # as if it had died
        there.watch.elsewhere = None
        again = Process(1, lines)
        try:
            assert await heard(reader, 1) == ["disconnected"]
            assert here.watch.sessions == []
            await until(lambda: again.watch.is_watched)
            again.trace.child("smtp").line(SERVER, b"220")
            assert await heard(reader, 1) == ["220"]
        finally:
            again.end()


async def test_what_another_thread_says_is_told_too(three: list[Process]) -> None:
    here, there, _ = three
    voice = there.trace.child("imap")
    with here.watch.reading() as reader:
        await here.watch.gathered()
        await asyncio.to_thread(lambda: [voice.line(CLIENT, b"%d" % number) for number in range(100)])
        assert await heard(reader, 100) == [str(number) for number in range(100)]


async def test_one_that_is_away_is_not_waited_for(lines: list[Line]) -> None:
    here = Process(0, lines)
    try:
        with here.watch.reading():
            async with asyncio.timeout(PATIENCE):
                await here.watch.gathered()
        assert here.watch.sessions == []
    finally:
        here.end()
