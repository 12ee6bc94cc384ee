"""The trace: one session's voice. Every observation in the program is an `Event` said to one of these."""

from __future__ import annotations

import itertools
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from mailsystem.telemetry.transcript import Transcript, Transcripts

if TYPE_CHECKING:
    from mailsystem.telemetry.watch import Watch

CLIENT: Final = "C"
SERVER: Final = "S"
REDACTED: Final = b"[redacted]"


class Event(NamedTuple):
    """Something that came to pass. Names are past tense or nouns: `delivered`, `login failed`, `line`.

    A tuple, since every command makes one or two.
    """

    time: float
    """Seconds since the epoch."""
    name: str
    door: str
    """Which room speaks: `smtp`, `pop3`, `imap`, `store`, `app`."""
    session: int
    """Counts the sessions of the program; 0 is the program itself."""
    data: Mapping[str, Any] = MappingProxyType({})


Sink = Callable[[Event], None]
"""Hears events. One that has a method `wants(name)` hears those alone for whose name that says yes, at any time."""


_next_session: Callable[[], int] = itertools.count(1).__next__


def number_sessions(next_number: Callable[[], int]) -> None:
    """Take the numbers of sessions from there, where several processes are one program."""
    global _next_session
    _next_session = next_number


class Trace:
    """Hands events to every sink. A session gets a child of its own, which knows the door and numbers the session.

    Nobody may put a message body or a secret into an event: wire lines are traced after their verb is known, and the
    arguments of a secret verb as `REDACTED`.
    """

    __slots__ = (
        "__weakref__",
        "_contents",
        "_hearers",
        "_lines",
        "_says_lines",
        "_sinks",
        "_transcripts",
        "_watch",
        "context",
        "door",
        "mark",
        "session",
        "transcript",
        "wants_lines",
    )

    def __init__(
        self,
        sinks: Sequence[Sink] = (),
        *,
        lines: bool = False,
        contents: bool = False,
        transcripts: Transcripts | None = None,
        watch: Watch | None = None,
        door: str = "app",
        session: int = 0,
        context: Mapping[str, Any] | None = None,
    ) -> None:
        """With `lines`, every sink hears protocol lines; a `watch`, which need not be among the sinks, whenever it likes."""
        self._sinks = tuple(sinks)
        self._hearers: dict[str, tuple[Sink, ...]] = {}
        """By the name of an event; shared by all children."""
        self._lines = lines and bool(sinks)
        self._contents = contents and bool(sinks)
        self._transcripts = transcripts
        self.transcript: Transcript | None = None
        """That of this session, where one is kept."""
        self.mark = ""
        """What the server's next words are due to, where it was told to say them. Set it where lines are wanted."""
        self._watch = watch
        self._says_lines = self._lines or (watch is not None and watch.is_watched)
        self.wants_lines = self._says_lines
        """Whether anybody reads the protocol lines: ask before making them up."""
        self.door = door
        self.session = session
        self.context: Mapping[str, Any] = context or {}
        if watch is not None:
            watch.follow(self)

    @property
    def wants_contents(self) -> bool:
        """Whether anybody follows single messages: ask before saying what happens to each (`contents=[…]`)."""
        return self._contents

    def child(self, door: str, **context: Any) -> Trace:
        """The voice of a new session at `door`; `context` goes into each of its events."""
        return self._voice(door, _next_session(), context)

    def at(self, door: str) -> Trace:
        """The same voice in another room: no session begins."""
        return self._voice(door, self.session, {})

    def _voice(self, door: str, session: int, context: Mapping[str, Any]) -> Trace:
        child = Trace(
            self._sinks,
            lines=self._lines,
            contents=self._contents,
            transcripts=self._transcripts,
            watch=self._watch,
            door=door,
            session=session,
            context={**self.context, **context},
        )
        child._hearers = self._hearers
        return child

    def transcribe(self, door: str) -> None:
        """From here on each line goes into a transcript, where those are kept; `door` is as what the session is told."""
        if self._transcripts is not None:
            self.transcript = self._transcripts.begin(self.session, door, str(self.context.get("peer", "")))
            self.wants_lines = True

    def heed(self, watched: bool) -> None:
        """Said by the watch: from now on somebody looks on, or nobody any more."""
        self._hearers.clear()
        self._says_lines = self._lines or watched
        self.wants_lines = self._says_lines or self.transcript is not None

    def wants(self, name: str) -> bool:
        """Whether anybody hears events of that name: ask before making up what is dear."""
        return bool(self._heard_by(name))

    def _heard_by(self, name: str) -> tuple[Sink, ...]:
        hearers = self._hearers.get(name)
        if hearers is None:
            sinks = self._sinks if name != "line" or self._lines else ()
            found = [sink for sink in sinks if _wants(sink, name)]
            if self._watch is not None and self._watch.wants(name):
                found.append(self._watch)
            hearers = tuple(found)
            self._hearers[name] = hearers
        return hearers

    def event(self, name: str, **data: Any) -> None:
        """Say that `name` came to pass."""
        if hearers := self._heard_by(name):
            event = Event(time.time(), name, self.door, self.session, {**self.context, **data})
            for sink in hearers:
                sink(event)

    def bug(self, error: BaseException, **data: Any) -> None:
        """Say that something went wrong that never should: what, and where, but not with which values."""
        where = "".join(traceback.format_tb(error.__traceback__))
        self.event("bug", **data, error=type(error).__name__, traceback=where)

    def line(self, who: str, text: bytes) -> None:
        """Say one protocol line, or all those of one reply, without the last line end; `who` is `CLIENT` or `SERVER`. Nothing
        where nobody reads them."""
        if self.transcript is not None:
            self.transcript.add(who, text)
        mark = ""
        if self.mark and who == SERVER:
            mark, self.mark = self.mark, ""
        if self._says_lines:
            due = {"fault": mark} if mark else {}
            for each in text.split(b"\r\n"):
                self.event("line", who=who, text=each.decode("utf-8", "backslashreplace"), **due)

    @contextmanager
    def span(self, name: str, **data: Any) -> Iterator[None]:
        """Say `name` when the block is over, with the milliseconds that it took and, if it failed, with what."""
        start = time.perf_counter()
        try:
            yield
        except BaseException as error:
            self.event(name, ms=_ms(start), failed=type(error).__name__, **data)
            raise
        self.event(name, ms=_ms(start), **data)


def _wants(sink: Sink, name: str) -> bool:
    wants: Callable[[str], bool] | None = getattr(sink, "wants", None)
    return wants is None or wants(name)


def _ms(start: float) -> float:
    return round((time.perf_counter() - start) * 1000, 3)
