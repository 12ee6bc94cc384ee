"""What the door answers: status lines, and every failure in one table. Sans-IO."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from mailsystem.mail import errors
from mailsystem.mail.errors import MailError

REPLIES: Final[Mapping[type[MailError], str]] = {
    errors.SyntaxFault: "",
    errors.WrongState: "",
    errors.AuthRequired: "",
    errors.AuthFailed: "AUTH",
    errors.NotPermitted: "SYS/PERM",
    errors.NoSuchMailbox: "",
    errors.MailboxExists: "",
    errors.NoSuchRecipient: "",
    errors.InUse: "IN-USE",
    errors.OverQuota: "SYS/TEMP",
    errors.TooLarge: "",
    errors.TooMany: "LOGIN-DELAY",
    errors.Rejected: "",
    errors.Unavailable: "SYS/TEMP",
}
"""The response code of each failure (RFC 2449 8, RFC 3206), which goes with its own text; empty where there is none."""

BUG: Final = b"-ERR [SYS/TEMP] something went wrong here"
STOPPING: Final = b"-ERR [SYS/TEMP] server is shutting down"
LONGEST: Final = 510
"""RFC 2449 4: octets of a status line, without its end."""


def ok(text: str) -> bytes:
    """A line that says yes."""
    return f"+OK {text}".encode("ascii", "replace") if text else b"+OK"


def refusal(error: MailError) -> bytes:
    """A line that says no, and why: in printable ASCII, whatever the text came from."""
    code = next(REPLIES[kind] for kind in type(error).__mro__ if kind in REPLIES)
    text = "".join(c if c.isprintable() else "?" for c in str(error))
    return f"-ERR {f'[{code}] ' if code else ''}{text}".encode("ascii", "replace")[:LONGEST]
