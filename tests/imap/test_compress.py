"""COMPRESS=DEFLATE (RFC 4978): everything goes on as before, only shorter; and nobody bursts the server or slips in words."""

from __future__ import annotations

import asyncio
import os
import zlib
from typing import Any, cast

import pytest
from imap_door import PASSWORD, Client, Door, Opening
from outside import Certificates


class _Packed:
    """The two ends of a client's streams, compressed."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.deflater = zlib.compressobj(6, zlib.DEFLATED, -15)
        self.inflater = zlib.decompressobj(-15)
        self.heard = b""
        self.received = 0

    def write(self, data: bytes) -> None:
        self.writer.write(self.deflater.compress(data) + self.deflater.flush(zlib.Z_SYNC_FLUSH))

    async def drain(self) -> None:
        await self.writer.drain()

    def close(self) -> None:
        self.writer.close()

    async def wait_closed(self) -> None:
        await self.writer.wait_closed()

    async def _more(self) -> bool:
        data = await self.reader.read(65536)
        self.received += len(data)
        self.heard += self.inflater.decompress(data)
        return bool(data)

    async def readline(self) -> bytes:
        while b"\n" not in self.heard and await self._more():
            pass
        line, newline, self.heard = self.heard.partition(b"\n")
        return line + newline

    async def readexactly(self, count: int) -> bytes:
        while len(self.heard) < count and await self._more():
            pass
        data, self.heard = self.heard[:count], self.heard[count:]
        return data

    async def read(self) -> bytes:
        while await self._more():
            pass
        data, self.heard = self.heard, b""
        return data


async def compressed(client: Client) -> _Packed:
    assert await client.ok("COMPRESS DEFLATE") == []
    packed = _Packed(client.reader, client.writer)
    client.reader, client.writer = cast(Any, packed), cast(Any, packed)
    return packed


async def test_everything_goes_on_only_shorter(door: Door) -> None:
    body = b"Subject: x\r\n\r\n" + b"line after line\r\n" * 20_000
    noise = b"Subject: y\r\n\r\n" + os.urandom(300_000).hex().encode() + b"\r\n"
    await door.put(body)
    await door.put(noise)
    client = await door.client()
    packed = await compressed(client)
    await client.ok("SELECT INBOX")
    said = await client.ok("FETCH 1 BODY.PEEK[]")
    assert body in said[0]
    assert packed.received < len(body) / 20
    assert noise in (await client.ok("FETCH 2 BODY.PEEK[]"))[0]
    await client.ok(b"APPEND INBOX {%d+}\r\n%b" % (len(body), body))
    assert (await client.say("COMPRESS DEFLATE")).code == "COMPRESSIONACTIVE"
    await client.send(b"i IDLE\r\n")
    assert await client.line() == b"+ idling"
    await door.put()
    assert await client.line() == b"* 4 EXISTS"
    await client.send(b"DONE\r\n")


async def test_it_works_under_tls_for_long(open_door: Opening, certificates: Certificates) -> None:
    door = await open_door(tls=certificates.server(), implicit_tls=True)
    reader, writer = await asyncio.open_connection(
        door.bound.host, door.bound.port, ssl=certificates.client(), server_hostname="localhost"
    )
    client = Client(reader, writer)
    await client.line()
    await client.ok(f'LOGIN ann "{PASSWORD}"')
    await compressed(client)
    await client.ok("SELECT INBOX")
    for _ in range(300):
        assert await client.ok("NOOP") == []
    await client.close()


async def test_only_after_login_and_only_deflate(door: Door) -> None:
    client = await door.connect()
    await client.line()
    assert (await client.say("COMPRESS DEFLATE")).status == "BAD"
    client = await door.client()
    for bad in ("COMPRESS", "COMPRESS LZMA", "COMPRESS DEFLATE x"):
        assert (await client.say(bad)).status == "BAD"
    await compressed(client)


async def test_nothing_is_slipped_in_behind_the_command(door: Door) -> None:
    client = await door.client()
    await client.send(b"a COMPRESS DEFLATE\r\nb DELETE Junk\r\n")
    rest = await client.rest()
    assert rest.startswith(b"* BYE octets behind COMPRESS\r\n")
    assert b"b OK" not in rest
    assert await door.store.mailboxes.find(door.account.id, "Junk")


@pytest.mark.parametrize("garbage", [b"\xff" * 100, b"b NOOP\r\n" * 10])
async def test_what_is_not_compressed_ends_the_session(door: Door, garbage: bytes) -> None:
    client = await door.client()
    packed = await compressed(client)
    packed.writer.write(garbage)
    assert (await client.rest()).startswith(b"* BYE not compressed as it should be\r\n")


async def test_a_bomb_is_not_swallowed(open_door: Opening) -> None:
    door = await open_door(largest_message=1 << 30)
    client = await door.client()
    packed = await compressed(client)
    packed.write(b"a APPEND INBOX {%d+}\r\n" % (500 << 20))
    piece = b"\0" * (1 << 20)
    bomb = b"".join(packed.deflater.compress(piece) for _ in range(200)) + packed.deflater.flush(zlib.Z_SYNC_FLUSH)
    assert len(bomb) < 300_000
    packed.writer.write(bomb)
    assert b"* BYE too much out of too little" in await client.rest()
    inbox = await door.store.mailboxes.find(door.account.id, "INBOX")
    assert inbox.uidnext == 1


async def test_who_logs_out_speaks_in_clear_again(door: Door) -> None:
    """RFC 8437 4.1."""
    client = await door.client()
    plain = client.reader, client.writer
    await compressed(client)
    await client.ok("UNAUTHENTICATE")
    client.reader, client.writer = plain
    await client.ok(f'LOGIN bob "{PASSWORD}"')
    await compressed(client)
    await client.ok("SELECT INBOX")
