"""What a door accepted about a message, kept apart from the message itself (RFC 5321 2.3.1)."""

from __future__ import annotations

from dataclasses import dataclass

from mailsystem.mail.address import Address


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end of a connection."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        return self.host == "::1" or self.host.startswith(("127.", "::ffff:127."))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


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
