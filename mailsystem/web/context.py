"""What the web door is given: the rooms that a request may need, and what it may know of the house."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from mailsystem.delivery import Delivery
from mailsystem.directory import Directory
from mailsystem.directory.htpasswd import Htpasswd
from mailsystem.faults import Faults
from mailsystem.finding.finder import Finder
from mailsystem.mail.account import Account
from mailsystem.mail.address import Address
from mailsystem.mail.envelope import Envelope, Peer
from mailsystem.net import Bound
from mailsystem.store import Store
from mailsystem.telemetry import Trace
from mailsystem.telemetry.tally import Tally
from mailsystem.telemetry.watch import Watch


class Gate(Protocol):
    """Who stands before what leaves: raises a `MailError` to refuse it."""

    async def sender(self, peer: Peer, login: str | None, sender: Address) -> None:
        """Before anything else."""
        ...

    async def relay(self, account: Account, recipient: Address, already: Collection[Address]) -> None:
        """For a recipient on another server; `already` are those on other servers that were taken before."""
        ...

    async def message(self, envelope: Envelope) -> None:
        """Once the message is here, before it is delivered."""
        ...


@dataclass(frozen=True, slots=True)
class Context:
    """Handed to every part of the interface when it is put together."""

    store: Store
    directory: Directory
    delivery: Delivery
    finder: Finder
    trace: Trace
    hostname: str
    faults: Faults | None = None
    """What goes wrong on demand; only in a sink."""
    gate: Gate | None = None
    """Who may send how much; None lets everybody."""
    everybody: str | None = None
    """In a sink, the login that has a copy of everything: there nobody needs to log in. None in a server."""
    sending: bool = False
    """Whether mail may leave for other servers."""
    space_ttl: float = 86_400.0
    """Seconds after its last use when a space of a sink is gone, unless something else is said."""
    sent_on: tuple[str, ...] = ()
    """In a sink, patterns of the addresses to which it may leave."""
    spamd: str = ""
    """Where SpamAssassin's is, as host:port; empty for nowhere."""
    tally: Tally = field(default_factory=Tally)
    """What came since the program began."""
    label: str = ""
    """What this sink is called, among several."""
    root: str = ""
    """The path below which it is; it answers without it, too."""
    passwords: Htpasswd | None = None
    """In a sink, of whoever may use it; None lets everybody."""
    delete_all: bool = False
    """Whether Mailpit's way to delete everything does so: a request that names nothing."""
    cleartext_login: bool = False
    origins: tuple[str, ...] = ()
    """Pages of other sites that may ask."""
    largest_message: int = 50 << 20
    """Octets."""
    streams_per_account: int = 200
    """Streams of events and waits that one who asks may have open at once; 0 sets no limit."""
    streams_per_address: int = 200
    """The same of one address, this machine apart."""
    hosts: tuple[str, ...] = ()
    """Names beyond our own by which browsers may ask for us."""
    private_webhooks: bool = False
    """Whether receivers of webhooks may be on this machine and its network."""
    webhook_lifetime: float = 259_200.0
    """Seconds for which something is sent to them again."""
    bound: Callable[[], Mapping[str, Bound]] = dict
    """Where the doors listen; asked when it is wanted, since this door is one of them."""
    watch: Watch | None = None
    """Where one may look on while sessions go on in this process."""
    workers: int = 1
    """Processes that serve the doors together."""
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when streams of events shall end."""

    @property
    def is_sink(self) -> bool:
        return self.everybody is not None
