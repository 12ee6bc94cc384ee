"""What the sender of a message is told of one recipient, and whether (RFC 3461 4.1, RFC 3464 2.3)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from mailsystem.mail.address import Address
from mailsystem.mail.envelope import Notification
from mailsystem.mail.outgoing import State, Waiting

MOST_LINES: Final = 10
"""Lines of the other side's reply that are passed on."""
MOST_OCTETS: Final = 1000
"""Octets of it altogether."""


class Action(StrEnum):
    """RFC 3464 2.3.3: what was done."""

    FAILED = "failed"
    DELAYED = "delayed"
    DELIVERED = "delivered"
    RELAYED = "relayed"
    """Handed to a server that does not report."""
    EXPANDED = "expanded"
    """Delivered to an address that leads to several others, of whom nothing more is told."""


_GENERAL: Final = {Action.FAILED: "5.0.0", Action.DELAYED: "4.0.0"}
_CLASSES: Final = {Action.FAILED: "45", Action.DELAYED: "4"}

# By state: what can be told of it, and what NOTIFY must have for that.
_TOLD: Final = {
    State.FAILED: (Action.FAILED, "FAILURE"),
    State.WAITING: (Action.DELAYED, "DELAY"),
    State.RELAYED: (Action.RELAYED, "SUCCESS"),
    State.DELIVERED: (Action.DELIVERED, "SUCCESS"),
    State.EXPANDED: (Action.EXPANDED, "SUCCESS"),
}


def wanted(state: State, asked: Notification, sender: Address) -> Action | None:
    """What `sender` is to be told of a recipient that has come to `state`; None for nothing.

    `WAITING` is for one that has waited so long that a notice of delay is due (`Schedule.is_delay_due`). Nothing is told of
    `SENT`, since then the other side does (RFC 3461 5.2.1), nor of `HELD`, and never anything to the null sender (5.2).
    Who asked for nothing hears of failure and delay (5.2.5 and 5.2.6); who asked for something, of that alone.
    """
    told = _TOLD.get(state)
    if told is None or not sender:
        return None
    action, keyword = told
    if asked.notify is None:
        return action if keyword != "SUCCESS" else None
    return action if keyword in asked.notify else None


@dataclass(frozen=True, slots=True)
class Reported:
    """One recipient in a report."""

    address: Address
    """As the message was accepted for it."""
    action: Action
    status: str = ""
    """An enhanced status code (RFC 3463); where it is none, or none of the action's class, the general one is told."""
    original: str | None = None
    """ORCPT as it was given, type and xtext."""
    remote: str = ""
    """The host that was spoken to; empty where none was."""
    reply: str = ""
    """What was said: by it, where that begins with a reply code, or else by us. Lines are parted by line feeds."""
    attempted: float | None = None
    retry_until: float | None = None
    """Told only with a delay."""

    @classmethod
    def of(cls, waiting: Waiting, action: Action, *, expires: float | None = None) -> Reported:
        """From a recipient of the queue; `expires` of its message, for a delay."""
        return cls(
            address=waiting.address,
            action=action,
            status=waiting.status,
            original=waiting.asked.original,
            remote=waiting.remote,
            reply=waiting.reply,
            attempted=waiting.attempted,
            retry_until=expires,
        )

    @property
    def code(self) -> str:
        """A status code that RFC 3464 2.3.4 allows for this action."""
        parts = self.status.split(".")
        good = len(parts) == 3 and all(part.isascii() and part.isdigit() and len(part) <= 3 for part in parts)
        if good and parts[0] in _CLASSES.get(self.action, ("2",)):
            return ".".join(str(int(part)) for part in parts)
        return _GENERAL.get(self.action, "2.0.0")

    @property
    def is_of_remote(self) -> bool:
        """Whether `reply` is the other side's."""
        return bool(self.remote) and self.reply[:3].isascii() and self.reply[:3].isdigit()

    @property
    def lines(self) -> list[str]:
        """The reply, fit to be shown: so many lines of so many octets at most, and nothing in them that is not printable."""
        found: list[str] = []
        left = MOST_OCTETS
        for line in self.reply.splitlines():
            line = clean(line, left)
            if line and left > 0 and len(found) < MOST_LINES:
                found.append(line)
                left -= len(line.encode())
        return found


def clean(text: str, octets: int) -> str:
    """Text as one line of at most so many octets of UTF-8: what cannot be seen in it is a space, and no two are in a row."""
    text = text[: octets * 2]  # before anything is done with all of it
    seen = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(seen.split()).encode("utf-8", "replace")[:octets].decode("utf-8", "ignore").rstrip()
