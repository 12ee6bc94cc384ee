"""Messages on their way out: octet for octet, in constant memory, and no more of them than was asked for."""

from __future__ import annotations

import asyncio
import poplib
import random
import tracemalloc
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pop3_door import INLINE_LIMIT, PASSWORD, Door, unstuffed

from mailsystem.mail.errors import Unavailable
from mailsystem.mail.mailbox import DELETED, ContentId, MessageSet
from mailsystem.pop3.grammar import Stuffing
from mailsystem.store import FlagOp
from mailsystem.store.contents import Contents

HEAD = b"From: ann@example.org\r\nSubject: test\r\n\r\n"


def lines_of(octets: int, seed: int = 0) -> bytes:
    """About so many octets of lines, of which many begin with a dot."""
    some = random.Random(seed)
    parts = [some.choice([b"", b".", b"..", b"x"]) + b"y" * some.randrange(80) + b"\r\n" for _ in range(4096)]
    block = b"".join(parts)
    return HEAD + block * (octets // len(block) + 1)


@pytest.mark.parametrize(
    "message",
    [
        HEAD + b"body\r\n",
        HEAD,
        b"",
        b".\r\n",
        b"\r\n",
        HEAD + b".\r\n..\r\n.x\r\n\r\n.\r\n",
        HEAD + b"no end",
        HEAD + b"ends in a carriage return\r",
        HEAD + b"\0\x80\xff\r\n",
        HEAD + b"a bare\nline feed\r\nand\ra return\r\n",
        HEAD + b"x" * 200_000 + b"\r\n.\r\n",
        lines_of(INLINE_LIMIT - 5000)[: INLINE_LIMIT - 1],
        lines_of(INLINE_LIMIT + 1),
        lines_of(3_000_000),
    ],
    ids=lambda message: f"{len(message)} octets",
)
async def test_what_is_kept_is_what_is_retrieved(message: bytes, door: Door) -> None:
    await door.post(message)
    client = await door.client()
    expected = message if not message or message.endswith(b"\r\n") else message + b"\r\n"
    for _ in range(2):
        assert await client.many(b"RETR 1") == expected
    assert await client.say(b"LIST 1") == b"+OK 1 %d" % len(message)
    assert await client.many(b"TOP 1 999999999") == expected


async def test_no_message_can_speak_in_our_name(door: Door) -> None:
    """LF . CRLF in a message is an end for clients that split at LF: poplib is one."""
    forged = b"Subject: x\r\n\r\nharmless\n.\r\n+OK forged\r\n.\r\n"
    await door.post(forged, HEAD)

    def fetch() -> tuple[bytes, list[bytes]]:
        client = poplib.POP3(door.bound.host, door.bound.port, timeout=10)
        client.user("ann")
        client._shortcmd(f"PASS {PASSWORD}")  # type: ignore[attr-defined]
        lines = client.retr(1)[1]
        answer = client.noop()
        client.quit()
        return answer, lines

    answer, lines = await asyncio.to_thread(fetch)
    assert answer == b"+OK"
    assert lines[-4:] == [b"harmless", b".", b"+OK forged", b"."]


async def test_messages_come_in_any_order_and_again(door: Door) -> None:
    """Small ones are read ahead; that must never give the wrong one."""
    kept = [HEAD + b"%d\r\n" % n * (n % 50 * 40 + 1) for n in range(150)]
    kept[20] = lines_of(INLINE_LIMIT * 2)
    await door.post(*kept)
    client = await door.client()
    some = random.Random(7)
    order = [*range(150), *some.choices(range(150), k=100), *range(10, 40), *range(39, 20, -1)]
    await client.send(b"".join(b"RETR %d\r\n" % (n + 1) for n in order) + b"QUIT\r\n")
    answers = await client.rest()
    for n in order:
        status, _, answers = answers.partition(b"\r\n")
        assert status == b"+OK %d octets" % len(kept[n])
        end = answers.index(b"\r\n.\r\n") + 5
        assert unstuffed(answers[:end]) == kept[n]
        answers = answers[end:]
    assert answers == b"+OK bye\r\n"


async def test_a_sequence_of_small_messages_takes_few_looks_into_the_store(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    await door.post(*[HEAD + b"%d\r\n" % n for n in range(200)])
    looks = 0
    read = door.store.maildrops.read

    def counting(*arguments: Any, **more: Any) -> Any:
        nonlocal looks
        looks += 1
        return read(*arguments, **more)

    monkeypatch.setattr(door.store.maildrops, "read", counting)
    client = await door.client()
    for n in range(200):
        assert await client.many(b"RETR %d" % (n + 1)) == HEAD + b"%d\r\n" % n
        await client.ok(b"DELE %d" % (n + 1))
    assert looks <= 8
    await client.ok(b"QUIT")
    assert await door.kept() == []


async def test_what_another_client_expunges_can_still_be_retrieved(door: Door) -> None:
    """RFC 1939 8: the maildrop does not change under a session."""
    await door.post(HEAD + b"one\r\n", HEAD + b"two\r\n", lines_of(INLINE_LIMIT * 2))
    client = await door.client()
    mailbox = (await door.store.maildrops.listing(door.ann.id)).mailbox
    every = MessageSet(((1, 99),))
    await door.store.mailboxes.set_flags(door.ann.id, mailbox.id, every, FlagOp.ADD, frozenset([DELETED]))
    await door.store.mailboxes.expunge(door.ann.id, mailbox.id)
    assert await client.many(b"RETR 1") == HEAD + b"one\r\n"
    assert await client.many(b"RETR 2") == HEAD + b"two\r\n"
    assert await client.many(b"RETR 3") == lines_of(INLINE_LIMIT * 2)
    await client.ok(b"DELE 1")
    assert await client.say(b"QUIT") == b"+OK bye, 1 deleted"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.sampled_from([b".", b"\r\n", b"\n", b"x", b"y" * 700, b"\r\n.\r\n", b"\r\n."]), max_size=40), st.data()
)
def test_any_slicing_of_the_store_gives_the_same_octets(pieces: list[bytes], data: st.DataObject) -> None:
    message = b"".join(pieces)
    whole = Stuffing()
    expected = whole.feed(message) + whole.close()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(message)), max_size=6)))
    sliced = Stuffing()
    wire = b"".join(sliced.feed(message[a:b]) for a, b in zip([0, *cuts], [*cuts, len(message)], strict=True))
    assert wire + sliced.close() == expected


