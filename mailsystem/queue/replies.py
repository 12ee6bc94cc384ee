"""What the other server answers: octets in, replies out, bounded whatever it sends (RFC 5321 4.2). Sans-IO."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

MOST_OCTETS: Final = 64 * 1024
"""Of one reply, with all its lines."""
MOST_LINES: Final = 100
SHOWN: Final = 512
"""Octets of a reply that are kept to be shown: RFC 5321 4.5.3.1.5 allows no line that is longer."""

_LINE: Final = re.compile(r"([2-5][0-9]{2})(?:([ -])(.*))?", re.DOTALL)
_STATUS: Final = re.compile(r"([245]\.[0-9]{1,3}\.[0-9]{1,3})(?: +|$)")
_CUT: Final = "…"


class BadReply(Exception):
    """What came is no reply, or has no end. The text says what is wrong with it, and quotes none of it."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply, of one line or more."""

    code: int
    status: str
    """The enhanced status code (RFC 2034), where it was given one that fits its code; else empty."""
    lines: tuple[str, ...]
    """What its lines say behind code and status; whatever is not printable is a question mark."""

    @property
    def is_good(self) -> bool:
        return 200 <= self.code < 300

    @property
    def is_temporary(self) -> bool:
        return 400 <= self.code < 500

    @property
    def is_permanent(self) -> bool:
        return self.code >= 500

    @property
    def enhanced(self) -> str:
        """The enhanced status code: its own, or the one that says no more than its code (RFC 3463 3.1)."""
        return self.status or f"{self.code // 100}.0.0"

    def __str__(self) -> str:
        """In one line of at most `SHOWN` octets."""
        words = " ".join(word for word in (str(self.code), self.status, *self.lines) if word)
        octets = words.encode()
        if len(octets) <= SHOWN:
            return words
        return octets[: SHOWN - len(_CUT.encode())].decode("utf-8", "ignore") + _CUT


class Replies:
    """Cuts what comes into replies. A bare LF ends a line too: there is nothing here that it could smuggle."""

    __slots__ = ("_buffer", "_lines", "_octets", "_seen")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._seen = 0  # no line end before this
        self._lines: list[str] = []  # of the reply that is not whole yet
        self._octets = 0

    @property
    def pending(self) -> bool:
        """Whether anything came that belongs to no reply that was read."""
        return bool(self._buffer or self._lines)

    def feed(self, data: bytes) -> None:
        """Octets as they came."""
        self._buffer += data

    def next(self) -> Reply | None:
        """The next reply; None until it is whole. Raises `BadReply`: then nothing that follows can be trusted."""
        while (line := self._line()) is not None:
            found = _LINE.fullmatch(line)
            if found is None:
                raise BadReply("a line that is no reply")
            self._lines.append(found[3] or "")
            if found[2] != "-":
                # The codes of all lines must be the same (RFC 5321 4.2.1); where they are not, the last one counts.
                code, lines = int(found[1]), self._lines
                self._lines, self._octets = [], 0
                return _reply(code, lines)
            if len(self._lines) >= MOST_LINES:
                raise BadReply("a reply of too many lines")
        return None

    def _line(self) -> str | None:
        end = self._buffer.find(b"\n", self._seen)
        if self._octets + (end + 1 if end >= 0 else len(self._buffer)) > MOST_OCTETS:
            raise BadReply("a reply that is too long")
        if end < 0:
            self._seen = len(self._buffer)
            return None
        line = bytes(self._buffer[: end - 1 if self._buffer[end - 1 : end] == b"\r" else end])
        del self._buffer[: end + 1]
        self._seen = 0
        self._octets += end + 1
        return "".join(c if c.isprintable() else "?" for c in line.decode("utf-8", "replace"))


def _reply(code: int, lines: list[str]) -> Reply:
    """With the status code, which stands in each line, taken out of them (RFC 2034 4)."""
    status = ""
    texts = []
    for line in lines:
        found = _STATUS.match(line)
        # RFC 2034 4: its class is that of the code; else it is not one, or not to be believed.
        if found is not None and found[1][0] == str(code)[0] and status in {"", found[1]}:
            status = found[1]
            line = line[found.end() :]
        texts.append(line.strip())
    return Reply(code, status, tuple(texts))


# What is offered

Extensions = dict[str, str]
"""By keyword in upper case, what stands behind it."""


def extensions(hello: Reply) -> Extensions:
    """What the answer to EHLO offers, below its first line (RFC 5321 4.1.1.1)."""
    found: Extensions = {}
    for line in hello.lines[1:]:
        keyword, _, rest = line.partition(" ")
        found.setdefault(keyword.upper(), rest.strip())
    return found
