"""DNS block lists (RFC 5782): is this address on one? Never in the way when DNS is down."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Final, TypeAlias

from mailsystem.directory.remembered import Remembered
from mailsystem.mail.clock import Clock
from mailsystem.policy.meter import address_of
from mailsystem.telemetry import Trace

if TYPE_CHECKING:
    import dns.asyncresolver

TIMEOUT: Final = 2.0
"""Seconds that all lists together are given to answer."""
REMEMBERED: Final = 600.0
"""Seconds for which an answer is known without asking again."""
DOWN_FOR: Final = 60.0
"""Seconds for which a list that did not answer is not asked again."""

Lookup: TypeAlias = Callable[[str], Awaitable[Sequence[str]]]
"""The addresses (A) of a name; none where there is no such name. Raises whatever it likes where DNS fails."""

_ANSWERS: Final = ipaddress.ip_network("127.0.0.0/8")
_NOT_ANSWERS: Final = (ipaddress.ip_network("127.255.255.0/24"), ipaddress.ip_network("127.0.0.1/32"))
"""How lists say that they do not like the question: a public resolver, too many queries."""


class BlockLists:
    """The lists by zone, in the order in which they are named to whoever is listed."""

    def __init__(self, zones: Sequence[str], clock: Clock, *, lookup: Lookup | None = None, trace: Trace | None = None):
        self._zones = tuple(zone.strip(".") for zone in zones)
        self._lookup = lookup or (resolving() if zones else _nothing)
        self._trace = trace or Trace()
        self._known: Remembered[str] = Remembered(clock, REMEMBERED, 50_000)
        self._down: Remembered[bool] = Remembered(clock, DOWN_FOR)

    async def listing(self, host: str) -> str | None:
        """The first zone that lists this address; None where none does, or none can say."""
        address = address_of(host)
        if address is None or not address.is_global or not self._zones:
            return None  # a private network is on nobody's list
        known = self._known.get(str(address))
        if known is not None:
            return known or None
        answers = await asyncio.gather(*(self._asked(address, zone) for zone in self._zones))
        found = next((zone for zone, listed in zip(self._zones, answers, strict=True) if listed), "")
        if found or None not in answers:
            self._known.put(str(address), found)
        return found or None

    async def _asked(self, address: ipaddress.IPv4Address | ipaddress.IPv6Address, zone: str) -> bool | None:
        """Whether the zone lists it; None where it does not answer."""
        if self._down.get(zone):
            return None
        try:
            async with asyncio.timeout(TIMEOUT):
                answers = await self._lookup(question(address, zone))
            return any(is_listing(answer) for answer in answers)
        except Exception as error:
            # Whatever ails DNS or a list, mail goes on.
            self._down.put(zone, True)
            self._trace.event("block list failed", zone=zone, reason=f"{type(error).__name__}: {error}"[:200])
            return None


def question(address: ipaddress.IPv4Address | ipaddress.IPv6Address, zone: str) -> str:
    """The name to ask for: the address backwards, by octets or nibbles, under the zone (RFC 5782 2.1, 2.4)."""
    reverse = address.reverse_pointer.removesuffix(".in-addr.arpa").removesuffix(".ip6.arpa")
    return f"{reverse}.{zone}."


def is_listing(answer: str) -> bool:
    """Whether an answer means "listed" (RFC 5782 2.1): a parked domain's address or a complaint does not."""
    try:
        address = ipaddress.IPv4Address(answer)
    except ValueError:
        return False
    return address in _ANSWERS and not any(address in network for network in _NOT_ANSWERS)


def resolving(resolver: dns.asyncresolver.Resolver | None = None) -> Lookup:
    """A lookup by dnspython, through the resolvers of this machine."""
    import dns.asyncresolver
    import dns.resolver

    known = resolver

    async def lookup(name: str) -> Sequence[str]:
        nonlocal known
        if known is None:
            # Made with the first question: where /etc/resolv.conf is missing, it fails like DNS itself.
            known = dns.asyncresolver.Resolver()
        try:
            answer = await known.resolve(name, "A", lifetime=TIMEOUT, search=False)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return ()
        return [str(record.address) for record in answer]

    return lookup


async def _nothing(name: str) -> Sequence[str]:
    return ()
