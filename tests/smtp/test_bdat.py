"""BDAT over the wire (RFC 3030): chunks, what breaks them, and that nothing is smuggled by mixing."""

from __future__ import annotations

import asyncio
import random
from contextlib import AsyncExitStack
from pathlib import Path

import messages
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from smtp_door import Client, House, housed, play

NEXT = b"Subject: next\r\n\r\nwhole\r\n"
BEGIN = b"MAIL FROM:<sue@example.net>\r\nRCPT TO:<ann@example.org>\r\n"


def chunk(octets: bytes, *, last: bool = False) -> bytes:
    return b"BDAT %d%s\r\n%s" % (len(octets), b" LAST" if last else b"", octets)


async def begun(client: Client, parameters: str = "") -> None:
    await client.send(BEGIN.replace(b">\r\n", f">{parameters}\r\n".encode(), 1))
    assert (await client.reply()).startswith("250 2.1.0")
    assert (await client.reply()).startswith("250 2.1.5")


async def chunks(client: Client, *pieces: bytes, parameters: str = "") -> str:
    """A whole message in these chunks, pipelined; the last reply."""
    await begun(client, parameters)
    await client.send(b"".join(chunk(piece) for piece in pieces[:-1]) + chunk(pieces[-1], last=True))
    for piece in pieces[:-1]:
        assert await client.reply() == f"250 2.0.0 {len(piece)} octets"
    return await client.reply()


async def goes_on(client: Client, house: House, *before: bytes) -> None:
    """The client is still in step: its next message arrives, after those and no others."""
    assert (await chunks(client, NEXT)).startswith("250 2.0.0 ok, queued as ")
    assert await house.received("ann@example.org") == [*before, NEXT]
    assert not house.told("bug")


@pytest.mark.parametrize(
    "pieces",
    [
        [b"Subject: x\r\n\r\nbody\r\n"],
        [b"Subject: x\r\n", b"\r\nbody\r\n"],
        [b"Subject: x\r\n\r\nbody\r\n", b""],  # BDAT 0 LAST
        [b"", b"", b"x\r\n"],
        [b""],
        [b"no line end"],
        [b"dots\r\n.\r\n..\r\n.", b"\r\nQUIT\r\n", b".\r\n"],  # nothing is stuffed, nothing ends but by count
        [b"cut\r", b"\nhere\r", b"\n"],
        [b"MAIL FROM:<evil@example.net>\r\n", b"BDAT 3 LAST\r\nabc"],
        [b"\xff\0\x80" * 100_000, b"x" * 300_000],
        [b"a", b"b", b"c"] * 30,
    ],
    ids=lambda pieces: repr(pieces)[:40],
)
async def test_a_message_in_chunks_is_kept_as_it_was_sent(pieces: list[bytes], house: House) -> None:
    async with house.door() as door, await Client.connect(door) as client:
        assert (await chunks(client, *pieces)).startswith("250 2.0.0 ok, queued as ")
        await goes_on(client, house, b"".join(pieces))


async def test_any_segmentation_gives_the_same_message(house: House) -> None:
    said = BEGIN + chunk(b"Subject: x\r\n\r") + chunk(b"\n.\r\n") + chunk(b"end\r\n", last=True) + b"QUIT\r\n"
    chance = random.Random(3030)
    async with house.door() as door:
        for round_ in range(8):
            async with await Client.connect(door) as client:
                at = 0
                while at < len(said):
                    size = len(said) if round_ == 0 else 1 if round_ == 1 else chance.randint(1, 20)
                    await client.send(said[at : at + size])
                    await asyncio.sleep(0)
                    at += size
                codes = [line[:3] for line in (await client.rest()).splitlines()]
                assert codes == [b"250"] * 5 + [b"221"]
    assert await house.received("ann@example.org") == [b"Subject: x\r\n\r\n.\r\nend\r\n"] * 8


