"""What a door accepted about a message, kept apart from the message itself (RFC 5321 2.3.1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from mailsystem.mail.address import Address

UNIX = "unix"
"""The host of a peer that came by a socket of this machine's own file system."""

Body = Literal["7BIT", "8BITMIME", "BINARYMIME"]


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end of a connection."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        return self.host in {"::1", UNIX} or self.host.startswith(("127.", "::ffff:127."))

    def __str__(self) -> str:
        if self.host == UNIX:
            return UNIX
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Notification:
    """What the sender wants to be told about one recipient (RFC 3461 4.1 and 4.2)."""

    notify: frozenset[str] | None = None
    """NEVER, or some of SUCCESS, FAILURE and DELAY; None where nothing was asked for."""
    original: str | None = None
    """ORCPT as it was given, type and xtext: whom the sender first meant."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """One mail transaction: from whom, to whom, and how it came."""

    sender: Address
    """The reverse-path; `Address.NULL` for `<>`."""
    recipients: tuple[Address, ...]
    peer: Peer
    helo: str
    """What the client called itself: trusted for nothing, written into Received."""
    protocol: str
    """RFC 3848's `with` keyword: ESMTP, ESMTPS, ESMTPA, UTF8SMTP, …"""
    tls: str | None = None
    """Version and cipher, `TLSv1.3 TLS_AES_256_GCM_SHA384`; None in clear."""
    login: str | None = None
    body: Body = "7BIT"
    """What the client declared (RFC 6152, RFC 3030); 7BIT says nothing, since nobody is held to it."""
    utf8: bool = False
    """SMTPUTF8 was asked for (RFC 6531)."""
    require_tls: bool = False
    """Whoever carries this on may do so only under TLS (RFC 8689)."""
    ret: Literal["FULL", "HDRS"] | None = None
    """How much of the message a report of its failure shall bring back (RFC 3461 4.3)."""
    envid: str | None = None
    """The sender's own name for this transaction, in xtext as it was given (RFC 3461 4.4)."""
    notifications: Mapping[Address, Notification] = field(default_factory=dict)
    """By recipient, where anything was asked for."""
    parameters: Mapping[str, str | None] = field(default_factory=dict)
    """Those of MAIL as they were given, by keyword in upper case."""
    unheaded: bool = False
    """Its first line is none of a header: what delivery puts in front ends before it."""
    missing: tuple[str, ...] = ()
    """Fields among Date and Message-ID that a submission came without: delivery puts them in front (RFC 6409 8)."""
