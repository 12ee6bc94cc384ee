"""The PROXY protocol: from named networks it must come, from all others it must not, and it is never half believed."""

from __future__ import annotations

import asyncio
import ipaddress
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsystem.mail.envelope import UNIX, Peer
from mailsystem.mail.errors import SyntaxFault
from mailsystem.net import Bound, Closed, Connection, Limits, Terms, listen, proxy
from mailsystem.telemetry import Event, Trace

LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)
V4 = bytes([203, 0, 113, 9, 127, 0, 0, 1]) + struct.pack("!HH", 4711, 25)
V6 = ipaddress.ip_address("2001:db8::7").packed + ipaddress.ip_address("::1").packed + struct.pack("!HH", 4712, 25)


def v2(command: int, family: int, body: bytes) -> bytes:
    return proxy.SIGNATURE + struct.pack("!BBH", command, family, len(body)) + body


GOOD = [
    (b"PROXY TCP4 203.0.113.9 192.0.2.1 4711 25\r\n", Peer("203.0.113.9", 4711)),
    (b"PROXY TCP6 2001:db8::7 2001:db8::1 4712 25\r\n", Peer("2001:db8::7", 4712)),
    (b"PROXY UNKNOWN\r\n", None),
    (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", None),
    (v2(0x21, 0x11, V4), Peer("203.0.113.9", 4711)),
    (v2(0x21, 0x11, V4 + b"\x04\x00\x03abc"), Peer("203.0.113.9", 4711)),
    (v2(0x21, 0x21, V6), Peer("2001:db8::7", 4712)),
    (v2(0x20, 0x00, b""), None),
    (v2(0x20, 0x11, V4), None),
    (v2(0x21, 0x00, b""), None),
]
BAD = [
    b"EHLO client.example\r\n",
    b"PROXY TCP4 203.0.113.9 192.0.2.1 4711 25\n\n\r\n",
    b"PROXY TCP4 2001:db8::7 192.0.2.1 4711 25\r\n",
    b"PROXY TCP4 203.0.113.999 192.0.2.1 4711 25\r\n",
    b"PROXY TCP4 203.0.113.9 192.0.2.1 70000 25\r\n",
    b"PROXY TCP4 203.0.113.9 192.0.2.1  4711 25\r\n",
    b"PROXY TCP4 203.0.113.9 192.0.2.1 4711\r\n",
    b"PROXY UDP4 203.0.113.9 192.0.2.1 4711 25\r\n",
    b"proxy TCP4 203.0.113.9 192.0.2.1 4711 25\r\n",
    b"PROXY " + b"x" * 200 + b"\r\n",
    v2(0x21, 0x11, V4[:11]),
    v2(0x21, 0x21, V6[:35]),
    v2(0x21, 0x12, V4),
    v2(0x21, 0x31, b"\0" * 216),
    v2(0x22, 0x11, V4),
    v2(0x11, 0x11, V4),
    proxy.SIGNATURE + struct.pack("!BBH", 0x21, 0x11, 0xFFFF) + b"x" * 0xFFFF,
]


async def tell(connection: Connection) -> None:
    """Says whom it takes the peer for, and gives back what it hears."""
    connection.write(f"{connection.peer}\r\n".encode())
    with suppress(Closed):
        connection.write(await connection.read(5))


@asynccontextmanager
async def door(terms: Terms, events: list[Event] | None = None) -> AsyncIterator[Bound]:
    trace = Trace([events.append] if events is not None else [])
    async with listen(tell, "127.0.0.1", 0, terms=terms, trace=trace, grace=1.0) as bound:
        yield bound


async def said_after(bound: Bound, data: bytes, pieces: int | None = None) -> bytes:
    reader, writer = await asyncio.open_connection(bound.host, bound.port)
    step = pieces or max(len(data), 1)
    for start in range(0, len(data), step):
        writer.write(data[start : start + step])
        await asyncio.sleep(0)
    try:
        return await asyncio.wait_for(reader.read(), 10)
    except ConnectionError:
        return b""
    finally:
        writer.close()


@pytest.mark.parametrize("pieces", [None, 1])
@pytest.mark.parametrize(("header", "peer"), GOOD)
async def test_a_named_proxy_says_for_whom_it_speaks_and_all_behind_is_the_clients(
    header: bytes, peer: Peer | None, pieces: int | None
) -> None:
    async with door(Terms(proxies=LOOPBACK)) as bound:
        said = await said_after(bound, header + b"first words", pieces)
    name, _, heard = said.partition(b"\r\n")
    assert name.decode() == str(peer) if peer else name.startswith(b"127.0.0.1:")
    assert heard.startswith(b"f")


@pytest.mark.parametrize("header", BAD)
async def test_whatever_else_a_named_proxy_says_is_cut_without_a_word(header: bytes) -> None:
    events: list[Event] = []
    async with door(Terms(proxies=LOOPBACK), events) as bound:
        assert await said_after(bound, header) == b""
    [event] = [event for event in events if event.name == "proxy refused"]
    assert event.data["reason"]


async def test_from_anybody_else_the_header_is_only_input() -> None:
    elsewhere = (ipaddress.ip_network("192.0.2.0/24"), ipaddress.ip_network("2001:db8::/32"))
    for header, _ in GOOD:
        async with door(Terms(proxies=elsewhere)) as bound:
            said = await said_after(bound, header)
        name, _, heard = said.partition(b"\r\n")
        assert name.startswith(b"127.0.0.1:")
        assert heard == header


async def test_a_proxy_that_says_nothing_is_not_waited_for_forever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxy, "TIMEOUT", 0.05)
    events: list[Event] = []
    async with door(Terms(proxies=LOOPBACK), events) as bound:
        assert await said_after(bound, b"PROXY TCP4 ") == b""
    assert [event.data["reason"] for event in events if event.name == "proxy refused"] == ["too slow"]