DIALOGS = {
    "without a transaction": """
        C: BDAT 6 LAST
        C: RSET
        S: 503 5.5.1
        C: NOOP
        S: 250
    """,
    "without recipients": """
        C: MAIL FROM:<a@example.net>
        C: BDAT 6 LAST
        C: QUIT
        S: 250
        S: 554 5.5.1
        C: NOOP
        S: 250
    """,
    "DATA after BDAT is refused": """
        C: MAIL FROM:<a@example.net>
        C: RCPT TO:<ann@example.org>
        C: BDAT 3
        C: xDATA
        S: 250
        S: 250
        S: 250 2.0.0 3 octets
        S: 500
        C: DATA
        S: 503 5.5.1
        C: RSET
        S: 250
    """,
    "MAIL, RCPT, AUTH between chunks are refused": """
        C: MAIL FROM:<a@example.net>
        C: RCPT TO:<ann@example.org>
        C: BDAT 0
        S: 250
        S: 250
        S: 250 2.0.0 0 octets
        C: MAIL FROM:<b@example.net>
        S: 503 5.5.1
        C: RCPT TO:<bob@example.org>
        S: 503 5.5.1
        C: AUTH PLAIN
        S: 503 5.5.1
        C: NOOP
        S: 250
        C: BDAT 0 LAST
        S: 250 2.0.0 ok, queued as
    """,
    "RSET forgets the chunks": """
        C: MAIL FROM:<a@example.net>
        C: RCPT TO:<ann@example.org>
        C: BDAT 2
        C:
        S: 250
        S: 250
        S: 250 2.0.0 2 octets
        C: RSET
        S: 250
        C: BDAT 0 LAST
        S: 503 5.5.1
    """,
    "a chunk of nobody knows how many octets ends it": """
        C: MAIL FROM:<a@example.net>
        C: RCPT TO:<ann@example.org>
        C: BDAT many LAST
        C: MAIL FROM:<evil@example.net>
        S: 250
        S: 250
        S: 501 5.5.4
        S: -
    """,
    "as does one without a size": "C: BDAT\nC: NOOP\nS: 501 5.5.4\nS: -",
    "and one of less than nothing": "C: BDAT -1 LAST\nC: NOOP\nS: 501 5.5.4\nS: -",
    "and one with words behind it": "C: BDAT 3 LAST LAST\nC: NOOP\nS: 501 5.5.4\nS: -",
    "and one that would never end": "C: BDAT 99999999999999999999\nC: NOOP\nS: 552 5.3.4\nS: -",
    "binary content needs BDAT": """
        C: MAIL FROM:<a@example.net> BODY=BINARYMIME
        S: 250
        C: RCPT TO:<ann@example.org>
        S: 250
        C: DATA
        S: 503 5.5.1
        C: BDAT 0 LAST
        S: 250 2.0.0 ok
    """,
}


@pytest.mark.parametrize("name", DIALOGS)
async def test_dialog(name: str, house: House) -> None:
    async with house.door() as door, await Client.connect(door) as client:
        await play(client, DIALOGS[name])
    assert not house.told("bug")


@pytest.mark.parametrize(
    "pieces",
    [
        [b"Subject: x\n\r\n"],
        [b"x\r\n.\n"],
        [b"x\r", b"y\r\n"],
        [b"x\r", b"", b"y\r\n"],
        [b"x\r\n", b"\n"],
        [b"x\r\ny\r"],
        [b"x\r\ny\r", b""],
        [b"x\n.\r\nMAIL FROM:<evil@example.net>\r\n"],
    ],
    ids=repr,
)
async def test_bare_newlines_are_found_across_chunks(pieces: list[bytes], house: House) -> None:
    async with house.door() as door, await Client.connect(door) as client:
        await begun(client)
        await client.send(b"".join(chunk(piece) for piece in pieces[:-1]) + chunk(pieces[-1], last=True))
        replies = [await client.reply() for _ in pieces]
        assert sum(reply.startswith("550 5.6.0") for reply in replies) == 1
        after = replies[[reply[:3] for reply in replies].index("550") + 1 :]
        assert all(reply.startswith("503 5.5.1") for reply in after)  # the rest belongs to no message
        await goes_on(client, house)


async def test_binary_content_is_kept_octet_by_octet(house: House) -> None:
    pieces = [b"Content-Transfer-Encoding: binary\r\n\r\n\n\r\r\n\0", b"\r", b"", b"\r\n.\n", b"\xff\r"]
    async with house.door() as door, await Client.connect(door) as client:
        assert (await chunks(client, *pieces, parameters=" BODY=BINARYMIME")).startswith("250")
        await goes_on(client, house, b"".join(pieces))


async def test_a_chunk_too_many_takes_the_message_with_it(house: House) -> None:
    async with house.door(size_limit=1000) as door, await Client.connect(door) as client:
        await begun(client)
        await client.send(chunk(b"x" * 600) + chunk(b"y" * 600) + chunk(b"z" * 10) + chunk(b"", last=True))
        codes = [(await client.reply())[:9] for _ in range(4)]
        assert codes == ["250 2.0.0", "552 5.3.4", "503 5.5.1", "503 5.5.1"]
        assert (await chunks(client, b"x" * 500, b"y" * 500)).startswith("250")
        await goes_on(client, house, b"x" * 500 + b"y" * 500)


