"""What a demonstration is made of: lanes, moments, and what it comes to in the end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from mailsystem.telemetry.flow import Flow, Way

PASSWORD: Final = "correct-horse"  # noqa: S105 - of accounts that live for a minute


class Lane(NamedTuple):
    """One party of the story."""

    key: str
    title: str
    note: str
    is_server: bool = False
    only_pulls: bool = False
    """It is told nothing unless it asks: while it is not connected, that is worth seeing."""


@dataclass(frozen=True, slots=True)
class Chapter:
    """A new part of the story."""

    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Step:
    """Something was done, and the answers are there."""


@dataclass(frozen=True, slots=True)
class Silence:
    """Somebody hears nothing, and that is worth showing."""

    lane: str
    text: str
    long: bool = False
    """Time passes before anything else happens."""


@dataclass(frozen=True, slots=True)
class Remembered:
    """What a session has in its memory, and what lies on the server meanwhile."""

    lane: str
    after: str
    """What was just done."""
    lock: str
    snapshot: str
    marked: str
    inbox: str
    """How many messages are in INBOX, whatever the session believes."""

    @property
    def facts(self) -> Sequence[tuple[str, str]]:
        """What each of them is called, and what it is."""
        return (
            ("lock", self.lock),
            ("snapshot", self.snapshot),
            ("marked", self.marked),
            ("in INBOX", self.inbox),
        )


@dataclass(frozen=True, slots=True)
class Reading:
    """What somebody reads: lines of a message, as they came over the wire."""

    lane: str
    title: str
    lines: tuple[str, ...]


Moment = Chapter | Step | Silence | Remembered | Reading
STEP: Final = Step()


class Generation(NamedTuple):
    """What one generation of a protocol brought."""

    name: str
    year: str
    rfc: str
    added: str


class Took(NamedTuple):
    """How long something in the story took, and whether somebody had to ask for it."""

    key: str
    text: str
    ms: float
    way: Way


@dataclass(frozen=True, slots=True)
class Comparison:
    """Things side by side, a row for each respect in which they differ."""

    key: str
    title: str
    text: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Play:
    """A story with everything that it takes to put it on."""

    title: str
    lead: str
    lanes: tuple[Lane, ...]
    stage: Callable[[Flow], AbstractAsyncContextManager[Any]]
    """Puts up the servers, and gives the cast."""
    tell: Callable[[Any], AsyncIterator[Moment]]
    taken: Callable[[Flow], list[Took]]
    headline: Mapping[str, str] = field(default_factory=dict)
    """Of what it took, by key: what is told first, and in which words."""
    compared: Callable[[Any], Sequence[Comparison]] = lambda _: ()
    """What the cast has found out, side by side."""
    generations: tuple[Generation, ...] = ()
