"""The log: events as lines, text for people and JSON for machines. A `Log` is a sink for a `Trace`.

It decides nothing about secrets: none is ever in an event.
"""

from __future__ import annotations

import json
import os
import re
import select
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from queue import Empty, SimpleQueue
from typing import Any, Final, TextIO

from mailsystem.telemetry.trace import Event

Render = Callable[[Event], str | None]
"""An event as a line without its end; None keeps it quiet."""

LEVELS: Final = ("debug", "info", "warning", "error")
LEVEL_OF: Final = {
    "connected": "debug",
    "disconnected": "debug",
    "selected": "debug",
    "read": "debug",
    "flagged": "debug",
    "copied": "debug",
    "moved": "debug",
    "expunged": "debug",
    "mailbox deleted": "debug",
    "attempted": "debug",
    "webhook told": "debug",
    "webhook gave up": "warning",
    "webhook rests": "warning",
    "login failed": "warning",
    "handshake failed": "warning",
    "attacked": "warning",
    "proxy refused": "warning",
    "turned away": "warning",
    "certificate refused": "warning",
    "log fell behind": "warning",
    "journal fell behind": "warning",
    "accept failed": "warning",
    "signing failed": "warning",
    "capped": "warning",
    "checkpoint failed": "warning",
    "worker ended": "error",
    "store failed": "error",
    "content damaged": "error",
    "bug": "error",
}
"""Every other event is `info`, protocol lines too: there are none unless somebody asked for them."""

_MOMENT: Final = 200
"""Milliseconds."""
MOST_WAITING: Final = 100_000
"""Events kept for a reader of the log who does not keep up; what comes on top is dropped and counted."""

_COLOURS = {
    "smtp": "34",
    "pop3": "31",
    "pop2": "31",
    "pop1": "31",
    "imap": "36",
    "debug": "2",
    "warning": "33",
    "error": "1;31",
}
_OF_THE_JOURNAL: Final = frozenset({"contents", "places", "uids", "asked"})
"""For the journal alone: which messages an event is about, in lists as long as a mailbox, and all that was asked for."""
_RESERVED = frozenset({"time", "level", "door", "session", "event"})


def level_of(event: Event) -> str:
    """`debug`, `info`, `warning` or `error`."""
    return LEVEL_OF.get(event.name, "info")


def _data(event: Event) -> dict[str, Any]:
    """What an event carries, for a line."""
    return {
        key: value
        for key, value in event.data.items()
        if key not in _OF_THE_JOURNAL or not isinstance(value, list | tuple | dict)
    }


