"""What clients and the house said to each other, by the house's own log: whether a client really used an extension."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from program import Program


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
        events = self._program.log()
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
