"""How many may come at once: in all, and from one place."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from mailsystem.mail.envelope import Peer
from mailsystem.net.counts import Counts, Own

_ALL: Final = ""
_SLACK: Final = 8
"""Of so many connections one may be here that should be elsewhere. As long as there are few, each is counted."""
_LATELY: Final = 1.0
"""Seconds. So many as have gone within them (or twice that) may be here as well: where many come and go, what is uneven now is
even in a moment, and turns taken one by one would leave all the processes waiting for each other."""


class Limits:
    """Counts connections; one for all the listeners, since a place does not become two by its second port."""

    __slots__ = ("_before", "_clock", "_counts", "_gone", "_most", "_most_from", "_since")

    def __init__(
        self,
        most: int = 0,
        most_from_one: int = 0,
        counts: Counts | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`most` in all and `most_from_one` from one place (see `place`); 0 sets no limit.

        Processes that share `counts` share the limits. `clock` tells seconds.
        """
        self._most = most
        self._most_from = most_from_one
        self._counts: Counts = Own() if counts is None else counts
        self._clock = clock
        self._since = clock()
        self._gone = self._before = 0
        """Connections of this process that have gone since then, and in the time of the same length before."""

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
        return max(0, ahead - self._counts.under_way(_ALL) // _SLACK - self._gone_lately()) if ahead else 0

    def _gone_lately(self) -> int:
        now = self._clock()
        if (passed := now - self._since) >= _LATELY:
            self._before = self._gone if passed < 2 * _LATELY else 0
            self._since, self._gone = now, 0
        return self._before + self._gone

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
        self._gone += 1
        with self._counts.locked():
            self._counts.leave(_ALL)
            if self._most_from and not peer.is_loopback:
                self._counts.leave(place(peer.host))


@lru_cache(4096)  # who comes once comes again, and goes
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
