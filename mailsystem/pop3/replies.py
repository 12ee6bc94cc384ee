"""What the door answers: status lines, and every failure in one table. Sans-IO."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from mailsystem.mail import errors
from mailsystem.mail.account import TooSoon
from mailsystem.mail.errors import MailError
from mailsystem.mail.surrogate import NeedsUtf8
from mailsystem.pop3.languages import translated

REPLIES: Final[Mapping[type[MailError], str]] = {
    errors.SyntaxFault: "",
    errors.WrongState: "",
    errors.AuthRequired: "",
    errors.AuthFailed: "AUTH",
    errors.NotPermitted: "SYS/PERM",
    errors.NoSuchMailbox: "SYS/PERM",
    errors.MailboxExists: "",
    errors.NoSuchRecipient: "",
    errors.InUse: "IN-USE",
    errors.OverQuota: "SYS/TEMP",
    errors.TooLarge: "",
    errors.TooMany: "SYS/TEMP",
    errors.Rejected: "",
    errors.Unavailable: "SYS/TEMP",
    NeedsUtf8: "UTF8",
    TooSoon: "LOGIN-DELAY",
}
"""The response code of each failure (RFC 2449 8, RFC 3206, RFC 6856 5), which goes with its own text; empty where there is
none."""

BUG: Final = "something went wrong here"
STOPPING: Final = "server is shutting down"
LONGEST: Final = 510
"""RFC 2449 4: octets of a status line, without its end."""


def ok(text: str, language: str = "") -> bytes:
    """A line that says yes."""
    return _line(f"+OK {translated(text, language)}" if text else "+OK", language)


def refusal(error: MailError, language: str = "") -> bytes:
    """A line that says no, and why: in printable characters, whatever the text came from."""
    code = next(REPLIES[kind] for kind in type(error).__mro__ if kind in REPLIES)
    said = error.args[0]
    text = "".join(c if c.isprintable() else "?" for c in translated(said, language))
    return _line(f"-ERR {f'[{code}] ' if code else ''}{text}", language)


def _line(text: str, language: str) -> bytes:
    if not language:
        return text.encode("ascii", "replace")[:LONGEST]
    # RFC 6856 3.2: UTF-8 once a language was chosen; no character is cut in two.
    return text.encode("utf-8", "replace")[:LONGEST].decode("utf-8", "ignore").encode()
