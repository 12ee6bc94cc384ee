"""What clients and the house said to each other, by the house's own log: whether a client really used an extension."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from typing import Any

from program import PATIENCE, Program
from wire import Wire


@dataclass
class Dialog:
    """Lines of IMAP or POP3 without tags, in their order."""

    client: list[str] = field(default_factory=list)
    server: list[str] = field(default_factory=list)

    def asked(self, pattern: str) -> list[str]:
        """The lines of clients that begin so."""
        return [line for line in self.client if re.match(pattern, line)]

    def told(self, pattern: str) -> list[str]:
        """The lines of the server in which that is found."""
        return [line for line in self.server if re.search(pattern, line)]

    def refused(self) -> list[str]:
        """All that a client was told it may not or cannot do."""
        return self.told(r"^(NO|BAD|\* BAD|-ERR)\b")


class Overheard:
    """The sessions of one login; each question is about what was said since the one before."""

    def __init__(self, program: Program, login: str) -> None:
        self._program, self._login = program, login
        self._read = 0

    def dialog(self) -> Dialog:
        events = self._log()
        mine = {event["session"] for event in events if event["event"] == "logged in" and event["login"] == self._login}
        said = Dialog()
        for event in events[self._read :]:
            if event["event"] == "line" and event["session"] in mine:
                text = (
                    re.sub(r"^(?![*+])\S+ (?=[A-Z])", "", event["text"]) if event["door"] == "imap" else event["text"]
                )
                (said.client if event["who"] == "C" else said.server).append(text)
        self._read = len(events)
        return said

    def _log(self) -> list[dict[str, Any]]:
        """The log, with all that has been said until now: it is written a little later, and in its order."""
        before = len(self._program.log())  # somebody may have come from the same port long ago
        with Wire(self._program.imap) as mark:
            mark.line()
            until = time.monotonic() + PATIENCE
            while True:
                events = self._program.log()
                if any(str(event.get("peer", "")).endswith(f":{mark.port}") for event in events[before:]):
                    return events
                assert time.monotonic() < until, "the log does not tell of a new connection"
                time.sleep(0.02)
