"""What the administrator decides about the IMAP door."""

from __future__ import annotations

import ssl
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Options:
    """How this door treats its clients. Times are in seconds, sizes in octets."""

    hostname: str = "localhost"
    tls: ssl.SSLContext | None = None
    """For STARTTLS; None where there is no certificate, or where TLS is on from the beginning."""
    cleartext_login: bool = False
    """Let passwords come in clear from other hosts."""
    largest_message: int = 1 << 30
    messages_per_command: int = 0
    """The most that one command may be about, told by MESSAGELIMIT (RFC 9738); 0 for no limit."""
    share_with_anyone: bool = False
    """Let people give rights to everybody here at once."""
    login_timeout: float = 180
    """From the first octet until the login has succeeded."""
    idle_timeout: float = 1800
    """RFC 3501 5.4: at least 30 minutes."""
    keepalive: float = 240
    """An idling client hears `* OK` so often, for the sake of the NAT boxes between us."""
    login_attempts: int = 3
    bad_commands: int = 20
    """So many commands in a row that are no commands, and we hang up."""
