"""What a session said and heard, word for word, for whoever asks afterwards how a message came, or why it did not.

It is made of the lines that a trace may see: no body, and of a secret only that there was one. Nothing is rendered while the
session lasts; `store.transcripts` does that when it writes, behind everybody who waits for an answer.
"""

from __future__ import annotations

import secrets
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

MOST_OCTETS: Final = 64 << 10
"""Of one session: half of it from the beginning, half up to the end; what was between is counted."""
MOST_WAITING: Final = 5000
"""Sessions that have ended and wait in memory to be written."""
MOST_WAITING_OCTETS: Final = 32 << 20
MOST_REFUSALS: Final = 100
"""Of one session, the first ones."""
MOST_MESSAGES: Final = 10_000
"""Of one session, the first ones."""
_REFUSAL_OCTETS: Final = 300
"""Of a command that was refused, and of its reply."""
_LINE_OCTETS: Final = 64
"""What a line weighs beside its text."""
_CLIENT: Final = "C"
_SERVER: Final = "S"
_REFUSES: Final = (b"4", b"5")
_IDLE: Final = frozenset({b"EHLO", b"HELO", b"LHLO", b"STARTTLS", b"NOOP", b"RSET", b"QUIT"})
"""Verbs of a client that wants nothing: a probe, as those of monitors come every few seconds."""
_WHOLE: Final = b" octets]"
"""How the line ends that stands for a message."""
_LEFT: Final = "left"
_RANDOM: Final = 10
"""Bits that tell sessions of one microsecond from each other, in whatever process they were."""

_Said = tuple[float, str, bytes]


class Refusal(NamedTuple):
    """What was refused in a session."""

    at_ms: int
    """Since the session began."""
    command: str
    """What the client had said."""
    reply: str


class Transcript:
    """One session's. What is said to it costs next to nothing."""

    __slots__ = (
        "_changed",
        "_head",
        "_last",
        "_left_out",
        "_octets",
        "_refused",
        "_start",
        "_tail",
        "_tail_octets",
        "_written",
        "began",
        "contents",
        "door",
        "ended",
        "helo",
        "login",
        "number",
        "peer",
        "reason",
        "tls",
        "wanted",
    )

    def __init__(self, door: str, peer: str, changed: Callable[[], None] = lambda: None) -> None:
        """`changed` is called when something is worth being written at once."""
        self.door = door
        self.peer = peer
        self.began = time.time()
        """Seconds since the epoch."""
        self.number = number_at(self.began) | secrets.randbits(_RANDOM)
        """Names the session among all that there ever were; they ascend."""
        self.helo = ""
        self.tls = ""
        """Version and cipher."""
        self.login = ""
        self.ended: float | None = None
        self.reason = ""
        """How it ended; `left` is the proper way."""
        self.contents: list[int] = []
        """The messages that were delivered."""
        self.wanted = False
        """The client has said more than a probe does."""
        self._changed = changed
        self._start = time.monotonic()
        self._head: list[_Said] = []
        self._tail: deque[_Said] = deque()
        self._octets = 0
        self._tail_octets = 0
        self._left_out = 0
        self._last = b""
        self._refused: list[tuple[float, bytes, bytes]] = []
        self._written = -1

    # While the session lasts

    def add(self, who: str, text: bytes) -> None:
        """A line, or all lines of one reply."""
        now = time.monotonic()
        if who == _CLIENT:
            self._last = text
            if not self.wanted:
                self.wanted = not _is_idle(text)
        elif text.startswith(_REFUSES) and len(self._refused) < MOST_REFUSALS:
            self._refused.append((now, self._last[:_REFUSAL_OCTETS], text[:_REFUSAL_OCTETS]))
            self._changed()
        self._octets += len(text) + _LINE_OCTETS
        if self._octets <= MOST_OCTETS // 2:
            self._head.append((now, who, text))
            return
        self._tail.append((now, who, text))
        self._tail_octets += len(text) + _LINE_OCTETS
        while self._tail_octets > MOST_OCTETS // 2:
            self._tail_octets -= len(self._tail.popleft()[2]) + _LINE_OCTETS
            self._left_out += 1

    def remark(self, text: str) -> None:
        """What happened that nobody said, in brackets."""
        self.add(_SERVER, f"[{text}]".encode())

    def delivered(self, content: int) -> None:
        if len(self.contents) < MOST_MESSAGES:
            self.contents.append(content)

    def end(self, reason: str) -> None:
        self.reason = reason
        self.ended = time.time()

    # For whoever writes it down

    @property
    def name(self) -> str:
        """The number as it is told: 16 hexadecimal digits."""
        return name_of(self.number)

    @property
    def octets(self) -> int:
        """About how much memory it holds."""
        return min(self._octets, MOST_OCTETS)

    @property
    def failed(self) -> bool:
        """Whether anything was refused, or the session broke off and not only after all was delivered."""
        if self._refused or self.ended is None or self.reason == _LEFT:
            return bool(self._refused)
        at_rest = self._last.endswith(_WHOLE) or _is_idle(self._last)
        return not (self.contents and at_rest)

    @property
    def worth_keeping(self) -> bool:
        """Whether it is told of: not of a probe that was refused nothing."""
        return self.wanted or bool(self._refused)

    @property
    def has_news(self) -> bool:
        """Whether it has an outcome, and more was said since the last copy of it."""
        return self._octets != self._written and bool(self.contents or self._refused)

    def news(self) -> Transcript | None:
        """A copy to be written, where there is anything new."""
        if not self.has_news:
            return None
        self._written = self._octets
        copy = Transcript.__new__(Transcript)
        for name in Transcript.__slots__:
            setattr(copy, name, getattr(self, name))
        copy.contents, copy._refused = self.contents[:], self._refused[:]
        copy._head, copy._tail = self._head[:], self._tail.copy()
        return copy

    @property
    def refused(self) -> list[Refusal]:
        return [Refusal(self._ms(at), _text(command), _text(reply)) for at, command, reply in self._refused]

    @property
    def text(self) -> str:
        """A row for each line, `17 C MAIL FROM:<…>`: milliseconds since the beginning, who, what. Lines of one reply are a row
        with CRs in it."""
        return "".join(self._rows())

    def _rows(self) -> Iterator[str]:
        for at, who, text in self._head:
            yield f"{self._ms(at)} {who} {_text(text)}\n"
        if self._left_out:
            yield f"{self._ms(self._tail[0][0])} {_SERVER} [{self._left_out} lines left out]\n"
        for at, who, text in self._tail:
            yield f"{self._ms(at)} {who} {_text(text)}\n"

    def _ms(self, at: float) -> int:
        return int((at - self._start) * 1000)


