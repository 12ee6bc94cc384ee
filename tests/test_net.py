"""A peer on a stream: what it sends is bounded, what it does not take holds us back, and stopping is told."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import trustme

from mailsystem.net import READ_LIMIT, WRITE_LIMIT, Bound, Closed, Connection, Injected, Stopping, listen, listening
from mailsystem.telemetry import Event, Trace

Client = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def door(serve: Callable[[Connection], Awaitable[None]], **options: Any) -> AsyncIterator[Bound]:
    options.setdefault("grace", 1.0)
    async with listen(serve, "127.0.0.1", 0, **options) as bound:
        yield bound


@asynccontextmanager
async def client(bound: Bound, **options: Any) -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_connection(bound.host, bound.port, **options)
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(OSError, ssl.SSLError):
            await writer.wait_closed()


@pytest.fixture(scope="module")
def certificates() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(server)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    return server, trusting


async def echo(connection: Connection) -> None:
    while True:
        try:
            data = await connection.read(5)
        except Closed:
            return
        connection.write(data)
        await connection.drain()


async def test_what_comes_in_can_be_read_and_what_is_written_goes_out() -> None:
    async with door(echo) as bound, client(bound) as (reader, writer):
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"


async def test_the_connection_knows_both_ends() -> None:
    seen: list[Connection] = []

    async def serve(connection: Connection) -> None:
        seen.append(connection)

    async with door(serve) as bound, client(bound) as (reader, writer):
        assert await reader.read() == b""
        [connection] = seen
        assert (connection.local.host, connection.local.port) == (bound.host, bound.port)
        assert connection.peer.port == writer.get_extra_info("sockname")[1]
        assert connection.peer.is_loopback
        assert connection.secure is None


async def test_a_client_may_close_its_side_and_still_gets_every_answer() -> None:
    async with door(echo) as bound, client(bound) as (reader, writer):
        writer.write(b"x" * 1_000_000)
        writer.write_eof()
        assert len(await reader.read()) == 1_000_000


async def test_silence_ends_in_a_timeout_and_nothing_is_lost_by_it() -> None:
    heard: list[object] = []

    async def serve(connection: Connection) -> None:
        with pytest.raises(TimeoutError):
            await connection.read(0.01)
        connection.write(b"?")
        heard.append(await connection.read(5))

    async with door(serve) as bound, client(bound) as (reader, writer):
        assert await reader.readexactly(1) == b"?"
        writer.write(b"here")
        assert await reader.read() == b""
    assert heard == [b"here"]


async def test_many_reads_share_one_timer_and_each_has_its_own_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    set_: list[float] = []
    late: list[float] = []
    loop = asyncio.get_running_loop()
    call_at = loop.call_at

    def counted(when: float, *rest: Any, **more: Any) -> Any:
        if getattr(rest[0], "__name__", "") == "_fired":
            set_.append(when)
        return call_at(when, *rest, **more)

    monkeypatch.setattr(loop, "call_at", counted)

    async def serve(connection: Connection) -> None:
        for seconds in (*[60.0] * 50, 600.0):
            connection.write(await connection.read(seconds))
        for seconds in (0.05, 0.2, 0.1):
            start = loop.time()
            with pytest.raises(TimeoutError):
                await connection.read(seconds)
            late.append(loop.time() - start - seconds)
        connection.write(b"end")

    async with door(serve) as bound, client(bound) as (reader, writer):
        for n in range(51):
            writer.write(b"%03d" % n)
            assert await reader.readexactly(3) == b"%03d" % n
            if n == 49:
                assert len(set_) == 1
        assert await reader.readexactly(3) == b"end"
        assert all(wait >= -0.01 for wait in late)


async def test_whoever_waits_can_be_nudged_and_what_was_nudged_before_counts() -> None:
    said: list[str] = []
    there = asyncio.Event()

    async def serve(connection: Connection) -> None:
        connection.nudge()
        await connection.until_stirred(5)
        assert connection.take() == b""
        said.append("before")
        asyncio.get_running_loop().call_later(0.01, connection.nudge)
        await connection.until_stirred(5)
        assert connection.take() == b""
        said.append("meanwhile")
        with pytest.raises(TimeoutError):
            await connection.until_stirred(0.01)
        there.set()
        await connection.until_stirred(5)
        assert connection.take() == b"hello"
        await connection.until_stirred(5)
        with pytest.raises(Closed):
            connection.take()
        said.append("gone")

    async with door(serve) as bound, client(bound) as (reader, writer):
        await there.wait()
        writer.write(b"hello")
        await writer.drain()
        writer.write_eof()
        assert await reader.read() == b""
    assert said == ["before", "meanwhile", "gone"]


async def test_a_cancelled_read_loses_nothing() -> None:
    heard = bytearray()

    async def serve(connection: Connection) -> None:
        connection.write(b"!")
        while len(heard) < 100:
            reading = asyncio.ensure_future(connection.read(5))
            await asyncio.sleep(0)
            reading.cancel()
            with suppress(asyncio.CancelledError):
                heard.extend(await reading)
            await asyncio.sleep(0)

    async with door(serve) as bound, client(bound) as (reader, writer):
        await reader.readexactly(1)
        for number in range(100):
            writer.write(bytes([number]))
            await asyncio.sleep(0)
        assert await reader.read() == b""
    assert heard == bytes(range(100))


async def test_a_peer_that_is_gone_raises_closed_everywhere() -> None:
    raised: list[str] = []
    over = asyncio.Event()

    async def serve(connection: Connection) -> None:
        with pytest.raises(Closed):
            await connection.read(5)
        for _ in range(1000):
            connection.write(b"x" * 65536)
            try:
                await connection.drain(5)
            except Closed:
                raised.append("drain")
                break
        with pytest.raises(Closed):
            await connection.read(5)
        connection.write(b"into the void")
        await connection.close()
        over.set()

    async with door(serve) as bound:
        _, writer = await asyncio.open_connection(bound.host, bound.port)
        # A reset rather than a polite end.
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
        async with asyncio.timeout(5):
            await over.wait()
    assert raised == ["drain"]


async def test_a_peer_that_pours_is_left_to_wait() -> None:
    most = 0
    go_on = asyncio.Event()
    total = 0

    async def serve(connection: Connection) -> None:
        nonlocal most, total
        await go_on.wait()
        while True:
            most = max(most, connection.pending)
            try:
                total += len(await connection.read(5))
            except Closed:
                return

    async with door(serve) as bound, client(bound) as (reader, writer):
        writer.write(b"x" * 20_000_000)
        await asyncio.sleep(0.1)
        assert writer.transport.get_write_buffer_size() > 0  # it waits
        go_on.set()
        await writer.drain()
        writer.write_eof()
        assert await reader.read() == b""
    assert total == 20_000_000
    assert READ_LIMIT <= most < 2 * READ_LIMIT


@pytest.mark.parametrize("secure", [False, True], ids=["clear", "tls"])
async def test_a_peer_that_does_not_read_holds_drain_back(
    secure: bool, certificates: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    server, trusting = certificates
    written = 0
    stuck = asyncio.Event()

    async def serve(connection: Connection) -> None:
        nonlocal written
        try:
            while True:
                connection.write(b"x" * 65536)
                written += 65536
                await connection.drain(0.2)
        except TimeoutError:
            stuck.set()
            raise

    tracemalloc.start()
    try:
        async with door(serve, tls=server if secure else None) as bound:
            reader, writer = await asyncio.open_connection(
                bound.host,
                bound.port,
                limit=1024,
                ssl=trusting if secure else None,
                server_hostname="localhost" if secure else None,
            )
            async with asyncio.timeout(10):
                await stuck.wait()
            _, peak = tracemalloc.get_traced_memory()
            writer.transport.abort()
            del reader
    finally:
        tracemalloc.stop()
    assert written > WRITE_LIMIT
    assert peak < WRITE_LIMIT + 2_000_000


async def test_drain_waits_for_a_slow_peer_as_long_as_it_takes_something() -> None:
    done: list[float] = []

    async def serve(connection: Connection) -> None:
        loop = asyncio.get_running_loop()
        start = loop.time()
        connection.write(b"x" * 12_000_000)
        await connection.drain(0.2)
        done.append(loop.time() - start)

    async with door(serve) as bound:
        raw = socket.create_connection((bound.host, bound.port))
        raw.setblocking(False)
        loop = asyncio.get_running_loop()
        left = 12_000_000
        try:
            while left:
                await asyncio.sleep(0.06)
                left -= len(await loop.sock_recv(raw, 1_500_000))
        finally:
            raw.close()
        await asyncio.sleep(0.05)
    assert done
    assert done[0] > 0.3


async def test_close_sends_what_is_unsent() -> None:
    async def serve(connection: Connection) -> None:
        connection.write(b"x" * 5_000_000)
        await connection.close()

    async with door(serve) as bound, client(bound) as (reader, _):
        assert len(await reader.read()) == 5_000_000


async def test_the_last_words_reach_a_peer_that_was_still_talking() -> None:
    async def serve(connection: Connection) -> None:
        await connection.read(5)
        connection.write(b"enough")
        await connection.close()

    for _ in range(20):
        async with door(serve) as bound, client(bound) as (reader, writer):
            writer.write(b"x" * 3_000_000)
            async with asyncio.timeout(5):
                assert await reader.readexactly(6) == b"enough"
            writer.transport.abort()


async def test_abort_closes_at_once() -> None:
    over = asyncio.Event()

    async def serve(connection: Connection) -> None:
        connection.write(b"x" * 50_000_000)
        connection.abort()
        over.set()

    async with door(serve) as bound, client(bound) as (reader, _):
        async with asyncio.timeout(5):
            await over.wait()
            with suppress(ConnectionResetError):
                assert len(await reader.read()) < 50_000_000


async def test_stopping_is_told_to_idle_reads_only() -> None:
    said: list[object] = []
    busy = asyncio.Event()

    async def serve(connection: Connection) -> None:
        first = await connection.read(5)
        busy.set()
        while connection.pending == 0:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)  # by now the door is closing
        said.append((first, await connection.read(5)))
        try:
            await connection.read(5)
        except Stopping:
            connection.write(b"bye")
            await connection.close()
            said.append(connection.stopping)

    async with door(serve) as bound:
        reader, writer = await asyncio.open_connection(bound.host, bound.port)
        writer.write(b"1")
        await busy.wait()
        writer.write(b"2")
        await asyncio.sleep(0.05)
    assert said == [(b"1", b"2"), True]
    assert await reader.read() == b"bye"
    writer.close()
    await writer.wait_closed()


async def test_stopping_wakes_idle_reads_at_once() -> None:
    async def serve(connection: Connection) -> None:
        connection.write(b"hello")
        try:
            await connection.read(60)
        except Stopping:
            connection.write(b"bye")

    loop = asyncio.get_running_loop()
    async with door(serve, grace=30) as bound:
        clients = [await asyncio.open_connection(bound.host, bound.port) for _ in range(20)]
        for reader, _ in clients:
            await reader.readexactly(5)
        start = loop.time()
    assert loop.time() - start < 1
    for reader, writer in clients:
        assert await reader.read() == b"bye"
        writer.close()
        await writer.wait_closed()


async def test_who_does_not_stop_is_cancelled_after_the_grace() -> None:
    ended: list[str] = []
    begun = asyncio.Event()

    async def serve(connection: Connection) -> None:
        begun.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    async with door(serve, grace=0.05) as bound:
        reader, writer = await asyncio.open_connection(bound.host, bound.port)
        await begun.wait()
    assert ended == ["cancelled"]
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()
    with pytest.raises(OSError):
        await asyncio.open_connection(bound.host, bound.port)


async def test_a_session_that_fails_is_reported_and_hurts_nobody_else() -> None:
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    events: list[Event] = []

    async def serve(connection: Connection) -> None:
        if await connection.read(5) == b"bug":
            raise ZeroDivisionError
        connection.write(b"fine")

    async with door(serve, trace=Trace([events.append])) as bound:
        async with client(bound) as (reader, writer):
            writer.write(b"bug")
            assert await reader.read() == b""
        async with client(bound) as (reader, writer):
            writer.write(b"no bug")
            assert await reader.read() == b"fine"
    [context] = reported
    assert isinstance(context["exception"], ZeroDivisionError)
    [event] = events
    assert event.name == "bug"
    assert event.data["error"] == "ZeroDivisionError"
    assert "in serve" in event.data["traceback"]


async def starting_tls(connection: Connection, context: ssl.SSLContext) -> None:
    assert await connection.read(5) == b"tls please\r\n"
    connection.write(b"go ahead\r\n")
    await connection.start_tls(context, timeout=2)
    connection.write(f"{connection.secure}\r\n".encode())
    await echo(connection)


async def test_tls_can_start_in_mid_stream(certificates: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    server, trusting = certificates

    async with door(lambda c: starting_tls(c, server)) as bound, client(bound) as (reader, writer):
        writer.write(b"tls please\r\n")
        assert await reader.readline() == b"go ahead\r\n"
        await writer.start_tls(trusting, server_hostname="localhost")
        writer.write(b"x" * 2_000_000)  # may travel with the last flight of the handshake
        assert (await reader.readline()).startswith(b"TLSv1.3 TLS_")
        assert len(await reader.readexactly(2_000_000)) == 2_000_000


async def test_octets_behind_the_command_that_starts_tls_are_an_attack(
    certificates: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    found: list[str] = []
    read = asyncio.Event()

    async def serve(connection: Connection) -> None:
        await connection.read(5)
        read.set()
        while not connection.pending:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        try:
            await connection.start_tls(certificates[0])
        except Injected:
            found.append("injected")

    async with door(serve) as bound, client(bound) as (reader, writer):
        writer.write(b"STARTTLS\r\n")
        await read.wait()
        writer.write(b"MAIL FROM:<evil@example.com>\r\n")
        assert await reader.read() == b""
    assert found == ["injected"]


@pytest.mark.parametrize("garbage", [b"GET / HTTP/1.0\r\n\r\n", b"", b"\x16\x03\x01\x00\x05hello"])
async def test_a_handshake_that_fails_is_only_closed(
    garbage: bytes, certificates: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    events: list[Event] = []
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))

    async with (
        door(echo, tls=certificates[0], trace=Trace([events.append])) as bound,
        client(bound) as (reader, writer),
    ):
        if garbage:
            writer.write(garbage)
        else:
            writer.write_eof()
        with suppress(ConnectionResetError):
            await reader.read()
    assert [event.name for event in events] == ["handshake failed"]
    assert reported == []


async def test_a_handshake_that_hangs_ends(certificates: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    failed: list[str] = []

    async def serve(connection: Connection) -> None:
        try:
            await connection.start_tls(certificates[0], timeout=0.05)
        except Closed as error:
            failed.append(str(error))
            raise

    async with door(serve) as bound, client(bound) as (reader, _):
        async with asyncio.timeout(5):
            assert await reader.read() == b""
    assert failed
    assert "handshake" in failed[0]


async def test_a_connection_under_tls_closes_at_once_however_much_was_written(
    certificates: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    server, trusting = certificates

    async def talk(connection: Connection) -> None:
        for _ in range(int(await connection.read(5))):
            connection.write(b"x" * 100)
            await connection.drain()

    async with door(talk, tls=server) as bound:
        for writes in (b"1", b"2", b"3", b"1000"):
            async with client(bound, ssl=trusting, server_hostname="localhost") as (reader, writer), asyncio.timeout(5):
                writer.write(writes)
                assert len(await reader.read(-1)) == int(writes) * 100


async def test_implicit_tls_is_there_from_the_first_octet(
    certificates: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    server, trusting = certificates
    async with (
        door(echo, tls=server) as bound,
        client(bound, ssl=trusting, server_hostname="localhost") as (reader, writer),
    ):
        writer.write(b"x" * 3_000_000)
        assert len(await reader.readexactly(3_000_000)) == 3_000_000


async def test_a_hanging_handshake_does_not_hold_the_end_up(
    certificates: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    loop = asyncio.get_running_loop()
    async with door(echo, tls=certificates[0], grace=0.05) as bound:
        _, writer = await asyncio.open_connection(bound.host, bound.port)
        await asyncio.sleep(0.05)
        start = loop.time()
    assert loop.time() - start < 1
    writer.close()


def test_of_two_programs_that_begin_at_once_one_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    bind = listening._bind
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", 0))
        port = other.getsockname()[1]

        def bound(found: Any, wanted: int, host: str) -> list[socket.socket]:
            sockets = bind(found, wanted, host)
            if wanted:  # both of them are bound, and now the other one listens
                other.listen()
            return sockets

        monkeypatch.setattr(listening, "_bind", bound)
        with listening.opened("127.0.0.1", port, movable=True) as sockets:
            moved = listening.place_of(sockets).port
            assert moved not in (0, port)
            with socket.create_connection(("127.0.0.1", moved), 10):
                pass


async def test_a_port_in_use_is_an_oserror() -> None:
    async with door(echo) as bound:
        with pytest.raises(OSError):
            async with listen(echo, bound.host, bound.port):
                pass


async def test_a_name_with_several_addresses_gets_one_port() -> None:
    async with listen(echo, "localhost", 0, grace=0.1) as bound:
        for host in {str(info[4][0]) for info in socket.getaddrinfo("localhost", bound.port, type=socket.SOCK_STREAM)}:
            try:
                reader, writer = await asyncio.open_connection(host, bound.port)
            except OSError:
                assert ":" in host  # no IPv6 on this machine
                continue
            writer.write(b"x")
            assert await reader.readexactly(1) == b"x"
            writer.close()
            await writer.wait_closed()


async def test_an_idle_connection_costs_little() -> None:
    async def serve(connection: Connection) -> None:
        connection.write(b"!")
        with suppress(Closed, Stopping):
            await connection.read(60)

    async with door(serve) as bound:
        sockets: list[socket.socket] = []
        loop = asyncio.get_running_loop()

        async def connect(count: int) -> None:
            for _ in range(count):
                raw = socket.socket()
                raw.setblocking(False)
                await loop.sock_connect(raw, (bound.host, bound.port))
                await loop.sock_recv(raw, 1)
                sockets.append(raw)

        await connect(10)
        tracemalloc.start()
        try:
            before, _ = tracemalloc.get_traced_memory()
            await connect(100)
            after, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        for raw in sockets:
            raw.close()
    assert (after - before) / 100 < 8_000


def test_everything_holds_on_uvloop_too(certificates: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    uvloop = pytest.importorskip("uvloop")
    scenes: list[Callable[[], Coroutine[Any, Any, None]]] = [
        test_a_client_may_close_its_side_and_still_gets_every_answer,
        test_a_cancelled_read_loses_nothing,
        test_a_peer_that_is_gone_raises_closed_everywhere,
        test_a_peer_that_pours_is_left_to_wait,
        test_close_sends_what_is_unsent,
        test_the_last_words_reach_a_peer_that_was_still_talking,
        test_stopping_is_told_to_idle_reads_only,
        test_stopping_wakes_idle_reads_at_once,
        test_who_does_not_stop_is_cancelled_after_the_grace,
        lambda: test_tls_can_start_in_mid_stream(certificates),
        lambda: test_implicit_tls_is_there_from_the_first_octet(certificates),
        lambda: test_a_connection_under_tls_closes_at_once_however_much_was_written(certificates),
        lambda: test_octets_behind_the_command_that_starts_tls_are_an_attack(certificates),
        lambda: test_a_handshake_that_fails_is_only_closed(b"GET / HTTP/1.0\r\n\r\n", certificates),
        lambda: test_a_handshake_that_hangs_ends(certificates),
    ]
    for scene in scenes:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(scene())
