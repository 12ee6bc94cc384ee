"""Bytes into commands: lines, literals and limits, nothing else. Sans-IO.

Any chunking gives the same frames. What is wrong with a command is told in its frame (`fault`) once the whole command has
gone by, so that no error can desynchronise the stream; a literal that is too large is refused before its `+`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

from mailsystem.mail.errors import MailError, SyntaxFault, TooLarge, TooMany

_MARKER = re.compile(rb"\{([0-9]+)(\+?)\}")
_TAIL: Final = 64
"""Octets kept of a line that is thrown away: enough to see its tag, or the literal at its end."""
_ABSURD: Final = 10**18


class Sink(Protocol):
    """Where a large literal goes instead of into memory."""

    def write(self, data: bytes | bytearray | memoryview, /) -> None: ...


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one command may bring, in octets."""

    line: int
    """The text of a command, its literals left out."""
    command: int
    """Text and literals together, as far as they are kept in memory."""
    memory: int
    """A literal larger than this goes into a sink, if there are any; so do the others once the command's memory is full."""
    literal: int
    """The largest literal."""
    nonsync: int
    """The largest literal that may come without waiting for the `+` (RFC 7888)."""
    skip: int
    """How much unwanted data is passed over before we rather hang up."""
    spooled: int = 0
    """The most that goes into sinks for one command, of several messages perhaps (RFC 3502)."""
    literals: int = 1000
    """How many literals one command may hold."""


BEFORE_LOGIN: Final = Limits(
    line=8192, command=16384, memory=8192, literal=8192, nonsync=4096, skip=1 << 20, literals=16
)


def after_login(largest: int) -> Limits:
    """The limits of somebody known, whose largest message may have `largest` octets."""
    return Limits(
        line=65536,
        command=1 << 20,
        memory=65536,
        literal=largest,
        nonsync=largest,
        skip=max(2 * largest, 1 << 24),
        spooled=4 * largest,
    )


class Frame(NamedTuple):
    """One whole command. A tuple, since that is made in a quarter of the time."""

    line: bytes
    """Its text without the line end. Where a literal stood its `{n}` is still there, followed by the rest of the text."""
    literals: tuple[tuple[int, bytes | Sink], ...] = ()
    """For each literal where its `{` is in `line`, and what it held."""
    fault: MailError | None = None
    """Why this command cannot be run; `line` is then perhaps only its beginning."""
    last: bool = False
    """The stream cannot be followed after this one: say BYE."""


@dataclass(frozen=True, slots=True)
class Continue:
    """The client waits for a `+` before it sends a literal."""