class Transcripts:
    """Those of all sessions that last, and of those that have ended and are not written yet."""

    def __init__(self, changed: Callable[[], None]) -> None:
        """`changed` is called when there is something to write."""
        self._changed = changed
        self._open: dict[int, Transcript] = {}
        self._ended: deque[Transcript] = deque()
        self._octets = 0
        self._lost = 0

    def begin(self, session: int, door: str, peer: str) -> Transcript:
        self._open[session] = begun = Transcript(door, peer, self._changed)
        return begun

    def of(self, session: int) -> Transcript | None:
        """That of a session that lasts."""
        return self._open.get(session)

    def end(self, session: int, reason: str) -> None:
        ended = self._open.pop(session, None)
        if ended is None:
            return
        ended.end(reason)
        if not ended.worth_keeping:
            return
        self._ended.append(ended)
        self._octets += ended.octets
        while len(self._ended) > MOST_WAITING or self._octets > MOST_WAITING_OCTETS:
            self._octets -= self._ended.popleft().octets
            self._lost += 1
        self._changed()

    @property
    def have_news(self) -> bool:
        """Whether there is anything to be written."""
        return bool(self._ended) or any(each.has_news for each in self._open.values())

    def take(self, most: int) -> list[Transcript]:
        """The next ones that have ended."""
        taken = [self._ended.popleft() for _ in range(min(most, len(self._ended)))]
        self._octets -= sum(each.octets for each in taken)
        return taken

    def news(self) -> list[Transcript]:
        """Copies of those that last, where more was said in them since the last time."""
        return [copy for each in self._open.values() if (copy := each.news())]

    def lost(self) -> int:
        """How many nobody will ever read; asked again, those since then."""
        lost, self._lost = self._lost, 0
        return lost


def _is_idle(command: bytes) -> bool:
    return command[:9].partition(b" ")[0].upper() in _IDLE


def number_at(seconds: float) -> int:
    """The lowest number of a session that begins at that time; none before it has a higher one."""
    return int(seconds * 1e6) << _RANDOM


def name_of(number: int) -> str:
    """A session's number as it is told: 16 hexadecimal digits."""
    return f"{number:016x}"


def _text(said: bytes) -> str:
    """As text of one row: what is no UTF-8 is escaped, as the trace does it."""
    return said.replace(b"\r\n", b"\r").replace(b"\n", b"\r").decode("utf-8", "backslashreplace")
