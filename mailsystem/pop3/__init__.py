"""The POP3 door (RFC 1939): a maildrop as it was at login, and deletions that happen at QUIT or not at all."""

from mailsystem.pop3.server import serving

__all__ = ["serving"]
