"""The telling: a play's moments and the arrows between them, one after the other; kept whole for who wants a page or JSON."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from mailsystem.cli.demo.play import Chapter, Comparison, Play, Reading, Remembered, Silence, Step, Took
from mailsystem.telemetry.flow import OUTWARD, Arrow, Flow, Mark, as_dict


@dataclass(frozen=True, slots=True)
class Inside:
    """Something that a server did by itself, in words."""

    time: float
    lane: str
    text: str


Shown = Chapter | Arrow | Inside | Silence | Remembered | Reading | Step


@dataclass(slots=True)
class Part:
    """A chapter with everything that was shown in it."""

    chapter: Chapter
    shown: list[Shown] = field(default_factory=list)

    @property
    def arrows(self) -> list[Arrow]:
        return [one for one in self.shown if isinstance(one, Arrow)]


@dataclass(slots=True)
class Story:
    """All of it, once it is over."""

    play: Play
    parts: list[Part] = field(default_factory=list)
    taken: Sequence[Took] = ()
    compared: Sequence[Comparison] = ()

    @property
    def start(self) -> float:
        return next((arrow.time for part in self.parts for arrow in part.arrows), 0.0)


async def telling(play: Play, cast: Any, flow: Flow) -> AsyncIterator[Shown]:
    """Everything to be shown, as it happens."""
    lanes = {lane.key for lane in play.lanes}
    async for moment in play.tell(cast):
        for one in flow.fresh():
            if isinstance(one, Arrow):
                if {one.source, one.target} <= lanes:
                    yield one
            elif (inside := in_words(one)) is not None:
                yield inside
        yield moment
        if isinstance(moment, Silence) and moment.long and (since := flow.first_push()) is not None:
            yield Silence(moment.lane, f"for {spell_ms((time.time() - since) * 1000)} now")


async def told(play: Play, cast: Any, flow: Flow) -> Story:
    """The whole story, when it is over."""
    story = Story(play)
    async for one in telling(play, cast, flow):
        if isinstance(one, Chapter):
            story.parts.append(Part(one))
        elif not isinstance(one, Step):
            story.parts[-1].shown.append(one)
    story.taken, story.compared = play.taken(flow), play.compared(cast)
    return story


def spell_ms(ms: float) -> str:
    """Milliseconds for people."""
    if ms < 1:
        return f"{ms:.2f} ms"
    if ms < 10:
        return f"{ms:.1f} ms"
    return f"{ms:.0f} ms" if ms < 1000 else f"{ms / 1000:.1f} s"


def spell_moment(seconds: float) -> str:
    """How long after the start."""
    return f"{seconds * 1000:.0f} ms" if seconds < 10 else f"{seconds:.1f} s"


def visible(text: str) -> str:
    """A line without anything that a terminal or a browser would not show as it is."""
    return text.translate(_PICTURES)


_PICTURES: Final = {
    **{code: 0x2400 + code for code in range(32)},
    127: 0x2421,
    **dict.fromkeys(range(0x80, 0xA0), 0xFFFD),
}


def _asked(data: Mapping[str, Any]) -> str:
    answers = ", ".join(data["answers"]) or "none"
    return f"DNS: {data['question']} {data['kind']}? {answers}"


def _secured(data: Mapping[str, Any]) -> str:
    return f"from here on under {str(data['tls']).split(' ', 1)[0]}"


def _sent(data: Mapping[str, Any]) -> str:
    return f"out of the queue: {data['remote']} has it"


_WORDS: Final[Mapping[str, Callable[[Mapping[str, Any]], str]]] = {
    "queued": lambda data: "on disk, in the queue",
    "asked the DNS": _asked,
    "secured": _secured,
    "signed": lambda data: f"signed for {data['domain']} (DKIM)",
    "sent": _sent,
    "failed": lambda data: f"given up: {data['reply']}",
    "bounced": lambda data: f"a report for {data['to']}",
}
"""What is worth telling of what happens in a server, by the name of the event."""


def in_words(mark: Mark) -> Inside | None:
    """What happened in a server, where that is worth telling."""
    words = _WORDS.get(mark.event.name)
    if words is None or (mark.event.name == "secured" and mark.event.door == OUTWARD):
        return None  # both ends tell that they speak under TLS from now on: once is enough
    return Inside(mark.time, mark.server, words(mark.event.data))


def for_machines(story: Story, flow: Flow) -> dict[str, Any]:
    """The story as JSON has it."""
    start = story.start
    play = story.play
    chapters = [
        {
            "title": part.chapter.title,
            "text": part.chapter.text,
            "arrows": [dict(as_dict(arrow, start=start)) for arrow in part.arrows],
            "inside": [
                {"time": round(one.time - start, 6), "lane": one.lane, "text": one.text}
                for one in part.shown
                if isinstance(one, Inside)
            ],
            "remembered": [
                {"lane": one.lane, "after": one.after, **dict(one.facts)}
                for one in part.shown
                if isinstance(one, Remembered)
            ],
            "read": [
                {"lane": one.lane, "title": one.title, "lines": list(one.lines)}
                for one in part.shown
                if isinstance(one, Reading)
            ],
        }
        for part in story.parts
    ]
    return {
        "title": play.title,
        "lanes": [lane._asdict() for lane in play.lanes],
        "chapters": chapters,
        "milliseconds": {one.key: one.ms for one in story.taken},
        "compared": [
            {"key": one.key, "title": one.title, "columns": list(one.columns), "rows": [list(row) for row in one.rows]}
            for one in story.compared
        ],
        **({"generations": [one._asdict() for one in play.generations]} if play.generations else {}),
        "events": [
            {
                "time": round(mark.time - start, 6),
                "server": mark.server,
                "name": mark.event.name,
                "protocol": mark.event.door,
                "session": mark.event.session,
                "data": dict(mark.event.data),
            }
            for mark in flow.marks
        ],
    }
