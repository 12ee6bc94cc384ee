"""Where mail for a domain goes: its hosts, in the order in which they are tried (RFC 5321 5.1, RFC 7505)."""

from __future__ import annotations

import asyncio
import ipaddress
import itertools
import random
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from mailsystem.mail.address import normal_domain
from mailsystem.mail.clock import Clock
from mailsystem.mail.errors import SyntaxFault
from mailsystem.net.public import IP, is_public
from mailsystem.queue.resolving import MOST_ADDRESSES, Kind, LookupFailed, Remembering, Resolver

MOST_HOSTS: Final = 20
"""Hosts of one domain whose addresses are looked up: those that are preferred."""


IsUs: TypeAlias = Callable[[str, str], bool]
"""Whether a host of this name and this address (empty where it has none) is this server."""

Known: TypeAlias = Callable[[str], Awaitable[Sequence[str]]]
"""The addresses of a host that is known otherwise than by DNS; none where it is not."""


@dataclass(frozen=True, slots=True)
class Host:
    """One host that takes mail for a domain."""

    name: str
    """As DNS has it; an address literal where the domain is one."""
    preference: int
    addresses: tuple[str, ...]
    """At least one, IPv6 and IPv4 by turns, in the order in which they are tried."""


@dataclass(frozen=True, slots=True)
class Destination:
    """Where mail for a domain goes."""

    domain: str
    groups: tuple[tuple[Host, ...], ...]
    """Hosts of equal preference together; at least one of one."""

    @property
    def hosts(self) -> tuple[Host, ...]:
        """All, in the order in which they are tried."""
        return tuple(itertools.chain.from_iterable(self.groups))


class Unroutable(Exception):
    """Mail for a domain goes nowhere: for now, or at all."""

    def __init__(self, text: str, *, status: str, code: int) -> None:
        super().__init__(text)
        self.text = text
        """For whoever sent the message; nothing of it is for us alone."""
        self.status = status
        """An enhanced status code (RFC 3463)."""
        self.code = code
        """The reply code that goes with it."""

    @property
    def temporary(self) -> bool:
        return self.code < 500


@dataclass(frozen=True, slots=True)
class _Looked:
    """What came of looking for the addresses of a host."""

    addresses: tuple[str, ...] = ()
    is_us: bool = False
    failed: bool = False
    """DNS did not say."""
    refused: bool = False
    """There are addresses, and none that mail may be sent to."""