async def test_stopping_does_not_wait_for_a_proxy_beyond_the_grace() -> None:
    async with door(Terms(proxies=LOOPBACK)) as bound:
        reader, writer = await asyncio.open_connection(bound.host, bound.port)
        await asyncio.sleep(0.05)
        start = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - start < 3
    assert await reader.read() == b""
    writer.close()


async def test_limits_count_the_client_and_not_its_proxy() -> None:
    async with door(Terms(Limits(0, 1), LOOPBACK)) as bound:
        headers = [b"PROXY TCP4 203.0.113.%d 192.0.2.1 1 25\r\n" % number for number in (1, 2, 1)]
        streams = [await asyncio.open_connection(bound.host, bound.port) for _ in headers]
        said = []
        for (reader, writer), header in zip(streams, headers, strict=True):
            writer.write(header)
            said.append(await reader.readline())
        assert said == [b"203.0.113.1:1\r\n", b"203.0.113.2:1\r\n", b""]
        for _, writer in streams:
            writer.close()


def test_only_this_machines_own_proxy_may_speak_for_this_machine() -> None:
    header = b"PROXY TCP4 127.0.0.1 192.0.2.1 4711 25\r\n"

    async def heard_from(peer: Peer) -> Peer:
        import socket

        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.setblocking(False)
            theirs.sendall(header)
            return await proxy.client(ours, peer)

    assert asyncio.run(heard_from(Peer("127.0.0.1", 9))) == Peer("127.0.0.1", 4711)
    with pytest.raises(SyntaxFault):
        asyncio.run(heard_from(Peer("192.0.2.77", 9)))


def test_who_is_a_proxy() -> None:
    networks = (ipaddress.ip_network("192.0.2.0/24"), ipaddress.ip_network("fe80::/10"))
    assert proxy.is_from(networks, Peer("192.0.2.9", 1))
    assert proxy.is_from(networks, Peer("fe80::1%eth0", 1))
    for host in ("192.0.3.9", "::1", UNIX, ""):
        assert not proxy.is_from(networks, Peer(host, 1))


@given(st.binary(max_size=300))
def test_no_header_makes_anything_but_an_answer_or_a_fault(data: bytes) -> None:
    for read in (proxy.text, proxy.binary):
        for octets in (data, proxy.SIGNATURE + data, b"PROXY TCP4 " + data + b"\r\n"):
            with suppress(SyntaxFault):
                assert isinstance(read(octets), Peer | None)
