"""Listening: who connects gets a task of their own, and stopping is told to everybody."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, cast

from mailsystem.mail.envelope import Peer
from mailsystem.net.connection import HANDSHAKE_TIMEOUT, SHUTDOWN_TIMEOUT, Connection, Stopping, peer_of, reason_of
from mailsystem.telemetry import Trace

ACCEPT_PAUSE: Final = 1.0
"""Seconds without accepting anybody when the system has no room for more."""
BACKLOG: Final = 1024


@dataclass(frozen=True, slots=True)
class Bound:
    """Where a door listens."""

    host: str
    port: int


class _Listener:
    """The sockets of one door, and the tasks that serve who came in.

    It accepts by itself, and a handshake of implicit TLS belongs to the session's task: so one that fails can be told,
    and one that hangs is ended like any other session.
    """

    def __init__(
        self, serve: Callable[[Connection], Awaitable[None]], tls: ssl.SSLContext | None, trace: Trace
    ) -> None:
        self._serve = serve
        self._tls = tls
        self._trace = trace
        self._loop = asyncio.get_running_loop()
        self._open: dict[asyncio.Task[None], Connection | None] = {}
        self._stopping = False

    def start(self, sock: socket.socket) -> None:
        if not self._stopping:
            self._loop.add_reader(sock, self._accept, sock)

    def _accept(self, sock: socket.socket) -> None:
        for _ in range(100):  # then the sessions have a turn
            try:
                accepted, address = sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:  # out of file descriptors or memory: trying again at once would only spin
                self._trace.event("accept failed", reason=str(error))
                self._loop.remove_reader(sock)
                self._loop.call_later(ACCEPT_PAUSE, self.start, sock)
                return
            accepted.setblocking(False)
            task = self._loop.create_task(self._run(accepted, peer_of(address)))
            self._open[task] = None
            task.add_done_callback(self._open.pop)

    async def _run(self, accepted: socket.socket, peer: Peer) -> None:
        connection = Connection()
        try:
            await self._loop.connect_accepted_socket(
                lambda: connection,
                accepted,
                ssl=self._tls,
                ssl_handshake_timeout=None if self._tls is None else HANDSHAKE_TIMEOUT,
                ssl_shutdown_timeout=None if self._tls is None else SHUTDOWN_TIMEOUT,
            )
        except OSError as error:
            self._trace.event("handshake failed", peer=str(peer), reason=reason_of(error))
            return
        self._open[cast("asyncio.Task[None]", asyncio.current_task())] = connection
        try:
            if self._stopping:
                connection.stop()
            await self._serve(connection)
            await connection.close()
        except (ConnectionError, TimeoutError, Stopping):
            pass  # the peer is gone, too slow, or was not even told goodbye: the session knew, and is over
        except Exception as error:
            # Without its text, which may hold anything that the peer said.
            text = "".join(traceback.format_tb(error.__traceback__))
            self._trace.event("bug", peer=str(peer), error=type(error).__name__, traceback=text)
            self._loop.call_exception_handler({"message": f"a session with {peer} failed", "exception": error})
        finally:
            await connection.abort_and_wait()

    async def stop(self, grace: float) -> None:
        """Ask every session to end, wait `grace` seconds, then end the rest."""
        self._stopping = True
        for connection in self._open.values():
            if connection is not None:
                connection.stop()
        try:
            if self._open:
                await asyncio.wait(list(self._open), timeout=grace)
        finally:
            rest = list(self._open)
            for task in rest:
                task.cancel()
            if rest:
                await asyncio.wait(rest)


@asynccontextmanager
async def listen(
    serve: Callable[[Connection], Awaitable[None]],
    host: str,
    port: int,
    *,
    tls: ssl.SSLContext | None = None,
    grace: float = 5.0,
    trace: Trace | None = None,
) -> AsyncIterator[Bound]:
    """Serve every peer that connects to `host`:`port` (0 takes a free one) in a task of its own; with `tls` at once.

    When `serve` returns, the connection is flushed and closed; when it raises, it is cut. On exit nobody is accepted
    any more, idle reads raise `Stopping`, and what still runs after `grace` seconds is cancelled. Raises `OSError`.
    """
    loop = asyncio.get_running_loop()
    listener = _Listener(serve, tls, trace or Trace())
    sockets = await _bind(host, port)
    try:
        for sock in sockets:
            sock.listen(BACKLOG)
            listener.start(sock)
        name = sockets[0].getsockname()
        yield Bound(name[0], name[1])
    finally:
        for sock in sockets:
            loop.remove_reader(sock)
            sock.close()
        await listener.stop(grace)


async def _bind(host: str, port: int) -> list[socket.socket]:
    """A socket for each address of `host`, all with one port number even where it is ours to choose."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    for attempt in range(20):
        sockets: list[socket.socket] = []
        chosen = port
        failed: OSError | None = None
        for family, kind, proto, _, address in dict.fromkeys(found):
            try:
                sock = socket.socket(family, kind, proto)
            except OSError as error:  # a machine without IPv6
                failed = error
                continue
            try:
                sock.setblocking(False)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                sock.setsockopt(
                    socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1
                )  # inherited: finds peers that vanished in IDLE
                if family == socket.AF_INET6:
                    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                sock.bind((address[0], chosen, *address[2:]))
            except OSError as error:
                sock.close()
                failed = error
                if error.errno == errno.EADDRNOTAVAIL:
                    continue  # `localhost` may have an address that this machine has not
                break
            sockets.append(sock)
            chosen = sock.getsockname()[1]
        else:
            if sockets:
                return sockets
        for sock in sockets:
            sock.close()
        # The number that was free for one address may be taken for the next: then another number.
        if port or not sockets or attempt == 19:
            break
    raise failed or OSError(errno.EADDRNOTAVAIL, f"no address for {host!r}")
