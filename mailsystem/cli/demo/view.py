"""The story on a terminal: lanes from left to right, time downward, an arrow for everything that was said."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from rich.console import Console
from rich.text import Text

from mailsystem.cli.demo.play import Chapter, Comparison, Generation, Lane, Reading, Remembered, Took
from mailsystem.cli.demo.telling import Inside, spell_moment, spell_ms, visible
from mailsystem.telemetry.flow import Arrow, Way

COLOUR: Final[Mapping[str, str]] = {"push": "#4c8dff", "pull": "#e0584a"}
"""Airmail blue pushes, airmail red pulls."""
NARROWEST, WIDEST = 78, 140
GUTTER: Final = 10
LEFT, RIGHT = 3, 5
"""Columns beside the outermost lanes: half of their titles."""
MOST_LINES: Final = 4


@dataclass(frozen=True, slots=True)
class Glyphs:
    """What lines are made of."""

    shaft: Mapping[Way, str]
    right: str
    left: str
    open: str
    away: str
    server: str
    opened: str
    stripe: str
    more: str


UNICODE = Glyphs({"push": "─", "pull": "╌"}, "▶", "◀", "│", "·", "┃", "●", "▬", "…")
ASCII = Glyphs({"push": "-", "pull": "- "}, ">", "<", "|", ".", "|", "o", "=", "...")


_PLAIN: Final = str.maketrans({"’": "'", "…": "...", "–": "-", "“": '"', "”": '"', "·": "-"})


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

    def __init__(self, console: Console, is_open: Callable[[str, float], bool], lanes: Sequence[Lane]) -> None:
        self._console = console
        self._lanes = lanes
        self._is_open = is_open
        self._glyphs = UNICODE if (console.encoding or "").lower().startswith("utf") else ASCII
        self._width = min(max(console.width - 1, NARROWEST), WIDEST)
        step = (self._width - GUTTER - LEFT - RIGHT) // (len(lanes) - 1)
        self._at = {lane.key: GUTTER + LEFT + number * step for number, lane in enumerate(lanes)}
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
        self._say(f"{self._glyphs.opened} is at whoever opens the connection.", "dim")
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
        if arrow.opened is not None:
            self._opening(arrow)
        # What an idling client is told unasked is what all this is about.
        self._lines(
            min(self._at[arrow.source], self._at[arrow.target]),
            arrow.lines,
            "bold" if arrow.is_news else "",
            arrow.time,
        )
        row = self._lifelines(arrow.time)
        row.put(0, f"{spell_moment(arrow.time - self._start):>{GUTTER - 2}}", "dim")
        took = "" if arrow.ms is None else f" {spell_ms(arrow.ms)} "
        self._draw(row, arrow.source, arrow.target, arrow.way, took, headed=True)
        self._print(row.text())

    def _opening(self, arrow: Arrow) -> None:
        """Who opened the connection, and to speak what."""
        way: Way = "push" if arrow.door == "smtp" else "pull"
        row = self._lifelines(arrow.time)
        self._draw(row, arrow.opener, arrow.server, way, f" {arrow.door.upper()} ", headed=False)
        row.put(self._at[arrow.opener], self._glyphs.opened, f"bold {COLOUR[way]}")
        self._print(row.text())

    def _draw(self, row: Row, source: str, target: str, way: Way, text: str, *, headed: bool) -> None:
        """A shaft between two lanes with a word in it."""
        left, right = sorted((self._at[source], self._at[target]))
        colour = COLOUR[way]
        row.put(left + 1, self._shaft(way, right - left - 1), colour)
        if headed and self._at[target] == right:
            row.put(right - 1, self._glyphs.right, colour)
        elif headed:
            row.put(left + 1, self._glyphs.left, colour)
        row.put(left + 1 + (right - left - 1 - len(text)) // 2, text, f"bold {colour}" if way == "push" else colour)

    def _lines(self, left: int, lines: Sequence[str], style: str, at: float) -> None:
        room = self._width - left - 2
        for line in map(visible, self._shortened(lines)):
            row = self._lifelines(at)
            # The blank behind it keeps a lifeline from touching the last letter.
            cut = line[: room - len(self._glyphs.more)] + self._glyphs.more
            row.put(left + 2, f"{line} " if len(line) <= room else cut, style)
            self._print(row.text())

    def inside(self, inside: Inside) -> None:
        """What a server did by itself, at its lane."""
        row = self._lifelines(inside.time)
        row.put(self._at[inside.lane], f"[ {self._plain(inside.text)} ] ", "dim")
        self._print(row.text())

    def remembered(self, now: Remembered) -> None:
        """What a session has in its memory."""
        left = self._at[now.lane]
        # A fact is not broken at the end of a line.
        told = ", ".join(f"{name} {value}".replace(" ", "\xa0") for name, value in now.facts)
        for line in textwrap.wrap(f"remembers: {told}", self._width - left - 4):
            row = self._lifelines()
            row.put(left + 2, f"{line} ".replace("\xa0", " "), f"italic {COLOUR['pull']}")
            self._print(row.text())

    def reading(self, reading: Reading) -> None:
        """Lines of a message, at whoever reads it."""
        left = self._at[reading.lane]
        self._print(self._lifelines().text())
        for number, line in enumerate((f"{self._plain(reading.title)}:", *map(visible, reading.lines))):
            for piece in textwrap.wrap(line, self._width - left - 6, subsequent_indent="  "):
                row = self._lifelines()
                row.put(left + 2, f"  {piece} " if number else f"{piece} ", "" if number else "bold")
                self._print(row.text())
        self._print(self._lifelines().text())

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

    def comparison(self, comparison: Comparison) -> None:
        """Things side by side."""
        from rich.box import ASCII2, SIMPLE_HEAD
        from rich.table import Table

        self._print(Text(f" {self._plain(comparison.title)}", "bold"))
        self._say(comparison.text, "dim")
        box = SIMPLE_HEAD if self._glyphs is UNICODE else ASCII2
        table = Table(box=box, show_edge=False, pad_edge=False, header_style="bold", width=self._width - 2)
        for number, column in enumerate(comparison.columns):
            table.add_column(self._plain(column), style="bold" if number == 0 else "")
        for cells in comparison.rows:
            table.add_row(*(Text(self._plain(cell)) for cell in cells))
        with self._console.capture() as drawn:
            self._console.print(table, width=self._width - 2)
        for line in drawn.get().splitlines():
            self._print(Text.from_ansi(f" {line.rstrip()}"))
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
            if lane.is_server:
                row.put(self._at[lane.key], self._glyphs.server, "dim")
            elif self._is_open(lane.key, at or time.time()):
                row.put(self._at[lane.key], self._glyphs.open, "dim")
            else:
                # Nobody is connected here. For POP that is the silent stretch.
                row.put(self._at[lane.key], self._glyphs.away, COLOUR["pull"] if lane.only_pulls else "dim")
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