async def test_a_chunk_without_end_is_cut_off(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailsystem.smtp.receiving.READ_OVER", 1000)
    async with house.door(size_limit=1000) as door, await Client.connect(door) as client:
        await begun(client)
        await client.send(chunk(b"x" * 3001))
        assert (await client.reply()).startswith("552 5.3.4")
        assert await client.rest() == b""


async def test_chunks_that_go_in_circles_are_stopped(house: House) -> None:
    async with house.door() as door, await Client.connect(door) as client:
        field = b"Received: a\r\n"
        assert (await chunks(client, *[field] * 50, b"\r\n")).startswith("250")
        await begun(client)
        await client.send(chunk(field * 51 + b"\r\n", last=True))
        assert (await client.reply()).startswith("554 5.4.6")


async def test_a_begun_message_leaves_nothing_behind(house: House, tmp_path: Path) -> None:
    incoming = next(tmp_path.rglob("incoming"))
    async with house.door() as door:
        for ending in (b"RSET\r\n", b"EHLO again\r\n", b"QUIT\r\n", b"BDAT 9\r\nxx"):
            async with await Client.connect(door) as client:
                await begun(client)
                await client.send(chunk(b"x" * 400_000))
                assert (await client.reply()).startswith("250")
                async with asyncio.timeout(5):
                    while not list(incoming.iterdir()):  # noqa: ASYNC110
                        await asyncio.sleep(0.005)
                await client.send(ending)
                if ending.startswith(b"BDAT"):
                    client.reset()
                else:
                    assert (await client.reply())[0] == "2"
            async with asyncio.timeout(5):
                while list(incoming.iterdir()):  # noqa: ASYNC110
                    await asyncio.sleep(0.005)
    assert await house.kept("ann@example.org") == []


@pytest.mark.parametrize("where", ["in a chunk", "between chunks"])
async def test_a_message_in_chunks_is_finished_when_the_program_ends(where: str, house: House) -> None:
    async with AsyncExitStack() as stack:
        door = await stack.enter_async_context(house.door(grace=5))
        client = await Client.connect(door)
        await begun(client)
        await client.send(b"BDAT 6\r\nfirst " if where == "between chunks" else b"BDAT 6\r\nfir")
        await asyncio.sleep(0.05)
        closing = asyncio.create_task(stack.aclose())
        await asyncio.sleep(0.05)
        assert not closing.done()
        await client.send((b"" if where == "between chunks" else b"st ") + chunk(b"second\r\n", last=True))
        assert (await client.reply()).startswith("250 2.0.0 6 octets")
        assert (await client.reply()).startswith("250 2.0.0 ok, queued as")
        assert (await client.reply()).startswith("421 4.3.2")
        await client.close()
        await closing
    assert await house.received("ann@example.org") == [b"first second\r\n"]


async def test_octets_of_chunks_are_never_traced(house: House) -> None:
    async with house.door() as door, await Client.connect(door) as client:
        assert (await chunks(client, b"Subject: secret\r\n", b"\r\nsecret\r\n")).startswith("250")
    assert "secret" not in repr(house.events)
    assert "[17 octets]" in repr(house.events)


SMUGGLED = b"\r\n" + BEGIN + b"DATA\r\nsmuggled\r\n.\r\nBDAT 9 LAST\r\nsmuggled\n"
hostile = st.sampled_from(
    [b"\r\n.\r\n", b"\r\n", b"\r", b"\n", b".", b"..", b"BDAT 0 LAST\r\n", b"BDAT 5\r\n", b"RSET\r\n", SMUGGLED, b"x", b"QUIT"]
)  # fmt: skip
message = st.lists(st.lists(hostile, max_size=5).map(b"".join), max_size=4)


def test_nothing_is_smuggled_by_any_mix_of_data_and_bdat(tmp_path: Path) -> None:
    """Whatever messages hold and however they come: these messages arrive, whole, and no others."""
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        house = runner.run(stack.enter_async_context(housed(tmp_path)))
        door = runner.run(stack.enter_async_context(house.door(bare_newline="accept", error_limit=10_000)))

        async def arrived(said: bytes, cut: int) -> list[bytes]:
            before = len(await house.kept("ann@example.org"))
            async with await Client.connect(door) as client:
                await client.send(said[:cut])
                await asyncio.sleep(0)
                await client.send(said[cut:] + b"QUIT\r\n")
                assert (await client.rest()).endswith(b"221 2.0.0 bye\r\n")
            return (await house.received("ann@example.org"))[before:]

        @settings(deadline=None, max_examples=60)
        @given(
            st.lists(st.tuples(st.sampled_from(["DATA", "BDAT", "refused"]), message), max_size=4), st.integers(0, 999)
        )
        def check(sent: list[tuple[str, list[bytes]]], cut: int) -> None:
            said, expected = [], []
            for how, pieces in sent:
                whole = b"".join(pieces)
                in_chunks = b"".join(chunk(piece) for piece in pieces) + chunk(b"", last=True)
                if how == "refused":
                    said += [b"RSET\r\n", in_chunks]
                elif how == "BDAT":
                    said += [BEGIN, in_chunks]
                    expected.append(whole)
                else:
                    stuffed = (b"\r\n" + whole + b"\r\n").replace(b"\r\n.", b"\r\n..")[2:] + b".\r\n"
                    said += [BEGIN, b"DATA\r\n", stuffed]
                    expected.append(whole + b"\r\n")
            assert runner.run(arrived(b"".join(said), cut)) == [messages.bare(each) for each in expected]

        check()
        runner.run(stack.aclose())
        assert not house.told("bug")
