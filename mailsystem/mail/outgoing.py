"""Mail that leaves: one message as it waits in the queue, whom it is for, and what came of each try to hand it on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Final, Literal, NewType

from mailsystem.mail.address import Address
from mailsystem.mail.envelope import Body, Notification
from mailsystem.mail.mailbox import ContentId

OutboundId = NewType("OutboundId", int)
"""The row of a message in the queue; `Outgoing.ident` is what people call it."""


NOTHING_ASKED: Final = Notification()
"""What goes without asking: that it failed is told, and that it is late may be (RFC 3461 4.1)."""


class State(StrEnum):
    """Where one recipient of a message stands."""

    WAITING = "waiting"
    """Until it is due, or is being tried."""
    HELD = "held"
    """Until somebody releases it."""
    SENT = "sent"
    """The other side has taken it, and reports on it if it has to (RFC 3461)."""
    RELAYED = "relayed"
    """The same, but the other side does not know how to report (RFC 3461 5.2.2): whoever asked for SUCCESS hears that."""
    DELIVERED = "delivered"
    """Put into a mailbox here: whoever asked for SUCCESS hears that."""
    EXPANDED = "expanded"
    """Led on to several others, of whom nothing more is told (RFC 3461 5.2.7.3)."""
    FAILED = "failed"

    @property
    def is_final(self) -> bool:
        return self not in {State.WAITING, State.HELD}


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One message in the queue, without whom it is for."""

    id: OutboundId
    ident: str
    """What the 250 told: it stands in Received, and `mailsystem queue show` takes it."""
    content: ContentId
    sender: Address
    """The reverse-path that is told to the other side: rewritten where it was forwarded; `Address.NULL` for a report."""
    login: str
    """Who sent it; empty for what was forwarded and for reports."""
    size: int
    """Octets of the content, the trace fields of ours included."""
    arrived: float
    expires: float
    body: Body = "7BIT"
    utf8: bool = False
    require_tls: bool = False
    ret: Literal["FULL", "HDRS"] | None = None
    envid: str | None = None
    signature: bytes | None = None
    """DKIM-Signature fields that go in front; None where nobody has tried to sign it yet."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """One recipient of a message in the queue."""

    address: Address
    state: State
    due: float
    """When it is tried next, in seconds since the epoch."""
    attempts: int = 0
    asked: Notification = NOTHING_ASKED
    delay_told: bool = False
    attempted: float | None = None
    remote: str = ""
    """The host that gave the last reply; empty where none was reached."""
    status: str = ""
    """The last enhanced status code (RFC 3463)."""
    reply: str = ""
    """What was said last: by the other side, or by us where none was reached."""
    is_taken: bool = False
    """Somebody is trying it: then `due` is when that has to be over."""
    reported: bool = False
    """Its end was told to the sender, or need not be."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of one try for one recipient."""

    address: Address
    state: Literal[State.SENT, State.RELAYED, State.FAILED, State.WAITING]
    """`WAITING` is to be tried again."""
    status: str
    """An enhanced status code (RFC 3463): the other side's where it gave one, else the one that fits."""
    reply: str
    """`550 5.1.1 no such user` as the other side said it, or our own words where it said nothing."""
    remote: str = ""
    """The host that was spoken to."""
    ip: str = ""
    tls: str | None = None
    """Version and cipher; None in clear."""

    @property
    def is_of_remote(self) -> bool:
        """Whether `reply` is the other side's, and not ours."""
        return bool(self.remote) and self.reply[:3].isdigit()


def xtext(text: str) -> str:
    """As it may stand in a parameter (RFC 3461 4)."""
    return "".join(c if "!" <= c <= "~" and c not in "+=" else "".join(f"+{o:02X}" for o in c.encode()) for c in text)


def releasable(address: Address, patterns: Iterable[str]) -> bool:
    """Whether a sink may send mail on to that address, by patterns such as `*@example.org`."""
    return any(fnmatchcase(address.key, pattern.casefold()) for pattern in patterns)
