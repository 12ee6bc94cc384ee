"""Counts that decay, for as many keys as there are attackers, in bounded memory. And the networks that an address is in."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from mailsystem.mail.clock import Clock
from mailsystem.net.counts import Counts, Own

_ROUNDING: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Allowance:
    """So many at once; each is forgotten again after its share of the seconds (a leaky bucket)."""

    count: float
    seconds: float


class Meter:
    """How many of something each key has used of its allowances, two at most. Those who share `counts` share what is used."""

    def __init__(self, clock: Clock, allowances: Sequence[Allowance], counts: Counts | None = None) -> None:
        self._clock = clock
        self._allowances = tuple(allowances)
        self._counts: Counts = Own() if counts is None else counts

    def has_room(self, key: str, *, beside: int = 0, factor: float = 1.0) -> bool:
        """Whether one more is allowed, `beside` others that are not yet counted; `factor` widens every allowance."""
        more = (beside + 1) / factor
        return all(
            level + more <= allowance.count + _ROUNDING
            for level, allowance in zip(self._now(key), self._allowances, strict=True)
        )

    def count(self, key: str, *, factor: float = 1.0) -> None:
        """One more; a wider allowance is also sooner forgotten. Past the bound, whoever was quiet longest is forgotten."""
        with self._counts.locked():
            self._counts.put(key, self._clock.now(), [level + 1 / factor for level in self._now(key)])

    def clear(self, key: str) -> None:
        self._counts.drop(key)

    # Those that are not counted yet, and may never be.

    def under_way(self, key: str) -> int:
        return self._counts.under_way(key)

    def enter(self, key: str) -> None:
        self._counts.enter(key)

    def leave(self, key: str) -> None:
        self._counts.leave(key)

    def _now(self, key: str) -> tuple[float, ...]:
        known = self._counts.levels(key)
        if known is None:
            return (0.0,) * len(self._allowances)
        since, levels = known
        # A clock that was set back lets nothing decay, and makes nothing grow.
        passed = max(0.0, self._clock.now() - since)
        return tuple(
            max(0.0, level - passed * allowance.count / allowance.seconds)
            for level, allowance in zip(levels, self._allowances, strict=False)  # shared counts have always two levels
        )


@dataclass(frozen=True, slots=True)
class Network:
    """A network that an address is in, and how much more it is allowed than a single address."""

    name: str
    factor: int


_WIDTHS: Final = {4: ((32, 1), (26, 3), (21, 9)), 6: ((64, 1), (48, 3), (32, 9))}
"""One customer has a /32 of IPv4 and a /64 of IPv6; whoever has more of them is allowed more, but not as much more."""


def networks(host: str) -> tuple[Network, ...]:
    """The networks of an address, the narrowest first. What is no address (a unix socket) is a network of its own."""
    address = address_of(host)
    if address is None:
        return (Network(host[:64], 1),)
    return tuple(Network(_name(address, width), factor) for width, factor in _WIDTHS[address.version])


@lru_cache(4096)
def address_of(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address that `host` spells, an IPv4 one in IPv6's clothes as what it is; None for anything else."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def network_of(host: str, *, ipv4: int, ipv6: int) -> str:
    """The network of that width that an address is in, as text."""
    address = address_of(host)
    if address is None:
        return host[:64]
    return _name(address, ipv4 if address.version == 4 else ipv6)


def _name(address: ipaddress.IPv4Address | ipaddress.IPv6Address, width: int) -> str:
    return str(ipaddress.ip_network((address, width), strict=False))
