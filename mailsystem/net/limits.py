"""How many may come at once: in all, and from one place."""

from __future__ import annotations

import ipaddress
from collections import Counter

from mailsystem.mail.envelope import Peer


class Limits:
    """Counts connections; one for all the listeners of a process, since a place does not become two by its second port."""

    __slots__ = ("_from", "_most", "_most_from", "open")

    def __init__(self, most: int = 0, most_from_one: int = 0) -> None:
        """`most` in all and `most_from_one` from one place (see `place`); 0 sets no limit."""
        self._most = most
        self._most_from = most_from_one
        self._from: Counter[str] = Counter()
        self.open = 0
        """Connections now."""

    def enter(self, peer: Peer) -> str | None:
        """Let `peer` in and count it, or say why not: then it is not counted and never leaves."""
        if self._most and self.open >= self._most:
            return "too many connections"
        if self._most_from and not peer.is_loopback:
            where = place(peer.host)
            if self._from[where] >= self._most_from:
                return "too many connections from one address"
            self._from[where] += 1
        self.open += 1
        return None

    def leave(self, peer: Peer) -> None:
        """One that was let in is gone."""
        self.open -= 1
        if self._most_from and not peer.is_loopback:
            where = place(peer.host)
            self._from[where] -= 1
            if not self._from[where]:
                del self._from[where]


def place(host: str) -> str:
    """What counts as one address: an IPv4 address, or the /64 that an IPv6 host has all for itself (RFC 4291 2.5.4)."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv6Address):
        mapped = address.ipv4_mapped
        return str(mapped) if mapped else str(ipaddress.IPv6Address(int(address) >> 64 << 64)) + "/64"
    return host
