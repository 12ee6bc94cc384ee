"""How the watches of several processes hear of each other: by datagrams between them, and only while somebody looks on.

Whoever has a reader tells the others so, again and again. They answer with who is connected to them, and tell from then on what
is said there, until they are told that nobody looks on any more, or are told nothing for a while. What is to be told waits in a
line of its own for each process; one that does not keep up loses the oldest, and is told how many. Nobody waits for another.
"""

from __future__ import annotations

import asyncio
import errno
import json
import socket
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeAlias

from mailsystem.telemetry.trace import Event
from mailsystem.telemetry.watch import Watch, note, told_of

Line: TypeAlias = tuple[socket.socket, socket.socket]
"""Where a process hears, and where it is told."""

MOST_WAITING: Final = 3000
"""Events that wait for one process."""
AGAIN: Final = 4.0
"""Seconds after which it is said again that somebody looks on."""
FORGOTTEN: Final = 15.0
"""Seconds without a word after which nobody does."""
GATHERING: Final = 0.3
"""Seconds in which all have to say who is connected to them."""
_ROOM: Final = 1 << 18
"""Octets of a socket's buffers. On macOS no datagram is larger than that, and without being asked for it is 2 KiB."""
_MOST_OCTETS: Final = 16 << 10
"""Of a datagram with several events."""
_LARGEST_EVENT: Final = 1 << 16
_LARGEST: Final = 1 << 17
_A_MOMENT: Final = 0.02
_GONE: Final = "its process has ended"


def lines(count: int) -> list[Line]:
    """One for each of so many processes, to be made before they are forked."""
    made = []
    for _ in range(count):
        ear, mouth = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        for end in (ear, mouth):
            end.setblocking(False)
            for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
                end.setsockopt(socket.SOL_SOCKET, option, _ROOM)
        made.append((ear, mouth))
    return made


class Neighbours:
    """The watches of the other processes, as that of this one sees them. To be used within a loop."""

    def __init__(self, watch: Watch, number: int, lines: Sequence[Line]) -> None:
        """`lines` are those of all processes, of which this is `number`."""
        self._watch = watch
        self._number = number
        self._ear = lines[number][0]
        self._to = {other: _Outward(mouth) for other, (_, mouth) in enumerate(lines) if other != number}
        self._until: dict[int, float] = {}
        """In which others somebody looks on, and until when that is believed."""
        self._asked: dict[int, float] = {}
        """Since when, by what they say."""
        self._open: dict[int, dict[int, dict[str, Any]]] = {}
        """Who is connected to others, by their number."""
        self._looks_on = False
        self._answered: set[int] = set()
        self._all_answered = asyncio.Event()
        self._began = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._flushing = False
        self._lock = threading.Lock()
        self._loop = asyncio.get_running_loop()

    @contextmanager
    def talking(self) -> Iterator[None]:
        """They hear of each other while the block runs."""
        self._drain()  # what a process was told that had this number and died
        self._loop.add_reader(self._ear, self._hear)
        self._watch.elsewhere = self
        for other in self._to:
            self._send(other, {"say": "here"})
        try:
            yield
        finally:
            self._watch.elsewhere = None
            if self._looks_on:
                self.look(False)
            self._loop.remove_reader(self._ear)
            if self._timer is not None:
                self._timer.cancel()

    # For the watch

    @property
    def is_wanted(self) -> bool:
        return bool(self._until)

    @property
    def sessions(self) -> Sequence[Mapping[str, Any]]:
        return [dict(known) for each in self._open.values() for known in list(each.values())]

    def look(self, on: bool) -> None:
        self._looks_on = on
        self._open.clear()
        self._answered.clear()
        self._all_answered.clear()
        self._began = time.monotonic()
        for other in self._to:
            self._send(other, self._wish())
        if on:
            self._tick_later()

    async def gathered(self) -> None:
        left = self._began + GATHERING - time.monotonic()
        if self._looks_on and left > 0 and not self._all_answered.is_set():
            try:
                async with asyncio.timeout(left):
                    await self._all_answered.wait()
            except TimeoutError:
                pass  # one is being started again; what it says comes later

    def publish(self, event: Event) -> None:
        told = json.dumps([event.time, event.name, event.door, event.session, told_of(event)], default=str)
        with self._lock:
            for other in list(self._until):
                if len(told) <= _LARGEST_EVENT:
                    self._to[other].put(told)
                else:
                    self._to[other].lose()
            if self._flushing:
                return
            self._flushing = True
        self._loop.call_soon_threadsafe(self._flush)

    # What is said to others

    def _wish(self) -> dict[str, object]:
        return {"say": "wanted", "since": self._began} if self._looks_on else {"say": "enough"}

    def _send(self, other: int, told: Mapping[str, object]) -> None:
        """A word of which nothing depends on that it arrives: it is said again."""
        self._to[other].send(json.dumps({"from": self._number, **told}))

    def _flush(self) -> None:
        """Send what waits; what there is no room for, a moment later."""
        with self._lock:
            left = [to.flush(self._number) for other, to in self._to.items() if other in self._until]
            self._flushing = any(left)
        if self._flushing:
            self._loop.call_later(_A_MOMENT, self._flush)

    def _tick_later(self) -> None:
        if self._timer is None:
            self._timer = self._loop.call_later(AGAIN, self._tick)

    def _tick(self) -> None:
        self._timer = None
        now = time.monotonic()
        for other, until in list(self._until.items()):
            if until < now:
                self._end(other)
        if self._looks_on:
            for other in self._to:
                self._send(other, self._wish())
        if self._looks_on or self._until:
            self._tick_later()

    # What others say

    def _drain(self) -> None:
        while self._next():
            pass

    def _next(self) -> bytes:
        try:
            return self._ear.recv(_LARGEST)
        except OSError:
            return b""

    def _hear(self) -> None:
        for _ in range(64):
            datagram = self._next()
            if not datagram:
                return
            try:
                told = json.loads(datagram)
            except ValueError:
                continue  # cut off: it was larger than any of ours
            other = told["from"]
            match told["say"]:
                case "wanted":
                    self._want(other, told["since"])
                case "enough":
                    self._end(other)
                case "here":
                    self._meet(other)
                case "sessions":
                    self._know(other, told["sessions"], first=told["first"], last=told["last"])
                case "events":
                    self._pass_on(other, told["lost"], told["events"])

    def _want(self, other: int, since: float) -> None:
        is_new = other not in self._until or self._asked.get(other) != since
        self._until[other] = time.monotonic() + FORGOTTEN
        self._asked[other] = since
        self._tick_later()
        if is_new:
            self._watch.decide()
            # In line with what is said from now on, so that nobody who leaves is told of afterwards.
            pieces = _pieces([json.dumps(_short(each), default=str) for each in self._watch.own_sessions])
            with self._lock:
                for at, piece in enumerate(pieces):
                    first, last = json.dumps(at == 0), json.dumps(at == len(pieces) - 1)
                    head = f'{{"say":"sessions","from":{self._number},"first":{first},"last":{last},"sessions":['
                    self._to[other].put(f"{head}{','.join(piece)}]}}", alone=True)
            self._flush()

    def _end(self, other: int) -> None:
        if self._until.pop(other, None) is not None:
            with self._lock:
                self._to[other].clear()
            self._watch.decide()

    def _meet(self, other: int) -> None:
        """Another has begun, perhaps in the place of one that has died, with whom its sessions ended."""
        self._end(other)
        now = time.time()
        for known in self._open.pop(other, {}).values():
            self._watch.hear(Event(now, "disconnected", known["door"], known["session"], {"reason": _GONE}))
        if self._looks_on:
            self._send(other, self._wish())

    def _know(self, other: int, sessions: Sequence[dict[str, Any]], *, first: bool, last: bool) -> None:
        if not self._looks_on:
            return
        there = self._open.setdefault(other, {})
        if first:
            there.clear()
        there.update((each["session"], each) for each in sessions)
        if last:
            self._answered.add(other)
            if len(self._answered) == len(self._to):
                self._all_answered.set()

    def _pass_on(self, other: int, lost: int, events: Sequence[Sequence[Any]]) -> None:
        if not self._looks_on:
            return
        if lost:
            self._watch.miss(lost)
        there = self._open.setdefault(other, {})
        for each in events:
            event = Event(*each)
            note(event, there)
            self._watch.hear(event)


