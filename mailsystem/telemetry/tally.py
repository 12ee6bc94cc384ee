"""What came and was refused since this process began, counted as it is said: for whoever asks for the sums alone."""

from __future__ import annotations

import time
from typing import Final

from mailsystem.telemetry.trace import Event

_SENT: Final = frozenset({"MAIL", "RCPT", "DATA", "BDAT"})
"""Commands of SMTP that are about a message."""


class Tally:
    """A sink for few events; it costs nothing beyond them."""

    def __init__(self) -> None:
        self.began: Final = time.monotonic()
        self.accepted = 0
        """Messages."""
        self.octets = 0
        """Of those."""
        self.rejected = 0
        """Times that a sender, a recipient or a message was refused."""

    @staticmethod
    def wants(name: str) -> bool:
        return name in ("delivered", "refused", "fault")

    def __call__(self, event: Event) -> None:
        if event.name == "delivered":
            self.accepted += 1
            self.octets += event.data["octets"]
        elif event.data.get("command") in _SENT and "reply=" in event.data.get("fault", "reply="):
            self.rejected += 1  # a fault that only delays refuses nothing

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.monotonic() - self.began