@dataclass(slots=True)
class Framing:
    """The stream of one client. Feed it, then call `next` until that gives None."""

    limits: Limits
    spool: Callable[[], Sink] | None = None
    """Makes sinks for large literals; without it none is accepted."""
    _buffer: bytearray = field(default_factory=bytearray)
    _seen: int = 0
    """So much of the buffer has no line end."""
    _line: bytearray = field(default_factory=bytearray)
    _literals: list[tuple[int, bytes | Sink]] = field(default_factory=list)
    _held: bytearray | Sink | None = None
    """Where the literal that is coming in goes; None throws it away."""
    _left: int = 0
    """Octets of that literal still to come."""
    _kept: int = 0
    """Octets of this command's literals in memory."""
    _spooled: int = 0
    """Octets of this command's literals in sinks."""
    _dropped: int = 0
    """Octets of the present line that were thrown away."""
    _fault: MailError | None = None
    _lost: bool = False

    @property
    def pending(self) -> int:
        """Octets that were fed and have not become anything yet."""
        return len(self._buffer)

    def feed(self, data: bytes) -> None:
        """Take what has arrived."""
        if self._lost:
            return
        if self._left and not self._buffer and len(data) <= self._left:
            # The inside of a large literal goes straight where it belongs.
            self._keep(data)
        else:
            self._buffer += data

    def next(self) -> Frame | Continue | None:
        """The next command, the wish to be told to go on, or None: feed more."""
        while not self._lost:
            if self._left:
                if not self._buffer:
                    return None
                part = bytes(self._buffer[: self._left])
                del self._buffer[: len(part)]
                self._keep(part)
                if self._left:
                    return None
            piece = self._piece()
            if piece is None:
                return self._end(last=True) if self._lost else None
            marker = self._marker(piece)
            if marker is None:
                if self._fault is None:
                    self._line += piece
                return self._end(last=self._lost)
            size = int(marker[1]) if len(marker[1].lstrip(b"0")) < 19 else _ABSURD
            waits = not marker[2]
            if self._fault is None:
                self._fault = self._refusal(len(piece), size, waits)
                if self._fault is not None and not self._line:
                    self._line += piece[:_TAIL]
            if self._fault is None:
                self._begin(piece, marker.start(), size)
                if waits:
                    return Continue()
            elif waits:
                # RFC 7888 3: without the `+` the client does not send it; the command is over.
                return self._end()
            elif size > self.limits.skip:
                self._lost = True
                return self._end(last=True)
            else:
                self._left, self._held = size, None
        return None

    def refuse(self, fault: MailError) -> None:
        """Throw away the rest of the command that is coming in: its literal has no place. The frame will say so."""
        self._fault = self._fault or fault
        self._held = None

    def line(self) -> bytes | None:
        """The next bare line, for what is no command: an answer to a challenge, DONE. None: feed more.

        Raises `SyntaxFault` for a line over the limit, once it has gone by.
        """
        piece = self._piece()
        if piece is None and not self._lost:
            return None
        frame = self._end()
        if frame.fault is not None:
            raise frame.fault
        return piece

    def _piece(self) -> bytes | None:
        """The text up to the next line end, or only its tail when this command is being thrown away."""
        buffer = self._buffer
        end = buffer.find(b"\n", self._seen)
        text = len(buffer) - 1 if end < 0 else end - (end > 0 and buffer[end - 1] == 13)
        if self._fault is None and text > self.limits.line - len(self._line):
            self._fault = SyntaxFault("line too long")
            if not self._line:
                self._line += buffer[:_TAIL]
        if self._fault is not None and self._dropped + text > self.limits.skip:
            self._lost = True
            self._buffer = bytearray()
            return None
        if end < 0:
            if self._fault is not None and len(buffer) > _TAIL:
                self._dropped += len(buffer) - _TAIL
                del buffer[:-_TAIL]
            self._seen = len(buffer)
            return None
        piece = bytes(buffer[:text]) if self._fault is None else bytes(buffer[max(0, text - _TAIL) : text])
        del buffer[: end + 1]
        self._seen = self._dropped = 0
        return piece

    def _marker(self, piece: bytes) -> re.Match[bytes] | None:
        if not piece.endswith(b"}"):
            return None
        return _MARKER.fullmatch(piece, max(piece.rfind(b"{"), 0))

    def _refusal(self, text: int, size: int, waits: bool) -> MailError | None:
        limits = self.limits
        if size > limits.literal or (not waits and size > limits.nonsync):
            return TooLarge("literal too large")
        if len(self._literals) >= limits.literals:
            return TooMany("too many literals")
        if self._crowds(text, size) and (self.spool is None or self._spooled + size > limits.spooled):
            return TooLarge("literal too large" if size > limits.memory else "command too large")
        return None

    def _crowds(self, text: int, size: int) -> bool:
        """Whether a literal is too much for memory, by itself or with what this command holds there."""
        limits = self.limits
        return size > limits.memory or len(self._line) + text + self._kept + size > limits.command

    def _begin(self, piece: bytes, brace: int, size: int) -> None:
        where = len(self._line) + brace
        crowds = self._crowds(len(piece), size)
        self._line += piece
        self._left = size
        if crowds and self.spool is not None:
            self._spooled += size
            self._held = self.spool()
            self._literals.append((where, self._held))
        else:
            self._kept += size
            self._held = bytearray()
            self._literals.append((where, b""))

    def _keep(self, data: bytes) -> None:
        self._left -= len(data)
        if isinstance(self._held, bytearray):
            self._held += data
            if not self._left:
                self._literals[-1] = (self._literals[-1][0], bytes(self._held))
        elif self._held is not None:
            self._held.write(data)
        if not self._left:
            self._held = None

    def _end(self, *, last: bool = False) -> Frame:
        line = bytes(self._line) if self._fault is None else bytes(self._line[:_TAIL])
        literals = tuple(self._literals) if self._fault is None else ()
        frame = Frame(line, literals, self._fault, last)
        self._line = bytearray()
        self._literals = []
        self._kept = self._spooled = self._dropped = 0
        self._fault = None
        return frame
