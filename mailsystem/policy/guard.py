"""Back-off for wrong passwords, by account and by address: a directory that wraps another.

Whoever has used up what is allowed hears `TooMany` before the password is looked at, whether the login exists or not. What
is allowed comes back with time. An account is protected from everybody together, but its owner is not locked out by that:
networks from which its password was right lately answer only for their own mistakes.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from mailsystem.directory import Directory, login_name
from mailsystem.directory.protocol import Away, Claimed, Target
from mailsystem.directory.remembered import Remembered
from mailsystem.mail.account import Account
from mailsystem.mail.address import Address
from mailsystem.mail.clock import Clock
from mailsystem.mail.envelope import Peer
from mailsystem.mail.errors import AuthFailed, SyntaxFault, TooMany
from mailsystem.mail.sasl import Ask, Credentials
from mailsystem.policy.meter import Allowance, Meter, networks

DAY: Final = 86_400.0
BY_NETWORK: Final = (Allowance(10, 60.0), Allowance(50, DAY))
"""Wrong passwords of one address for whatever accounts; wider networks are allowed 3 and 9 times that."""
BY_LOGIN_AND_NETWORK: Final = BY_NETWORK
BY_LOGIN: Final = (Allowance(30, 60.0), Allowance(150, DAY))
"""Wrong passwords for one account from all networks where it is not at home."""
LOOPBACK_FACTOR: Final = 100
"""A program on this machine, such as a webmail, logs in for many people."""
AT_HOME_FOR: Final = 30 * DAY
PATIENCE: Final = 30.0
"""Seconds that an attempt waits for others like it to end, when all of them together could be too many."""


class Guard:
    """The directory that doors are given."""

    def __init__(self, directory: Directory, clock: Clock, *, default_domain: str = "") -> None:
        self._directory = directory
        self._default_domain = default_domain
        self._by_network = Meter(clock, BY_NETWORK)
        self._by_login_and_network = Meter(clock, BY_LOGIN_AND_NETWORK)
        self._by_login = Meter(clock, BY_LOGIN)
        self._at_home: Remembered[bool] = Remembered(clock, AT_HOME_FOR, 100_000)
        self._pending: Counter[tuple[Meter, str]] = Counter()
        self._settled = asyncio.Event()

    async def login(self, credentials: Credentials, peer: Peer) -> Account:
        """As the directory's own. Raises `TooMany` after too many wrong passwords, before it looks at this one."""
        attempt = Attempt(self, peer)
        await attempt.name(credentials.login)
        with attempt:
            return await self._directory.login(credentials, peer)

    def mechanisms(self, *, secure: bool, binding: bool) -> tuple[str, ...]:
        return self._directory.mechanisms(secure=secure, binding=binding)

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
        """As the directory's own. Raises `TooMany` once the client has said who it is, before that is looked into."""
        attempt = Attempt(self, peer)

        async def known(login: str) -> None:
            await attempt.name(login)
            if claimed is not None:
                await claimed(login)

        with attempt:
            return await self._directory.authenticate(
                mechanism, initial, ask, peer=peer, binding=binding, claimed=known
            )

    async def may_send(self, account: Account, sender: Address) -> bool:
        return await self._directory.may_send(account, sender)

    async def record_login(self, who: Account | str, *, door: str, peer: Peer, ok: bool, mechanism: str) -> None:
        await self._directory.record_login(who, door=door, peer=peer, ok=ok, mechanism=mechanism)

    async def resolve(self, address: Address, *, sending: bool = False) -> tuple[Target | Away, ...]:
        return await self._directory.resolve(address, sending=sending)

    async def return_path(self, sender: Address, by: str) -> Address:
        return await self._directory.return_path(sender, by)

    def login_key(self, name: str) -> str:
        return self._directory.login_key(name)

    def forget(self) -> None:
        self._directory.forget()

    def _login(self, login: str) -> str:
        """One name for all spellings of a login."""
        try:
            return login_name(login, self._default_domain)
        except SyntaxFault:
            return login.casefold()[:256]

    async def _enter(self, counts: Iterable[_Count]) -> None:
        """Reserve a place in every count, so that a thousand guesses at one moment are no more than ten. Raises `TooMany`."""
        try:
            async with asyncio.timeout(PATIENCE):
                while not all(count.has_room(self._pending[count.meter, count.key]) for count in counts):
                    if not all(count.has_room(0) for count in counts):
                        raise TooMany("too many wrong passwords, try again later")
                    await self._settled.wait()
        except TimeoutError:
            raise TooMany("too many logins at once, try again later") from None
        for count in counts:
            self._pending[count.meter, count.key] += 1

    def _leave(self, counts: Iterable[_Count]) -> None:
        for count in counts:
            place = (count.meter, count.key)
            self._pending[place] -= 1
            if not self._pending[place]:
                del self._pending[place]
        self._settled.set()
        self._settled = asyncio.Event()


@dataclass(frozen=True, slots=True)
class _Count:
    """A key of a meter, with what it is allowed."""

    meter: Meter
    key: str
    factor: float = 1.0

    def has_room(self, beside: int) -> bool:
        return self.meter.has_room(self.key, beside=beside, factor=self.factor)

    def count(self) -> None:
        self.meter.count(self.key, factor=self.factor)


class Attempt:
    """One try to log in: `name` it, then carry it out inside `with`, which sees how it ends."""

    def __init__(self, guard: Guard, peer: Peer) -> None:
        self._guard = guard
        around = networks(peer.host)
        generous = LOOPBACK_FACTOR if peer.is_loopback else 1
        self._here = around[0].name
        self._around = [_Count(guard._by_network, one.name, one.factor * generous) for one in around]
        self._asked: list[_Count] = []
        self._blamed: list[_Count] = []
        self._login = ""
        self._entered = False

    async def name(self, login: str) -> None:
        """Whose password it is going to be. Raises `TooMany`."""
        guard = self._guard
        self._asked = self._blamed = self._around
        if login:  # a token alone does not say
            self._login = guard._login(login)
            own = _Count(guard._by_login_and_network, self._pair)
            if guard._at_home.get(self._pair):
                # An owner answers for this login alone, not for a neighbour's forgotten phone behind the same address. What
                # goes wrong still counts for the address.
                self._asked, self._blamed = [own], [*self._around, own]
            else:
                self._asked = self._blamed = [*self._around, own, _Count(guard._by_login, self._login)]
        await guard._enter(self._asked)
        self._entered = True

    @property
    def _pair(self) -> str:
        return f"{self._login}\0{self._here}"

    def __enter__(self) -> Attempt:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._entered:
            self._guard._leave(self._asked)
        if kind is None and self._login:
            self._guard._by_login_and_network.clear(self._pair)
            self._guard._at_home.put(self._pair, True)
        elif kind is not None and issubclass(kind, AuthFailed):
            for count in self._blamed:
                count.count()
