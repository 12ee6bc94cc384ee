"""Listening on the path of a unix socket."""

from __future__ import annotations

import asyncio
import socket
import stat
from pathlib import Path

import pytest

from mailsystem.mail.envelope import UNIX, Peer
from mailsystem.net import Connection, listen

SEEN: list[Peer] = []


async def greet(connection: Connection) -> None:
    SEEN.append(connection.peer)
    connection.write(b"hello\r\n")
    connection.write(await connection.read(5))


async def test_who_comes_by_a_path_is_of_this_machine(tmp_path: Path) -> None:
    path = tmp_path / "door"
    async with listen(greet, "", 0, path=path, grace=1.0) as bound:
        assert (bound.path, str(bound)) == (path, str(path))
        assert stat.S_IMODE(path.stat().st_mode) == 0o666
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b"you too")
        assert await reader.read() == b"hello\r\nyou too"
        writer.close()
        assert SEEN.pop() == Peer(UNIX, 0)
        assert Peer(UNIX, 0).is_loopback
    assert not path.exists()


async def test_a_socket_that_was_left_behind_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "door"
    with socket.socket(socket.AF_UNIX) as crashed:
        crashed.bind(str(path))
    async with listen(greet, "", 0, path=path, grace=1.0):
        reader, writer = await asyncio.open_unix_connection(path)
        assert await reader.readline() == b"hello\r\n"
        writer.close()


async def test_a_living_socket_and_a_file_are_left_alone(tmp_path: Path) -> None:
    path, file = tmp_path / "door", tmp_path / "file"
    file.write_text("precious")
    async with listen(greet, "", 0, path=path, grace=1.0):
        for taken in (path, file):
            with pytest.raises(OSError, match="in use"):
                async with listen(greet, "", 0, path=taken):
                    raise AssertionError
        reader, writer = await asyncio.open_unix_connection(path)
        assert await reader.readline() == b"hello\r\n"
        writer.close()
    assert file.read_text() == "precious"
