"""Connecting to others, in clear and under TLS."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from outside import Certificates

from mailsystem.net import Closed, Distrusted, Injected, Unreachable, connect

PATIENCE = 10.0


@asynccontextmanager
async def listening(tls: ssl.SSLContext | None = None, greeting: bytes = b"hello") -> AsyncIterator[int]:
    """Greets, then answers each line with itself; `tls` in clear begins TLS behind it."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(greeting)
            while line := await reader.readline():
                if line == b"tls\n" and tls is not None:
                    writer.write(b"go")
                    await writer.drain()
                    await writer.start_tls(tls)
                else:
                    writer.write(line)
        except (OSError, ssl.SSLError):
            pass
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def test_two_sides_talk() -> None:
    async with listening() as port:
        connection = await connect("127.0.0.1", port, source="127.0.0.3")
        assert (connection.peer.host, connection.peer.port, connection.local.host) == ("127.0.0.1", port, "127.0.0.3")
        assert connection.is_open
        assert await connection.read(PATIENCE) == b"hello"
        connection.write(b"word\n")
        assert await connection.read(PATIENCE) == b"word\n"
        await connection.close()
        assert not connection.is_open


async def test_where_nobody_is_that_is_said() -> None:
    async with listening() as port:
        pass
    with pytest.raises(Unreachable, match=r"^connection refused$"):
        await connect("127.0.0.1", port)
    with pytest.raises(Unreachable, match=r"^network is unreachable$|^no answer within 0.1 s$|^no route to host$"):
        await connect("100::1", port, timeout=0.1)
    with pytest.raises(Unreachable, match=r"^cannot assign requested address$"):
        await connect("127.0.0.1", port, source="192.0.2.1")


async def test_who_does_not_answer_is_not_waited_for() -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(1)
        context = ssl.create_default_context()
        with pytest.raises(Unreachable):  # it says nothing to a handshake
            await connect("127.0.0.1", deaf.getsockname()[1], timeout=0.2, tls=context, server_hostname="localhost")


async def test_the_client_of_tls_knows_whom_it_speaks_to(certificates: Certificates) -> None:
    async with listening(certificates.server()) as port:
        connection = await connect("127.0.0.1", port)
        await connection.read(PATIENCE)
        connection.write(b"tls\n")
        assert await connection.read(PATIENCE) == b"go"
        await connection.start_tls(certificates.client(), server_hostname="localhost")
        assert (connection.secure or "").startswith("TLSv1.")
        connection.write(b"word\n")
        assert await connection.read(PATIENCE) == b"word\n"
        await connection.close()


@pytest.mark.parametrize("name", ["elsewhere.test", "localhost"])
async def test_a_certificate_that_proves_nothing_ends_it(certificates: Certificates, name: str) -> None:
    trust = certificates.client() if name == "elsewhere.test" else ssl.create_default_context()
    async with listening(certificates.server()) as port:
        connection = await connect("127.0.0.1", port)
        await connection.read(PATIENCE)
        connection.write(b"tls\n")
        await connection.read(PATIENCE)
        with pytest.raises(Distrusted, match=r"^certificate not trusted: "):
            await connection.start_tls(trust, server_hostname=name)
        await connection.abort_and_wait()
        assert not connection.is_open


async def test_octets_in_clear_before_tls_are_an_attack(certificates: Certificates) -> None:
    async with listening() as port:
        connection = await connect("127.0.0.1", port)
        async with asyncio.timeout(PATIENCE):
            while not connection.pending:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0)
        with pytest.raises(Injected):
            await connection.start_tls(certificates.client(), server_hostname="localhost")
        connection.abort()


async def test_a_handshake_with_one_who_speaks_no_tls_fails(certificates: Certificates) -> None:
    async with listening(greeting=b"") as port:
        connection = await connect("127.0.0.1", port)
        with pytest.raises(Closed, match=r"^TLS handshake failed: "):
            connection.write(b"\n")
            await connection.start_tls(certificates.client(), server_hostname="localhost", timeout=1)
