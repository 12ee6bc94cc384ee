"""What the door answers: every reply with its enhanced status code (RFC 2034, RFC 3463), every failure in one table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from mailsystem.mail.errors import (
    AuthFailed,
    AuthRequired,
    InUse,
    MailboxExists,
    MailError,
    NoSuchMailbox,
    NoSuchRecipient,
    NotPermitted,
    OverQuota,
    Rejected,
    SyntaxFault,
    TooLarge,
    TooMany,
    Unavailable,
    WrongState,
)


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply line. A 421 is the last word: whoever sends it closes (RFC 5321 3.8)."""

    code: int
    status: str
    """The enhanced status code; empty only where RFC 2034 has none: the greeting, EHLO, 334 and 354."""
    text: str
    line: bytes = field(init=False, repr=False, compare=False)
    """As it is sent, without its end: made once, since most replies are constants."""

    def __post_init__(self) -> None:
        # ASCII, since a peer need not understand more (RFC 6531 3.7.4.2), and never a line end out of somebody's text.
        text = self.text if self.text.isprintable() else "".join(c if c.isprintable() else "?" for c in self.text)
        status = f"{self.status} " if self.status else ""
        object.__setattr__(self, "line", f"{self.code} {status}{text}".encode("ascii", "replace"))

    def saying(self, text: str) -> Reply:
        """The same in other words."""
        return Reply(self.code, self.status, text)

    def __bytes__(self) -> bytes:
        return self.line


class Refusal(Exception):
    """A refusal that the door itself decides on, with the reply to it; with `close` it is the last one."""

    def __init__(self, reply: Reply, *, close: bool = False) -> None:
        super().__init__(reply.text)
        self.reply = reply
        self.close = close


REPLIES: Final[Mapping[type[MailError], Reply]] = {
    SyntaxFault: Reply(501, "5.5.2", "syntax error"),
    WrongState: Reply(503, "5.5.1", "not now"),
    AuthRequired: Reply(530, "5.7.0", "authentication required"),
    AuthFailed: Reply(535, "5.7.8", "authentication failed"),
    NotPermitted: Reply(550, "5.7.1", "not permitted"),
    NoSuchMailbox: Reply(550, "5.1.1", "no such mailbox"),
    MailboxExists: Reply(554, "5.3.0", "mailbox exists"),
    NoSuchRecipient: Reply(550, "5.1.1", "no such recipient"),
    InUse: Reply(450, "4.2.1", "in use"),
    OverQuota: Reply(452, "4.2.2", "over quota"),
    TooLarge: Reply(552, "5.3.4", "too large"),
    TooMany: Reply(421, "4.7.0", "too many"),
    Rejected: Reply(550, "5.7.1", "rejected"),
    Unavailable: Reply(451, "4.3.0", "temporarily unavailable"),
}
"""How each failure is told. Its own text goes with it."""

_MESSAGE: Final[Mapping[type[MailError], Reply]] = {
    # RFC 5321 4.2.2: 554 when it is the message, and not the mailbox, that cannot be taken.
    SyntaxFault: Reply(554, "5.6.0", ""),
    NotPermitted: Reply(554, "5.7.1", ""),
    NoSuchRecipient: Reply(554, "5.1.1", ""),
    NoSuchMailbox: Reply(554, "5.1.1", ""),
    Rejected: Reply(554, "5.7.1", ""),
    TooMany: Reply(451, "4.7.0", ""),
}
_WHILE: Final[Mapping[bytes, Mapping[type[MailError], Reply]]] = {
    # RFC 5321 3.1: a greeting that refuses is a 554; or a 421, where it is only for now.
    b"CONNECT": {
        kind: Reply(421, f"4{reply.status[1:]}", "") if reply.code < 500 else Reply(554, reply.status, "")
        for kind, reply in REPLIES.items()
    },
    # No reason to close: whoever has sent too much may still have mail for others, and tries this again later.
    b"MAIL": {TooMany: Reply(451, "4.7.0", "")},
    # RFC 4954 6: AUTH has codes of its own for most of what can happen to it.
    b"AUTH": {
        NotPermitted: Reply(535, "5.7.8", ""),
        NoSuchRecipient: Reply(535, "5.7.8", ""),
        InUse: Reply(454, "4.7.0", ""),
        Unavailable: Reply(454, "4.7.0", ""),
    },
    # RFC 5321 4.5.3.1.10: too many recipients are a temporary failure of those that are too many.
    b"RCPT": {TooMany: Reply(452, "4.5.3", "")},
    b"DATA": _MESSAGE,
    b"BDAT": _MESSAGE,
}
_BUG: Final = Reply(451, "4.3.0", "something went wrong here, please try again later")
_BUG_WHILE: Final = {
    b"AUTH": Reply(454, "4.7.0", "cannot check that now, please try again later"),
    b"CONNECT": Reply(421, "4.3.0", "something went wrong here, please try again later"),
}


def reply_to(error: Exception, verb: bytes = b"") -> Reply:
    """The reply to a failure of the command `verb`.

    A `MailError` is told in its own words, which are meant for the peer. Anything else is a fault of ours: temporary, so
    that no mail is lost by it, and none of its text gets out.
    """
    if isinstance(error, Refusal):
        return error.reply
    if not isinstance(error, MailError):
        return _BUG_WHILE.get(verb, _BUG)
    here = _WHILE.get(verb, {})
    for kind in type(error).__mro__:
        reply = here.get(kind) or REPLIES.get(kind)
        if reply is not None:
            return reply.saying(str(error))
    return _BUG


