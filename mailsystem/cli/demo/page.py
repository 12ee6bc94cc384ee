"""The story as one page to share: it needs no other file and no script. Whatever was said is text in it, never markup."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from importlib.resources import files
from itertools import count
from typing import Final

from mailsystem import __version__
from mailsystem.cli.demo.play import Comparison, Lane, Reading, Remembered, Silence
from mailsystem.cli.demo.telling import Inside, Part, Shown, Story, spell_moment, spell_ms, visible
from mailsystem.telemetry.flow import Arrow, Flow, Way

GAP: Final = 0.25
"""Seconds without anything after which the page says that they passed."""
MOST_LINES: Final = 40
SHORT: Final = 3
"""Lines that need not be opened to be seen."""
_REAL: Final = "Every line went over a real connection, as the servers’ traces have it."
_KEY: Final = """\
<ul class="key">
<li class="push"><span class="shaft right" aria-hidden="true"></span><span><b>push</b> – solid, blue: whoever has the mail opens
the connection, or may speak by itself</span></li>
<li class="pull"><span class="shaft right" aria-hidden="true"></span><span><b>pull</b> – dashed, red: whoever wants it has to
ask</span></li>
<li><span class="dot" aria-hidden="true"></span>opens the connection</li>
<li class="tools" hidden><button type="button">Open all</button></li>
</ul>"""
_OPEN_ALL: Final = """
const tools = document.querySelector('.tools'), all = [...document.querySelectorAll('details')];
tools.hidden = false;
tools.firstElementChild.onclick = ({target}) => {
  const open = all.some(one => !one.open);
  all.forEach(one => one.open = open);
  target.textContent = open ? 'Close all' : 'Open all';
};
"""


@dataclass(frozen=True, slots=True)
class Exchange:
    """What two said to each other, back and forth, before anybody else said anything."""

    arrows: list[Arrow]

    @property
    def ms(self) -> float:
        """From its first word to its last answer."""
        first, last = self.arrows[0], self.arrows[-1]
        return round((last.time - first.time) * 1000, 3)


def written(story: Story, flow: Flow) -> str:
    """The page."""
    return Page(story, flow).text()


class Page:
    def __init__(self, story: Story, flow: Flow) -> None:
        self._story = story
        self._flow = flow
        self._lanes = story.play.lanes
        self._at = {lane.key: number for number, lane in enumerate(self._lanes)}
        self._last: float | None = None
        """When what was drawn last came to pass."""

    def text(self) -> str:
        play = self._story.play
        style = files("mailsystem.cli.demo").joinpath("page.css").read_text(encoding="utf-8")
        numbers = count(1)
        chapters = "\n".join(self._chapter(next(numbers), part) for part in self._story.parts)
        return "\n".join([
            "<!doctype html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f'<meta name="generator" content="mailsystem {_text(__version__)}">',
            f"<title>{_text(play.title)}</title>",
            f"<style>\n{style}</style>",
            "</head>",
            f'<body style="--n:{len(self._lanes)}">',
            '<div class="stripe"></div>',
            "<main>",
            self._head(),
            f'<div class="board">\n{self._titles()}\n{chapters}\n</div>',
            self._taken(),
            *(self._comparison(one) for one in self._story.compared),
            self._generations(),
            "</main>",
            self._foot(),
            f"<script>{_OPEN_ALL}</script>",
            "</body>",
            "</html>",
        ])  # fmt: skip

    # Around the board

    def _head(self) -> str:
        play = self._story.play
        facts = "".join(
            f'<li class="{one.way}"><b>{spell_ms(one.ms)}</b><span>{_text(play.headline[one.key])}</span></li>'
            for one in self._story.taken
            if one.key in play.headline
        )
        return "\n".join([
            f"<h1>{_text(play.title)}</h1>",
            f'<p class="lead">{_text(play.lead)} {_REAL}</p>',
            f'<ul class="facts">{facts}</ul>' if facts else "",
            _KEY,
        ])  # fmt: skip

    def _titles(self) -> str:
        return '<div class="lanes" aria-hidden="true">' + "".join(
            f"<div><b>{_text(lane.title)}</b><span>{_text(lane.note)}</span></div>" for lane in self._lanes
        ) + "</div>"  # fmt: skip

    def _taken(self) -> str:
        rows = "".join(
            f'<tr class="{one.way}"><td>{spell_ms(one.ms)}</td><td><span class="tag">{one.way}</span></td>'
            f"<td>{_text(one.text)}</td></tr>"
            for one in self._story.taken
        )
        return (
            '<section class="after took" aria-labelledby="took"><h2 id="took">What it took</h2>'
            '<div class="scroll"><table><thead class="vh"><tr><th>time</th><th>way</th><th>what</th></tr></thead>'
            f"<tbody>{rows}</tbody></table></div></section>"
        )

    def _comparison(self, one: Comparison) -> str:
        columns = "".join(f'<th scope="col">{_text(column)}</th>' if column else "<td></td>" for column in one.columns)
        rows = "".join(
            "<tr>" + f'<th scope="row">{_text(row[0])}</th>' + "".join(
                f'<td data-of="{_text(of)}">{_text(cell)}</td>' for of, cell in zip(one.columns[1:], row[1:], strict=True)
            ) + "</tr>"
            for row in one.rows
        )  # fmt: skip
        return (
            f'<section class="after" aria-labelledby="{_text(one.key)}"><h2 id="{_text(one.key)}">{_text(one.title)}</h2>'
            f'<p>{_text(one.text)}</p><div class="scroll narrow"><table><thead><tr>{columns}</tr></thead>'
            f"<tbody>{rows}</tbody></table></div></section>"
        )

    def _generations(self) -> str:
        generations = self._story.play.generations
        if not generations:
            return ""
        rows = "".join(
            f'<tr><th scope="row">{_text(one.name)}</th><td data-of="">{_text(one.year)}</td>'
            f'<td data-of="">{_text(one.rfc)}</td><td data-of="">{_text(one.added)}</td></tr>'
            for one in generations
        )
        return (
            '<section class="after" aria-labelledby="added"><h2 id="added">What each generation added</h2>'
            '<div class="scroll narrow"><table><thead><tr><th>protocol</th><th>year</th><th>RFC</th><th>new in it</th></tr>'
            f"</thead><tbody>{rows}</tbody></table></div></section>"
        )

    def _foot(self) -> str:
        when = datetime.fromtimestamp(self._story.start).astimezone()
        return (
            f'<footer>Drawn by mailsystem {_text(__version__)} on <time datetime="{when.isoformat(timespec="seconds")}">'
            f"{when:%Y-%m-%d %H:%M}</time>. Passwords and the texts of messages are left out by the traces themselves.</footer>"
        )

    # The board

    def _chapter(self, number: int, part: Part) -> str:
        rows = "\n".join(self._rows(part.shown))
        return (
            f'<section class="chapter" aria-labelledby="c{number}"><header><h2 id="c{number}"><i>{number}</i> '
            f"{_text(part.chapter.title)}</h2><p>{_text(part.chapter.text)}</p></header>\n"
            f'<ol class="flow">\n{rows}\n</ol></section>'
        )

    def _rows(self, shown: Sequence[Shown]) -> Iterator[str]:
        for one in _grouped(shown):
            match one:
                case Exchange(arrows):
                    yield from self._passed(arrows[0].time)
                    if arrows[0].opened is not None:
                        yield f"<li>{self._opening(arrows[0])}</li>"
                    yield f"<li>{self._exchange(one)}</li>"
                    self._last = arrows[-1].time
                case Inside():
                    yield from self._passed(one.time)
                    yield f"<li>{self._aside(one.lane, 'mid box', _text(one.text), self._at_time(one.time))}</li>"
                    self._last = one.time
                case Silence():
                    yield f"<li>{self._aside(one.lane, 'mid quiet', self._named(one.lane, _text(one.text)))}</li>"
                case Remembered():
                    yield f"<li>{self._aside(one.lane, 'side card', self._memory(one))}</li>"
                case Reading():
                    lines = "".join(f"<code>{_text(line)}</code>" for line in one.lines)
                    yield f"<li>{self._aside(one.lane, 'side card read', f'<h3>{_text(one.title)}</h3>{lines}')}</li>"

    def _passed(self, now: float) -> Iterator[str]:
        """Time runs down, but nothing is drawn where nothing happens: that is said instead."""
        if self._last is not None and now - self._last > GAP:
            yield (
                f'<li><div class="row gap"><span></span><div class="field">{self._lives(now)}'
                f'<p class="at">{spell_ms((now - self._last) * 1000)} pass</p></div></div></li>'
            )

    def _exchange(self, one: Exchange) -> str:
        arrows = one.arrows
        if len(arrows) == 1 and len(arrows[0].lines) <= SHORT:
            return self._arrow(arrows[0])
        steps = "".join(f"<li>{self._arrow(arrow)}</li>" for arrow in arrows)
        return (
            f'<details class="{arrows[0].way}"><summary>{self._summary(one)}</summary>'
            f'<ol class="steps">{steps}</ol></details>'
        )

    def _summary(self, one: Exchange) -> str:
        """The whole exchange as one arrow there and one back."""
        arrows = one.arrows
        asked = [arrow for arrow in arrows if not arrow.of_server]
        drawn = []
        if asked:
            lines = [line for arrow in asked for line in arrow.lines]
            words = lines if len(lines) == 1 else [" · ".join(_verb(line, asked[0].door) for line in lines)]
            drawn.append(self._body(asked[0], words, None, label=self._who(asked[0])))
        if (last := arrows[-1]).of_server:
            ms = one.ms if len(arrows) > 1 else last.ms
            drawn.append(self._body(last, _telling(last.lines), ms, label=self._who(last)))
        return self._row(arrows[0].way, arrows[0].time, "".join(drawn), news=last.is_news)

    def _arrow(self, arrow: Arrow) -> str:
        lines = arrow.lines
        if len(lines) > MOST_LINES:
            lines = [*lines[: MOST_LINES - 2], f"… {len(lines) - MOST_LINES + 1} more lines …", lines[-1]]
        body = self._body(arrow, lines, arrow.ms, label=self._who(arrow))
        return self._row(arrow.way, arrow.time, body, news=arrow.is_news)

    def _opening(self, arrow: Arrow) -> str:
        way: Way = "push" if arrow.door == "smtp" else "pull"
        title = self._lane(arrow.opener).title
        why = "it has mail" if way == "push" else "it wants mail"
        words = f"<b>{_text(title)} opens {arrow.door.upper()}: {why}</b>"
        body = f'<p class="said">{words}</p>{self._shaft(arrow.opener, arrow.server)}'
        opened = arrow.time if arrow.opened is None else arrow.opened
        place = self._place(arrow.opener, arrow.server)
        return self._row(f"opens {way}", opened, f'<div class="part" style="{place}">{body}</div>', at=arrow.time)

    def _body(self, arrow: Arrow, lines: Sequence[str], ms: float | None, *, label: str) -> str:
        codes = "".join(f"<code>{_text(line)}</code>" for line in lines)
        said = f'<div class="said"><span class="vh">{label}</span>{codes}</div>'
        place = self._place(arrow.source, arrow.target)
        return f'<div class="part" style="{place}">{said}{self._shaft(arrow.source, arrow.target, ms)}</div>'

    def _shaft(self, source: str, target: str, ms: float | None = None) -> str:
        way = "right" if self._at[target] > self._at[source] else "left"
        span = " wide" if abs(self._at[target] - self._at[source]) > 1 else ""
        took = "" if ms is None else f'<span class="ms">{spell_ms(ms)}</span>'
        return f'<div class="shaft {way}{span}">{took}</div>'

    def _row(self, kind: str, time: float, body: str, *, at: float | None = None, news: bool = False) -> str:
        told = self._at_time(time)
        kind = f"{kind} news" if news else kind
        return (
            f'<div class="row {kind}"><span class="time">{told}</span>'
            f'<div class="field">{self._lives(time if at is None else at)}{body}</div></div>'
        )

    def _aside(self, lane: str, kind: str, words: str, time: str = "") -> str:
        """Something at one lane."""
        now = self._last if self._last is not None else self._story.start
        return (
            f'<div class="row"><span class="time">{time}</span><div class="field">{self._lives(now)}'
            f'<div class="at {kind}" style="--a:{self._at[lane]}">{words}</div></div></div>'
        )

    def _memory(self, one: Remembered) -> str:
        facts = "".join(f"<div><dt>{_text(name)}</dt><dd>{_text(value)}</dd></div>" for name, value in one.facts)
        return f"<h3>{_text(self._lane(one.lane).title)} remembers, after {_text(one.after)}</h3><dl>{facts}</dl>"

    def _lives(self, at: float) -> str:
        """Everybody's lifeline: who is there, and who is not connected."""
        kinds = []
        for lane in self._lanes:
            if lane.is_server:
                kinds.append("s")
            elif self._flow.is_open(lane.key, at):
                kinds.append("o")
            else:
                kinds.append("q" if lane.only_pulls else "w")
        drawn = "".join(f'<i class="{kind}"></i>' for kind in kinds)
        return f'<div class="lives" aria-hidden="true">{drawn}</div>'

    def _place(self, source: str, target: str) -> str:
        a, b = sorted((self._at[source], self._at[target]))
        return f"--a:{a};--b:{b}"

    def _at_time(self, time: float) -> str:
        return spell_moment(max(0.0, time - self._story.start))

    def _who(self, arrow: Arrow) -> str:
        return f"{_text(self._lane(arrow.source).title)} to {_text(self._lane(arrow.target).title)}, {arrow.way}: "

    def _named(self, lane: str, words: str) -> str:
        return f'<span class="vh">{_text(self._lane(lane).title)} </span>{words}'

    def _lane(self, key: str) -> Lane:
        return self._lanes[self._at[key]]


