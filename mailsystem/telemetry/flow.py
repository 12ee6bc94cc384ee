"""The flow: who told whom what, and who had to ask. A sink that turns protocol lines into arrows between lanes.

- *Push*: whoever has the news speaks by itself. All of SMTP is that, and what an IMAP server says during IDLE.
- *Pull*: whoever wants the news must ask. All of POP is that, and every IMAP command with its answer.

Nothing here is made up: an arrow holds the lines that the doors traced, and its time is theirs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from mailsystem.telemetry.trace import CLIENT, Event

Way = Literal["push", "pull"]

SERVER_LANE: Final = "server"
TOGETHER: Final = 0.05
"""Seconds within which lines of one side make one arrow."""


@dataclass(slots=True)
class Arrow:
    """What one side said in one breath."""

    time: float
    """Seconds since the epoch, of its first line."""
    session: int
    door: str
    opener: str
    """The lane of whoever opened the connection."""
    source: str
    target: str
    way: Way
    lines: list[str] = field(default_factory=list)
    ms: float | None = None
    """Of what the server says: milliseconds since the client's words that caused it; in a push those of another session."""

    @property
    def of_server(self) -> bool:
        return self.source == SERVER_LANE


@dataclass(slots=True)
class Session:
    """One connection, as far as its lines tell."""

    number: int
    door: str
    peer: str
    opened: float
    closed: float | None = None
    idling: bool = False
    tag: str = ""
    """Of the IDLE that was asked for."""


class Flow:
    """Collects events; give it to a `Trace` that traces lines."""

    def __init__(self) -> None:
        self.arrows: list[Arrow] = []
        self.events: list[Event] = []
        self._names: dict[str, str] = {}
        self._sessions: dict[int, Session] = {}
        self._said: dict[int, float] = {}
        self._last_said: tuple[int, float] | None = None

    def name(self, peer: str, lane: str) -> None:
        """Say who is behind a peer's address. Its lines may have come already."""
        self._names[peer] = lane
        for arrow in self.arrows:
            if self._sessions[arrow.session].peer == peer:
                arrow.opener = lane
                arrow.source, arrow.target = _ends(lane, from_client=not arrow.of_server)

    def __call__(self, event: Event) -> None:
        self.events.append(event)
        if event.session == 0:
            return
        session = self._sessions.get(event.session)
        if session is None:
            session = Session(event.session, event.door, str(event.data.get("peer", "")), event.time)
            self._sessions[event.session] = session
        if event.name == "disconnected":
            session.closed = event.time
        elif event.name == "line":
            self._line(session, event)

    def is_open(self, lane: str, at: float) -> bool:
        """Whether somebody in that lane was connected at a time, in seconds since the epoch."""
        return any(
            self._names.get(one.peer) == lane and one.opened <= at and (one.closed is None or at < one.closed)
            for one in self._sessions.values()
        )

    def first_said(self, lane: str) -> float | None:
        """When the one in that lane first opened its mouth, in seconds since the epoch."""
        return next((arrow.time for arrow in self.arrows if arrow.source == lane), None)

    def first_push(self) -> float | None:
        """When somebody who idled was first told something, in seconds since the epoch."""
        return next((arrow.time for arrow in self.arrows if arrow.door == "imap" and arrow.way == "push"), None)

    def _line(self, session: Session, event: Event) -> None:
        text = str(event.data["text"])
        from_client = event.data["who"] == CLIENT
        way = self._way(session, text, from_client=from_client)
        lane = self._names.get(session.peer, session.peer)
        source, target = _ends(lane, from_client=from_client)
        last = self.arrows[-1] if self.arrows else None
        if (
            last is not None
            and (last.session, last.source, last.way) == (session.number, source, way)
            and event.time - last.time < TOGETHER
        ):
            last.lines.append(text)
        else:
            ms = None if from_client else self._since_cause(session, way, event.time)
            self.arrows.append(Arrow(event.time, session.number, session.door, lane, source, target, way, [text], ms))
        if from_client:
            self._said[session.number] = event.time
            self._last_said = session.number, event.time

    def _way(self, session: Session, text: str, *, from_client: bool) -> Way:
        if session.door != "imap":
            return "push" if session.door == "smtp" else "pull"
        if from_client:
            tag, _, command = text.partition(" ")
            if command.upper() == "IDLE":
                session.tag = tag
            else:
                session.idling, session.tag = False, ""
        elif session.tag and text.startswith("+"):
            session.idling, session.tag = True, ""
        elif session.idling:
            return "push"
        return "pull"

    def _since_cause(self, session: Session, way: Way, now: float) -> float | None:
        if way == "push" and session.door == "imap":
            said = self._last_said[1] if self._last_said and self._last_said[0] != session.number else None
        else:
            said = self._said.get(session.number)
        return None if said is None else round((now - said) * 1000, 3)


def _ends(lane: str, *, from_client: bool) -> tuple[str, str]:
    return (lane, SERVER_LANE) if from_client else (SERVER_LANE, lane)


def as_dict(arrow: Arrow, *, start: float) -> Mapping[str, Any]:
    """An arrow for machines; its time in seconds since `start`."""
    return {
        "time": round(arrow.time - start, 6),
        "from": arrow.source,
        "to": arrow.target,
        "way": arrow.way,
        "protocol": arrow.door,
        "opened_by": arrow.opener,
        "session": arrow.session,
        "ms": arrow.ms,
        "lines": list(arrow.lines),
    }
