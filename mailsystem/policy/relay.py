"""What would make an open relay of this server, or let anybody pass for this machine itself.

Mail for other servers is taken from those alone who have logged in, and what is for people here may be led on by an alias. What
is refused here is what would let anybody else send: a start is then not worth its risk.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from typing import Final, TypeAlias

from mailsystem.mail.address import Address, normal_domain
from mailsystem.mail.errors import SyntaxFault

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

_WIDEST: Final = {4: 8, 6: 16}
"""No proxy of ours needs more of the internet than this; private networks may be as wide as they are."""
_PRIVATE: Final = tuple(
    ipaddress.ip_network(text)
    for text in (
        "127.0.0.0/8",
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "100.64.0.0/10",
        "fc00::/7",
        "fe80::/10",
    )
)


def open_relay_reasons(
    *,
    domains: Iterable[str] = (),
    aliases: Iterable[tuple[str, Iterable[str]]] = (),
    catch_alls: Iterable[tuple[str, str]] = (),
    proxies: Iterable[Network | str] = (),
    host: str = "*",
    anybody_logs_in: bool = False,
    relays: bool = False,
) -> list[str]:
    """Each reason as a sentence that says what to do; none is good.

    `domains` are those whose mail is taken, `aliases` and `catch_alls` (domain, target) lead mail on; `proxies` may say
    whose connection they carry; `anybody_logs_in` is the sink, whose every password is good; `relays` says whether mail of
    those who logged in leaves this server.
    """
    ours = list(domains)
    reasons = [_domain(name) for name in ours if not _is_plain(name)]
    for domain, target in catch_alls:
        if _foreign(target, ours):
            reasons.append(
                f"the catch-all of {domain} leads to {target}, on another server: it would pass on whatever anybody sends; "
                "let it lead to somebody here"
            )
    for address, targets in aliases:
        if any(character in address for character in "*?%"):
            reasons.append(f"the alias {address} stands for many addresses at once; name each of them instead")
        elif _foreign(address, ours) and any(_foreign(target, ours) for target in targets):
            reasons.append(f"the alias {address} of a foreign domain leads to another server; remove it")
    reasons += [_proxy(network) for network in map(_network, proxies) if _is_everybody(network)]
    if anybody_logs_in and relays and not _is_loopback(host):
        reasons.append(
            f"every password is good and mail is sent on, for whoever reaches {host}; listen on 127.0.0.1 instead"
        )
    return reasons


def is_of_anybody(pattern: str) -> bool:
    """Whether what a sink sends on to (`*@example.org`) has domains in it that nobody can have meant one by one."""
    domain = pattern.rpartition("@")[2]
    end = re.split(r"[*?\]]", domain)[-1]
    # `*.org` is everybody's; `*.example.org` has one owner.
    return end != domain and "." not in end.strip(".")


def _is_plain(name: str) -> bool:
    try:
        return normal_domain(name) == name
    except SyntaxFault:
        return False


def _domain(name: str) -> str:
    return (
        f"the domain {name or '(empty)'} is not the name of one domain, and could stand for all of them; "
        "remove it and add each domain by its name"
    )


def _foreign(address: str, ours: Iterable[str]) -> bool:
    try:
        domain = Address.parse(address).domain
    except SyntaxFault:
        domain = address.rpartition("@")[2]
    return domain not in ours


def _network(network: Network | str) -> Network:
    return ipaddress.ip_network(network, strict=False) if isinstance(network, str) else network


def _is_everybody(network: Network) -> bool:
    # Not `is_private`, which Python 3.11 answers with yes for 0.0.0.0/0: both its ends are.
    private = any(mine.version == network.version and network.subnet_of(mine) for mine in _PRIVATE)  # type: ignore[arg-type]
    return network.prefixlen < _WIDEST[network.version] and not private


def _proxy(network: Network) -> str:
    return (
        f"proxies has {network}: nearly everybody could then say that they are somebody else, this machine included; "
        "name only your own proxies"
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
