"""Settings of how long mail is kept, and of spaces in a sink."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import BeforeValidator, ByteSize, Field

from mailsystem.settings.group import Group, Names

_DURATION: Final = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?) ?(s|m|h|d|w)?", re.ASCII)
_SECONDS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}


def seconds_of(text: str) -> float:
    """Seconds of a text such as 90, 30m, 12h or 7d. Raises `ValueError`."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError("should be a number of seconds or a time such as 30m, 12h or 7d")
    return float(match[1]) * _SECONDS[match[2] or "s"]


def _read(value: object) -> object:
    return seconds_of(value) if isinstance(value, str) else value


Duration = Annotated[float, BeforeValidator(_read)]


class Retention(Group):
    """How long mail is kept, and how much of it, by each account."""

    age: Duration = Field(
        default=0.0,
        ge=0,
        description="Seconds, or a time such as 12h or 7d, after which a message goes from where it lies, unless it is"
        " flagged; 0 keeps it for ever.",
    )
    messages: int = Field(
        default=0,
        ge=0,
        description="Most messages that an account keeps: of more, the oldest that are not flagged go; 0 sets no limit.",
    )
    octets: ByteSize = Field(
        default=ByteSize(0),
        ge=0,
        description='Most octets that an account keeps, as a number or as "500 MiB": of more, the oldest messages that are not'
        " flagged go; 0 sets no limit.",
    )


class Spaces(Group):
    """Spaces of a sink: mailboxes for whoever needs some of their own for a while."""

    logins: Names = Field(
        default=(),
        description="Names, such as ci-*, that open a space of a sink by themselves when somebody logs in by one.",
    )
    ttl: Duration = Field(
        default=86_400.0,
        ge=1,
        le=31_536_000,
        description="Seconds, or a time such as 12h or 7d, after its last use when a space is gone, unless it says otherwise.",
    )
    copies: bool = Field(
        default=False, description="Let the login sink of a sink have a copy of what comes for spaces, too."
    )
