"""What a check says."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    GOOD = "good"
    WARNING = "warning"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at, how it is, and what to do about it."""

    check: str
    state: State
    said: str
    advice: str = ""


def good(check: str, said: str) -> Finding:
    return Finding(check, State.GOOD, said)


def warning(check: str, said: str, advice: str) -> Finding:
    return Finding(check, State.WARNING, said, advice)


def wrong(check: str, said: str, advice: str) -> Finding:
    return Finding(check, State.WRONG, said, advice)
