"""Who lives here."""

from __future__ import annotations

from dataclasses import dataclass

from mailsystem.mail.mailbox import AccountId


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody with mailboxes; `login` is their full address."""

    id: AccountId
    login: str
