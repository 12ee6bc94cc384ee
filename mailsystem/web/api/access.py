"""Logging in and out: a session for a browser, in a cookie that no script sees and no other site's page sends."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Request, Response
from pydantic import Field

from mailsystem.directory import proven
from mailsystem.mail.sasl import Credentials
from mailsystem.web.context import Context
from mailsystem.web.shapes import Shape, User
from mailsystem.web.visitors import ADMIN, COOKIE, OWN, Doorkeeper, needs, peer_of

LASTS: Final = 14 * 86_400.0
"""Seconds without a request after which one has to log in again."""


class Proof(Shape):
    """Who somebody says they are, and the proof."""

    login: Annotated[str, Field(min_length=1, max_length=320)]
    password: Annotated[str, Field(min_length=1, max_length=1000)]


def routes(context: Context, keeper: Doorkeeper) -> APIRouter:
    router = APIRouter(prefix="/v1", tags=["access"])

    @router.post("/login", **needs())
    async def enter(request: Request, response: Response, proof: Proof) -> User:
        """Log in; what comes back is a cookie. In a sink everybody is in already."""
        if context.everybody is not None:
            visitor = await keeper.visitor(request)
            scopes = sorted(visitor.scopes)
            return User(login=visitor.account.login, admin=ADMIN in visitor.scopes, scopes=scopes)
        peer = peer_of(request)
        keeper.check_secure(request, peer)
        trace = context.trace.child("web", peer=str(peer))
        proving = context.directory.login(Credentials(proof.login, proof.password), peer)
        account = await proven(context.directory, proving, trace, peer=peer, mechanism="PASSWORD", login=proof.login)
        secret = await context.store.access_tokens.add(account.login, "", OWN, lasts=LASTS)
        response.set_cookie(
            COOKIE,
            secret,
            max_age=int(LASTS),
            path="/",
            secure=request.url.scheme == "https",
            httponly=True,
            samesite="strict",
        )
        return User(login=account.login, admin=ADMIN in OWN, scopes=sorted(OWN))

    @router.delete("/login", status_code=204, **needs())
    async def leave(request: Request) -> Response:
        """Log out: nobody gets in by that cookie any more."""
        secret = request.cookies.get(COOKIE)
        if secret and context.everybody is None:
            await context.store.access_tokens.end(secret)
        gone = Response(status_code=204)
        gone.delete_cookie(COOKIE, path="/")
        return gone

    return router
