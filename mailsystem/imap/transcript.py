"""What the server says, line by line, for the trace: literals, and the first words of messages, only by their size."""

from __future__ import annotations

import re
from typing import Final

from mailsystem.telemetry import Trace
from mailsystem.telemetry.trace import SERVER

_LITERAL = re.compile(rb"\{([0-9]+)\}\r\n\Z")
_PREVIEW = re.compile(rb'\bPREVIEW "((?:[^"\\]|\\.)*+)"')
_LONGEST: Final = 2000


class Transcript:
    """Follows the stream of answers. The octets of a literal never reach the trace, whatever pieces they are sent in."""

    __slots__ = ("_line", "_skip", "_trace")

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self._line = bytearray()
        self._skip = 0

    def say(self, data: bytes) -> None:
        """Take in what is sent."""
        at = 0
        while at < len(data):
            if self._skip:
                step = min(self._skip, len(data) - at)
                self._skip -= step
                at += step
                continue
            end = data.find(b"\n", at) + 1
            if not end:
                self._line += data[at:]
                return
            self._line += data[at:end]
            at = end
            found = _LITERAL.search(self._line, max(0, len(self._line) - 24))
            if found is not None:
                self._skip = int(found[1])
                self._line[found.start() :] = b"[%d octets]" % self._skip
            else:
                text = bytes(self._line.rstrip(b"\r\n"))
                text = _PREVIEW.sub(lambda found: b"PREVIEW [%d octets]" % len(found[1]), text)
                self._trace.line(SERVER, text if len(text) <= _LONGEST else text[:_LONGEST] + b"...")
                self._line.clear()
