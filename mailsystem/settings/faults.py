"""Settings for what goes wrong on demand, in a sink."""

from __future__ import annotations

import re
from typing import Final

from pydantic import Field, field_validator

from mailsystem.settings.group import Group

_TRIGGER: Final = r"\s*(?:sender|recipient|authentication):[45][0-9]{2}:(?:100|[0-9]{1,2})\s*"
CHAOS: Final = re.compile(f"{_TRIGGER}(?:,{_TRIGGER})*", re.IGNORECASE)
"""Triggers of Mailpit's chaos."""


class Faults(Group):
    """What goes wrong on demand, in a sink and nowhere else."""

    magic: bool = Field(
        default=True,
        description="Let mail to addresses such as 451-twice+x@example.org meet in a sink what they ask for.",
    )
    chaos: str = Field(
        default="",
        description="What Mailpit's chaos refuses from the start on: sender, recipient or authentication, each with a code and"
        " how likely it is in percent, as in Sender:451:50,Recipient:550:100.",
    )

    @field_validator("chaos")
    @classmethod
    def _triggers(cls, text: str) -> str:
        if text and not CHAOS.fullmatch(text):
            raise ValueError("should be some of Sender, Recipient and Authentication, as Sender:451:50")
        return text
