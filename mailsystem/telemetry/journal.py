"""The journal's ear: a sink that keeps of all events those in which something happens to single messages.

It only listens and remembers, in bounded memory; `store.journal` writes down what it has heard, about once a second. Nobody
ever waits for it: where more comes than can be written, the oldest reads are forgotten first, and counted.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple, cast

from mailsystem.telemetry.trace import Event
from mailsystem.telemetry.transcript import Transcript, Transcripts

MOST_WAITING: Final = 100_000
"""Lines of the journal that wait in memory to be written."""

NAMES: Final[Mapping[str, str]] = {
    "delivered": "accepted",
    "appended": "appended",
    "retrieved": "read",
    "read": "read",
    "flagged": "flagged",
    "copied": "copied",
    "moved": "moved",
    "expunged": "expunged",
    "deleted": "deleted",
    "mailbox deleted": "expunged",
    "expired": "expired",
    "reported": "reported",
    "queued": "queued",
    "signed": "signed",
    "signing failed": "not signed",
    "attempted": "attempted",
    "sent": "sent",
    "deferred": "deferred",
    "failed": "failed",
    "bounced": "bounced",
    "notified": "notified",
}
"""The events that are about messages, and what the journal calls them. What was delivered was accepted in the same moment."""

REPEATED: Final = frozenset({"read", "flagged"})
"""What clients do again and again: what one of them does with one message on one day is one line with a count."""

_LEFT_OUT: Final = frozenset({"contents", "uids", "messages", "message", "copies", "ms", "size"})
_LONGEST: Final = 1000
_TOGETHER: Final = 0.1
"""Seconds within which one client's reads are one entry."""
_MOST_SESSIONS: Final = 100_000


class Entry(NamedTuple):
    """One thing that happened, to one message or to many alike."""

    name: str
    at: float
    """Seconds since the epoch."""
    contents: Sequence[int]
    """The messages, by their content."""
    uids: Sequence[int]
    """Which each of them has or had there; empty where that is not told."""
    data: Mapping[str, Any]
    """Who, over what, where."""

    @property
    def lines(self) -> int:
        """How many lines of the journal it makes."""
        return len(self.contents)

    @property
    def weight(self) -> int:
        """About how much memory it holds, in lines: one may name a thousand recipients."""
        return len(self.contents) + len(self.data.get("recipients", ())) + len(self.data.get("places", ()))


