"""What stands before every request: by which name it is asked, from which page, how much it sends, and what is told of it."""

from __future__ import annotations

import ipaddress
import time
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from mailsystem.telemetry import Trace
from mailsystem.web.origins import Origins, told, told_before
from mailsystem.web.problems import BUG, problem

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
SMALL: Final = 1 << 20
"""Octets of a request's body, where no message is sent."""
LOCAL: Final = (".localhost", ".test", ".internal", ".local", ".lan", ".home.arpa", ".invalid", ".example")
"""Names below these are nobody's in the public DNS (RFC 6761, RFC 6762, RFC 8375)."""

HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"x-frame-options", b"SAMEORIGIN"),
)
NOTHING: Final = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
"""What an answer may load that does not say so itself."""


class TooMuch(Exception):
    """The body of a request is longer than it may be."""


class _Answer:
    """An answer on its way, with the headers that all have."""

    def __init__(self, send: Send, also: list[tuple[bytes, bytes]]) -> None:
        """`also` are more headers, which go before those that all have."""
        self._send = send
        self._also = also
        self.status = 0
        """Once it has begun."""
        self.is_bare = False
        """Without a body."""

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            have = {name.lower() for name, _ in (*message["headers"], *self._also)}
            more = [pair for pair in (*HEADERS, NOTHING) if pair[0] not in have]
            message = {**message, "headers": [*message["headers"], *more, *self._also]}
            if b"cache-control" not in have:
                message["headers"].append((b"cache-control", b"no-store"))
            await self._send(message)
            if self.is_bare:
                # That is all: a stream ends by it, since nobody reads on.
                await self._send({"type": "http.response.body", "body": b""})
        elif not self.is_bare:
            await self._send(message)


class Guarding:
    """Refuses what no page of ours and no program asks, and says what was asked.

    A page of somebody else's, open in the same browser, must neither act here (its `Origin` is another) nor read what is here
    under a name that it has pointed at this machine (DNS rebinding: the name is none of ours). Pages of `origins` may ask.
    """

    def __init__(
        self, app: ASGIApp, *, trace: Trace, names: frozenset[str], largest: int, origins: Origins | None = None
    ) -> None:
        self._app = app
        self._trace = trace
        self._names = names
        self._largest = largest
        self._origins = origins or Origins()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers: dict[bytes, bytes] = dict(scope["headers"])
        guest = headers.get(b"origin", b"").decode("latin-1")
        if not self._origins.may_ask(guest, scope["path"]):
            guest = ""
        why = self._refusal(scope, headers, guest)
        if why is not None:
            if scope["type"] == "websocket":
                await receive()
                await send({"type": "websocket.close", "code": 1008})
            else:
                await problem(403, why)(scope, receive, send)
            return
        if scope["type"] == "websocket":
            await self._app(scope, receive, send)
        elif guest and scope["method"] == "OPTIONS" and b"access-control-request-method" in headers:
            await send({"type": "http.response.start", "status": 204, "headers": told_before(guest, headers)})
            await send({"type": "http.response.body", "body": b""})
        else:
            await self._http(scope, headers, receive, send, told(guest) if guest else [])

    async def _http(
        self,
        scope: Scope,
        headers: dict[bytes, bytes],
        receive: Receive,
        send: Send,
        also: list[tuple[bytes, bytes]],
    ) -> None:
        began = time.perf_counter()
        answer = _Answer(send, also)
        room = most = self._room(scope["path"])
        length = headers.get(b"content-length", b"0")

        async def bounded() -> Message:
            nonlocal room
            message = await receive()
            room -= len(message.get("body", b""))
            if room < 0:
                raise TooMuch
            return message

        async def told(message: Message) -> None:
            if room >= 0:
                await answer.send(message)
            elif not answer.status:
                # Whoever was reading the body knows only that it broke off.
                await problem(413, f"more than {most} octets")(scope, receive, answer.send)

        try:
            if not length.isdigit() or len(length) > 15 or int(length) > room:
                await problem(413, f"more than {most} octets")(scope, receive, answer.send)
            elif scope["method"] == "HEAD":
                # What GET would answer, without its body.
                answer.is_bare = True
                await self._app({**scope, "method": "GET"}, bounded, told)
            else:
                await self._app(scope, bounded, told)
        except TooMuch:
            await told({})
        except Exception as error:
            self._trace.bug(error, what=f"{scope['method']} {scope['path'][:200]}")
            if answer.status:
                raise
            await problem(500, BUG)(scope, receive, answer.send)
        finally:
            # Without the query, in which somebody may look for anything.
            self._trace.event(
                "asked",
                method=scope["method"],
                path=scope["path"][:200],
                status=answer.status,
                ms=round((time.perf_counter() - began) * 1000, 1),
            )

    def _room(self, path: str) -> int:
        """How many octets a request may bring: a message in JSON is a third longer than itself."""
        return 2 * self._largest if path.endswith("/send") else SMALL

    def _refusal(self, scope: Scope, headers: dict[bytes, bytes], guest: str) -> str | None:
        host = headers.get(b"host", b"").decode("latin-1")
        if not self._is_ours(host):
            return "this server does not go by that name; the setting web.hosts names others"
        if guest:
            return None
        origin = headers.get(b"origin", b"").decode("latin-1")
        if origin and (scope["type"] == "websocket" or scope["method"] not in SAFE):
            if origin.partition("://")[2].lower() != host.lower():
                return "asked by a page of another site"
        elif headers.get(b"sec-fetch-site") == b"cross-site" and scope.get("method", "GET") not in SAFE:
            return "asked by a page of another site"
        return None

    def _is_ours(self, host: str) -> bool:
        try:
            name = (urlsplit(f"//{host}").hostname or "").rstrip(".").lower()
        except ValueError:
            return False
        try:
            ipaddress.ip_address(name.partition("%")[0])
        except ValueError:
            # One label is a neighbour's: no public name is that short.
            return "." not in name or name in self._names or name.endswith(LOCAL)
        return True
