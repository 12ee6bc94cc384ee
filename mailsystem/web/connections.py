"""Connections of browsers and programs: not too many of them, and none that only holds its place."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, cast

from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from mailsystem.mail.envelope import Peer
from mailsystem.net.limits import Limits
from mailsystem.net.proxy import Network, is_from

SLOWEST: Final = 4096
"""Octets of a request's body that have to come while one is patient."""
_FULL: Final = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 10\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class HttpConnection(H11Protocol):
    """One connection. It is counted with those of all doors, and ends where nothing is asked by it for `patience` seconds, or
    where a request's body comes too slowly; who waits for an answer may wait."""

    def __init__(self, *, limits: Limits | None, proxies: tuple[Network, ...], patience: float, **given: Any) -> None:
        super().__init__(**given)
        self._limits = limits
        self._proxies = proxies
        self._patience = patience
        self._counted: Peer | None = None
        self._is_refused = False
        self._looking: asyncio.TimerHandle | None = None
        self._seen: tuple[RequestResponseCycle | None, bool] | None = None
        """The latest request and whether it was answered, when one looked last."""
        self._octets = 0
        """That came since then."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        name = transport.get_extra_info("peername") or ("", 0)
        peer = Peer(str(name[0]), int(name[1])) if isinstance(name, tuple) else Peer("", 0)
        # A proxy asks for many.
        if self._limits is not None and not is_from(self._proxies, peer):
            if self._limits.enter(peer) is not None:
                self._is_refused = True
                ours = cast("asyncio.Transport", transport)
                ours.write(_FULL)
                ours.close()
                return
            self._counted = peer
        super().connection_made(transport)  # type: ignore[arg-type]
        self._seen = self.cycle, True
        self._looking = self.loop.call_later(self._patience, self._look)

    def data_received(self, data: bytes) -> None:
        if not self._is_refused:
            self._octets += len(data)
            super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._leave()
        if not self._is_refused:
            super().connection_lost(exc)

    def handle_websocket_upgrade(self, event: Any) -> None:
        # From here on it is somebody else's, who may be silent; but it holds its place as before.
        if self._looking is not None:
            self._looking.cancel()
        super().handle_websocket_upgrade(event)
        new = self.transport.get_protocol()
        if new is not self:
            self.transport.set_protocol(_Upgraded(cast("asyncio.Protocol", new), self._leave))

    def _leave(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
        if self._limits is not None and self._counted is not None:
            self._limits.leave(self._counted)
            self._counted = None

    def _look(self) -> None:
        cycle = self.cycle
        now = cycle, cycle is None or cycle.response_complete
        asks_slowly = cycle is not None and not now[1] and cycle.more_body and self._octets < SLOWEST
        if asks_slowly or (now[1] and now == self._seen):
            self.transport.abort()
            return
        self._seen, self._octets = now, 0
        self._looking = self.loop.call_later(self._patience, self._look)


class _Upgraded(asyncio.Protocol):
    """A connection that has become a WebSocket: all is passed on to what speaks that, and at its end somebody is told."""

    def __init__(self, through: asyncio.Protocol, ended: Callable[[], None]) -> None:
        self._ended = ended
        self.data_received = through.data_received  # type: ignore[method-assign]
        self.eof_received = through.eof_received  # type: ignore[method-assign]
        self.pause_writing = through.pause_writing  # type: ignore[method-assign]
        self.resume_writing = through.resume_writing  # type: ignore[method-assign]
        self._lost = through.connection_lost

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended()
        self._lost(exc)
