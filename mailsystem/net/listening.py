"""Listening: who connects gets a task of their own, and stopping is told to everybody."""

from __future__ import annotations

import asyncio
import asyncio.sslproto
import errno
import ipaddress
import os
import socket
import ssl
import stat
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from mailsystem.mail.envelope import Peer
from mailsystem.mail.errors import SyntaxFault
from mailsystem.net import proxy
from mailsystem.net.connection import HANDSHAKE_TIMEOUT, SHUTDOWN_TIMEOUT, Connection, Stopping, peer_of, reason_of
from mailsystem.net.limits import Limits
from mailsystem.telemetry import Trace

ACCEPT_PAUSE: Final = 1.0
"""Seconds without accepting anybody when the system has no room for more."""
TURN: Final = 0.001
"""Seconds that a process leaves to others to take in who comes, for each connection that is open here and not there."""
_MOST_TURNS: Final = 5
BACKLOG: Final = 1024
TLS_BUFFER: Final = 32 * 1024
"""Octets that asyncio keeps for what comes in on each TLS connection: it would take 256 KiB, idle or not."""


@dataclass(frozen=True, slots=True)
class Bound:
    """Where a door listens."""

    host: str
    """The path of a unix socket, where it is one."""
    port: int

    @property
    def path(self) -> Path | None:
        """Of a unix socket."""
        return Path(self.host) if self.host.startswith("/") else None

    def __str__(self) -> str:
        if self.path is not None:
            return self.host
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Terms:
    """On what terms a door lets anybody in."""

    limits: Limits | None = None
    """Shared by all doors, and perhaps by several processes."""
    proxies: tuple[proxy.Network, ...] = ()
    """Who begins each connection with a PROXY header that says for whom."""
    sockets: Sequence[socket.socket] = ()
    """Where the door listens, if that was opened before: several processes may listen at one place."""


def is_loopback(host: str) -> bool:
    """Whether who listens on a name or an address is reached from this machine alone. Blocks."""
    if host in ("", "*"):
        return False
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return True  # nobody can listen there, which is told better by trying to
    return all(ipaddress.ip_address(str(address[0]).partition("%")[0]).is_loopback for *_, address in found)


class _Listener:
    """The sockets of one door, and the tasks that serve who came in.

    It accepts by itself, and a handshake of implicit TLS belongs to the session's task: so one that fails can be told,
    and one that hangs is ended like any other session.
    """

    def __init__(
        self,
        serve: Callable[[Connection], Awaitable[None]],
        tls: ssl.SSLContext | None,
        terms: Terms,
        full: bytes,
        trace: Trace,
    ) -> None:
        self._serve = serve
        self._tls = tls
        self._terms = terms
        self._full = full
        self._trace = trace
        self._loop = asyncio.get_running_loop()
        self._open: dict[asyncio.Task[None], Connection | None] = {}
        self._stopping = False

    def start(self, sock: socket.socket) -> None:
        if not self._stopping:
            self._loop.add_reader(sock, self._accept, sock)

    def _accept(self, sock: socket.socket) -> None:
        limits = self._terms.limits
        if limits is None or not limits.is_shared:
            self._take_in(sock, 100)  # then the sessions have a turn
        elif not (ahead := limits.ahead):
            # One at a time, so that it is counted before the next comes: all processes are woken, and share them evenly.
            self._take_in(sock, 1)
        else:
            self._loop.remove_reader(sock)
            self._loop.call_later(TURN * min(ahead, _MOST_TURNS), self._take_turn, sock)

    def _take_turn(self, sock: socket.socket) -> None:
        """The others had theirs; if they were too busy, it is ours after all."""
        if not self._stopping:
            self.start(sock)
            self._take_in(sock, 1)

    def _take_in(self, sock: socket.socket, most: int) -> None:
        for _ in range(most):
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
        """One connection from its first octet to its last, if it is let in."""
        try:
            if proxy.is_from(self._terms.proxies, peer):
                peer = await proxy.client(accepted, peer)
        except (SyntaxFault, OSError) as error:  # `TimeoutError` is one
            accepted.close()
            self._trace.event("proxy refused", peer=str(peer), reason=str(error) or "too slow")
            return
        except BaseException:
            accepted.close()
            raise
        limits = self._terms.limits
        if limits is None:
            await self._attend(accepted, peer)
        elif (why := limits.enter(peer)) is not None:
            self._turn_away(accepted)
            self._trace.event("turned away", peer=str(peer), reason=why)
        else:
            try:
                await self._attend(accepted, peer)
            finally:
                limits.leave(peer)

    def _turn_away(self, accepted: socket.socket) -> None:
        """Say why in the door's words, at no cost: a peer that would have to be waited for, or to be shaken hands with, hears
        nothing."""
        with accepted, suppress(OSError):
            if self._tls is None:
                accepted.send(self._full)
                accepted.shutdown(socket.SHUT_WR)

    async def _attend(self, accepted: socket.socket, peer: Peer) -> None:
        connection = Connection(peer)
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
            self._trace.bug(error, peer=str(peer))
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


