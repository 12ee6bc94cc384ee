"""Back-off for wrong passwords, by account and by address: a directory that wraps another.

Whoever has used up what is allowed hears `TooMany` before the password is looked at, whether the login exists or not. What
is allowed comes back with time. An account is protected from everybody together, but its owner is not locked out by that:
networks from which its password was right lately answer only for their own mistakes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from mailsystem.directory import Directory, login_name
from mailsystem.directory.protocol import Away, Claimed, Target
from mailsystem.mail.account import Account
from mailsystem.mail.address import Address
from mailsystem.mail.clock import Clock
from mailsystem.mail.envelope import Peer
from mailsystem.mail.errors import AuthFailed, SyntaxFault, TooMany
from mailsystem.mail.sasl import Ask, Credentials
from mailsystem.net.counts import Counts, own
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
_LOOK_AGAIN: Final = 0.05
"""Seconds after which it is seen that one of them has ended in another process."""
SHARED: Final = ("guesses from a network", "guesses from a network for a login", "guesses for a login", "at home")
"""What several processes count together, by the names under which they ask for it."""


class Guard:
    """The directory that doors are given."""

    def __init__(
        self,
        directory: Directory,
        clock: Clock,
        *,
        default_domain: str = "",
        counts: Callable[[str], Counts] = own,
    ) -> None:
        """`counts` gives what is counted under a name of `SHARED`; where processes share it, they are one guard."""
        self._directory = directory
        self._default_domain = default_domain
        self._clock = clock
        by_network, by_login_and_network, by_login, self._at_home = map(counts, SHARED)
        self._by_network = Meter(clock, BY_NETWORK, by_network)
        self._by_login_and_network = Meter(clock, BY_LOGIN_AND_NETWORK, by_login_and_network)
        self._by_login = Meter(clock, BY_LOGIN, by_login)
        self._locked = by_network.locked
        self._look_again = _LOOK_AGAIN if by_network.is_shared else None
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

    async def resolve(
        self, address: Address, *, sending: bool = False, login: str | None = None, octets: int = 0
    ) -> tuple[Target | Away, ...]:
        return await self._directory.resolve(address, sending=sending, login=login, octets=octets)

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
                while not self._has_entered(counts):
                    if not all(count.has_room(0) for count in counts):
                        raise TooMany("too many wrong passwords, try again later")
                    with suppress(TimeoutError):
                        async with asyncio.timeout(self._look_again):
                            await self._settled.wait()
        except TimeoutError:
            raise TooMany("too many logins at once, try again later") from None

    def _has_entered(self, counts: Iterable[_Count]) -> bool:
        with self._locked():
            if not all(count.has_room(count.meter.under_way(count.key)) for count in counts):
                return False
            for count in counts:
                count.meter.enter(count.key)
        return True

    def _leave(self, counts: Iterable[_Count]) -> None:
        for count in counts:
            count.meter.leave(count.key)
        self._settled.set()
        self._settled = asyncio.Event()

    def _is_at_home(self, pair: str) -> bool:
        known = self._at_home.levels(pair)
        return known is not None and 0 <= self._clock.now() - known[0] < AT_HOME_FOR

    def _came_home(self, pair: str) -> None:
        self._by_login_and_network.clear(pair)
        self._at_home.put(pair, self._clock.now(), ())


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
            if guard._is_at_home(self._pair):
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
        with self._guard._locked():
            if kind is None and self._login:
                self._guard._came_home(self._pair)
            elif kind is not None and issubclass(kind, AuthFailed):
                for count in self._blamed:
                    count.count()
            if self._entered:
                self._guard._leave(self._asked)
