"""A sink behind a password, and below a path."""

from __future__ import annotations

import asyncio
import base64
import binascii
from typing import TYPE_CHECKING, Final

from mailsystem.directory.htpasswd import Htpasswd
from mailsystem.store import AccessTokens
from mailsystem.web.problems import problem
from mailsystem.web.visitors import token_of

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

OPEN: Final = frozenset({"/livez", "/readyz"})
"""What watches over us has no password."""


class Rooted:
    """Answers below a path as well as without it: a proxy may pass requests on as they are."""

    def __init__(self, app: ASGIApp, root: str) -> None:
        self._app = app
        self._root = root

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if self._root and (path == self._root or path.startswith(f"{self._root}/")):
            rest = path[len(self._root) :] or "/"
            scope = {**scope, "path": rest, "raw_path": rest.encode(), "mailsystem.root": self._root}
        await self._app(scope, receive, send)


class Locked:
    """Lets in who knows a password (RFC 7617) or has a token, by HTTP and by WebSocket."""

    def __init__(self, app: ASGIApp, passwords: Htpasswd, tokens: AccessTokens) -> None:
        self._app = app
        self._passwords = passwords
        self._tokens = tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket") or scope["path"] in OPEN or await self._is_known(scope):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        else:
            asks = {"WWW-Authenticate": 'Basic realm="mailsystem", charset="UTF-8"'}
            await problem(401, "this takes a login and its password", asks)(scope, receive, send)

    async def _is_known(self, scope: Scope) -> bool:
        headers: dict[bytes, bytes] = dict(scope["headers"])
        said = headers.get(b"authorization", b"")
        if (secret := token_of(said.decode("latin-1"))) is not None:
            # What it opens is decided where somebody asks for something.
            return await self._tokens.find(secret) is not None
        scheme, _, value = said.partition(b" ")
        if scheme.lower() != b"basic":
            return False
        try:
            login, colon, password = base64.b64decode(value.strip(), validate=True).decode().partition(":")
        except (binascii.Error, ValueError):
            return False
        return bool(colon) and await asyncio.to_thread(self._passwords.knows, login, password)