OK: Final = Reply(250, "2.0.0", "ok")
BYE: Final = Reply(221, "2.0.0", "bye")
HELP: Final = Reply(214, "2.0.0", "see RFC 5321")
CANNOT_VERIFY: Final = Reply(252, "2.5.2", "cannot verify, send it some mail and see")
SENDER_OK: Final = Reply(250, "2.1.0", "ok")
RECIPIENT_OK: Final = Reply(250, "2.1.5", "ok")
GO_AHEAD: Final = Reply(354, "", "go ahead, end with <CRLF>.<CRLF>")
READY_FOR_TLS: Final = Reply(220, "2.0.0", "go ahead with TLS")
LOGGED_IN: Final = Reply(235, "2.7.0", "welcome")

STOPPING: Final = Reply(421, "4.3.2", "shutting down, please try again later")
TOO_SLOW: Final = Reply(421, "4.4.2", "waited too long for you")
TOO_EARLY: Final = Reply(554, "5.5.1", "it is our turn to speak first")  # RFC 5321 3.1
TOO_MANY_MESSAGES: Final = Reply(421, "4.5.3", "too many messages in one session, please come again")  # RFC 9422
TOO_MANY_ERRORS: Final = Reply(421, "4.7.0", "too many errors")
NOT_HTTP: Final = Reply(421, "4.7.0", "this is a mail server")
TLS_UNASKED: Final = Reply(421, "4.7.0", "no TLS without STARTTLS here")

UNKNOWN_COMMAND: Final = Reply(500, "5.5.1", "unknown command")
LINE_TOO_LONG: Final = Reply(500, "5.5.2", "line too long")
RESPONSE_TOO_LONG: Final = Reply(500, "5.5.6", "response too long")  # RFC 4954 6
BAD_OCTETS: Final = Reply(500, "5.5.2", "CR or NUL in a command")
BARE_NEWLINE_IN_COMMAND: Final = Reply(500, "5.5.2", "lines end with CRLF here")
BAD_ARGUMENT: Final = Reply(501, "5.5.4", "bad arguments")
BAD_SENDER: Final = Reply(501, "5.1.7", "bad sender address")
BAD_RECIPIENT: Final = Reply(501, "5.1.3", "bad recipient address")
NEEDS_SMTPUTF8: Final = Reply(553, "5.6.7", "address needs SMTPUTF8")  # RFC 6531 3.5
NOT_IMPLEMENTED: Final = Reply(502, "5.5.1", "not implemented")
UNKNOWN_PARAMETER: Final = Reply(555, "5.5.4", "unknown parameter")
GREET_FIRST: Final = Reply(503, "5.5.1", "say EHLO first")
MAIL_FIRST: Final = Reply(503, "5.5.1", "say MAIL first")
NESTED_MAIL: Final = Reply(503, "5.5.1", "there is a sender already")
NO_RECIPIENTS: Final = Reply(554, "5.5.1", "no valid recipients")  # RFC 5321 3.3
NO_RECIPIENTS_LMTP: Final = Reply(503, "5.5.1", "no valid recipients")  # RFC 2033 4.2
CHUNKS_BEGUN: Final = Reply(503, "5.5.1", "the message was begun with BDAT")  # RFC 3030 2
NEEDS_BDAT: Final = Reply(503, "5.5.1", "BODY=BINARYMIME needs BDAT")  # RFC 3030 3
TOO_MANY_RECIPIENTS: Final = Reply(452, "4.5.3", "too many recipients, send the rest in another go")
MESSAGE_TOO_LARGE: Final = Reply(552, "5.3.4", "message too large")
LOOPING: Final = Reply(554, "5.4.6", "too many Received fields, this message goes in circles")
# RFC 5321 2.3.8 forbids them and allows no repair: refused for policy, so 550 (4.3.2), as Postfix does. RFC 3463's x.6.0,
# since the fault is in the message's form and the registry has no closer code.
BARE_NEWLINE: Final = Reply(550, "5.6.0", "bare CR or LF in the message, see RFC 5321 2.3.8")

NO_LOGINS: Final = Reply(503, "5.5.1", "nobody logs in here")
LOGIN_FIRST: Final = Reply(530, "5.7.0", "log in first")
LOGIN_UNDER_TLS: Final = Reply(530, "5.7.0", "say STARTTLS and log in first")
NOT_YOURS: Final = Reply(553, "5.7.1", "that sender address is not yours")
TLS_ALREADY: Final = Reply(503, "5.5.1", "TLS is on already")
INJECTED: Final = Reply(503, "5.5.1", "nothing may follow STARTTLS")
NEEDS_TLS: Final = Reply(538, "5.7.11", "only under TLS")
LOGGED_IN_ALREADY: Final = Reply(503, "5.5.1", "you are logged in already")
NOT_IN_TRANSACTION: Final = Reply(503, "5.5.1", "not within a mail transaction")
UNKNOWN_MECHANISM: Final = Reply(504, "5.5.4", "unknown mechanism")
CANCELLED: Final = Reply(501, "5.7.0", "cancelled")
