"""What the door answers: `+OK`, `-ERR` and `#`, and every failure in one table. Sans-IO."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from mailsystem.mail import errors
from mailsystem.mail.errors import MailError

ERROR: Final = "-ERR"

REPLIES: Final[Mapping[type[MailError], str]] = {
    errors.SyntaxFault: ERROR,
    errors.WrongState: ERROR,
    errors.AuthRequired: ERROR,
    errors.AuthFailed: ERROR,
    errors.NotPermitted: ERROR,
    errors.NoSuchMailbox: ERROR,
    errors.MailboxExists: ERROR,
    errors.NoSuchRecipient: ERROR,
    errors.InUse: ERROR,
    errors.OverQuota: ERROR,
    errors.TooLarge: ERROR,
    errors.TooMany: ERROR,
    errors.Rejected: ERROR,
    errors.Unavailable: ERROR,
}
"""How the answer to each failure begins; its own text follows. RFC 918 knows one word for all of them."""

BUG: Final = b"-ERR something went wrong here"
STOPPING: Final = b"-ERR server is shutting down"
FULL: Final = b"-ERR too many connections, come again later"
LONGEST: Final = 510
"""Octets of a reply line, without its end: RFC 937 says so, RFC 918 nothing."""


def ok(text: str = "") -> bytes:
    return _line("+OK", text)


def count(octets: int) -> bytes:
    """#xxx: the characters in the mailbox."""
    return _line(f"#{octets}", "characters in the mailbox")


def refusal(error: MailError) -> bytes:
    """A line that says no, and why: in printable ASCII, whatever the text came from."""
    begin = next(REPLIES[kind] for kind in type(error).__mro__ if kind in REPLIES)
    return _line(begin, "".join(c if c.isprintable() else "?" for c in str(error)))


def _line(begin: str, text: str) -> bytes:
    return f"{begin} {text}".rstrip().encode("ascii", "replace")[:LONGEST]
