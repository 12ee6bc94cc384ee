"""BINARY (RFC 3516, RFC 9051 6.4.5): parts as they were before they were encoded for the way."""

from __future__ import annotations

import asyncio
import base64
import quopri
import random
import re
import tracemalloc

import pytest
from imap_door import Client, Door

from mailsystem.imap.quoting import Line

OCTETS = random.Random(3).randbytes(3000) + b"\0\r\n\0"
TEXT = "Grüße aus Köln, und ein = dazu.\r\nZweite Zeile\r\n".encode()


def letter(encoding: str, body: bytes, octets: bytes = base64.encodebytes(OCTETS)) -> bytes:
    return (
        b"Subject: parts\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
        b"--b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
        + quopri.encodestring(TEXT.replace(b"\r\n", b"\n")).replace(b"\n", b"\r\n")
        + b"\r\n--b\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        + octets
        + b"\r\n--b\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: "
        + encoding.encode()
        + b"\r\n\r\n"
        + body
        + b"\r\n--b--\r\n"
    )


async def decoded(client: Client, command: str, *, nul: bool = False) -> bytes:
    """What BINARY gives: a literal8 if there is a `nul` in the part, and else a literal (RFC 3516 4.3)."""
    [response] = await client.ok(command)
    found = re.fullmatch(rb"\* 1 FETCH \(.*?BINARY\[[0-9.]*\](?:<\d+>)? (~?)\{(\d+)\}\r\n(.*)\)", response, re.DOTALL)
    assert found, response[:100]
    assert int(found[2]) == len(found[3])
    assert bool(found[1]) is nul
    return found[3]


async def test_parts_come_decoded(door: Door) -> None:
    raw = letter("8bit", b"caf\xc3\xa9\r\n")
    await door.put(raw)
    client = await door.client(mailbox="INBOX")
    assert await decoded(client, "FETCH 1 BINARY.PEEK[1]") == TEXT
    assert await decoded(client, "FETCH 1 BINARY.PEEK[2]", nul=True) == OCTETS
    assert await decoded(client, "FETCH 1 BINARY.PEEK[3]") == b"caf\xc3\xa9\r\n"
    assert await decoded(client, "FETCH 1 BINARY.PEEK[4]") == b""
    assert await decoded(client, "FETCH 1 BINARY.PEEK[]") == raw
    assert await decoded(client, "FETCH 1 BINARY.PEEK[2]<5.100>", nul=True) == OCTETS[5:105]
    assert await decoded(client, "FETCH 1 BINARY.PEEK[2]<3000.100>", nul=True) == b"\0\r\n\0"
    assert await decoded(client, "FETCH 1 BINARY.PEEK[2]<99999.1>", nul=True) == b""


async def test_sizes_are_those_of_what_is_decoded(door: Door) -> None:
    await door.put(letter("binary", b"\0\0"))
    client = await door.client(mailbox="INBOX")
    assert await client.ok("FETCH 1 (BINARY.SIZE[1] BINARY.SIZE[2] BINARY.SIZE[3] BINARY.SIZE[4])") == [
        b"* 1 FETCH (BINARY.SIZE[1] %d BINARY.SIZE[2] 3004 BINARY.SIZE[3] 2 BINARY.SIZE[4] 0)" % len(TEXT)
    ]
    assert await client.ok("FETCH 1 FLAGS") == [b"* 1 FETCH (FLAGS (\\Recent))"]


async def test_binary_marks_a_message_seen_and_a_peek_does_not(door: Door) -> None:
    await door.put(letter("7bit", b"x"))
    client = await door.client(mailbox="INBOX")
    await client.ok("FETCH 1 BINARY.PEEK[3]")
    assert await client.ok("FETCH 1 BINARY[3]") == [b"* 1 FETCH (FLAGS (\\Seen \\Recent) BINARY[3] {1}\r\nx)"]


async def test_an_encoding_that_nobody_knows_is_refused(door: Door) -> None:
    await door.put(letter("x-uuencode", b"begin 644 x\r\n"))
    client = await door.client(mailbox="INBOX")
    for item in ("BINARY.PEEK[3]", "BINARY.SIZE[3]"):
        answer = await client.say(f"FETCH 1 {item}")
        assert (answer.status, answer.code, answer.untagged) == ("NO", "UNKNOWN-CTE", [])
    assert await decoded(client, "FETCH 1 BINARY.PEEK[1]") == TEXT


@pytest.mark.parametrize("raw", [b"", b"\r\n", b"Subject: x\r\n\r\nhello"])
async def test_a_message_without_parts_has_one(door: Door, raw: bytes) -> None:
    await door.put(raw)
    client = await door.client(mailbox="INBOX")
    assert await decoded(client, "FETCH 1 BINARY[1]") == raw.partition(b"\r\n\r\n")[2]


async def test_a_large_part_is_decoded_in_pieces(door: Door) -> None:
    octets = random.Random(4).randbytes(1 << 20) * 12
    spool = door.store.contents.spool()
    raw = letter("7bit", b"end\r\n", base64.encodebytes(octets).replace(b"\n", b"\r\n"))
    for at in range(0, len(raw), 1 << 18):
        spool.write(raw[at : at + (1 << 18)])
        await spool.flush()
    await door.store.mailboxes.append(door.account.id, "INBOX", spool)
    del raw
    client = await door.client(mailbox="INBOX")
    tracemalloc.start()
    try:
        assert await client.ok("FETCH 1 BINARY.SIZE[2]") == [b"* 1 FETCH (BINARY.SIZE[2] %d)" % len(octets)]
        await client.send(b"f FETCH 1 BINARY.PEEK[2]<1000.10000000>\r\n")
        assert await client.line() == b"* 1 FETCH (BINARY[2]<1000> ~{10000000}"
        at = 1000
        while at < 10_001_000:
            piece = await client.reader.read(min(10_001_000 - at, 1 << 18))
            assert piece == octets[at : at + len(piece)]
            at += len(piece)
        assert await client.line() == b")"
        assert (await client.answer(b"f")).status == "OK"
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 6 << 20


async def test_others_have_their_turns_while_small_parts_are_decoded(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    await door.put(letter("7bit", b"x"))
    client = await door.client(mailbox="INBOX")
    for _ in range(6):
        await client.ok("COPY 1:* INBOX")
    ended, turns, told = Line.end, 0, list[int]()

    def noted(line: Line) -> None:
        told.append(turns)
        ended(line)

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    monkeypatch.setattr(Line, "end", noted)
    waiting = asyncio.create_task(others())
    try:
        assert len(await client.ok("FETCH 1:64 BINARY.PEEK[3]")) == 64
    finally:
        waiting.cancel()
    assert len(told) == 64
    assert max(map(told.count, told)) <= 16
