"""A peer on a stream: bounded reads, writes with backpressure, TLS in mid-stream.

This is an `asyncio.Protocol` rather than a pair of streams: an idle connection holds no buffers, and what has arrived
is handed over in the pieces in which it came.
"""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from typing import Final, cast

from mailsystem.mail.envelope import UNIX, Peer
from mailsystem.net.deflate import Deflate
from mailsystem.net.tls import end_point
from mailsystem.net.waiting import Waiting

READ_LIMIT: Final = 256 * 1024
"""Octets that may wait unread before the peer is left to wait."""
_AS_THEY_CAME: Final = 32 * 1024
"""Pieces of so many octets are handed over one by one: to join them would copy each once more."""
WRITE_LIMIT: Final = 256 * 1024
"""Octets that may wait unsent before `drain` waits."""
LINGER: Final = 1.0
"""Seconds a peer is given to close its side after we have closed ours."""
HANDSHAKE_TIMEOUT: Final = 30.0
SHUTDOWN_TIMEOUT: Final = 10.0

GONE: Final = "connection closed by the peer"


class Closed(ConnectionError):
    """The peer is gone."""


class Distrusted(Closed):
    """The peer cannot show that it is who it should be."""


class Stopping(Exception):
    """The program is ending: say goodbye."""


class Injected(Exception):
    """Octets came in clear behind the command that starts TLS: an attack (RFC 3207 6, the "NO STARTTLS" papers)."""


