"""A whole SASL exchange, from the mechanism's name to the account: what a directory does for all three doors."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from contextlib import suppress
from functools import cache
from typing import Final

from mailsystem.directory.protocol import Claimed
from mailsystem.directory.tokens import TokenVerifier
from mailsystem.mail import sasl
from mailsystem.mail.account import Account
from mailsystem.mail.envelope import Peer
from mailsystem.mail.errors import AuthFailed, NotPermitted, SyntaxFault
from mailsystem.mail.sasl import Ask, Credentials, Keys, Scram

_DUMMY_WITHIN: Final = 10.0
"""Seconds that a client has to answer to the refusal of its token, which is a mere form."""


class Authenticating(ABC):
    """The part of a directory that speaks SASL. What it has to know about people, the directory adds."""

    def __init__(self, *, tokens: TokenVerifier | None = None) -> None:
        """`tokens` judges those of OAUTHBEARER and XOAUTH2; without it neither is offered."""
        self._tokens = tokens

    scram = True
    """Whether SCRAM is offered: it needs `keys`."""

    @abstractmethod
    async def login(self, credentials: Credentials, peer: Peer) -> Account:
        """Who this is. Raises `AuthFailed`."""

    @abstractmethod
    def login_key(self, name: str) -> str:
        """A login in the spelling in which it is kept. Raises `SyntaxFault`."""

    @abstractmethod
    async def keys(self, login: str) -> tuple[Account, Keys] | None:
        """The account of `login` and its SCRAM keys; None where it cannot log in that way."""

    @abstractmethod
    async def pretending(self) -> bytes:
        """The secret that makes the salts of logins that nobody has: with the same one they stay the same."""

    @abstractmethod
    async def vouched(self, login: str) -> Account:
        """The account of a login that was proven otherwise. Raises `AuthFailed` where it may not log in."""

    @abstractmethod
    async def record_login(self, who: Account | str, *, door: str, peer: Peer, ok: bool, mechanism: str) -> None:
        """Note that somebody logged in as `who`, or tried to."""

    def mechanisms(self, *, secure: bool, binding: bool) -> tuple[str, ...]:
        """What is offered, the strongest first: nothing where it is not `secure`, and -PLUS where channels can be bound."""
        return _offered(self.scram, binding, self._tokens is not None) if secure else ()

    async def authenticate(
        self,
        mechanism: str,
        initial: bytes | None,
        ask: Ask,
        *,
        peer: Peer,
        binding: bytes | None,
        claimed: Claimed | None = None,
    ) -> Account:
        """Lead a SASL exchange to its end; `initial` is the client's initial response in base64, if it sent one.

        Raises `AuthFailed`, which knows the login that was claimed, `SyntaxFault` (also where the mechanism is not offered),
        `Cancelled` and `NotPermitted`.
        """
        name = mechanism.upper()
        if name not in self.mechanisms(secure=True, binding=binding is not None):
            raise SyntaxFault("unknown authentication mechanism")
        response = None if initial is None else sasl.decode(initial)
        said = ""

        async def claim(login: str) -> None:
            nonlocal said
            said = login
            if claimed is not None:
                await claimed(login)

        try:
            if name in sasl.PASSWORDS:
                credentials = await sasl.proven(sasl.PASSWORDS[name], response, ask)
                await claim(credentials.login)
                return await self.login(credentials, peer)
            if name in sasl.TOKENS:
                return await self._by_token(name, response, ask, claim)
            return await self._by_keys(Scram(plus=name == sasl.SCRAM_PLUS, binding=binding), response, ask, claim)
        except AuthFailed as failure:
            raise AuthFailed(str(failure), login=said) from None

    async def _by_keys(self, exchange: Scram, initial: bytes | None, ask: Ask, claim: Claimed) -> Account:
        """RFC 5802 3. Whoever has no keys is led on with pretended ones, which nobody can prove."""
        said = login = exchange.begin(await sasl.asked(ask, b"") if initial is None else initial)
        with suppress(SyntaxFault):
            login = self.login_key(said)
        known = await self.keys(login)
        # Made in any case: it must not show in the time that it takes.
        pretended = Keys.pretended(login, await self.pretending())
        final = await sasl.asked(ask, exchange.challenge(known[1] if known else pretended))
        # Not before: whoever counts attempts would wait for a client that takes its time.
        await claim(said)
        proof = exchange.finish(final)
        if known is None:
            raise AuthFailed
        # RFC 5802 5: the client has nothing more to say, unless it does not believe us.
        if await sasl.asked(ask, proof):
            raise SyntaxFault("bad SCRAM message")
        return await self.vouched(known[0].login)

    async def _by_token(self, name: str, initial: bytes | None, ask: Ask, claim: Claimed) -> Account:
        """RFC 7628 3.2: a token that is no good is told as a challenge, and only after the next response as a failure."""
        bearer = sasl.TOKENS[name](await sasl.asked(ask, b"") if initial is None else initial)
        await claim(bearer.login)
        try:
            return await self._bearer(bearer)
        except (AuthFailed, NotPermitted):
            with suppress(SyntaxFault, TimeoutError):  # whatever it answers to that, even nothing
                async with asyncio.timeout(_DUMMY_WITHIN):
                    await sasl.asked(ask, sasl.token_refused(name))
            raise AuthFailed from None

    async def _bearer(self, bearer: sasl.Bearer) -> Account:
        if self._tokens is None:
            raise AuthFailed
        proven = await self._tokens.login(bearer.token, claimed=bearer.login)
        try:
            login = self.login_key(proven)
            agreed = not bearer.login or self.login_key(bearer.login) == login
        except SyntaxFault:
            raise AuthFailed from None
        if not agreed:
            raise AuthFailed
        return await self.vouched(login)


@cache
def _offered(scram: bool, binding: bool, tokens: bool) -> tuple[str, ...]:
    offered = {*sasl.PASSWORDS}
    if scram:
        offered |= {sasl.SCRAM, sasl.SCRAM_PLUS} if binding else {sasl.SCRAM}
    if tokens:
        offered |= {*sasl.TOKENS}
    return tuple(name for name in sasl.MECHANISMS if name in offered)
