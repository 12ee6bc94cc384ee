"""The life of a message on a terminal, or in a pipe: a heading, a line for each event, and where the message is now."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from mailsystem.cli.terminal import size
from mailsystem.cli.trace.sayings import few, offset, said, since, state, zone
from mailsystem.telemetry.log import clock

if TYPE_CHECKING:
    from rich.console import Console

    from mailsystem.store import Life, Note

_COLOUR: Final[Mapping[str, str]] = {
    "smtp": "#4c8dff",
    "queue": "#4c8dff",
    "imap": "cyan",
    "pop3": "#e0584a",
    "pop2": "#e0584a",
    "pop1": "#e0584a",
}
_NAME_COLOUR: Final[Mapping[str, str]] = {
    "failed": "bold red",
    "bounced": "bold red",
    "deferred": "yellow",
    "deleted": "red",
    "expunged": "red",
    "expired": "red",
}


class Timeline:
    """Draws lives on a console: a heading for each, a line for each event, hanging where it is wrapped."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._dated = not console.is_terminal
        self._day = ""
        self._before = 0.0
        self._shown: dict[tuple[int, float, str, str], int] = {}

    def tell(self, told: Sequence[Life]) -> None:
        for index, life in enumerate(told):
            if index:
                self._console.print()
            self._heading(life)
            self._day = ""
            self._before = life.notes[0].at if life.notes else 0.0
            for note in life.notes:
                self._line(note)
                self._shown[_key(life, note)] = note.times
            self._end(life)

    def go_on(self, told: Sequence[Life]) -> None:
        """What came since."""
        for life in told:
            for note in life.notes:
                if self._shown.get(_key(life, note), 0) < note.times:
                    self._shown[_key(life, note)] = note.times
                    self._line(note)

    def _heading(self, life: Life) -> None:
        from rich.text import Text

        queue_ids = list(dict.fromkeys(str(note.data["id"]) for note in life.notes if "id" in note.data))
        for name in life.names:
            if name not in queue_ids:
                self._console.print(Text(f"<{name}>", "bold"))
        known = [f"id {', '.join(queue_ids)}"] if queue_ids else []
        known.append(f"{size(life.size)}" if life.size is not None else "no longer kept")
        if life.notes:
            known.append(f"times in {zone(life.notes[-1].last)}")
        self._console.print(Text(", ".join(known), "dim"))

    def _line(self, note: Note) -> None:
        day = time.strftime("%Y-%m-%d", time.localtime(note.at))
        if not self._dated and day != self._day:
            self._console.print(day, style="bold")
        self._day = day
        door = str(note.data.get("door", ""))
        row = [
            (f"{day} {clock(note.at)} {offset(note.at)}" if self._dated else clock(note.at), "dim"),
            (f"{since(note.at - self._before):>8}", "dim"),
            (f"{door:<5}", _COLOUR.get(door, "")),
            (f"{note.name:<9}", _NAME_COLOUR.get(note.name, "bold")),
        ]
        self._before = note.at
        self._print(row, said(note))

    def _print(self, row: Sequence[tuple[str, str]], words: str) -> None:
        """One line, which hangs below its text where the terminal is too narrow for it."""
        from rich.text import Text

        front = Text("  ").join(Text(text, style) for text, style in row) + Text("  ")
        room = max(20, self._console.width - len(front))
        for number, line in enumerate(Text(words).wrap(self._console, room)):
            line.rstrip()
            self._console.print((front if not number else Text(" " * len(front))) + line)

    def _end(self, life: Life) -> None:
        for outgoing, waiting in life.queued:
            for one in waiting:
                self._print([("now", "bold"), ("in the queue", "yellow")], state(outgoing, one))
        if life.places:
            where = [f"{place.login} {place.mailbox} (uid {place.uid})" for place in life.places]
            self._print([("now", "bold"), ("in", "")], few(where))
        elif life.size is not None and not life.queued:
            self._print(
                [("now", "bold")], "in no mailbox here, nor in the queue; its octets are swept away after a while"
            )


def _key(life: Life, note: Note) -> tuple[int, float, str, str]:
    return life.content, note.at, note.name, str(note.data)