async def test_top_stops_reading_when_it_has_enough(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    await door.post(lines_of(5_000_000))
    read = 0
    stream = Contents.stream

    async def counting(
        self: Contents, content: ContentId, start: int = 0, end: int | None = None
    ) -> AsyncIterator[bytes]:
        nonlocal read
        async for chunk in stream(self, content, start, end):
            read += len(chunk)
            yield chunk

    monkeypatch.setattr(Contents, "stream", counting)
    client = await door.client()
    assert await client.many(b"TOP 1 0") == HEAD
    assert read <= 300_000
    top = await client.many(b"TOP 1 100")
    assert top == b"".join(line + b"\r\n" for line in lines_of(1).split(b"\r\n")[:103])
    assert read <= 900_000


async def test_a_large_message_takes_constant_memory(door: Door) -> None:
    await door.post(lines_of(12_000_000))
    client = await door.client()
    await client.ok(b"NOOP")
    tracemalloc.start()
    try:
        await client.send(b"RETR 1\r\n")
        size = 0
        async with asyncio.timeout(30):
            while True:
                got = await client.reader.read(1 << 16)
                size += len(got)
                if got.endswith(b"\r\n.\r\n") and size > 12_000_000:
                    break
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8_000_000


async def test_a_client_that_does_not_read_is_waited_for_and_not_read_ahead_for(door: Door) -> None:
    await door.post(lines_of(12_000_000))
    client = await door.connect(limit=1024)
    await client.log_in()
    tracemalloc.start()
    try:
        await client.send(b"RETR 1\r\nRETR 1\r\nRETR 1\r\nQUIT\r\n")
        await asyncio.sleep(0.3)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8_000_000
    # The lock is kept meanwhile, and what was promised comes.
    rest = await client.rest()
    assert rest.count(b"\r\n.\r\n") == 3
    assert rest.endswith(b"+OK bye\r\n")


async def test_a_client_that_goes_in_mid_message_hurts_nobody(door: Door) -> None:
    await door.post(lines_of(12_000_000))
    client = await door.connect(limit=1024)
    await client.log_in()
    await client.ok(b"DELE 1")
    await client.ok(b"RSET")
    await client.send(b"RETR 1\r\n")
    assert (await client.line()).startswith(b"+OK")
    client.vanish()
    assert "connection" in (await door.until_told("disconnected"))[0]["reason"]
    again = await door.client()
    assert (await again.say(b"STAT")).startswith(b"+OK 1 ")


async def test_a_message_that_cannot_be_read_is_refused_before_its_first_word(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    await door.post(lines_of(INLINE_LIMIT * 2))
    broken_after(monkeypatch, 0)
    client = await door.client()
    assert await client.say(b"RETR 1") == b"-ERR [SYS/TEMP] the message cannot be read"
    assert await client.say(b"TOP 1 5") == b"-ERR [SYS/TEMP] the message cannot be read"
    assert await client.say(b"NOOP") == b"+OK"


async def test_a_message_that_breaks_off_is_never_ended_with_a_dot(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    await door.post(lines_of(1_000_000))
    broken_after(monkeypatch, 2)
    client = await door.client()
    await client.send(b"RETR 1\r\nSTAT\r\n")
    try:
        got = await client.rest()
    except ConnectionResetError:
        got = b""
    assert b"\r\n.\r\n" not in got
    assert b"-ERR" not in got
    assert (await door.until_told("disconnected"))[0]["reason"] == "answer not finished: the message cannot be read"


def broken_after(monkeypatch: pytest.MonkeyPatch, slices: int) -> None:
    stream = Contents.stream

    async def breaking(
        self: Contents, content: ContentId, start: int = 0, end: int | None = None
    ) -> AsyncIterator[bytes]:
        left = slices
        async for chunk in stream(self, content, start, end):
            if not left:
                raise Unavailable("the message cannot be read")
            left -= 1
            yield chunk

    monkeypatch.setattr(Contents, "stream", breaking)


async def test_a_long_listing_is_whole_and_leaves_the_others_their_turn(door: Door) -> None:
    count = 3500
    await door.post(*[HEAD] * count)
    client, other = await door.client(), await door.connect()
    await other.log_in("bob@example.org")
    assert await client.listing(b"LIST") == [b"%d %d" % (n + 1, len(HEAD)) for n in range(count)]
    names = await client.listing(b"UIDL")
    assert len({name.split()[1] for name in names}) == count
    await client.send(b"LIST\r\nUIDL\r\n" * 20)
    assert await other.say(b"NOOP") == b"+OK"
    assert max(len(event.data["text"]) for event in door.events if event.name == "line") < 1000


async def test_names_are_the_same_in_every_session_and_never_used_again(door: Door) -> None:
    await door.post(HEAD, HEAD, HEAD)
    client = await door.client()
    first = [line.split()[1] for line in await client.listing(b"UIDL")]
    await client.ok(b"DELE 3")
    await client.ok(b"QUIT")
    await door.post(HEAD)
    client = await door.client()
    second = [line.split()[1] for line in await client.listing(b"UIDL")]
    assert second[:2] == first[:2]
    assert second[2] not in first
    for name in {*first, *second}:
        assert 1 <= len(name) <= 70
        assert all(0x21 <= octet <= 0x7E for octet in name)
