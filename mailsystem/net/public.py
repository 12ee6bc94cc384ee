"""Which addresses lead out to the internet, for whoever connects to where somebody else says."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Final, TypeAlias
from urllib.parse import urlsplit

from mailsystem.mail.errors import SyntaxFault

IP: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_COMPATIBLE: Final = ipaddress.IPv6Network("::/96")
_LOOPBACK: Final = ipaddress.IPv6Address("::1")
_METADATA: Final = ipaddress.IPv6Address("fd00:ec2::254")
"""Where machines at Amazon ask for their secrets."""
_ISATAP: Final = (0x00005EFE, 0x02005EFE)
_INSIDE: Final = (ipaddress.IPv4Network("192.0.0.0/24"), ipaddress.IPv4Network("168.63.129.16/32"))
"""Networks that some versions of Python take for public: for protocols (RFC 6890), and the host of a rented machine."""
_TELLING: Final = frozenset(map(ipaddress.IPv4Address, ("168.63.129.16", "100.100.100.200", "192.0.0.192")))
"""Where machines at Azure, Alibaba and Oracle ask for their secrets beside a link's own address."""


def is_public(address: str | IP) -> bool:
    """Whether it leads to one host out on the internet: not to this machine, this network, or many at once."""
    ip = ipaddress.ip_address(address) if isinstance(address, str) else address
    if isinstance(ip, ipaddress.IPv6Address):
        if (inner := _inner(ip)) is not None:
            return is_public(inner)
        if ip.is_site_local or ip.teredo is not None:
            return False
        last = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if (int(ip) >> 32) & 0xFFFFFFFF in _ISATAP and not is_public(last):  # RFC 5214 6.1
            return False
    elif any(ip in network for network in _INSIDE):
        return False
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_unspecified)


def _inner(ip: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The address of the old kind that this one leads to."""
    inner = ip.ipv4_mapped or ip.sixtofour
    if inner is None and (ip in _NAT64 or ip in _COMPATIBLE):
        inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return inner


def is_allowed(address: str, *, private: bool) -> bool:
    """Whether somebody else may have us connect to an address: to a public one, and if `private` ones are theirs to name, to
    this machine and its network as well. Never to many at once, and never to a link alone, where clouds tell their secrets."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if is_public(ip):
        return True
    if ip.version == 6 and ip != _LOOPBACK:
        ip = _inner(ip) or ip
    secret = ip == _METADATA if ip.version == 6 else ip in _TELLING
    return private and "%" not in address and not (ip.is_multicast or ip.is_link_local or secret)


def check(url: str, *, private: bool) -> str:
    """An address of HTTP that somebody else may have us tell things, as far as that is known before its name is looked up.

    In clear only where `private` ones are theirs to name. Raises `SyntaxFault`.
    """
    parts = urlsplit(url)
    if parts.scheme.lower() != "https" and not private:
        raise SyntaxFault("url: mail is not told in clear; it should begin with https")
    try:
        address = str(ipaddress.ip_address(parts.hostname or ""))
    except ValueError:
        return url
    if not is_allowed(address, private=private):
        raise SyntaxFault("url: that address may not be asked; it should be a public one")
    return url


async def addresses(host: str, port: int) -> Sequence[str]:
    """Where somebody else's host is, by the means of this machine. Raises `OSError` and `UnicodeError`.

    Who owns the name decides how long that takes, and it cannot be ended. So it has a thread of its own: the few that all share
    would soon be waiting for names that never answer.
    """
    loop = asyncio.get_running_loop()
    found: asyncio.Future[Sequence[str]] = loop.create_future()

    def settle(there: Sequence[str] | Exception) -> None:
        if found.done():
            return  # nobody waits any more
        if isinstance(there, Exception):
            found.set_exception(there)
        else:
            found.set_result(there)

    def look() -> None:
        there: Sequence[str] | Exception
        try:
            known = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            there = list(dict.fromkeys(str(address[0]) for *_, address in known))
        except Exception as error:
            there = error
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(settle, there)

    threading.Thread(target=look, name="lookup", daemon=True).start()
    return await found