def _short(session: Mapping[str, Any]) -> dict[str, Any]:
    """A session without all that a client has said of itself."""
    found = dict(session)
    if (client := found.get("client")) is not None:
        found["client"] = {"name": client.get("name", "")}
    return found


def _pieces(told: Sequence[str]) -> list[list[str]]:
    """Parted so that each fits into a datagram; at least one."""
    pieces: list[list[str]] = [[]]
    octets = 0
    for each in told:
        if octets > _MOST_OCTETS:
            pieces.append([])
            octets = 0
        pieces[-1].append(each)
        octets += len(each)
    return pieces


class _Outward:
    """What waits for one process."""

    def __init__(self, mouth: socket.socket) -> None:
        self._mouth = mouth
        self._waiting: deque[tuple[str, bool]] = deque()
        self._lost = 0

    def put(self, told: str, *, alone: bool = False) -> None:
        """An event, or what goes in a datagram of its own."""
        if len(self._waiting) >= MOST_WAITING:
            self._waiting.popleft()
            self._lost += 1
        self._waiting.append((told, alone))

    def lose(self) -> None:
        """One that nobody will hear of."""
        self._lost += 1

    def clear(self) -> None:
        self._waiting.clear()
        self._lost = 0

    def send(self, datagram: str) -> bool:
        """Whether there was room for it."""
        try:
            self._mouth.send(datagram.encode())
        except OSError as error:
            if error.errno != errno.EMSGSIZE:
                return False
            self._lost += 1  # too large: nobody is helped by trying it again
        return True

    def flush(self, number: int) -> bool:
        """Send what there is room for; whether something is left."""
        while self._waiting:
            taken: list[tuple[str, bool]] = []
            octets = 0
            while self._waiting and (not taken or octets < _MOST_OCTETS):
                if self._waiting[0][1] and taken:
                    break
                taken.append(self._waiting.popleft())
                octets += len(taken[-1][0])
                if taken[-1][1]:
                    break
            lost, told = self._lost, [one for one, _ in taken]
            if taken[0][1]:
                [datagram] = told
            else:
                datagram = f'{{"say":"events","from":{number},"lost":{lost},"events":[{",".join(told)}]}}'
                self._lost = 0
            if not self.send(datagram):
                self._waiting.extendleft(reversed(taken))
                self._lost += lost if not taken[0][1] else 0
                return True
        return False
