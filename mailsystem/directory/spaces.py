"""Which mail of a sink is for which of its spaces, and who is in one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Final

from mailsystem.mail.account import Account
from mailsystem.mail.address import Address
from mailsystem.mail.errors import MailboxExists, NoSuchRecipient
from mailsystem.mail.space import PREFIX, is_space, login_of, parted, space_of
from mailsystem.store import SPACES, Space, Store

DAY: Final = 86_400.0
_SEPARATOR: Final = "+"


class Spaces:
    """The spaces of one store as they are now, as far as this process has heard."""

    def __init__(self, store: Store, *, logins: Sequence[str] = (), ttl: float = DAY) -> None:
        """Whoever logs in by a name that matches one of `logins` opens a space of that name, for `ttl` seconds after its
        last use."""
        self._store = store
        self._logins = [pattern.casefold() for pattern in logins]
        self._ttl = ttl
        self._heard = -1
        self._known: Mapping[str, Space] = {}
        self._tags: frozenset[str] = frozenset()
        self._domains: Mapping[str, str] = {}

    @property
    def is_stale(self) -> bool:
        """Whether something may have changed."""
        return self._store.bell.sounded(self._heard, SPACES)

    async def learn(self) -> None:
        """Hear what has changed."""
        heard = self._store.bell.rung
        known = await self._store.spaces.all()
        self._known = known
        self._tags = frozenset(space.name for space in known.values() if space.by_tag)
        self._domains = {domain: space.name for space in known.values() for domain in space.domains}
        self._heard = heard

    def __bool__(self) -> bool:
        """Whether there is any, or may soon be."""
        return bool(self._known or self._logins)

    def of(self, login: str, address: Address | None) -> str:
        """The space that mail for `address` from who logged in is for, or where somebody is; empty where that is none.

        Whoever is in a space stays there; else the tag of the address tells, and then its domain.
        """
        space = space_of(login)
        if space or address is None or not self._known:
            return space
        tag = address.local.rpartition(_SEPARATOR)[2].casefold() if _SEPARATOR in address.local else ""
        if tag in self._tags:
            return tag
        domain = address.domain
        space = self._domains.get(domain, "")
        while not space and domain:
            domain = domain.partition(".")[2]
            space = self._domains.get(f"*.{domain}", "")
        return space

    async def everything(self, name: str) -> Account:
        """The account that has a copy of everything in a space. Raises `NoSuchRecipient`."""
        space = self._known.get(name)
        return (space or await self._store.spaces.find(name)).account

    async def login(self, name: str) -> Account | None:
        """Whose account in a space somebody means by that login; None where it is none in a space.

        Always looked up: who has just heard that there is a space must be let in. Raises `NoSuchRecipient`, `TooMany`.
        """
        within = parted(name)
        if within is not None:
            address, space = within
            known = await self._find(space.casefold())
            if known is None:
                return None
            return await self._store.spaces.account(known.name, Address.parse(address).key)
        if "@" in name:
            return None
        plain = name.casefold().removeprefix(PREFIX).partition(_SEPARATOR)[0]
        if not is_space(plain):
            return None
        named = name.casefold().startswith(PREFIX)
        known = await self._find(plain)
        if known is not None:
            return known.account if known.by_login or named else None
        if any(fnmatchcase(plain, pattern) for pattern in self._logins):
            return await self._open(plain)
        if named:
            raise NoSuchRecipient("no such space")
        return None

    async def _find(self, name: str) -> Space | None:
        try:
            space = await self._store.spaces.find(name)
        except NoSuchRecipient:
            return None
        await self._store.spaces.use(space)
        return space

    async def _open(self, name: str) -> Account:
        try:
            return (await self._store.spaces.add(name, ttl=self._ttl)).account
        except MailboxExists:  # another was quicker
            return (await self._store.spaces.find(name)).account


def key_of(name: str) -> str | None:
    """The login of an account of a space in the spelling in which it is kept; None where it is none. Raises `SyntaxFault`."""
    folded = name.casefold()
    if folded.startswith(PREFIX) and "@" not in name:
        return login_of(folded[len(PREFIX) :].partition(_SEPARATOR)[0])
    within = parted(name)
    if within is None or not is_space(within[1].casefold()):
        return None
    return f"{Address.parse(within[0]).key}/{within[1].casefold()}"
