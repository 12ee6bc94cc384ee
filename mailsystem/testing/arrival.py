"""What is known of a message beside its octets: the envelope it came in, and the session that brought it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal


@dataclass(frozen=True, slots=True)
class Envelope:
    """What the client said about a message, which the message itself does not tell (RFC 5321 2.3.1)."""

    mail_from: str
    """The reverse-path; empty for `<>`."""
    rcpt: tuple[str, ...]
    """All recipients of the transaction, in their order; also those who are no business of the test."""
    helo: str = ""
    """What the client called itself."""
    peer: str = ""
    """Address and port of the client: `127.0.0.1:51234`."""
    tls: str | None = None
    """Version and cipher, `TLSv1.3 TLS_AES_256_GCM_SHA384`; None in clear."""
    login: str | None = None
    """As whom the client had logged in."""
    protocol: str = ""
    """By what it came: `ESMTPS`, or with SMTPUTF8 `UTF8SMTP` (RFC 3848, RFC 6531 3.7.3)."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the protocol, without its end."""

    who: Literal["C", "S"]
    """The client or the server."""
    text: str
    """Secrets are replaced; the octets of messages are left out."""
    ms: float = 0.0
    """Milliseconds since the session's first line."""

    def __str__(self) -> str:
        return f"{self.who}: {self.text}"


@dataclass(frozen=True, slots=True)
class Session:
    """The connection by which a message came."""

    peer: str = ""
    helo: str = ""
    tls: str | None = None
    login: str | None = None
    lines: tuple[Line, ...] = ()
    """All that was said, also after the message, as far as it has come."""

    @property
    def transcript(self) -> str:
        """All lines, `C: ` before those of the client and `S: ` before those of the server."""
        return "\n".join(map(str, self.lines))


def no_session() -> Session:
    """Of a message of which nobody knows how it came."""
    return Session()


@dataclass(frozen=True, slots=True)
class Parcel:
    """A message that has arrived, as its server hands it over."""

    id: str
    stored: bytes = field(repr=False)
    """As it is kept: trace fields in front."""
    prefix: int
    """Octets of the trace fields that were put in front of what was sent."""
    envelope: Envelope
    at: datetime
    session: Callable[[], Session] = field(default=no_session, repr=False)
    """Asked when somebody wants to know: by then it may have gone on."""
