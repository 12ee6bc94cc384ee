"""How many may come at once: in all, and from one place."""

from __future__ import annotations

import ipaddress
from typing import Final

from mailsystem.mail.envelope import Peer
from mailsystem.net.counts import Counts, Own

_ALL: Final = ""
_SLACK: Final = 8
"""Of so many connections one may be here that should be elsewhere. As long as there are few, each is counted; where many come
and go, turns taken one by one would leave all the processes waiting for each other."""


class Limits:
    """Counts connections; one for all the listeners, since a place does not become two by its second port."""

    __slots__ = ("_counts", "_most", "_most_from")

    def __init__(self, most: int = 0, most_from_one: int = 0, counts: Counts | None = None) -> None:
        """`most` in all and `most_from_one` from one place (see `place`); 0 sets no limit.

        Processes that share `counts` share the limits.
        """
        self._most = most
        self._most_from = most_from_one
        self._counts: Counts = Own() if counts is None else counts

    @property
    def open(self) -> int:
        """Connections now."""
        return self._counts.under_way(_ALL)

    @property
    def is_shared(self) -> bool:
        """Whether other processes take in connections, too."""
        return self._counts.is_shared

    @property
    def ahead(self) -> int:
        """How many more connections than is fair are open here: then it is the turn of the process with the fewest."""
        ahead = self._counts.ahead(_ALL)
        return max(0, ahead - self._counts.under_way(_ALL) // _SLACK) if ahead else 0

    def enter(self, peer: Peer) -> str | None:
        """Let `peer` in and count it, or say why not: then it is not counted and never leaves."""
        counts = self._counts
        with counts.locked():
            if self._most and counts.under_way(_ALL) >= self._most:
                return "too many connections"
            if self._most_from and not peer.is_loopback:
                where = place(peer.host)
                if counts.under_way(where) >= self._most_from:
                    return "too many connections from one address"
                counts.enter(where)
            counts.enter(_ALL)
        return None

    def leave(self, peer: Peer) -> None:
        """One that was let in is gone."""
        with self._counts.locked():
            self._counts.leave(_ALL)
            if self._most_from and not peer.is_loopback:
                self._counts.leave(place(peer.host))


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