def _grouped(shown: Sequence[Shown]) -> Iterator[Shown | Exchange]:
    """Neighbouring arrows of one connection become one exchange; what is pushed to who idles stands alone, and so does an
    answer that came when others had spoken meanwhile."""
    run: list[Arrow] = []
    for one in shown:
        if isinstance(one, Arrow):
            late = len(run) == 1 and run[0].of_server and run[0].opened is None
            if run and (late or (one.session, one.way) != (run[0].session, run[0].way)):
                yield Exchange(run)
                run = []
            run.append(one)
            continue
        if run:
            yield Exchange(run)
            run = []
        yield one
    if run:
        yield Exchange(run)


def _verb(line: str, door: str) -> str:
    """What a command is called, without its tag and its arguments."""
    if line.startswith("["):
        return line
    words = line.split(" ")
    if door == "imap" and len(words) > 1:
        words = words[1:]
    return " ".join(words[:2]) if words[0].upper() == "UID" else words[0]


def _telling(answer: Sequence[str]) -> Sequence[str]:
    """What is shown of an answer before it is opened: all of a short one, else its end."""
    whole = answer[:-1] if answer[-1] == "." and len(answer) > 1 else answer
    return whole if len(whole) <= SHORT else whole[-1:]


def _text(line: str) -> str:
    return escape(visible(line))
