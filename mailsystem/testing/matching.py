"""What a test expects of a message, and why another is not it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias, TypedDict

from mailsystem.testing.message import Message
from mailsystem.testing.naming import is_like

Pattern: TypeAlias = "str | re.Pattern[str]"


class Asked(TypedDict, total=False):
    """What may be asked for."""

    subject: Pattern | None
    """A part of it, without regard to case; or an expression that is found in it."""
    from_: Pattern | None
    """The whole address in From or in the envelope; `*` and `?` stand for any letters."""
    to: Pattern | None
    """The whole address of somebody in To, Cc or the envelope; `*` and `?` as before."""
    query: str | None
    """In the language of searches."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """All that was `Asked` for; what is None is not."""

    subject: Pattern | None = None
    from_: Pattern | None = None
    to: Pattern | None = None
    query: str | None = None
    found: frozenset[str] | None = None
    """The ids of what that query finds."""

    def why_not(self, message: Message) -> str:
        """Why a message is not it; empty where it is."""
        if self.subject is not None and not _within(self.subject, message.subject):
            return f"subject is not like {_shown(self.subject)}"
        if self.from_ is not None and not _is_one(self.from_, (message.sender, message.envelope.mail_from)):
            return f"from is not {_shown(self.from_)}"
        if self.to is not None and not _is_one(self.to, (*message.to, *message.cc, *message.envelope.rcpt)):
            return f"to is not {_shown(self.to)}"
        if self.found is not None and message.id not in self.found:
            return f"query {self.query!r} does not find it"
        return ""

    def __str__(self) -> str:
        parts = {"subject": self.subject, "from_": self.from_, "to": self.to, "query": self.query}
        return ", ".join(f"{name}={_shown(value)}" for name, value in parts.items() if value is not None)


def wanted_of(asked: Asked) -> Wanted:
    """What was asked for. Raises `TypeError`, in words for who wrote the test, for what nobody can ask for."""
    for name in asked:
        if name not in Asked.__annotations__:
            raise TypeError(f"messages have no {name!r} to ask for; ask by {', '.join(Asked.__annotations__)}")
    return Wanted(**asked)


def _within(pattern: Pattern, text: str) -> bool:
    if isinstance(pattern, str):
        return pattern.casefold() in text.casefold()
    return pattern.search(text) is not None


def _is_one(pattern: Pattern, addresses: Iterable[str]) -> bool:
    if isinstance(pattern, str):
        return any(is_like(address, pattern) for address in addresses)
    return any(pattern.search(address) for address in addresses)


def _shown(pattern: Pattern) -> str:
    return repr(pattern if isinstance(pattern, str) else pattern.pattern)
