"""Who lives here: proves logins and resolves addresses. One directory for real accounts, one for the sink."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Generic, Protocol, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from mailsystem.mail.account import Account
from mailsystem.mail.address import Address
from mailsystem.mail.clock import Clock
from mailsystem.mail.envelope import Peer
from mailsystem.mail.errors import AuthFailed, MailError, NoSuchRecipient, NotPermitted, SyntaxFault
from mailsystem.mail.mailbox import AccountId
from mailsystem.mail.sasl import Credentials
from mailsystem.store import Store

SINK_LOGIN: Final = "sink"
POSTMASTER: Final = "postmaster"

_MOST_HOPS: Final = 10
_MOST_TARGETS: Final = 1000
_MOST_PASSWORD: Final = 1024
_RESOLVED_FOR: Final = 2.0
_PROVEN_FOR: Final = 300.0

T = TypeVar("T")

_hasher = PasswordHasher()
_hashing = ThreadPoolExecutor(max_workers=2, thread_name_prefix="password")


class Directory(Protocol):
    """What a door needs to know about people."""

    async def login(self, credentials: Credentials, peer: Peer) -> Account:
        """Who this is. Raises `AuthFailed`, the same for a wrong password and an unknown login."""
        ...

    async def resolve(self, address: Address) -> tuple[AccountId, ...]:
        """Whose mailboxes mail for `address` goes to.

        Raises `NoSuchRecipient` where nobody has it, and `NotPermitted` where the domain is not ours: no relaying.
        """
        ...

    def forget(self) -> None:
        """Look everything up anew from now on: something turned out to be stale."""
        ...


async def hash_password(password: str) -> str:
    """An argon2id hash in PHC form, made off the loop: it takes some 50 ms on purpose."""
    return await asyncio.get_running_loop().run_in_executor(_hashing, _hasher.hash, password)


def login_name(name: str, default_domain: str) -> str:
    """The login as it is kept: a full address, case folded; a bare name gets the default domain. Raises `SyntaxFault`."""
    return Address.parse(name if "@" in name else f"{name}@{default_domain}").key


class AccountsDirectory:
    """The people of `serve`: accounts with passwords, domains, aliases, sub-addresses."""

    def __init__(self, store: Store, *, default_domain: str, separator: str = "+") -> None:
        self._store = store
        self._default_domain = default_domain
        self._separator = separator
        self._resolved: Remembered[tuple[AccountId, ...]] = Remembered(store.clock, _RESOLVED_FOR)
        self._proven: Remembered[bool] = Remembered(store.clock, _PROVEN_FOR)
        self._key = secrets.token_bytes(32)
        self._dummy = ""

    async def warm(self) -> None:
        """Make what the first login would have to wait for."""
        self._dummy = self._dummy or await hash_password(secrets.token_hex(8))

    async def login(self, credentials: Credentials, peer: Peer) -> Account:
        try:
            name = login_name(credentials.login, self._default_domain)
        except SyntaxFault:
            name = ""
        known = await self._store.accounts.password(name)
        stored = known[1] if known else None
        if not await self._proves(credentials.password, stored) or known is None:
            raise AuthFailed
        return known[0]

    async def _proves(self, password: str, stored: str | None) -> bool:
        """Whether the password is the one; a missing hash costs the same time as a wrong password."""
        if len(password) > _MOST_PASSWORD:
            return False
        # Keyed by a secret of this process and by the hash itself: it holds no password, and a new one empties it.
        digest = hmac.new(
            self._key, f"{stored}\0{password}".encode("utf-8", "surrogatepass"), hashlib.sha256
        ).hexdigest()
        if stored is not None and self._proven.get(digest):
            return True
        await self.warm()
        loop = asyncio.get_running_loop()
        proven = await loop.run_in_executor(_hashing, _verify, stored or self._dummy, password) and stored is not None
        if proven:
            self._proven.put(digest, True)
        return proven

    async def resolve(self, address: Address) -> tuple[AccountId, ...]:
        if not address.domain and address.local.casefold() == POSTMASTER:
            address = Address(address.local, self._default_domain)
        known = self._resolved.get(address.key)
        if known is None:
            known = await self._look_up(address)
            self._resolved.put(address.key, known)
        return known

    async def _look_up(self, address: Address) -> tuple[AccountId, ...]:
        """Follow aliases breadth first, each address once, a bounded way."""
        found: dict[AccountId, None] = {}
        seen: set[str] = set()
        step, hops = [address], 0
        while step and hops < _MOST_HOPS and len(seen) < _MOST_TARGETS:
            following: list[Address] = []
            for target in step:
                if target.key in seen:
                    continue
                seen.add(target.key)
                account, targets = await self._one(target, first=hops == 0)
                if account is not None:
                    found[account] = None
                following += [Address.parse(text) for text in targets]
            step, hops = following, hops + 1
        if not found:
            raise NoSuchRecipient
        return tuple(found)

    async def _one(self, address: Address, *, first: bool) -> tuple[AccountId | None, tuple[str, ...]]:
        route = await self._store.accounts.route(address.key, address.domain)
        if route.account is None and not route.targets:
            base, detail = address.without_detail(self._separator)
            if detail is not None:
                route = await self._store.accounts.route(base.key, base.domain)
        if first and route.account is None and not route.targets and not self._ours(address, route.ours):
            raise NotPermitted("relaying denied")
        return route.account, route.targets

    def _ours(self, address: Address, listed: bool) -> bool:
        return listed or address.domain == self._default_domain

    def forget(self) -> None:
        self._resolved.clear()


class SinkDirectory:
    """The people of `sink`: everybody exists, every password is right, and `sink` sees all mail."""

    def __init__(self, store: Store, *, default_domain: str) -> None:
        self._store = store
        self._default_domain = default_domain
        self._known: Remembered[Account] = Remembered(store.clock, 3600.0)

    async def warm(self) -> None:
        """Make what the first message would have to wait for."""
        await self._account(SINK_LOGIN)

    async def login(self, credentials: Credentials, peer: Peer) -> Account:
        if credentials.login.casefold() == SINK_LOGIN:
            return await self._account(SINK_LOGIN)
        try:
            return await self._account(login_name(credentials.login, self._default_domain))
        except MailError:
            raise AuthFailed from None

    async def resolve(self, address: Address) -> tuple[AccountId, ...]:
        if not address.domain:
            address = Address(address.local, self._default_domain)
        everybody = await self._account(SINK_LOGIN)
        return (await self._account(address.key)).id, everybody.id

    async def _account(self, login: str) -> Account:
        known = self._known.get(login)
        if known is None:
            known = await self._store.accounts.ensure(login)
            self._known.put(login, known)
        return known

    def forget(self) -> None:
        self._known.clear()


class Remembered(Generic[T]):
    """Values by text for some seconds, the newest 10,000 of them."""

    def __init__(self, clock: Clock, seconds: float, most: int = 10_000) -> None:
        self._clock = clock
        self._seconds = seconds
        self._most = most
        self._entries: OrderedDict[str, tuple[float, T]] = OrderedDict()

    def get(self, key: str) -> T | None:
        entry = self._entries.get(key)
        if entry is None or not entry[0] - self._seconds <= self._clock.now() < entry[0]:
            return None
        return entry[1]

    def put(self, key: str, value: T) -> None:
        self._entries[key] = (self._clock.now() + self._seconds, value)
        self._entries.move_to_end(key)
        if len(self._entries) > self._most:
            self._entries.popitem(last=False)

    def clear(self) -> None:
        self._entries.clear()


def _verify(stored: str, password: str) -> bool:
    try:
        return _hasher.verify(stored, password)
    except (Argon2Error, InvalidHashError):
        return False
