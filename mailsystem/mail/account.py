"""Who lives here."""

from __future__ import annotations

from dataclasses import dataclass

from mailsystem.mail.mailbox import AccountId


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody with mailboxes; `login` is their full address."""

    id: AccountId
    login: str
    capabilities_off: frozenset[str] = frozenset()
    """What IMAP shall not offer to them, in capitals: some clients fail at what they ask for."""