class Hosts:
    """Finds where mail goes, and remembers what DNS said."""

    def __init__(
        self,
        resolver: Resolver,
        clock: Clock,
        *,
        hostname: str,
        is_us: IsUs = lambda name, ip: False,
        private: bool = False,
        known: Known | None = None,
        chance: random.Random | None = None,
    ) -> None:
        """`hostname` is this server's, and `is_us` knows what else is. With `private`, mail may go to any address.

        `known` is asked for hosts of the settings that DNS has no address of.
        """
        self._resolver = Remembering(resolver, clock)
        self._hostname = hostname.lower().rstrip(".")
        self._is_us = is_us
        self._private = private
        self._known = known
        self._chance = chance or random.Random()  # noqa: S311 - it spreads load and keeps no secret

    async def close(self) -> None:
        await self._resolver.close()

    async def find(self, domain: str) -> Destination:
        """Raises `Unroutable`."""
        try:
            domain = normal_domain(domain.rstrip("."))
        except SyntaxFault:
            raise Unroutable("the domain is not one", status="5.1.2", code=550) from None
        if domain.startswith("["):
            return self._literal(domain)
        try:
            answer = await self._resolver.ask(domain, "MX")
        except LookupFailed as error:
            raise _not_said(domain, str(error)) from None
        if not answer.exists:
            raise Unroutable(f"there is no domain {domain}", status="5.1.2", code=550)
        if not answer.records:
            # Only where there is no MX record at all is the domain its own host (RFC 5321 5.1).
            return await self._walk(domain, {domain: 0}, implicit=True)
        wanted: dict[str, int] = {}
        for record in answer.records:
            if record.value not in {".", ""}:
                wanted.setdefault(record.value, record.preference)
        if not wanted and any(record.value == "." for record in answer.records):
            raise Unroutable(f"{domain} takes no mail", status="5.1.10", code=556)  # RFC 7505 4.1
        return await self._walk(domain, wanted)

    async def direct(self, name: str) -> Destination:
        """A host that was named in the settings: its MX records count for nothing, and it may be anywhere.

        Raises `Unroutable`.
        """
        if (ip := _address(name)) is not None:
            return Destination(name, ((Host(name, 0, (str(ip),)),),))
        name = name.lower().rstrip(".")
        looked = await self._addresses(name, anywhere=True)
        addresses = looked.addresses or tuple(await self._known(name) if self._known is not None else ())
        if addresses:
            return Destination(name, ((Host(name, 0, addresses[:MOST_ADDRESSES]),),))
        if looked.failed:
            raise _not_said(name)
        # Whoever wrote the setting can mend it, and so can DNS: nothing bounces meanwhile.
        raise Unroutable(f"{name} has no address", status="4.4.4", code=451)

    def _literal(self, domain: str) -> Destination:
        ip = _address(domain)
        if ip is None or not (self._private or is_public(ip)):
            raise Unroutable(f"no mail is sent to {domain}", status="5.4.4", code=550)
        if self._is_us(domain, str(ip)):
            raise _loop(domain)
        return Destination(domain, ((Host(domain, 0, (str(ip),)),),))

    async def _walk(self, domain: str, wanted: dict[str, int], *, implicit: bool = False) -> Destination:
        """The hosts that are wanted, with their preferences, as far as they are better than this server."""
        ours = min((preference for name, preference in wanted.items() if self._is_ours(name)), default=None)
        better = [name for name in wanted if ours is None or wanted[name] < ours]
        self._chance.shuffle(better)  # RFC 5321 5.1: load is spread over those of equal preference
        better = sorted(better, key=wanted.__getitem__)[:MOST_HOSTS]
        looked = dict(zip(better, await asyncio.gather(*map(self._addresses, better)), strict=True))
        ours = min((wanted[name] for name in better if looked[name].is_us), default=ours)
        better = [name for name in better if ours is None or wanted[name] < ours]
        hosts = [Host(name, wanted[name], looked[name].addresses) for name in better if looked[name].addresses]
        if hosts:
            groups = itertools.groupby(hosts, key=lambda host: host.preference)
            return Destination(domain, tuple(tuple(group) for _, group in groups))
        if any(looked[name].failed for name in better):
            raise _not_said(domain)
        if ours is not None:
            raise _loop(domain)
        if any(looked[name].refused for name in better):
            text = f"no host of {domain} has an address to which mail is sent"
            raise Unroutable(text, status="5.4.4", code=550)
        if implicit:
            raise Unroutable(f"{domain} has no host that takes mail", status="5.1.2", code=550)
        # "None of them are usable": an error, says RFC 5321 5.1, and DNS was sure of it.
        raise Unroutable(f"no host of {domain} has an address", status="5.4.4", code=550)

    def _is_ours(self, name: str) -> bool:
        return name == self._hostname or self._is_us(name, "")

    async def _addresses(self, name: str, *, anywhere: bool = False) -> _Looked:
        six, four = await asyncio.gather(self._of_family(name, "AAAA"), self._of_family(name, "A"))
        found = [*(six or ()), *(four or ())]
        if not anywhere and any(self._is_us(name, address) for address in found):
            return _Looked(is_us=True)
        wanted = [
            [address for address in family or () if anywhere or self._private or is_public(address)]
            for family in (six, four)
        ]
        for family in wanted:
            self._chance.shuffle(family)
        turns = itertools.chain.from_iterable(itertools.zip_longest(*wanted))
        addresses = tuple(address for address in turns if address is not None)[:MOST_ADDRESSES]
        # One family is enough: there are name servers that fail on the other for ever.
        return _Looked(addresses, failed=six is None or four is None, refused=bool(found))

    async def _of_family(self, name: str, kind: Kind) -> Sequence[str] | None:
        """None where DNS did not say."""
        try:
            return [record.value for record in (await self._resolver.ask(name, kind)).records]
        except LookupFailed:
            return None


def is_of_this_machine(name: str, ip: str) -> bool:
    """An `IsUs`: this machine has the address. Where the SMTP door keeps port 25 of all of them, mail would come back."""
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    try:
        address = ipaddress.ip_address(ip)
        with socket.socket(family, socket.SOCK_DGRAM) as tried:
            tried.bind((str(address), 0))
        if address.is_loopback:
            return True
        # Where programs may bind to any address (`ip_nonlocal_bind`, as beside HAProxy), only the way there tells. Nothing
        # is sent.
        with socket.socket(family, socket.SOCK_DGRAM) as tried:
            tried.connect((str(address), 25))
            return ipaddress.ip_address(tried.getsockname()[0]) == address
    except (OSError, ValueError):
        return False


def _address(text: str) -> IP | None:
    """Of an address, or of an address literal (RFC 5321 4.1.3)."""
    inner = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if inner[:5].lower() == "ipv6:":
        inner = inner[5:]
    try:
        ip = ipaddress.ip_address(inner)
    except ValueError:
        return None
    return None if isinstance(ip, ipaddress.IPv6Address) and ip.scope_id else ip


def _not_said(domain: str, why: str = "no usable answer") -> Unroutable:
    return Unroutable(f"DNS does not say where {domain} is: {why}", status="4.4.3", code=451)


def _loop(domain: str) -> Unroutable:
    return Unroutable(f"mail for {domain} leads back to this server", status="5.4.6", code=554)
