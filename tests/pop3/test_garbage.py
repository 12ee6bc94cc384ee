"""Whatever comes in, what goes out is POP3, and nothing here breaks."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pop3_door import PASSWORD, Door, opened

from mailsystem.mail.sasl import MECHANISMS
from mailsystem.pop3.languages import NAMES
from mailsystem.pop3.verbs import FEATURES, TABLE

VERBS = sorted(TABLE)
TAGS = ("TOP", "UIDL", "USER", "UTF8 USER", "LANG", "EXPIRE NEVER", "SASL SCRAM-SHA-256 PLAIN LOGIN")
LANGUAGES = (f"{tag} {name}" for tag, name in NAMES.items())
LISTED = {b".", *map(str.encode, (*FEATURES, *MECHANISMS, *TAGS, *LANGUAGES))}
WORDS = st.one_of(
    st.sampled_from([verb.encode() for verb in VERBS if verb not in {"QUIT", "STLS"}]),
    st.sampled_from(
        [
            b"de",
            b"fr-CA",
            b"1",
            b"2",
            b"3",
            b"0",
            b"-1",
            b"99999999999",
            b"PLAIN",
            b"LOGIN",
            b"=",
            b"*",
            b"AGEAYg==",
            b".",
        ]
    ),
    st.binary(max_size=12),
    st.text(max_size=8).map(str.encode),
)
LINES = st.builds(
    lambda words, end: b" ".join(words) + end,
    st.lists(WORDS, max_size=4),
    st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r", b"", b"x" * 3000 + b"\r\n"]),
)
STATUS = re.compile(rb"(?:\+OK|-ERR)(?: [\x20-\x7e\x80-\xff]*)?|\+ [A-Za-z0-9+/=]*")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[asyncio.Runner, Door]]:
    """One door for all examples, on a loop of its own."""
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        path: Path = tmp_path_factory.mktemp("garbage")
        door: Door = runner.run(stack.enter_async_context(opened(path, bad_commands=50, login_attempts=50)))
        runner.run(door.post(*[b"Subject: x\r\n\r\n.\r\nbody\n.\r\nwithout end"] * 3))
        yield runner, door
        runner.run(stack.aclose())


async def converse(door: Door, said: list[bytes], *, known: bool) -> bytes:
    client = await door.connect()
    if known:
        await client.log_in()
    for piece in said:
        client.writer.write(piece)
        await asyncio.sleep(0)
    client.writer.write_eof()
    answers = await client.rest()
    await client.close()
    return answers


def check(door: Door, answers: bytes) -> None:
    """Before login there are only status lines, challenges, and what CAPA and AUTH list."""
    assert not door.told("bug"), door.told("bug")
    assert answers == b"" or answers.endswith(b"\r\n")
    for line in answers.split(b"\r\n")[:-1]:
        assert STATUS.fullmatch(line) or line in LISTED, line
    door.events.clear()


@settings(max_examples=150, deadline=None)
@given(st.lists(LINES, max_size=12))
def test_garbage_before_login_is_answered_in_pop3(served: tuple[asyncio.Runner, Door], said: list[bytes]) -> None:
    runner, door = served
    check(door, runner.run(converse(door, said, known=False)))


@settings(max_examples=50, deadline=None)
@given(st.lists(LINES, max_size=12))
def test_garbage_after_login_is_answered_in_pop3_and_deletes_nothing(
    served: tuple[asyncio.Runner, Door], said: list[bytes]
) -> None:
    runner, door = served
    answers = runner.run(converse(door, said, known=True))
    assert not door.told("bug"), door.told("bug")
    assert answers == b"" or answers.endswith(b"\r\n")
    door.events.clear()
    assert len(runner.run(door.kept())) == 3


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=5000))
def test_any_octets_at_all_end_in_refusals_or_silence(served: tuple[asyncio.Runner, Door], said: bytes) -> None:
    runner, door = served
    answers = runner.run(converse(door, [said], known=False))
    for line in answers.split(b"\r\n")[:-1]:
        assert line.startswith(b"-ERR "), line
    check(door, answers)


def test_the_door_is_still_open_after_all_that(served: tuple[asyncio.Runner, Door]) -> None:
    runner, door = served

    async def talk() -> None:
        client = await door.client()
        assert (await client.say(b"STAT")).startswith(b"+OK 3 ")
        assert PASSWORD not in repr(door.events)

    runner.run(talk())
