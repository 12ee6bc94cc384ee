"""What `expecting` gives: filled when its block is over."""

from __future__ import annotations

from mailsystem.testing.failing import MailFailure
from mailsystem.testing.message import Message


class Expected:
    """The messages that were expected of a block."""

    def __init__(self) -> None:
        self._messages: list[Message] | None = None

    def fill(self, messages: list[Message]) -> None:
        """They are here."""
        self._messages = messages

    @property
    def messages(self) -> list[Message]:
        """All of them. Raises `MailFailure` before the block is over."""
        if self._messages is None:
            raise MailFailure("what is expected is here once the block is over")
        return self._messages

    @property
    def message(self) -> Message:
        """The first, which mostly is the only one."""
        return self.messages[0]