class Recorder:
    """Give it to a `Trace` that wants contents."""

    def __init__(self, *, most: int = MOST_WAITING, transcripts: bool = False) -> None:
        """With `transcripts`, what those sessions say that are to be transcribed is kept as well."""
        self._most = most
        self._acts: deque[Entry] = deque()
        self._reads: deque[Entry] = deque()
        self._waiting = 0
        self._some = asyncio.Event()
        self.transcripts = Transcripts(self._some.set) if transcripts else None
        self._sessions: dict[int, dict[str, str]] = {}
        self._last: dict[int, Entry] = {}
        """The last read of each session, as long as it waits."""
        self._lost = 0

    @staticmethod
    def wants(name: str) -> bool:
        """Whether events of that name are about messages, or about who does things to them."""
        return name in NAMES or name in _LEARN

    def __call__(self, event: Event) -> None:
        name = NAMES.get(event.name)
        if name is not None:
            if event.data.get("contents"):
                self._note(name, event)
        elif (learn := _LEARN.get(event.name)) is not None:
            learn(self, event)

    # What sessions say of themselves

    def _enter(self, event: Event) -> None:
        """What is known of a client is said once, and holds for all that it does."""
        known = self._sessions.get(event.session, {})
        client = event.data.get("client")
        for key, value in (
            ("login", event.data.get("login")),
            ("tls", event.data.get("tls")),
            ("client", _named(client) if isinstance(client, Mapping) else None),
        ):
            if value:
                known[key] = str(value)[:_LONGEST]
        if known and len(self._sessions) < _MOST_SESSIONS:
            self._sessions[event.session] = known
        if self.transcripts is not None and (transcript := self.transcripts.of(event.session)) is not None:
            transcript.tls = known.get("tls", transcript.tls)
            transcript.login = known.get("login", transcript.login)

    def _forget_login(self, event: Event) -> None:
        self._sessions.get(event.session, {}).pop("login", None)

    def _leave(self, event: Event) -> None:
        self._sessions.pop(event.session, None)
        if self.transcripts is not None:
            self.transcripts.end(event.session, str(event.data.get("reason", "")))

    # What happens to messages

    def _note(self, name: str, event: Event) -> None:
        told = event.data
        data: dict[str, Any] = {"door": event.door, **self._sessions.get(event.session, {})}
        for key, value in told.items():
            if value and key not in _LEFT_OUT:
                data[key] = value[:_LONGEST] if type(value) is str and len(value) > _LONGEST else value
        contents = told["contents"]
        if self.transcripts is not None and (transcript := self.transcripts.of(event.session)) is not None:
            data["session"] = transcript.name
            for content in contents if name == "accepted" else ():
                transcript.delivered(content)
        if name in REPEATED and "peer" in data:
            # The next connection comes from another port, and is the same client all the same.
            data["peer"] = str(data["peer"]).rpartition(":")[0] or data["peer"]
        uids = told.get("uids") or ((told["uid"],) if "uid" in told else ())
        data.pop("uid", None)
        if name not in REPEATED:
            self._add(self._acts, Entry(name, event.time, contents, uids, data))
            return
        data.pop("octets", None)  # how long a message is, is no habit
        last = self._last.get(event.session)
        if last and event.time - last.at < _TOGETHER and last.name == name and last.data == data:
            # One message after the other, as clients fetch them: one entry about all of them.
            cast("list[int]", last.contents).extend(contents)
            self._weigh(len(contents))
            return
        self._last[event.session] = entry = Entry(name, event.time, list(contents), uids, data)
        self._add(self._reads, entry)

    def _add(self, line: deque[Entry], entry: Entry) -> None:
        line.append(entry)
        self._weigh(entry.weight)

    def _weigh(self, more: int) -> None:
        self._waiting += more
        while self._waiting > self._most:
            self._last.clear()
            # Even one FETCH may be about more messages than there is room for: then of its first ones nothing is told.
            gone = self._cut(self._reads or self._acts, self._waiting - self._most)
            self._waiting -= gone.weight
            self._lost += gone.lines
        self._some.set()

    @staticmethod
    def _cut(line: deque[Entry], most: int) -> Entry:
        """Take the first entry off, or so many lines of it."""
        first = line.popleft()
        if first.lines <= max(1, most):
            return first
        line.appendleft(first._replace(contents=first.contents[most:], uids=first.uids[most:]))
        return first._replace(contents=first.contents[:most], uids=first.uids[:most])

    # For whoever writes it down

    @property
    def waiting(self) -> int:
        """Of what was not taken yet, the weight."""
        return self._waiting

    @property
    def has_news(self) -> bool:
        """Whether anything is there to be written."""
        return self._some.is_set() or (self.transcripts is not None and self.transcripts.have_news)

    async def some(self) -> None:
        """Wait until there is something to write."""
        await self._some.wait()

    def take(self, most: int) -> list[Entry]:
        """The next entries, of so many lines together."""
        taken: list[Entry] = []
        self._last.clear()  # what is taken shall not grow any more
        while most > 0 and (line := self._acts or self._reads):
            entry = self._cut(line, most)
            taken.append(entry)
            most -= entry.lines
            self._waiting -= entry.weight
        if not self._waiting:
            self._some.clear()
        return taken

    def news(self) -> list[Transcript]:
        """Of sessions that last, what they said so far, where that is news."""
        return self.transcripts.news() if self.transcripts is not None else []

    def ended(self, most: int) -> list[Transcript]:
        """The next transcripts of sessions that have ended."""
        return self.transcripts.take(most) if self.transcripts is not None else []

    def look_again(self) -> None:
        """Say that there is something to write if sessions have gone on meanwhile."""
        if self.transcripts is not None and self.transcripts.have_news:
            self._some.set()

    def lose(self, lines: int) -> None:
        """So many lines were taken and could not be written."""
        self._lost += lines

    def lost(self) -> int:
        """How many lines nobody will ever read; asked again, those since then."""
        lost, self._lost = self._lost, 0
        return lost + (self.transcripts.lost() if self.transcripts is not None else 0)


def _named(client: Mapping[str, Any]) -> str:
    """A mail program as its ID tells it (RFC 2971): name and version."""
    return " ".join(str(client[key])[:100] for key in ("name", "version") if client.get(key))


_LEARN: Final[Mapping[str, Callable[[Recorder, Event], None]]] = {
    "connected": Recorder._enter,
    "secured": Recorder._enter,
    "logged in": Recorder._enter,
    "identified": Recorder._enter,
    "logged out": Recorder._forget_login,
    "disconnected": Recorder._leave,
}
