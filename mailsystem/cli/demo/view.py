"""The story on a terminal: lanes from left to right, time downward, an arrow for everything that was said."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from rich.console import Console
from rich.text import Text

from mailsystem.cli.demo.story import LANES, Chapter, Generation, Lane, Took
from mailsystem.telemetry.flow import SERVER_LANE, Arrow, Way

COLOUR: Final[Mapping[str, str]] = {"push": "#4c8dff", "pull": "#e0584a"}
"""Airmail blue pushes, airmail red pulls."""
NARROWEST, WIDEST = 78, 140
GUTTER: Final = 10
MOST_LINES: Final = 4


@dataclass(frozen=True, slots=True)
class Glyphs:
    """What lines are made of."""

    shaft: Mapping[Way, str]
    right: str
    left: str
    open: str
    away: str
    stripe: str
    more: str


UNICODE = Glyphs({"push": "─", "pull": "╌"}, "▶", "◀", "│", "·", "▬", "…")
ASCII = Glyphs({"push": "-", "pull": "- "}, ">", "<", "|", ".", "=", "...")


_PLAIN: Final = str.maketrans({"’": "'", "…": "...", "–": "-", "“": '"', "”": '"'})


class Row:
    """One line of the sheet, written upon in any order."""

    def __init__(self, width: int) -> None:
        self._cells = [" "] * width
        self._styles = [""] * width

    def put(self, x: int, text: str, style: str = "") -> None:
        for at, char in enumerate(text, x):
            if 0 <= at < len(self._cells):
                self._cells[at], self._styles[at] = char, style

    def text(self) -> Text:
        made = Text(no_wrap=True, overflow="crop")
        start = 0
        for at in range(1, len(self._cells) + 1):
            if at == len(self._cells) or self._styles[at] != self._styles[start]:
                made.append("".join(self._cells[start:at]), self._styles[start])
                start = at
        made.rstrip()
        return made


class Sheet:
    """Draws to a console. `is_open` tells whether somebody in a lane is connected at a time."""

    def __init__(self, console: Console, is_open: Callable[[str, float], bool], lanes: Sequence[Lane] = LANES) -> None:
        self._console = console
        self._lanes = lanes
        self._is_open = is_open
        self._glyphs = UNICODE if (console.encoding or "").lower().startswith("utf") else ASCII
        self._width = min(max(console.width - 1, NARROWEST), WIDEST)
        step = (self._width - GUTTER - 14) // (len(lanes) - 1)
        self._at = {lane.key: GUTTER + 7 + number * step for number, lane in enumerate(lanes)}
        self._chapters = 0
        self._start: float | None = None

    def title(self, text: str) -> None:
        """What this is, and how to read it."""
        row = Row(self._width)
        for x in range(1, self._width - 1, 12):
            row.put(x, self._glyphs.stripe * 4, COLOUR["pull"])
            row.put(x + 6, self._glyphs.stripe * 4, COLOUR["push"])
        self._print(row.text())
        self._print(Text(f" {text}", "bold"))
        key = Text(" ")
        key.append(self._shaft("push", 6) + self._glyphs.right, COLOUR["push"])
        key.append(" push: whoever has news speaks   ")
        key.append(self._shaft("pull", 6) + self._glyphs.right, COLOUR["pull"])
        key.append(" pull: whoever wants it asks")
        self._print(key)
        self._say("Every line below went over a real connection, as the server’s trace has it.", "dim")

    def chapter(self, chapter: Chapter) -> None:
        self._chapters += 1
        self._print(Text())
        self._print(Text(f" {self._chapters}  {self._plain(chapter.title)}", "bold"))
        self._say(chapter.text, "dim", indent=4)
        self._print(Text())
        for titles, style in (
            ([lane.title for lane in self._lanes], "bold"),
            ([lane.note for lane in self._lanes], "dim"),
        ):
            row = Row(self._width)
            for lane, title in zip(self._lanes, titles, strict=True):
                plain = self._plain(title)
                row.put(self._at[lane.key] - len(plain) // 2, plain, style)
            self._print(row.text())
        self._print(self._lifelines().text())

    def arrow(self, arrow: Arrow) -> None:
        """The lines that were said, above the shaft; time at its left, milliseconds within."""
        if self._start is None:
            self._start = arrow.time
        colour = COLOUR[arrow.way]
        source, target = self._at[arrow.source], self._at[arrow.target]
        left, right = min(source, target), max(source, target)
        # What an idling client is told unasked is what all this is about.
        style = "bold" if arrow.way == "push" and arrow.door == "imap" else ""
        room = self._width - left - 2
        for line in self._shortened(arrow.lines):
            row = self._lifelines(arrow.time)
            # The blank behind it keeps a lifeline from touching the last letter.
            cut = line[: room - len(self._glyphs.more)] + self._glyphs.more
            row.put(left + 2, f"{line} " if len(line) <= room else cut, style)
            self._print(row.text())
        row = self._lifelines(arrow.time)
        row.put(0, f"{_seconds(arrow.time - self._start):>{GUTTER - 2}}", "dim")
        row.put(left + 1, self._shaft(arrow.way, right - left - 1), colour)
        if target > source:
            row.put(right - 1, self._glyphs.right, colour)
        else:
            row.put(left + 1, self._glyphs.left, colour)
        if arrow.ms is not None:
            took = f" {spell_ms(arrow.ms)} "
            row.put(
                left + 1 + (right - left - 1 - len(took)) // 2,
                took,
                f"bold {colour}" if arrow.way == "push" else colour,
            )
        self._print(row.text())

    def silence(self, lane: str, text: str) -> None:
        """Somebody hears nothing: that is drawn, not left out."""
        row = self._lifelines()
        if text:
            plain = self._plain(text)
            left = min(self._at[lane] - len(plain) // 2, self._width - len(plain))
            row.put(left - 1, f" {plain} ", f"italic {COLOUR['pull']}")
        self._print(row.text())

    def summary(self, taken: Sequence[Took]) -> None:
        """What it took, and whether anybody had to ask for it."""
        self._print(Text())
        self._print(Text(" What it took", "bold"))
        for one in taken:
            line = Text(f" {spell_ms(one.ms):>{GUTTER - 1}}  ")
            line.append(f"{one.way}  ", COLOUR[one.way])
            line.append(self._plain(one.text))
            self._print(line)
        self._print(Text())

    def generations(self, generations: Sequence[Generation]) -> None:
        """What each of them brought."""
        self._print(Text(" What each generation added", "bold"))
        for one in generations:
            line = Text(f" {one.name:>{GUTTER - 1}}  ", COLOUR["pull"])
            line.append(self._plain(f"{one.year}  {one.rfc}"), "bold")
            self._print(line)
            self._say(one.added, "dim", indent=GUTTER + 2)
        self._print(Text())

    def _lifelines(self, at: float | None = None) -> Row:
        row = Row(self._width)
        for lane in self._lanes:
            if lane.key == SERVER_LANE or self._is_open(lane.key, at or time.time()):
                row.put(self._at[lane.key], self._glyphs.open, "dim")
            else:
                # Nobody is connected here. For POP that is the silent stretch.
                row.put(self._at[lane.key], self._glyphs.away, COLOUR["pull"] if lane.note.startswith("POP") else "dim")
        return row

    def _shortened(self, lines: Sequence[str]) -> list[str]:
        if len(lines) <= MOST_LINES:
            return list(lines)
        return [lines[0], f"{self._glyphs.more} {len(lines) - 2} more lines {self._glyphs.more}", lines[-1]]

    def _shaft(self, way: Way, length: int) -> str:
        pattern = self._glyphs.shaft[way]
        return (pattern * length)[:length]

    def _say(self, text: str, style: str, *, indent: int = 1) -> None:
        for line in textwrap.wrap(self._plain(text), self._width - indent - 1):
            self._print(Text(" " * indent + line, style))

    def _plain(self, text: str) -> str:
        return text if self._glyphs is UNICODE else text.translate(_PLAIN)

    def _print(self, text: Text) -> None:
        self._console.print(text, soft_wrap=True, highlight=False)


def _seconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.2f} s"


def spell_ms(ms: float) -> str:
    """Milliseconds for people."""
    if ms < 1:
        return f"{ms:.2f} ms"
    if ms < 10:
        return f"{ms:.1f} ms"
    return f"{ms:.0f} ms" if ms < 1000 else f"{ms / 1000:.1f} s"
