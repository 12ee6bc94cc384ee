"""How long mail is kept, and how much of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Keep:
    """The most that each account keeps; 0 is without end, and None leaves it to what holds for all."""

    age: float | None = None
    """Seconds since the message came to where it lies."""
    messages: int | None = None
    octets: int | None = None

    def within(self, others: Keep) -> Keep:
        """The same, completed by what holds for all."""
        return Keep(
            others.age if self.age is None else self.age,
            others.messages if self.messages is None else self.messages,
            others.octets if self.octets is None else self.octets,
        )

    def __bool__(self) -> bool:
        """Whether anything is to go."""
        return bool(self.age or self.messages or self.octets)


AS_ELSEWHERE: Final = Keep()
"""Nothing of its own."""
FOR_EVER: Final = Keep(0, 0, 0)
