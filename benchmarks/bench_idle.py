"""What an idling IMAP client costs: memory for each of a thousand in clear, compressed and under TLS, and how much is TLS."""

from __future__ import annotations

import json
import os
import resource
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

SESSIONS: Final = 1000
WARM: Final = 20
ACCOUNTS: Final = 50
_PATIENCE: Final = 30.0

_BARE: Final = """
import asyncio, json, ssl, sys

async def main(pem, ready):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pem)

    class Bare(asyncio.Protocol):
        def connection_made(self, transport):
            self.transport = transport

        def data_received(self, data):
            self.transport.write(bytes(1000) + data)

    server = await asyncio.get_running_loop().create_server(Bare, "127.0.0.1", 0, ssl=context, backlog=1024)
    with open(ready, "w") as file:
        json.dump({"imap": {"host": "127.0.0.1", "port": server.sockets[0].getsockname()[1]}}, file)
    await server.serve_forever()

try:
    from uvloop import new_event_loop
except ImportError:
    new_event_loop = None
    asyncio.sslproto.SSLProtocol.max_size = 32768
with asyncio.Runner(loop_factory=new_event_loop) as runner:
    runner.run(main(*sys.argv[1:]))
"""
"""A server that only talks, with the same buffers: what it costs is TLS's own."""


class Peer:
    """One client, with no more than it needs."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.deflate: tuple[zlib._Compress, zlib._Decompress] | None = None

    def secure(self) -> None:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self.socket = context.wrap_socket(self.socket)

    def hear(self, until: bytes) -> None:
        heard = b""
        while until not in heard:
            data = self.socket.recv(65536)
            if not data:
                raise EOFError(heard)
            heard += self.deflate[1].decompress(data) if self.deflate else data

    def say(self, line: bytes, until: bytes) -> None:
        data = line + b"\r\n"
        if self.deflate:
            data = self.deflate[0].compress(data) + self.deflate[0].flush(zlib.Z_SYNC_FLUSH)
        self.socket.sendall(data)
        self.hear(until)


def idling(number: int, port: int, *, tls: bool = False, compressed: bool = False) -> Peer:
    """A client that has logged in, is in its INBOX and idles."""
    peer = Peer(port)
    peer.hear(b"ready\r\n")
    if tls:
        peer.say(b"a STARTTLS", b"a OK")
        peer.secure()
    peer.say(b"b LOGIN user%d@example.org secret" % (number % ACCOUNTS), b"b OK")
    if compressed:
        peer.say(b"c COMPRESS DEFLATE", b"c OK")
        peer.deflate = zlib.compressobj(wbits=-15), zlib.decompressobj(-15)
    peer.say(b"d SELECT INBOX", b"d OK")
    peer.say(b"e IDLE", b"+ idling")
    return peer


def bare(number: int, port: int) -> Peer:
    """A client of the server that only talks, after as much talk as a login takes."""
    peer = Peer(port)
    peer.secure()
    for _ in range(4):
        peer.say(b"done", b"done")
    return peer


@contextmanager
def serving(home: Path, *command: str) -> Iterator[tuple[int, int]]:
    """A server in a process of its own: its pid, and the port of IMAP."""
    ready = home / "ready.json"
    words = [sys.executable, *(str(ready) if word == "READY" else word for word in command)]
    quiet = {"env": {**os.environ, "HOME": str(home)}, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    server = subprocess.Popen(words, **quiet)  # type: ignore[call-overload]
    try:
        until = time.monotonic() + _PATIENCE
        while not ready.exists() or not ready.read_text():
            if server.poll() is not None or time.monotonic() > until:
                raise RuntimeError("the server did not start")
            time.sleep(0.05)
        yield server.pid, json.loads(ready.read_text())["imap"]["port"]
    finally:
        server.terminate()
        server.wait()


def sink(home: Path) -> tuple[str, ...]:
    ports = ("--smtp-port", "0", "--pop3-port", "0", "--imap-port", "0")
    return "-m", "mailsystem", "sink", "--data-dir", str(home / "data"), *ports, "--ready-file", "READY"


def resident(pid: int) -> int:
    """Octets of memory that the process really holds."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def each(pid: int, sessions: int, connect: Callable[[int], Peer]) -> float:
    """Octets of the server's memory for each of so many clients."""
    peers = [connect(number) for number in range(max(WARM, ACCOUNTS))]  # whatever is made once is made now
    time.sleep(0.5)
    before = resident(pid)
    peers += [connect(number) for number in range(sessions)]
    time.sleep(1)
    grown = (resident(pid) - before) / sessions
    for peer in peers:
        peer.socket.close()
    return grown


def main() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    print(f"{'1,000 connections, each':34}{'kB':>8}")
    with tempfile.TemporaryDirectory() as place:
        home = Path(place)
        for name, options in (("idling in clear", {}), ("idling under TLS", {"tls": True}),
                              ("idling in clear, compressed", {"compressed": True})):  # fmt: skip
            (home / name).mkdir()
            with serving(home / name, *sink(home / name)) as (pid, port):
                cost = each(pid, SESSIONS, lambda number, port=port, options=options: idling(number, port, **options))  # type: ignore[misc]
                print(f"{name:34}{cost / 1000:>8.1f}")
        pem = next(home.glob("*/data/*.pem"))
        (home / "bare").mkdir()
        with serving(home / "bare", "-c", _BARE, str(pem), "READY") as (pid, port):
            print(f"{'a bare TLS connection':34}{each(pid, SESSIONS, lambda number: bare(number, port)) / 1000:>8.1f}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


if __name__ == "__main__":
    main()