def as_json(event: Event) -> str:
    """One JSON object; what an event carries stands beside `time`, `level`, `door`, `session` and `event`."""
    when = datetime.fromtimestamp(event.time, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    told = {
        "time": when,
        "level": level_of(event),
        "door": event.door,
        "session": event.session,
        "event": event.name,
        **{key + "_" if key in _RESERVED else key: value for key, value in _data(event).items()},
    }
    return json.dumps(told, ensure_ascii=False, default=str)


def as_text(event: Event, *, colour: bool = False, date: bool = True) -> str:
    """One aligned line: when, which door and session, what, and the rest as `key=value`."""
    data = _data(event)
    trace = data.pop("traceback", None)
    if event.name == "line":
        name, rest = data.pop("who", "?") + ":", printable(str(data.pop("text", "")))
        if "fault" in data:
            rest += f"  [fault: {printable(str(data['fault']))}]"
    else:
        name, rest = event.name, "  ".join(f"{key}={_value(value)}" for key, value in data.items())
    session = f"#{event.session}" if event.session else ""
    door, what = f"{event.door:<5}", f"{name:<16}"
    if colour:
        door = coloured(door, _COLOURS.get(event.door, ""))
        what = coloured(what, _COLOURS.get(level_of(event), "1"))
    line = f"{clock(event.time, date=date)}  {door} {session:<6} {what} {rest}".rstrip()
    if trace is not None:
        line += "".join(f"\n    {printable(row)}" for row in str(trace).rstrip().splitlines())
    return line


def clock(seconds: float, *, date: bool = False) -> str:
    """The local time of day to the millisecond, with the date where it is asked for."""
    form = "%Y-%m-%d %H:%M:%S" if date else "%H:%M:%S"
    return f"{time.strftime(form, time.localtime(seconds))}.{int(seconds * 1000) % 1000:03}"


def coloured(text: str, code: str) -> str:
    """`text` in an ANSI colour."""
    return f"\x1b[{code}m{text}\x1b[0m" if code else text


def takes_colour(stream: TextIO) -> bool:
    """Whether colours are of use there: a terminal, and nobody who has asked to be spared (no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def printable(text: str) -> str:
    """What a peer said, without the control characters that would steer a terminal or forge a line of the log."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


_ENDS_A_VALUE: Final = re.compile(r"[\s\"=,]")


def _value(value: object) -> str:
    if isinstance(value, list | tuple | set | frozenset):
        return ",".join(_value(item) for item in value)
    if isinstance(value, float):
        return f"{value:.3f}".rstrip("0").rstrip(".")
    text = printable(str(value))
    if text and not _ENDS_A_VALUE.search(text):
        return text
    # Escaped, or somebody could log in as `x" peer=192.0.2.1` and write fields of their own.
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _takes_more(stream: TextIO) -> bool:
    """Whether a line can be written without waiting, at most a moment from now."""
    try:
        poll = select.poll()
        poll.register(stream.fileno(), select.POLLOUT)
        return bool(poll.poll(_MOMENT))
    except (OSError, ValueError):  # it is no file
        return True


class Log:
    """Writes the events of at least one level, rendered, to a stream from a thread of its own.

    The loop that says an event never waits for a terminal or a pipe. Use it in a `with`; all that was said is written when it
    is left. Processes that write to one stream write their lines `alone`.
    """

    def __init__(self, stream: TextIO, render: Render, *, level: str = "info") -> None:
        self._stream = stream
        self._render = render
        self.alone: Callable[[], AbstractContextManager[None]] = nullcontext
        self._quiet = frozenset(LEVELS[: LEVELS.index(level)])
        self._waiting: SimpleQueue[Event | None] = SimpleQueue()
        self._dropped = 0
        self._thread = threading.Thread(target=self._write, name="log", daemon=True)

    def wants(self, name: str) -> bool:
        """Whether events of that name are of a level that is written."""
        return LEVEL_OF.get(name, "info") not in self._quiet

    def __call__(self, event: Event) -> None:
        if not self.wants(event.name):
            return
        if self._waiting.qsize() >= MOST_WAITING:
            self._dropped += 1
        else:
            self._waiting.put(event)

    def at_once(self, event: Event) -> None:
        """Write one event now, without a thread: for a process that must have none, and that must not wait for a reader."""
        if LEVEL_OF.get(event.name, "info") not in self._quiet and _takes_more(self._stream):
            self._put_down([self._render(event)])

    def __enter__(self) -> Log:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._waiting.put(None)
        self._thread.join()

    def _write(self) -> None:
        going = True
        while going:
            events = [self._waiting.get()]
            try:
                while len(events) < 1000:
                    events.append(self._waiting.get_nowait())
            except Empty:
                pass
            dropped, self._dropped = self._dropped, 0
            if dropped:
                events.insert(0, Event(time.time(), "log fell behind", "app", 0, {"dropped": dropped}))
            going = None not in events
            self._put_down([self._render(event) for event in events if event is not None])

    def _put_down(self, lines: Sequence[str | None]) -> None:
        text = "".join(line + "\n" for line in lines if line is not None)
        if not text:
            return
        try:
            with self.alone():
                self._stream.write(text)
                self._stream.flush()
        except (OSError, ValueError):
            pass  # nobody reads any more: that must not end a mail server


def text_log(stream: TextIO, *, level: str = "info", colour: bool | None = None) -> Log:
    """A log for people. On a terminal it has colours and leaves out the date, unless told otherwise."""
    colours = takes_colour(stream) if colour is None else colour
    date = not stream.isatty()
    return Log(stream, lambda event: as_text(event, colour=colours, date=date), level=level)


def json_log(stream: TextIO, *, level: str = "info") -> Log:
    """A log for machines: one JSON object a line."""
    return Log(stream, as_json, level=level)
