"""Who lives here."""

from __future__ import annotations

from dataclasses import dataclass

from mailsystem.mail.errors import TooMany
from mailsystem.mail.mailbox import AccountId


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody with mailboxes; `login` is their full address."""

    id: AccountId
    login: str
    capabilities_off: frozenset[str] = frozenset()
    """What IMAP shall not offer to them, in capitals: some clients fail at what they ask for."""


class TooSoon(TooMany):
    """Who has just been in a maildrop comes again before the time that was set (RFC 2449 6.5)."""

    text = "come again later"
