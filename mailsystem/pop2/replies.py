"""What the door answers: `+`, `-`, `=` and `#`, and every failure in one table. Sans-IO."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from mailsystem.mail import errors
from mailsystem.mail.errors import MailError

ERROR: Final = "-"
NO_MESSAGES: Final = "#0"

REPLIES: Final[Mapping[type[MailError], str]] = {
    errors.SyntaxFault: ERROR,
    errors.WrongState: ERROR,
    errors.AuthRequired: ERROR,
    errors.AuthFailed: ERROR,
    errors.NotPermitted: ERROR,
    errors.NoSuchMailbox: NO_MESSAGES,
    errors.MailboxExists: ERROR,
    errors.NoSuchRecipient: ERROR,
    errors.InUse: ERROR,
    errors.OverQuota: ERROR,
    errors.TooLarge: ERROR,
    errors.TooMany: ERROR,
    errors.Rejected: ERROR,
    errors.Unavailable: ERROR,
}
"""How the answer to each failure begins; its own text follows. `-` is the last word (RFC 937, Server Decision Table).

A mailbox that does not exist has no messages, and that is no failure (RFC 937, FOLD).
"""

BUG: Final = b"- something went wrong here"
STOPPING: Final = b"- server is shutting down"
FULL: Final = b"- too many connections, come again later"
LONGEST: Final = 510
"""RFC 937, Sizes: octets of a reply line, without its end."""


def ok(text: str) -> bytes:
    return _line("+", text)


def greeting(hostname: str) -> bytes:
    """<greet> = + <SP> POP2 <SP> <host> [<SP> <string>]"""
    return _line("+", f"POP2 {hostname} server ready")


def count(number: int) -> bytes:
    """<count> = # <number> [<SP> <string>]"""
    return _line(f"#{number}", "message" if number == 1 else "messages")


def length(octets: int, number: int) -> bytes:
    """<length> = = <number> [<SP> <string>]"""
    return _line(f"={octets}", f"characters in message {number}" if octets else "no more messages")


def refusal(error: MailError) -> bytes:
    """A line that says why not: in printable ASCII, whatever the text came from."""
    begin = next(REPLIES[kind] for kind in type(error).__mro__ if kind in REPLIES)
    return _line(begin, "".join(c if c.isprintable() else "?" for c in str(error)))


def _line(begin: str, text: str) -> bytes:
    return f"{begin} {text}".encode("ascii", "replace")[:LONGEST]
