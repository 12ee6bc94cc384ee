"""Who asks, and what they may do."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Final

from fastapi import Request

from mailsystem.directory import proven
from mailsystem.mail.account import Account
from mailsystem.mail.envelope import Peer
from mailsystem.mail.errors import AuthFailed, AuthRequired, NoSuchRecipient, NotPermitted
from mailsystem.mail.sasl import Credentials
from mailsystem.mail.space import is_space, space_of
from mailsystem.web.context import Context

READ: Final = "read"
WRITE: Final = "write"
SEND: Final = "send"
ADMIN: Final = "admin"
COOKIE: Final = "mailsystem_session"
EVERYTHING: Final = frozenset({READ, WRITE, SEND, ADMIN})
OWN: Final = frozenset({READ, WRITE, SEND})


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody who asks. In a sink everybody is one who may do everything."""

    account: Account
    """Whose mail they see unless they ask for somebody else's."""
    scopes: frozenset[str]
    peer: Peer

    def must(self, scope: str) -> None:
        """Raises `NotPermitted` for who may not do that."""
        if scope not in self.scopes:
            raise NotPermitted(f"this takes the scope {scope}")


class Doorkeeper:
    """Finds out who asks."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def visitor(self, request: Request) -> Visitor:
        """Who asks. Raises `AuthRequired` and `AuthFailed`."""
        context = self._context
        peer = peer_of(request)
        if context.everybody is not None:
            account = await context.store.accounts.ensure(context.everybody)
            return Visitor(account, EVERYTHING, peer)
        scheme, _, value = request.headers.get("authorization", "").partition(" ")
        match scheme.lower():
            case "bearer":
                return await self._by_token(value.strip(), peer)
            case "basic":
                self.check_secure(request, peer)
                login, password = _basic(value)
                proving = context.directory.login(Credentials(login, password), peer)
                trace = context.trace.child("web", peer=str(peer))
                account = await proven(context.directory, proving, trace, peer=peer, mechanism="BASIC", login=login)
                return Visitor(account, OWN, peer)
            case _ if COOKIE in request.cookies:
                return await self._by_token(request.cookies[COOKIE], peer)
        raise AuthRequired("log in first")

    def check_secure(self, request: Request, peer: Peer) -> None:
        """Raises `AuthRequired` where a password said here could be read on its way."""
        if request.url.scheme != "https" and not peer.is_loopback and not self._context.cleartext_login:
            raise AuthRequired("passwords are taken under TLS only")

    async def _by_token(self, secret: str, peer: Peer) -> Visitor:
        access = await self._context.store.access_tokens.find(secret)
        if access is None:
            raise AuthFailed("that token is good no more")
        return Visitor(access.account, access.scopes, peer)

    async def check_again(self, request: Request, visitor: Visitor, whose: Account) -> None:
        """For whoever has been here for a while. Raises a `MailError` where they may see that account no more: the session
        is over, the password another, one of the two accounts disabled or gone."""
        context = self._context
        if context.everybody is None:
            scheme, _, value = request.headers.get("authorization", "").partition(" ")
            match scheme.lower():
                case "bearer":
                    await self._by_token(value.strip(), visitor.peer)
                case "basic":
                    await context.directory.login(Credentials(*_basic(value)), visitor.peer)
                case _:
                    await self._by_token(request.cookies.get(COOKIE, ""), visitor.peer)
        if (await context.store.accounts.find(whose.login)).id != whose.id:
            raise NoSuchRecipient("that account is gone")

    async def account(self, visitor: Visitor, login: str | None) -> Account:
        """Whose mail is asked for: the visitor's own, unless somebody else is named. Raises `NotPermitted`."""
        if not login or login == visitor.account.login:
            return visitor.account
        if ADMIN not in visitor.scopes:
            raise NotPermitted("that is somebody else's mail")
        context = self._context
        try:
            if context.is_sink and (space := await self._space(login)) is not None:
                return space
            return await context.store.accounts.find(context.directory.login_key(login))
        except NoSuchRecipient:
            raise NoSuchRecipient(f"there is no account {login}") from None

    async def _space(self, login: str) -> Account | None:
        """The account of a space, which is used by that; None where another is meant. Raises `NoSuchRecipient`."""
        spaces = self._context.store.spaces
        name = space_of(login) or login.casefold()
        if not is_space(name):
            return None
        try:
            space = await spaces.find(name)
        except NoSuchRecipient:
            return None
        await spaces.use(space)
        return None if "/" in login else space.account


def peer_of(request: Request) -> Peer:
    client = request.client
    return Peer(client.host, client.port) if client is not None else Peer("", 0)


def _basic(value: str) -> tuple[str, str]:
    """The two of RFC 7617. Raises `AuthFailed`."""
    try:
        login, colon, password = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        raise AuthFailed from None
    if not colon:
        raise AuthFailed
    return login, password
