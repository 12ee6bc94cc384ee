"""The people of `sink`: nobody has to be added before mail comes, and whoever wants some for themselves has a space."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Final

from mailsystem.directory.authentication import Authenticating
from mailsystem.directory.htpasswd import Htpasswd
from mailsystem.directory.protocol import Away, Target, login_name
from mailsystem.directory.remembered import Remembered
from mailsystem.directory.spaces import Spaces, key_of
from mailsystem.directory.tokens import AnyToken
from mailsystem.mail.account import Account
from mailsystem.mail.address import Address
from mailsystem.mail.envelope import Peer
from mailsystem.mail.errors import AuthFailed, MailError
from mailsystem.mail.sasl import Credentials, Keys
from mailsystem.store import Store

SINK_LOGIN: Final = "sink"
_KNOWN_FOR: Final = 3600.0


class SinkDirectory(Authenticating):
    """The people of `sink`: everybody exists, every password is right, and `sink` sees all mail but that of spaces."""

    scram = False
    """Who takes any password cannot prove to know it."""

    def __init__(
        self,
        store: Store,
        *,
        default_domain: str,
        sent_on: Sequence[str] = (),
        spaces: Spaces | None = None,
        copies: bool = False,
        passwords: Htpasswd | None = None,
    ) -> None:
        """Mail for addresses that match one of `sent_on` is for their own server too: `*@example.org`, or one address. With
        `copies`, `sink` sees the mail of spaces as well.

        With `passwords` those alone are right, and a login without a domain is one that sees all mail.
        """
        super().__init__(tokens=AnyToken(SINK_LOGIN) if passwords is None else None)
        self._passwords = passwords
        self._store = store
        self._default_domain = default_domain
        self._sent_on = [pattern.casefold() for pattern in sent_on]
        self.spaces: Final = spaces or Spaces(store)
        self._copies = copies
        self._known: Remembered[Account] = Remembered(store.clock, _KNOWN_FOR)
        self._resolved: Remembered[tuple[Target | Away, ...]] = Remembered(store.clock, _KNOWN_FOR)

    async def warm(self) -> None:
        """Make what the first message would have to wait for."""
        await self._account(SINK_LOGIN)

    async def login(self, credentials: Credentials, peer: Peer) -> Account:
        if self._passwords is not None and not await asyncio.to_thread(
            self._passwords.knows, credentials.login, credentials.password
        ):
            raise AuthFailed
        everything = self._passwords is not None and "@" not in credentials.login
        try:
            # Not from memory: the account may have been removed, and a session stays with what it gets here.
            return await self.spaces.login(credentials.login) or await self._store.accounts.ensure(
                SINK_LOGIN if everything else self.login_key(credentials.login)
            )
        except MailError:
            raise AuthFailed from None

    def login_key(self, name: str) -> str:
        if name.casefold() == SINK_LOGIN:
            return SINK_LOGIN
        return key_of(name) or login_name(name, self._default_domain)

    async def keys(self, login: str) -> tuple[Account, Keys] | None:
        return None

    async def pretending(self) -> bytes:
        return b""

    async def vouched(self, login: str) -> Account:
        return await self.spaces.login(login) or await self._account(login)

    async def record_login(self, who: Account | str, *, door: str, peer: Peer, ok: bool, mechanism: str) -> None:
        """Not kept: everybody is let in."""

    async def resolve(
        self, address: Address, *, sending: bool = False, login: str | None = None, octets: int = 0
    ) -> tuple[Target | Away, ...]:
        if not address.domain:
            address = Address(address.local, self._default_domain)
        space = await self.space_of(login or "", address)
        # By its exact spelling: another server may part what the case alone does, and what leaves is what was asked for.
        key = f"{address}/{space}" if space else str(address)
        places = self._resolved.get(key)
        if places is None:
            places = await self._within(space, address) if space else await self._outside(address)
            if any(fnmatchcase(address.key, pattern) for pattern in self._sent_on):
                places = (*places, Away(address))
            self._resolved.put(key, places)
        return places

    async def space_of(self, login: str, address: Address | None) -> str:
        """The space in which somebody is who says that, by their login or the address; empty where that is none."""
        if self.spaces.is_stale:
            await self.spaces.learn()
            self.forget()
        return self.spaces.of(login, address)

    async def _outside(self, address: Address) -> tuple[Target | Away, ...]:
        everybody = await self._account(SINK_LOGIN)
        return Target((await self._account(address.key)).id), Target(everybody.id, gathers=True)

    async def _within(self, space: str, address: Address) -> tuple[Target | Away, ...]:
        """Raises `NoSuchRecipient` where the space is gone: what was meant for it shall not be seen by all."""
        own = await self._store.spaces.account(space, address.key)
        everything = await self.spaces.everything(space)
        places: tuple[Target | Away, ...] = Target(own.id), Target(everything.id, gathers=True)
        return (*places, Target((await self._account(SINK_LOGIN)).id, gathers=True)) if self._copies else places

    async def return_path(self, sender: Address, by: str) -> Address:
        return sender

    async def may_send(self, account: Account, sender: Address) -> bool:
        return True

    async def _account(self, login: str) -> Account:
        known = self._known.get(login)
        if known is None:
            known = await self._store.accounts.ensure(login)
            self._known.put(login, known)
        return known

    def forget(self) -> None:
        self._known.clear()
        self._resolved.clear()
