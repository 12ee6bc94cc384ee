"""Who asks, and what they may do."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from starlette.requests import HTTPConnection, Request

from mailsystem.directory import proven
from mailsystem.mail.account import Account
from mailsystem.mail.address import Address
from mailsystem.mail.envelope import Peer
from mailsystem.mail.errors import AuthFailed, AuthRequired, NoSuchRecipient, NotPermitted, SyntaxFault
from mailsystem.mail.sasl import Credentials
from mailsystem.mail.space import PREFIX, is_space, login_within, parted, space_of
from mailsystem.store import TOKEN_PREFIX
from mailsystem.web.context import Context
from mailsystem.web.lasting import Lasting

READ: Final = "read"
WRITE: Final = "write"
SEND: Final = "send"
ADMIN: Final = "admin"
COOKIE: Final = "mailsystem_session"
EVERYTHING: Final = frozenset({READ, WRITE, SEND, ADMIN})
OWN: Final = frozenset({READ, WRITE, SEND})
SCOPES: Final = "x-scopes"
"""By this name a route says in the description of the interface which scopes it takes."""


IN_SPACE: Final = "x-scopes-in-space"


def needs(*scopes: str, in_space: Sequence[str] | None = None) -> dict[str, Any]:
    """What a route says of who may ask: whose token has all these scopes, or `in_space` where it is the token of a space and
    those are others. A route that says nothing takes every scope."""
    other = {} if in_space is None else {IN_SPACE: list(in_space)}
    return {"openapi_extra": {SCOPES: list(scopes), **other}}


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody who asks. In a sink everybody is one who may do everything, but for those who show a token."""

    account: Account
    """Whose mail they see unless they ask for somebody else's."""
    scopes: frozenset[str]
    peer: Peer
    space: str = ""
    """Of a sink, the only one in which they may see and change anything; empty where nothing is kept from them."""

    def must(self, scope: str) -> None:
        """Raises `NotPermitted` for who may not do that."""
        if scope not in self.scopes:
            raise NotPermitted(f"this takes the scope {scope}")

    def must_own(self) -> str:
        """For what takes the whole house, or a space of one's own: which one that is, empty for the whole house. Raises
        `NotPermitted`."""
        self.must(WRITE if self.space else ADMIN)
        return self.space

    def sees(self, login: str) -> bool:
        """Whether an account is in the part of the house that is theirs to see."""
        return not self.space or space_of(login) == self.space


class Doorkeeper:
    """Finds out who asks."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.lasting: Final = Lasting(context.streams_per_account, context.streams_per_address)

    async def admit(self, request: Request) -> None:
        """Before anything else is done about a request. Raises `NotPermitted` for who has not the scopes that its route says it
        takes (see `needs`), `AuthRequired` and `AuthFailed`."""
        said = getattr(request.scope["route"], "openapi_extra", None) or {}
        if scopes := said.get(SCOPES, EVERYTHING):
            request.state.visitor = visitor = await self.visitor(request)
            for scope in said.get(IN_SPACE, scopes) if visitor.space else scopes:
                visitor.must(scope)

    async def visitor(self, request: HTTPConnection) -> Visitor:
        """Who asks. Raises `AuthRequired` and `AuthFailed`."""
        context = self._context
        peer = peer_of(request)
        if context.everybody is not None:
            secret = token_of(request.headers.get("authorization", ""))
            if secret is not None:
                # Never as one of everybody where it is good no more: what it was meant to keep apart would come together.
                return await self._of_space(await self._by_token(secret, peer))
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

    def check_secure(self, request: HTTPConnection, peer: Peer) -> None:
        """Raises `AuthRequired` where a password said here could be read on its way."""
        if request.url.scheme != "https" and not peer.is_loopback and not self._context.cleartext_login:
            raise AuthRequired("passwords are taken under TLS only")

    async def _by_token(self, secret: str, peer: Peer) -> Visitor:
        access = await self._context.store.access_tokens.find(secret)
        if access is None:
            raise AuthFailed("that token is good no more")
        return Visitor(access.account, access.scopes, peer)

    async def _of_space(self, visitor: Visitor) -> Visitor:
        """That it is the token of a space, which is used by that."""
        name = space_of(visitor.account.login)
        if not name:
            return visitor
        spaces = self._context.store.spaces
        try:
            await spaces.use(await spaces.find(name))
        except NoSuchRecipient:
            raise AuthFailed("that token is good no more") from None
        return replace(visitor, scopes=visitor.scopes & OWN, space=name)

    async def check_again(self, request: HTTPConnection, visitor: Visitor, whose: Account) -> None:
        """For whoever has been here for a while. Raises a `MailError` where they may see that account no more: the session
        is over, the password another, one of the two accounts disabled or gone."""
        context = self._context
        if context.everybody is not None:
            if (secret := token_of(request.headers.get("authorization", ""))) is not None:
                await self._by_token(secret, visitor.peer)
        else:
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
        if visitor.space:
            return await self._within(visitor, login)
        if ADMIN not in visitor.scopes:
            raise NotPermitted("that is somebody else's mail")
        context = self._context
        try:
            if context.is_sink and (space := await self._space(login)) is not None:
                return space
            return await context.store.accounts.find(context.directory.login_key(login))
        except NoSuchRecipient:
            raise NoSuchRecipient(f"there is no account {login}") from None

    async def _within(self, visitor: Visitor, login: str) -> Account:
        """An account of the space that somebody is in. Raises `NotPermitted` for all others, whether there are such or not."""
        space, named = visitor.space, login.casefold()
        if "@" not in named and named.removeprefix(PREFIX).partition("+")[0] == space:
            return visitor.account
        within = parted(login)
        try:
            if within is None or within[1].casefold() != space:
                raise NotPermitted(f"that is not in the space {space}")
            return await self._context.store.accounts.find(login_within(space, Address.parse(within[0]).key))
        except (NoSuchRecipient, SyntaxFault):
            raise NoSuchRecipient(f"there is no account {login[:400]}") from None

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


def peer_of(request: HTTPConnection) -> Peer:
    client = request.client
    return Peer(client.host, client.port) if client is not None else Peer("", 0)


def token_of(authorization: str) -> str | None:
    """The token that is shown: by Bearer, or as the password of whoever knows Basic only; None where none is."""
    scheme, _, value = authorization.partition(" ")
    match scheme.lower():
        case "bearer":
            return value.strip()
        case "basic":
            try:
                password = _basic(value)[1]
            except AuthFailed:
                return None
            return password if password.startswith(TOKEN_PREFIX) else None
    return None


def _basic(value: str) -> tuple[str, str]:
    """The two of RFC 7617. Raises `AuthFailed`."""
    try:
        login, colon, password = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        raise AuthFailed from None
    if not colon:
        raise AuthFailed
    return login, password
