"""How much each account sends to other servers: caps that contain what a stolen password can do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mailsystem.mail.mailbox import AccountId
from mailsystem.store.database import Unit


@dataclass(frozen=True, slots=True)
class Caps:
    """Per account and day; 0 is no limit."""

    recipients: int = 0
    strangers: int = 0
    """Those to whom it has never written before."""


def count(account: AccountId, addresses: Sequence[str], now: float, caps: Caps) -> Unit[None]:
    """These addresses are written to. Raises `TooMany`."""
    yield from ()
