"""Whatever comes in, what goes out is the door's own language, and nothing here breaks, waits for ever or is lost."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from generations import House, Opening, opened
from hypothesis import given, settings
from hypothesis import strategies as st

from mailsystem.mail.errors import SyntaxFault
from mailsystem.net.lines import Lines
from mailsystem.pop1.grammar import separated, separator
from mailsystem.pop1.verbs import TABLE as POP1
from mailsystem.pop2 import grammar
from mailsystem.pop2.verbs import TABLE as POP2

WORDS = st.one_of(
    st.sampled_from([verb.encode() for verb in {*POP1, *POP2} - {"QUIT"}]),
    st.sampled_from(
        [b"1", b"2", b"0", b"-1", b"99999999999", b"INBOX", b"Junk", b"ann", b"\\", b"\\\\", b"\\ ", b"#", b"="]
    ),
    st.binary(max_size=12),
    st.text(max_size=8).map(str.encode),
)
LINES = st.builds(
    lambda words, end: b" ".join(words) + end,
    st.lists(WORDS, max_size=4),
    st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r", b"", b"x" * 600 + b"\r\n"]),
)
BODY = b"Subject: x\r\n\r\nnobody says this\r\n"
REPLY = {
    "pop1": re.compile(rb"(?:\+OK|-ERR|#\d+)(?: [\x20-\x7e]*)?"),
    "pop2": re.compile(rb"(?:\+|-|[#=]\d+) [\x20-\x7e]*"),
}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[asyncio.Runner, House]]:
    """One house for all examples, on a loop of its own."""
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        path: Path = tmp_path_factory.mktemp("garbage")
        house: House = runner.run(stack.enter_async_context(opened(path)))
        runner.run(house.post(*[BODY] * 3))
        yield runner, house
        runner.run(stack.aclose())


async def converse(house: House, door: str, said: list[bytes], *, known: bool) -> bytes:
    client = await (house.client(door) if known else house.connect(door))
    for piece in said:
        client.writer.write(piece)
        await asyncio.sleep(0)
    client.writer.write_eof()
    answers = await client.rest()
    await client.close()
    await house.free()
    return answers


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(["pop1", "pop2"]), st.booleans(), st.lists(LINES, max_size=12))
def test_garbage_is_answered_in_the_language_of_the_door(
    served: tuple[asyncio.Runner, House], door: str, known: bool, said: list[bytes]
) -> None:
    runner, house = served
    answers = runner.run(converse(house, door, said, known=known))
    assert not house.told("bug"), house.told("bug")
    house.events.clear()
    if known:
        # What RETR and RCEV send stands between the replies.
        answers = answers.replace(BODY, b"")
        answers = re.sub(rb"[ \d]\d-\w{3}-\d{4} \d\d:\d\d:\d\d \+0000,\d+;\d+\r\n", b"", answers)
    assert answers == b"" or answers.endswith(b"\r\n")
    for line in answers.split(b"\r\n")[:-1]:
        assert REPLY[door].fullmatch(line), line
    if door == "pop2":
        assert sum(line.startswith(b"- ") for line in answers.split(b"\r\n")) <= 1, "the first error is the last word"


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(["pop1", "pop2"]), st.binary(max_size=3000))
def test_any_octets_at_all_end_in_refusals_or_silence(
    served: tuple[asyncio.Runner, House], door: str, said: bytes
) -> None:
    runner, house = served
    answers = runner.run(converse(house, door, [said], known=False))
    for line in answers.split(b"\r\n")[:-1]:
        assert line.startswith(b"-"), line
    assert not house.told("bug"), house.told("bug")
    house.events.clear()


def test_after_all_that_the_doors_are_open_and_the_mail_is_there(served: tuple[asyncio.Runner, House]) -> None:
    runner, house = served

    async def look() -> None:
        # An RDEL or ACKD that was guessed right deletes, of course; nothing else does.
        first = await house.client("pop2")
        assert await first.say(b"QUIT") == b"+ OK"
        second = await house.client("pop1")
        assert (await second.say(b"RETR INBOX")).startswith(b"#")

    runner.run(look())


# Lines


def test_lines_are_the_same_however_they_come() -> None:
    said = b"one\r\ntwo\n\r\n" + b"x" * 600 + b"\r\nthree\r\n"
    for step in (1, 2, 3, 7, len(said)):
        lines, heard = Lines(512), []
        for start in range(0, len(said), step):
            lines.feed(said[start : start + step])
            while True:
                try:
                    line = lines.next()
                except SyntaxFault:
                    heard.append(b"too long")
                    continue
                if line is None:
                    break
                heard.append(line)
        assert heard == [b"one", b"two", b"", b"too long", b"three"]


@pytest.mark.parametrize(
    ("rest", "user", "password"),
    [
        (b"fred secret", b"fred", b"secret"),
        (rb"fred\ f se\\cret", b"fred f", rb"se\cret"),
        (rb"f\\ \ x\ ", b"f\\", b" x "),
        (b"fred two words", b"fred", b"two words"),
        (rb"\f\r\e\d x", b"fred", b"x"),
    ],
)
def test_the_quoting_of_rfc_937(rest: bytes, user: bytes, password: bytes) -> None:
    assert grammar.user_and_password(rest) == (user, password)


@pytest.mark.parametrize("rest", [b"", b"fred", b"fred ", b" secret", b"fred secret\\", b"fred\\ secret"])
def test_a_user_without_a_password_is_none(rest: bytes) -> None:
    with pytest.raises(SyntaxFault):
        grammar.user_and_password(rest)


@pytest.mark.parametrize("size", [0, 9, 10, 123_456, 10**10])
@pytest.mark.parametrize("date", [0.0, 465662000.5, 1e9, 1.1e9, 4e9, -1e9])
def test_how_long_a_separated_message_is_follows_from_its_size_alone(date: float, size: int) -> None:
    assert separated(size) == len(separator(date, size)) + size


def test_the_line_before_a_message_is_as_on_tops_20() -> None:
    assert separator(465661985, 537) == b" 3-Oct-1984 14:33:05 +0000,537;000000000000\r\n"


# Limits


@pytest.mark.parametrize(("door", "word"), [("pop1", b"-ERR line too long"), ("pop2", b"- line too long")])
async def test_a_line_has_an_end(house: House, door: str, word: bytes) -> None:
    client = await house.connect(door)
    assert await client.say(b"x" * 5000) == word
    if door == "pop2":
        assert await client.rest() == b""
    else:
        assert (await client.say(b"USER ann")).startswith(b"+OK")


async def test_patience_with_bad_commands_has_an_end(open_house: Opening) -> None:
    house = await open_house()
    client = await house.connect("pop1")
    await client.send(b"XYZZY\r\n" * 30)
    heard = (await client.rest()).splitlines()
    assert heard == [b"-ERR unknown command"] * 20 + [b"-ERR too many bad commands"]


async def test_patience_with_wrong_passwords_has_an_end(house: House) -> None:
    client = await house.connect("pop1")
    await client.send(b"USER ann\r\nPASS wrong\r\n" * 5)
    heard = (await client.rest()).splitlines()
    assert heard.count(b"-ERR authentication failed") == 3
    assert heard[-1] == b"-ERR too many failed logins"


@pytest.mark.parametrize("door", ["pop1", "pop2"])
async def test_a_browser_is_hung_up_on_before_its_form_is_read(house: House, door: str) -> None:
    client = await house.connect(door)
    await client.send(b"POST / HTTP/1.1\r\nHost: x\r\n\r\nUSER ann\r\nPASS guess\r\nHELO ann guess\r\n")
    answer = await client.rest()
    assert answer.startswith(b"-")
    assert not house.told("login failed")


@pytest.mark.parametrize("door", ["pop1", "pop2"])
async def test_who_says_nothing_or_drips_is_not_waited_for(open_house: Opening, door: str) -> None:
    house = await open_house(login_timeout=2.0, idle_timeout=0.5)
    start = last = time.time()
    silent, dripping, known = await house.connect(door), await house.connect(door), await house.client(door)

    async def drip() -> None:
        # A letter that comes after the door has hung up takes its last word away, and the reader's way: so stop in time,
        # and by the clock, since a machine that is busy sleeps longer than it is told.
        nonlocal last
        while (now := time.time()) < start + 1.5:
            dripping.writer.write(b"U")
            last = now
            await asyncio.sleep(0.02)

    task = asyncio.create_task(drip())
    for client in (known, silent, dripping):
        assert b"too long without a command" in await client.rest()
    await task
    ends = [event.time for event in house.events if event.name == "disconnected"]
    assert max(ends) - last < 1.8, "a letter buys no time"
    await house.free()