class Connection(asyncio.Protocol):
    """One peer. One task reads and writes; whoever else calls `write` must not mind the order."""

    __slots__ = (
        "_chunks",
        "_deflate",
        "_drained",
        "_eof",
        "_full",
        "_gone",
        "_held",
        "_loop",
        "_lost",
        "_nudged",
        "_transport",
        "_upgrading",
        "_waiting",
        "local",
        "peer",
        "pending",
        "secure",
        "stopping",
    )

    peer: Peer
    local: Peer
    _loop: asyncio.AbstractEventLoop
    _transport: asyncio.Transport

    def __init__(self, peer: Peer | None = None) -> None:
        """`peer` is who it really is where that is not who holds the other end: behind a proxy."""
        if peer is not None:
            self.peer = peer
        self.secure: str | None = None
        """Version and cipher, `TLSv1.3 TLS_AES_256_GCM_SHA384`; None in clear."""
        self.pending = 0
        """Octets received and not read yet."""
        self.stopping = False
        self._chunks: list[bytes] = []
        self._deflate: Deflate | None = None
        self._eof = False
        self._lost = False
        self._held = False  # reading is paused
        self._full = False  # something is unsent
        self._upgrading = False
        self._nudged = False
        self._waiting = Waiting()
        self._drained: asyncio.Future[bool] | None = None
        self._gone: asyncio.Future[bool] | None = None

    # What a session does

    @property
    def is_open(self) -> bool:
        """Whether the peer is still there, as far as is known."""
        return not (self._lost or self._eof)

    @property
    def is_private(self) -> bool:
        """Whether a password may be said here: nobody listens."""
        return self.secure is not None or self.peer.is_loopback

    async def read(self, timeout: float) -> bytes:
        """What has arrived, or some of it: at least one octet, at most about twice `READ_LIMIT`.

        Raises `Closed` at the end of the stream, `TimeoutError` after `timeout` seconds of silence, and `Stopping`, but
        only while nothing is there to read. Raises `BadStream` where it was to be compressed and is not. May be cancelled:
        nothing is lost.
        """
        while not (data := self.take()):
            await self._waiting.wait(timeout)
        return data

    def take(self) -> bytes:
        """The same without waiting: nothing where nothing is there yet. Raises `Closed`, `Stopping` and `BadStream`."""
        data = b""
        while not data and self._is_there:
            if len(self._chunks) > 1 and len(self._chunks[0]) >= _AS_THEY_CAME and self._deflate is None:
                data = self._chunks.pop(0)
                self.pending -= len(data)
            else:
                data = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
                self._chunks.clear()
                self.pending = 0
            if self._deflate is not None:
                data = self._deflate.inflate(data, READ_LIMIT)
                self.pending = len(self._deflate.tail)
        if not data:
            if self._eof or self._lost:
                raise Closed(GONE)
            if self.stopping:
                raise Stopping
        elif self._held and not self._lost and self.pending < READ_LIMIT:
            self._held = False
            self._transport.resume_reading()
        return data

    @property
    def _is_there(self) -> bool:
        return bool(self._chunks) or (self._deflate is not None and self._deflate.holding)

    async def until_stirred(self, timeout: float) -> None:
        """Wait until `take` has something to give or to raise, or somebody has nudged: since the last time this returned.

        Raises `TimeoutError` after `timeout` seconds. May be cancelled.
        """
        try:
            if not (self._nudged or self._is_there or self._eof or self._lost or self.stopping):
                await self._waiting.wait(timeout)
        finally:
            self._nudged = False

    def nudge(self) -> None:
        """Let `until_stirred` return."""
        self._nudged = True
        self._waiting.wake()

    def write(self, data: bytes) -> None:
        """Send `data` after what was written before; call `drain` from time to time. Nothing once the peer is gone.

        Where it is compressed that takes a moment: then give it in pieces.
        """
        if not self._lost:
            self._transport.write(data if self._deflate is None or not data else self._deflate.deflate(data))

    @property
    def compressed(self) -> bool:
        """Whether what is said is compressed, by us or by TLS."""
        if self._deflate is not None or self.secure is None:
            return self._deflate is not None
        shaken: ssl.SSLObject | None = self._transport.get_extra_info("ssl_object")
        return shaken is not None and shaken.compression() is not None

    def decompress(self) -> None:
        """Nobody compresses from here on. Raises `Injected` where there is more that was compressed."""
        if self._deflate is not None and self._deflate.holding:
            raise Injected
        self._deflate = None

    def compress(self) -> None:
        """From here on both sides compress. Raises `Injected` where something came before that could be agreed."""
        if self.pending:
            raise Injected
        self._deflate = Deflate()

    @property
    def holds_back(self) -> bool:
        """Whether `drain` has anything to wait for, or to raise."""
        return self._lost or (self._full and self._transport.get_write_buffer_size() > WRITE_LIMIT)

    async def drain(self, timeout: float = 300) -> None:
        """Wait while more than `WRITE_LIMIT` octets are unsent.

        Raises `Closed`, and `TimeoutError` when the peer took nothing at all for `timeout` seconds.
        """
        if self._lost:
            raise Closed(GONE)
        if self.holds_back:
            await self._flush(timeout)

    async def start_tls(
        self, context: ssl.SSLContext, timeout: float = HANDSHAKE_TIMEOUT, *, server_hostname: str | None = None
    ) -> None:
        """Become the server side of TLS; the client side, with the name to ask for, where there is a `server_hostname`.

        Write the go-ahead, or read it, and call this without an `await` in between: whatever arrived earlier came in clear
        and raises `Injected`. A handshake that fails raises `Closed` with the reason, and `Distrusted` where that is the
        certificate.
        """
        if self.pending:
            raise Injected
        if self._lost or self._eof:
            raise Closed(GONE)
        self._upgrading = True
        try:
            transport = await self._loop.start_tls(
                self._transport,
                self,
                context,
                server_side=server_hostname is None,
                server_hostname=server_hostname,
                ssl_handshake_timeout=timeout,
                ssl_shutdown_timeout=SHUTDOWN_TIMEOUT,
            )
        except ssl.SSLCertVerificationError as error:
            self.abort()
            raise Distrusted(f"certificate not trusted: {error.verify_message}") from error
        except OSError as error:  # ssl.SSLError is one, and so is a timeout
            self.abort()
            raise Closed(f"TLS handshake failed: {reason_of(error)}") from error
        except BaseException:
            self.abort()
            raise
        finally:
            self._upgrading = False
        if transport is None or self._lost:
            raise Closed(GONE)
        self._transport = transport
        # Not 0: asyncio's TLS takes "nothing" for as much as that, and would say pause where all has left.
        transport.set_write_buffer_limits(high=1, low=0)
        self._note_tls()
        self._hold_if_full()

    def binding(self, kind: str) -> bytes | None:
        """What both ends know of this TLS session and nobody between them: the channel binding of that `kind`.

        None in clear, and for all kinds but `tls-server-end-point` (RFC 5929 4).
        """
        shaken: ssl.SSLObject | None = self._transport.get_extra_info("ssl_object")
        if shaken is None or kind != "tls-server-end-point":
            return None
        return end_point(shaken.context)

    async def close(self) -> None:
        """Send what is unsent, then close. Never raises for the peer's sake."""
        if self._lost:
            return
        try:
            await self._flush(30)
            if self.secure is None and not (self._eof or self.stopping or self._transport.is_closing()):
                await self._linger()
            self._transport.close()
            await self._lost_within(15)
        except OSError:
            pass  # `Closed` and `TimeoutError` are some, and so is a peer that reset the connection meanwhile
        finally:
            self.abort()

    def abort(self) -> None:
        """Close at once; what is unsent is lost."""
        if not self._lost:
            self._transport.abort()

    # What the waits are made of

    async def _wait(self, future: asyncio.Future[bool], timeout: float) -> None:
        timer = self._loop.call_later(timeout, _wake, future, True)
        try:
            if await future:
                raise TimeoutError
        finally:
            timer.cancel()

    async def _flush(self, timeout: float) -> None:
        """Wait until nothing is unsent, as long as the peer takes something every `timeout` seconds."""
        while self._full and not self._lost:
            before = self._transport.get_write_buffer_size()
            self._drained = self._loop.create_future()
            try:
                await self._wait(self._drained, timeout)
            except TimeoutError:
                if self._transport.get_write_buffer_size() >= before:
                    raise
            finally:
                self._drained = None
        if self._lost:
            raise Closed(GONE)

    async def _linger(self) -> None:
        """Close our side only and let the peer finish.

        Closing a socket with unread octets in it makes the kernel reset the connection, and on the way the peer may
        lose our last words: those that say why it is being closed.
        """
        self._transport.write_eof()
        if self._held:
            self._transport.resume_reading()
            self._held = False
        until = self._loop.time() + LINGER
        while not (self._eof or self._lost or self.stopping):
            self._chunks.clear()
            self.pending = 0
            try:
                await self._waiting.wait(until - self._loop.time())
            except TimeoutError:
                return

    async def abort_and_wait(self) -> None:
        """Close at once and wait until the socket is closed: a few turns of the loop."""
        if not self._lost:
            self._transport.abort()
            with suppress(TimeoutError):
                await self._lost_within(1)

    async def _lost_within(self, timeout: float) -> None:
        if not self._lost:
            self._gone = self._loop.create_future()
            try:
                await self._wait(self._gone, timeout)
            finally:
                self._gone = None

    def _note_tls(self) -> None:
        shaken: ssl.SSLObject | None = self._transport.get_extra_info("ssl_object")
        if shaken is not None:
            cipher = shaken.cipher()
            self.secure = f"{shaken.version()} {cipher[0] if cipher else 'unknown'}"

    def _hold_if_full(self) -> None:
        # While TLS takes over, the transport is not ours to pause.
        if self.pending >= READ_LIMIT and not (self._held or self._upgrading or self._lost):
            self._held = True
            self._transport.pause_reading()

    def stop(self) -> None:
        """The program is ending: an idle `read` raises `Stopping`, now and from now on."""
        self.stopping = True
        self._waiting.wake()

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._loop = asyncio.get_running_loop()
        # So pause_writing is called as soon as anything is unsent, resume_writing when all is sent: `drain` decides by
        # itself, and `close` knows when everything has left.
        self._transport.set_write_buffer_limits(high=1, low=0)
        if not hasattr(self, "peer"):
            self.peer = peer_of(transport.get_extra_info("peername"))
        self.local = peer_of(transport.get_extra_info("sockname"))
        self._note_tls()

    def data_received(self, data: bytes) -> None:
        self._chunks.append(data)
        self.pending += len(data)
        self._waiting.wake()
        self._hold_if_full()

    def eof_received(self) -> bool:
        """A client may close its side behind its last command and still wait for the answers."""
        self._eof = True
        self._waiting.wake()
        return self.secure is None and not self._upgrading

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        self._waiting.wake()
        self._waiting.stop()
        for future in (self._drained, self._gone):
            _wake(future)

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False
        _wake(self._drained)


def _wake(future: asyncio.Future[bool] | None, expired: bool = False) -> None:
    if future is not None and not future.done():
        future.set_result(expired)


def reason_of(error: OSError) -> str:
    """Why a handshake failed, in few words."""
    return getattr(error, "reason", None) or str(error) or type(error).__name__


def peer_of(address: object) -> Peer:
    """A socket's address as a `Peer`."""
    match address:
        case (str(host), int(port), *_):
            return Peer(host, port)
        case str() | bytes():  # the path of a unix socket, which a client's has not
            return Peer(UNIX, 0)
        case _:  # it was gone before we could ask
            return Peer("", 0)
