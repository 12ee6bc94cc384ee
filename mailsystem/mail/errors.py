"""Every failure we expect, named once. Each door has one table that says how it is told to the peer."""

from __future__ import annotations


class MailError(Exception):
    """An expected failure. Its text is meant for the peer: short, lower case, without internals."""

    text = "failed"

    def __init__(self, text: str | None = None) -> None:
        super().__init__(text or self.text)

    def __str__(self) -> str:
        return str(self.args[0])


class SyntaxFault(MailError):
    """What the peer said does not follow the grammar."""

    text = "syntax error"


class WrongState(MailError):
    """A good command at the wrong moment."""

    text = "not now"


class AuthRequired(MailError):
    """Only for those who have said who they are, or only under TLS."""

    text = "authentication required"


class AuthFailed(MailError):
    """A wrong password or an unknown login: never told apart."""

    text = "authentication failed"

    def __init__(self, text: str | None = None, *, login: str = "") -> None:
        super().__init__(text)
        self.login = login
        """Who it was said to be, where that is known: for a trace, not for the peer."""


class NotPermitted(MailError):
    """Understood, known, and refused."""

    text = "not permitted"


class NoSuchMailbox(MailError):
    """The mailbox that was named does not exist (any more)."""

    text = "no such mailbox"


class MailboxExists(MailError):
    """A mailbox of that name is there already."""

    text = "mailbox exists"


class NoSuchRecipient(MailError):
    """Nobody here has that address."""

    text = "no such recipient"


class InUse(MailError):
    """Somebody else holds what was asked for; it will come free by itself."""

    text = "in use"


class OverQuota(MailError):
    """The account is full."""

    text = "over quota"

    def __init__(self, text: str | None = None, *, account: int | None = None) -> None:
        super().__init__(text)
        self.account = account
        """Whose it is, where there were several: for the program, not for the peer."""


class TooLarge(MailError):
    """More octets than are accepted."""

    text = "too large"


class TooMany(MailError):
    """Too many of something in too short a time or in one go."""

    text = "too many"


class Rejected(MailError):
    """A verdict against this message."""

    text = "rejected"


class Unavailable(MailError):
    """Cannot be done for the moment; nothing was changed."""

    text = "temporarily unavailable"
