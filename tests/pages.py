"""Pages of the demonstration that nobody but a test would make: with lines that would be markup if they were not text."""

from __future__ import annotations

from typing import Final

from mailsystem.cli.demo.journey import the_play
from mailsystem.cli.demo.page import written
from mailsystem.cli.demo.play import Chapter, Comparison, Took
from mailsystem.cli.demo.telling import Part, Story
from mailsystem.telemetry.flow import Arrow, Flow

EVIL: Final = "<script>alert(1)</script><img src=x onerror=alert(1)>\x1b[2J&amp;\"'"
SHOWN: Final = EVIL.replace("\x1b", "␛")
"""EVIL as somebody reads it who looks at the page."""


def arrow(time: float, source: str, target: str, *lines: str, **more: object) -> Arrow:
    door = str(more.pop("door", "smtp"))
    return Arrow(time, 1, door, source, source, target, "push", list(lines), server=target, **more)  # type: ignore[arg-type]


def page_of(*shown: object) -> str:
    """The page of a story of one chapter, in which all words are hostile."""
    story = Story(the_play(bounce=False))
    story.parts.append(Part(Chapter(f"Title {EVIL}", f"Text {EVIL}"), list(shown)))  # type: ignore[arg-type]
    story.taken = [Took("message_to_phone", f"until {EVIL}", 12.0, "push")]
    story.compared = [Comparison("stays", EVIL, EVIL, ("", EVIL), ((EVIL, EVIL),))]
    return written(story, Flow())
