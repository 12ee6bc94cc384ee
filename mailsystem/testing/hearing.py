"""What a test server says of itself: each delivery after its commit, and every line of the sessions that brought one."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from mailsystem.telemetry.trace import CLIENT, Event
from mailsystem.testing.arrival import Envelope, Line, Session

_MOST_SESSIONS: Final = 2000
"""The last of which the lines are kept."""
_MOST_LINES: Final = 20_000
_HEARD: Final = frozenset({"line", "secured", "logged in", "delivered", "reported", "connected", "disconnected"})


@dataclass(slots=True)
class _Said:
    peer: str = ""
    helo: str = ""
    tls: str | None = None
    login: str | None = None
    first: float = 0.0
    lines: list[Line] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Delivered:
    """A message that is in its mailboxes."""

    content: int
    octets: int
    """Of the message as it was sent."""
    envelope: Envelope
    at: float
    """Seconds since the epoch."""
    session: Callable[[], Session]
    places: Sequence[tuple[int, str, int]]
    """Each copy: whose account, which mailbox, which UID."""


class Hearing:
    """Give it to a `Trace` that traces lines; `tell` hears of each delivery, in the thread in which it is told."""

    def __init__(self, tell: Callable[[Delivered], None]) -> None:
        self._tell = tell
        self._lock = threading.Lock()
        self._sessions: OrderedDict[int, _Said] = OrderedDict()
        self.readers = 0
        """Sessions now by which mail is read: none of them brings any to whoever waits for it."""

    def wants(self, name: str) -> bool:
        return name in _HEARD

    def __call__(self, event: Event) -> None:
        if event.name in ("delivered", "reported"):
            self._delivered(event)
        elif event.door in ("imap", "pop3"):
            self.readers += {"connected": 1, "disconnected": -1}.get(event.name, 0)
        elif event.door == "smtp":
            with self._lock:
                self._said(event)

    def _said(self, event: Event) -> None:
        said = self._sessions.get(event.session)
        if said is None:
            said = self._sessions[event.session] = _Said(str(event.data.get("peer", "")), first=event.time)
            if len(self._sessions) > _MOST_SESSIONS:
                self._sessions.popitem(last=False)
        match event.name:
            case "secured":
                said.tls = str(event.data["tls"])
            case "logged in":
                said.login = str(event.data["login"])
            case "line" if len(said.lines) < _MOST_LINES:
                who, text = event.data["who"], str(event.data["text"])
                if who == CLIENT and text[:4].upper() in ("EHLO", "HELO", "LHLO"):
                    said.helo = text[5:].strip()
                ms = round((event.time - said.first) * 1000, 3)
                said.lines.append(Line("C" if who == CLIENT else "S", text, ms))

    def _delivered(self, event: Event) -> None:
        number, data = event.session, event.data
        self._tell(
            Delivered(
                content=data["contents"][0],
                octets=data["octets"],
                envelope=self._envelope(number, data),
                at=event.time,
                session=lambda: self.session(number),
                places=data["places"],
            )
        )

    def _envelope(self, number: int, data: Mapping[str, Any]) -> Envelope:
        if "recipient" in data:  # a report of the server's own
            return Envelope("", (str(data["recipient"]),))
        session = self.session(number)
        return Envelope(
            mail_from=str(data["sender"]),
            rcpt=tuple(data["recipients"]),
            helo=session.helo,
            peer=session.peer or str(data.get("peer", "")),
            tls=data["tls"],
            login=data["login"],
            protocol=str(data["protocol"]),
        )

    def session(self, number: int) -> Session:
        """One session as far as it has come."""
        with self._lock:
            said = self._sessions.get(number)
            if said is None:
                return Session()
            return Session(said.peer, said.helo, said.tls, said.login, tuple(said.lines))
