"""The flow: who told whom what, and who had to ask. Sinks that turn protocol lines into arrows between lanes.

- *Push*: whoever has the news speaks by itself. All of SMTP is that, and what an IMAP server says during IDLE.
- *Pull*: whoever wants the news must ask. All of POP is that, and every IMAP command with its answer.

Nothing here is made up: an arrow holds the lines that the doors traced, and its time is theirs. Where several servers are
watched, each has a lane of its own, and what goes from one to another is told by the one that is spoken to.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from mailsystem.telemetry.trace import CLIENT, Event, Sink

Way = Literal["push", "pull"]

SERVER_LANE: Final = "server"
TOGETHER: Final = 0.05
"""Seconds within which lines of one side make one arrow."""
OUTWARD: Final = "queue"
"""The door of those who call other servers; what they hear there is told by whoever they call."""


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
    server: str = SERVER_LANE
    """The lane of the server whose door it is."""
    opened: float | None = None
    """On the first arrow of a connection: when that was opened, in seconds since the epoch."""

    @property
    def of_server(self) -> bool:
        """Whether the one that was called says it."""
        return self.source == self.server

    @property
    def is_news(self) -> bool:
        """What an idling client is told unasked: what all this is about."""
        return self.way == "push" and self.door == "imap"


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that came to pass inside one server."""

    time: float
    server: str
    event: Event


@dataclass(slots=True)
class Session:
    """One connection, as far as its lines tell."""

    number: int
    door: str
    server: str
    peer: str
    opened: float
    closed: float | None = None
    idling: bool = False
    tag: str = ""
    """Of the IDLE that was asked for."""
    shown: bool = False
    """It has an arrow."""


class Flow:
    """Collects events; give it, or what `at` returns, to a `Trace` that traces lines."""

    def __init__(self) -> None:
        self.arrows: list[Arrow] = []
        self.marks: list[Mark] = []
        """Everything that is not a line."""
        self._names: dict[str, str] = {}
        self._strangers: dict[str, str] = {}
        self._sessions: dict[int, Session] = {}
        self._said: dict[int, float] = {}
        self._last: dict[tuple[int, bool], tuple[Arrow, float]] = {}
        """What each side of each session said last, and when."""
        self._taken = 0, 0
        self._waiting: set[asyncio.Future[None]] = set()

    async def news(self) -> None:
        """Returns when something more has come."""
        heard = asyncio.get_running_loop().create_future()
        self._waiting.add(heard)
        try:
            await heard
        finally:
            self._waiting.discard(heard)

    def name(self, peer: str, lane: str) -> None:
        """Say who is behind a peer's address. Its lines may have come already."""
        self._names[peer] = lane
        for arrow in self.arrows:
            session = self._sessions[arrow.session]
            if session.peer == peer:
                arrow.opener = lane
                arrow.source, arrow.target = _ends(session.server, lane, from_client=not arrow.of_server)

    def at(self, server: str, *, strangers: str | None = None) -> Sink:
        """The sink for one server among several. Who comes to it by SMTP and has no name is `strangers`: another server."""
        if strangers is not None:
            self._strangers[server] = strangers

        def sink(event: Event) -> None:
            self._take(event, server)

        return sink

    def __call__(self, event: Event) -> None:
        self._take(event, SERVER_LANE)

    def fresh(self) -> list[Arrow | Mark]:
        """What came since this was asked before, in order. What is said from now on makes arrows of its own."""
        arrows, marks = self._taken
        self._taken = len(self.arrows), len(self.marks)
        found: list[Arrow | Mark] = [*self.arrows[arrows:], *self.marks[marks:]]
        return sorted(found, key=lambda one: one.time)

    def is_open(self, lane: str, at: float) -> bool:
        """Whether somebody in that lane was connected at a time, in seconds since the epoch."""
        return any(
            self._lane(one) == lane and one.opened <= at and (one.closed is None or at < one.closed)
            for one in self._sessions.values()
        )

    def first_said(self, lane: str) -> float | None:
        """When the one in that lane first opened its mouth, in seconds since the epoch."""
        return next((arrow.time for arrow in self.arrows if arrow.source == lane), None)

    def first_push(self) -> float | None:
        """When somebody who idled was first told something, in seconds since the epoch."""
        return next((arrow.time for arrow in self.arrows if arrow.is_news), None)

    def _take(self, event: Event, server: str) -> None:
        for heard in tuple(self._waiting):
            # An event may be said in any thread.
            heard.get_loop().call_soon_threadsafe(_wake, heard)
        if event.name != "line":
            self.marks.append(Mark(event.time, server, event))
        if event.session == 0 or event.door == OUTWARD:
            return
        session = self._sessions.get(event.session)
        if session is None:
            session = Session(event.session, event.door, server, str(event.data.get("peer", "")), event.time)
            self._sessions[event.session] = session
        if event.name == "disconnected":
            session.closed = event.time
        elif event.name == "line":
            self._line(session, event)

    def _line(self, session: Session, event: Event) -> None:
        text = str(event.data["text"])
        from_client = event.data["who"] == CLIENT
        way = self._way(session, text, from_client=from_client)
        lane = self._lane(session)
        source, target = _ends(session.server, lane, from_client=from_client)
        last = self.arrows[-1] if len(self.arrows) > self._taken[0] else None
        if (
            last is not None
            and (last.session, last.of_server, last.way) == (session.number, not from_client, way)
            and event.time - last.time < TOGETHER
        ):
            last.lines.append(text)
        else:
            ms = None if from_client else self._since_cause(session, way, event.time)
            opened = None if session.shown else session.opened
            session.shown = True
            last = Arrow(
                event.time, session.number, session.door, lane, source, target, way, [text], ms, session.server, opened
            )
            self.arrows.append(last)
        if from_client:
            self._said[session.number] = event.time
        self._last[session.number, from_client] = last, event.time

    def _lane(self, session: Session) -> str:
        """Of whoever opened it."""
        stranger = self._strangers.get(session.server) if session.door == "smtp" else None
        return self._names.get(session.peer, stranger or session.peer)

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
        is_news = way == "push" and session.door == "imap"
        said = self._last_heard(session) if is_news else self._said.get(session.number)
        return None if said is None else round((now - said) * 1000, 3)

    def _last_heard(self, session: Session) -> float | None:
        """When the session's server last heard something, in another session: what it now passes on."""
        times = [
            time
            for (number, _), (arrow, time) in self._last.items()
            if arrow.target == session.server and number != session.number
        ]
        return max(times, default=None)


def _wake(heard: asyncio.Future[None]) -> None:
    if not heard.done():
        heard.set_result(None)


def _ends(server: str, lane: str, *, from_client: bool) -> tuple[str, str]:
    return (lane, server) if from_client else (server, lane)


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
