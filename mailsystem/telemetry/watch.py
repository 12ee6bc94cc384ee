"""The watch: a sink for those who look on while people's mail programs speak. They join and leave whenever they like.

While nobody looks on, no line is made up, and nothing is kept but who is connected. Each reader has a queue of its own that is
bounded: one that is too slow loses the oldest events, and is told how many. Nobody ever waits for a reader.

Where several processes serve the same doors, each has a watch, and their `Neighbours` bring to each what the others hear.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol
from weakref import WeakSet

from mailsystem.telemetry.trace import Event

if TYPE_CHECKING:
    from mailsystem.telemetry.trace import Trace

MOST_RECENT: Final = 600
"""Events that are kept for whoever joins a moment later."""
MOST_WAITING: Final = 3000
"""Events that wait for one reader."""
LINGERING: Final = 30.0
"""Seconds for which lines are still kept when the last reader has left: who loads a page again misses nothing."""
_MOST_SESSIONS: Final = 10_000
_LONGEST: Final = 2000
_MOST_NAMED: Final = 20

_SESSIONS: Final = frozenset({"connected", "identified", "logged in", "logged out", "secured", "disconnected"})
_TOLD: Final = _SESSIONS | {
    "line",
    "delivered",
    "retrieved",
    "flagged",
    "expunged",
    "deleted",
    "appended",
    "copied",
    "moved",
    "mailbox deleted",
    "refused",
    "login failed",
    "queued",
    "sent",
    "deferred",
    "failed",
    "bounced",
    "fault",
}
SCENE: Final = frozenset({"scene", "chapter", "party"})
"""What only the scene says, and of which all is told: who is who, and what it is about."""
_KEYS: Final = (
    *("who", "text", "peer", "login", "tls", "client", "reason", "command", "code", "id", "sender", "recipients"),
    *("octets", "messages", "message", "mailbox", "target", "flags", "helo", "remote", "to", "reply", "size"),
    *("rule", "fault", "recipient"),
)
"""What is told of an event. All else is for others."""


class Told(NamedTuple):
    """An event with its number; they ascend."""

    number: int
    event: Event


class Elsewhere(Protocol):
    """The watches of other processes."""

    @property
    def is_wanted(self) -> bool:
        """Whether somebody looks on there."""
        ...

    @property
    def sessions(self) -> Sequence[Mapping[str, Any]]:
        """Who is connected there; known while somebody looks on here."""
        ...

    def look(self, on: bool) -> None:
        """Somebody looks on here, or nobody any more."""
        ...

    def publish(self, event: Event) -> None:
        """Tell them of something, in whatever thread."""
        ...

    async def gathered(self) -> None:
        """Wait a moment, until they have said who is connected there."""
        ...


class Watch:
    """Give it to a `Trace`, which then has lines for it whenever somebody looks on."""

    def __init__(self, *, most_recent: int = MOST_RECENT, most_waiting: int = MOST_WAITING) -> None:
        self.since = time.time()
        """Names the row of numbers: another process begins another one."""
        self._most = most_waiting
        self._traces: WeakSet[Trace] = WeakSet()
        self._readers: set[Reader] = set()
        self._recent: deque[Told] = deque(maxlen=most_recent)
        self._number = 0
        self._open: dict[int, dict[str, Any]] = {}
        self._lock = threading.Lock()
        self._ending: asyncio.TimerHandle | None = None
        self._is_looked_on = False
        self.elsewhere: Elsewhere | None = None
        """Set where there are other processes."""
        self.is_watched = False
        """Whether lines are wanted."""

    # For the trace

    def wants(self, name: str) -> bool:
        """Whether events of that name are to be told; of sessions one knows even when nobody looks on."""
        return name in _SESSIONS or (self.is_watched and name in _TOLD)

    def follow(self, trace: Trace) -> None:
        """Tell that trace from now on whether lines are wanted."""
        self._traces.add(trace)

    def __call__(self, event: Event) -> None:
        if event.name in _SESSIONS:
            self._note(event)
        if not self.is_watched:
            return
        self.hear(event)
        if self.elsewhere is not None and self.elsewhere.is_wanted:
            self.elsewhere.publish(event)

    def hear(self, event: Event) -> None:
        """Tell the readers of something that was said here, or in another process."""
        with self._lock:
            self._number += 1
            told = Told(self._number, event)
            self._recent.append(told)
            for reader in self._readers:
                reader.put(told)

    def miss(self, count: int) -> None:
        """So many events of another process were lost on their way."""
        with self._lock:
            for reader in self._readers:
                reader.miss(count)

    def say(self, name: str, **data: Any) -> None:
        """Tell the readers something that no session says."""
        self(Event(time.time(), name, "app", 0, data))

    def _note(self, event: Event) -> None:
        note(event, self._open)

    # For readers

    @property
    def own_sessions(self) -> Sequence[Mapping[str, Any]]:
        """Who is connected to this process: session, door, since (seconds since the epoch), and what is known of peer, login,
        client."""
        return [dict(known) for known in list(self._open.values())]

    @property
    def sessions(self) -> Sequence[Mapping[str, Any]]:
        """The same of all processes."""
        return [*self.own_sessions, *(self.elsewhere.sessions if self.elsewhere is not None else ())]

    async def gathered(self) -> None:
        """Wait a moment until it is known who is connected to other processes."""
        if self.elsewhere is not None:
            await self.elsewhere.gathered()

    @property
    def readers(self) -> int:
        """How many look on."""
        return len(self._readers)

    @contextmanager
    def reading(self, after: int = 0) -> Iterator[Reader]:
        """Look on, from what was said recently; with `after`, from behind that number. To be used in a loop."""
        reader = Reader(asyncio.get_running_loop(), self._most)
        if self._ending is not None:
            self._ending.cancel()
            self._ending = None
        with self._lock:
            for told in self._recent:
                if told.number > after:
                    reader.put(told)
            self._readers.add(reader)
        self._look(True)
        try:
            yield reader
        finally:
            with self._lock:
                self._readers.discard(reader)
            if not self._readers:
                self._ending = asyncio.get_running_loop().call_later(LINGERING, self._rest)

    def _rest(self) -> None:
        self._ending = None
        if not self._readers:
            self._look(False)

    def _look(self, on: bool) -> None:
        if self._is_looked_on != on:
            self._is_looked_on = on
            if self.elsewhere is not None:
                self.elsewhere.look(on)
        self.decide()

    def decide(self) -> None:
        """Whether somebody looks on, here or elsewhere, may have changed."""
        watched = self._is_looked_on or (self.elsewhere is not None and self.elsewhere.is_wanted)
        if not watched:
            self._recent.clear()
        if self.is_watched != watched:
            self.is_watched = watched
            for trace in list(self._traces):
                trace.heed(watched)


class Reader:
    """One who looks on."""

    def __init__(self, loop: asyncio.AbstractEventLoop, most: int) -> None:
        self._loop = loop
        self._waiting: deque[Told] = deque()
        self._most = most
        self._missed = 0
        self._some = asyncio.Event()
        self._rung = False

    def put(self, told: Told) -> None:
        """Called by the watch, in whatever thread."""
        if len(self._waiting) >= self._most:
            self._waiting.popleft()
            self._missed += 1
        self._waiting.append(told)
        if not self._rung:
            self._rung = True
            self._loop.call_soon_threadsafe(self._some.set)

    def miss(self, count: int) -> None:
        """So many were lost before they came here; it is told with the next that comes."""
        self._missed += count

    async def take(self, most: int = 200) -> tuple[int, list[Told]]:
        """The next events, as soon as there are any, and how many were lost before them."""
        await self._some.wait()
        missed, self._missed = self._missed, 0
        taken = [self._waiting.popleft() for _ in range(min(most, len(self._waiting)))]
        if not self._waiting:
            self._some.clear()
            self._rung = False
            if self._waiting:  # said by another thread meanwhile
                self._rung = True
                self._some.set()
        return missed, taken


def note(event: Event, open_: dict[int, dict[str, Any]]) -> None:
    """Note in `open_` what an event says of who is connected."""
    if event.name == "disconnected":
        open_.pop(event.session, None)
        return
    known = open_.get(event.session)
    if known is None:
        if event.name != "connected" or len(open_) >= _MOST_SESSIONS:
            return
        known = {"session": event.session, "door": event.door, "since": event.time}
        open_[event.session] = known
    if event.name == "logged out":
        known.pop("login", None)
    known |= {key: value for key, value in fields(event).items() if key in ("peer", "login", "tls", "client")}


def told_of(event: Event) -> dict[str, Any]:
    """All that is told of an event."""
    return dict(event.data) if event.name in SCENE else fields(event)


def fields(event: Event) -> dict[str, Any]:
    """What may be told of an event to whoever looks on: short, and nothing that only rooms of the house understand."""
    found: dict[str, Any] = {}
    for key in _KEYS:
        value = event.data.get(key)
        if value is None or value == "":
            continue
        if isinstance(value, str):
            found[key] = value if len(value) <= _LONGEST else value[:_LONGEST] + "…"
        elif isinstance(value, bool | int | float):
            found[key] = value
        elif isinstance(value, Mapping):
            found[key] = {str(name)[:100]: str(said)[:200] for name, said in list(value.items())[:_MOST_NAMED]}
        elif isinstance(value, list | tuple | set | frozenset):
            found[key] = [str(one)[:500] for one in list(value)[:_MOST_NAMED]]
        else:
            found[key] = str(value)[:_LONGEST]
    return found
