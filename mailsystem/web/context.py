"""What the web door is given: the rooms that a request may need, and what it may know of the house."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from mailsystem.delivery import Delivery
from mailsystem.directory import Directory
from mailsystem.finding.finder import Finder
from mailsystem.net import Bound
from mailsystem.store import Store
from mailsystem.telemetry import Trace


@dataclass(frozen=True, slots=True)
class Context:
    """Handed to every part of the interface when it is put together."""

    store: Store
    directory: Directory
    delivery: Delivery
    finder: Finder
    trace: Trace
    hostname: str
    everybody: str | None = None
    """In a sink, the login that has a copy of everything: there nobody needs to log in. None in a server."""
    sending: bool = False
    """Whether mail may leave for other servers."""
    cleartext_login: bool = False
    largest_message: int = 50 << 20
    """Octets."""
    hosts: tuple[str, ...] = ()
    """Names beyond our own by which browsers may ask for us."""
    bound: Callable[[], Mapping[str, Bound]] = dict
    """Where the doors listen; asked when it is wanted, since this door is one of them."""
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when streams of events shall end."""

    @property
    def is_sink(self) -> bool:
        return self.everybody is not None