OPEN: Final = Terms()
"""Anybody, and as many as come."""


@asynccontextmanager
async def listen(
    serve: Callable[[Connection], Awaitable[None]],
    host: str,
    port: int,
    *,
    path: Path | None = None,
    tls: ssl.SSLContext | None = None,
    terms: Terms = OPEN,
    full: bytes = b"",
    grace: float = 5.0,
    trace: Trace | None = None,
) -> AsyncIterator[Bound]:
    """Serve every peer that connects to `host`:`port` (0 takes a free one) in a task of its own; with `tls` at once.

    With `path`, it is a unix socket there and nothing else, open to whoever may enter its directory. Where `terms` has
    sockets, it is those instead. `full` is said to those whom the limits of `terms` keep out.
    When `serve` returns, the connection is flushed and closed; when it raises, it is cut. On exit nobody is accepted
    any more, idle reads raise `Stopping`, and what still runs after `grace` seconds is cancelled. Raises `OSError`.
    """
    loop = asyncio.get_running_loop()
    asyncio.sslproto.SSLProtocol.max_size = TLS_BUFFER
    listener = _Listener(serve, tls, terms, full, trace or Trace())
    if terms.sockets:
        sockets, path = list(terms.sockets), None  # who has opened them removes their traces
    elif path is None:
        found = await loop.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        sockets = _bind(found, port, host)
    else:
        sockets = [_bind_path(path)]
    try:
        for sock in sockets:
            sock.listen(BACKLOG)
            listener.start(sock)
        yield place_of(sockets)
    finally:
        for sock in sockets:
            loop.remove_reader(sock)
            sock.close()
        if path is not None:
            _unlink(path)
        await listener.stop(grace)


@contextmanager
def opened(host: str, port: int, path: Path | None = None, *, movable: bool = False) -> Iterator[list[socket.socket]]:
    """The sockets of a door, for several processes that are forked while they are open. Nobody gets in before one of them
    listens. A door that is `movable` listens at once, and takes a free port where its own is in use. Blocks. Raises
    `OSError`."""
    if path is None:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        try:
            sockets = _listening(_bind(found, port, host)) if movable else _bind(found, port, host)
        except OSError as error:
            if not movable or error.errno != errno.EADDRINUSE:
                raise
            sockets = _listening(_bind(found, 0, host))
    else:
        sockets = [_bind_path(path)]
    try:
        yield sockets
    finally:
        for sock in sockets:
            sock.close()
        if path is not None:
            _unlink(path)


def _listening(sockets: list[socket.socket]) -> list[socket.socket]:
    """Of two programs that begin at once both can be bound to a port: who has it is decided by who listens first. Raises
    `OSError`."""
    try:
        for sock in sockets:
            sock.listen(BACKLOG)
    except OSError:
        for sock in sockets:
            sock.close()
        raise
    return sockets


def _bind(found: Sequence[tuple[Any, ...]], port: int, host: str) -> list[socket.socket]:
    """A socket for each address that was `found` for `host`, all with one port number even where it is ours to choose."""
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


def place_of(sockets: Sequence[socket.socket]) -> Bound:
    """Where a door with these sockets listens."""
    name = sockets[0].getsockname()
    return Bound(os.path.abspath(name), 0) if isinstance(name, str) else Bound(name[0], name[1])


def _bind_path(path: Path) -> socket.socket:
    """A unix socket. One that a program left behind is taken over, one that somebody listens on is not."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        if _is_deserted(path):
            path.unlink()
        sock.bind(str(path))
        path.chmod(0o666)
    except BaseException:
        sock.close()
        raise
    return sock


def _is_deserted(path: Path) -> bool:
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            return False
    except FileNotFoundError:
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as knocking:
        return knocking.connect_ex(str(path)) == errno.ECONNREFUSED


def _unlink(path: Path) -> None:
    # Another program may have taken the place; its socket is not ours to remove. Nobody answers at ours any more.
    with suppress(OSError):
        if _is_deserted(path):
            path.unlink()
