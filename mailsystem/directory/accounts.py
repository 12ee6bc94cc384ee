"""The people of `serve`: who proves to be whom, and whose mail it is."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Final, NamedTuple

from mailsystem.directory.authentication import Authenticating
from mailsystem.directory.passwords import derive_keys, hash_password, is_outdated, matching, verify_password
from mailsystem.directory.protocol import Away, Target, login_name
from mailsystem.directory.remembered import Remembered
from mailsystem.directory.tokens import TokenVerifier
from mailsystem.mail.account import Account
from mailsystem.mail.address import Address
from mailsystem.mail.envelope import Peer
from mailsystem.mail.errors import (
    AuthFailed,
    InUse,
    NoSuchRecipient,
    NotPermitted,
    OverQuota,
    SyntaxFault,
    Unavailable,
)
from mailsystem.mail.sasl import Credentials, Keys
from mailsystem.mail.srs import Srs
from mailsystem.store import Disabled, Route, Secrets, Store

POSTMASTER: Final = "postmaster"

_MOST_HOPS: Final = 10
_MOST_TARGETS: Final = 1000
_AT_ONCE: Final = 32
"""Addresses of one way that are looked up before others get their turn: each takes some 20 us where we stand."""
_MOST_PASSWORD: Final = 1024
_RESOLVED_FOR: Final = 2.0
_PROVEN_FOR: Final = 300.0


class _Found(NamedTuple):
    """What came of looking up an address."""

    places: tuple[Target | Away, ...]
    room: int | None = None
    """Octets for which everybody has room; None is any number."""


class AccountsDirectory(Authenticating):
    """The people of `serve`: accounts with passwords, domains, aliases, sub-addresses."""

    def __init__(
        self,
        store: Store,
        *,
        default_domain: str,
        separator: str = "+",
        detail_folder: bool = False,
        tokens: TokenVerifier | None = None,
    ) -> None:
        """`separator` parts `ann` from `shop` in a sub-address, empty for none; with `detail_folder` its mail goes into Ann's
        folder `shop`, if there is one."""
        super().__init__(tokens=tokens)
        self._store = store
        self._default_domain = default_domain
        self._separator = separator
        self._detail_folder = detail_folder
        self._resolved: Remembered[_Found] = Remembered(store.clock, _RESOLVED_FOR)
        self._proven: Remembered[bool] = Remembered(store.clock, _PROVEN_FOR)
        self._key = secrets.token_bytes(32)
        self._dummy = ""
        self._pretending: bytes | None = None
        self._rewriting: Srs | None = None
        self._renewing = True

    async def warm(self) -> None:
        """Make what the first login would have to wait for."""
        self._dummy = self._dummy or await hash_password(secrets.token_hex(8))
        with suppress(Unavailable):  # a full disk
            await self.pretending()

    async def login(self, credentials: Credentials, peer: Peer) -> Account:
        try:
            name = login_name(credentials.login, self._default_domain)
        except SyntaxFault:
            name = ""
        known = await self._store.accounts.secrets(name)
        proven = await self._proven_by(credentials.password, known)
        if known is None or not proven or known.disabled:
            raise AuthFailed
        return known.account

    async def _proven_by(self, password: str, known: Secrets | None) -> bool:
        if known is not None and not known.disabled:
            which = matching(password, [one.digest for one in known.app_passwords])
            if which is not None:
                self._store.accounts.history.used(known.account.id, known.app_passwords[which].name)
                return True
        proven = await self._proves(password, known.password if known else None)
        if proven and known is not None and not known.disabled:
            await self._renew(password, known)
        return proven

    async def _renew(self, password: str, known: Secrets) -> None:
        """Only now the password is known: make what is missing of it, or was made in an old way."""
        old = known.password
        if old is None or not self._renewing or not (is_outdated(old) or known.scram is None):
            return
        new = await hash_password(password) if is_outdated(old) else old
        scram = known.scram or await derive_keys(password)
        with suppress(Unavailable):  # a full disk keeps nobody out; there will be another login
            await self._store.accounts.renew_password(known.account.login, old, new, scram=scram)

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
        proven = await verify_password(stored or self._dummy, password) and stored is not None
        if proven:
            self._proven.put(digest, True)
        return proven

    def login_key(self, name: str) -> str:
        return login_name(name, self._default_domain)

    async def keys(self, login: str) -> tuple[Account, Keys] | None:
        known = await self._store.accounts.secrets(login)
        if known is None or known.disabled or known.scram is None:
            return None
        try:
            return known.account, Keys.load(known.scram)
        except ValueError:
            return None

    async def pretending(self) -> bytes:
        if self._pretending is None:
            # Kept, or a restart would show who has a salt of their own and who is given one.
            self._pretending = await self._store.accounts.installation_secret("scram")
        return self._pretending

    async def vouched(self, login: str) -> Account:
        known = await self._store.accounts.secrets(login)
        if known is None or known.disabled:
            raise AuthFailed
        return known.account

    async def record_login(self, who: Account | str, *, door: str, peer: Peer, ok: bool, mechanism: str) -> None:
        if isinstance(who, str):
            try:
                who = self.login_key(who)
            except SyntaxFault:
                return  # nobody's
        await self._store.accounts.record_login(who, door=door, peer=peer, ok=ok, mechanism=mechanism)

    async def resolve(
        self, address: Address, *, sending: bool = False, login: str | None = None, octets: int = 0
    ) -> tuple[Target | Away, ...]:
        address = await self._completed(address)
        # By its exact spelling: another server may part what the case alone does, and what leaves is what was asked for.
        known = self._resolved.get(str(address))
        if known is None:
            known = await self._look_up(address)
            self._resolved.put(str(address), known)
        if not sending and any(isinstance(place, Away) and not place.by for place in known.places):
            raise NotPermitted("relaying denied")
        if known.room is not None and octets > known.room:
            raise OverQuota("mailbox has no room for a message of that size")
        return known.places

    async def _look_up(self, address: Address) -> _Found:
        found: dict[Target | Away, None] = {}
        rooms: list[int] = []
        first, refused = True, False
        async for hop, route in self._way(address):
            if not (route.account or route.targets or route.ours or hop.domain == self._default_domain):
                found[Away(hop, "" if first else address.domain)] = None
                continue
            if first and (route.caught or not (route.account or route.targets)):
                back = (await self._srs()).reverse(hop, self._store.clock.now())
                if back is not None:
                    return _Found((Away(back, address.domain, back=True),))
            first = False
            if route.disabled is Disabled.DEFER:
                raise InUse("mailbox disabled for now")
            if route.account is None or route.disabled:
                refused = refused or bool(route.disabled)
                continue
            if route.full:
                raise OverQuota("mailbox full")
            if route.room is not None:
                rooms.append(route.room)
            found[Target(route.account, route.mailbox)] = None
        if not found:
            raise NoSuchRecipient("mailbox disabled" if refused else None)
        return _Found(tuple(found), min(rooms, default=None))

    async def return_path(self, sender: Address, by: str) -> Address:
        if not sender or await self._is_ours(sender.domain):
            return sender
        return (await self._srs()).forward(sender, by, self._store.clock.now())

    async def _is_ours(self, domain: str) -> bool:
        return domain == self._default_domain or domain in await self._store.accounts.domains()

    async def _srs(self) -> Srs:
        if self._rewriting is None:
            # Kept: what was sent on last week may come back today.
            self._rewriting = Srs(await self._store.accounts.installation_secret("srs"))
        return self._rewriting

    async def _way(self, address: Address, *, caught: bool = True) -> AsyncIterator[tuple[Address, Route]]:
        """Follow aliases breadth first, each address once, a bounded way; `caught` is whether catch-alls lead on."""
        seen: set[str] = set()
        step, hops = [address], 0
        while step and hops < _MOST_HOPS and len(seen) < _MOST_TARGETS:
            following: list[Address] = []
            for hop in step:
                if hop.key in seen:
                    continue
                seen.add(hop.key)
                if len(seen) % _AT_ONCE == 0:
                    await asyncio.sleep(0)
                route = await self._route(hop)
                yield hop, route
                if (caught or not route.caught) and not route.disabled:
                    following += [Address.parse(text) for text in route.targets]
            step, hops = following, hops + 1

    async def _route(self, address: Address) -> Route:
        base, detail = address.without_detail(self._separator) if self._separator else (address, None)
        return await self._store.accounts.route(
            address.key,
            address.domain,
            base=None if detail is None else base.key,
            folder=detail if self._detail_folder else None,
        )

    async def may_send(self, account: Account, sender: Address) -> bool:
        # Asked each time: a session that was open when its account was disabled or removed sends nothing more.
        try:
            known = await self._store.accounts.summary(account.login)
        except NoSuchRecipient:
            return False
        if known.account.id != account.id or known.disabled:
            return False
        if not sender or known.any_sender:
            return True  # RFC 5321 6.1: notifications have no sender, and nobody's name is used
        async for _, route in self._way(await self._completed(sender), caught=False):
            if route.account == account.id:
                return True
        return False

    async def _completed(self, address: Address) -> Address:
        if address.domain:
            return address
        # RFC 5321 4.5.1: mail for `Postmaster` alone must be taken, whatever was set here.
        domain = self._default_domain or min(await self._store.accounts.domains(), default="")
        return Address(address.local, domain)

    def forget(self) -> None:
        self._resolved.clear()
