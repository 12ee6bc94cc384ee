"""`mailsystem demo`: a message's journey, push and pull, or the history of POP, through the real doors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mailsystem.cli.accounts import Refused
from mailsystem.cli.options import AsJson, examples
from mailsystem.cli.terminal import print_json, say

if TYPE_CHECKING:
    from mailsystem.cli.demo.play import Play
    from mailsystem.telemetry.flow import Flow

BETWEEN_STEPS, BETWEEN_ARROWS, BETWEEN_CHAPTERS, IN_SILENCE = 0.6, 0.2, 2.5, 3.0
"""Seconds for somebody to read what has come."""


epilog = examples(
    "mailsystem demo",
    "mailsystem demo --bounce --fast",
    "mailsystem demo --bounce --html journey.html",
    "mailsystem demo --json",
    "mailsystem demo --history",
)


def watch(
    fast: Annotated[bool, typer.Option("--fast", help="Do not wait for anybody to read.")] = False,
    bounce: Annotated[
        bool, typer.Option("--bounce", help="Send one to an address that nobody has, too, and see it come back.")
    ] = False,
    html: Annotated[
        Path | None,
        typer.Option(
            "--html",
            metavar="FILE",
            dir_okay=False,
            help="Write it as a page to share: one file that needs nothing else. - is the output.",
        ),
    ] = None,
    json: AsJson = False,
    history: Annotated[
        bool,
        typer.Option("--history", help="Show three generations of POP, of 1984, 1985 and today, fetch the same mail."),
    ] = False,
) -> None:
    """Watch a message's journey: pushed by SMTP from server to server, pushed on by IMAP, pulled by POP3.

    Starts two whole servers and a name server on free ports in a temporary
    directory, lets real clients talk to them, and draws what all of them say
    to each other with the time it took, and who had to open the connection.
    """
    import asyncio

    from mailsystem.cli.demo import history as past
    from mailsystem.cli.demo import journey
    from mailsystem.cli.demo.clients import NoAnswer
    from mailsystem.cli.run import loop_factory

    if history and bounce:
        raise Refused("--history has no bounce; ask for one of the two")
    if json and html == Path("-"):
        raise Refused("both --json and --html - want the output; name a file for the page")
    play = past.PLAY if history else journey.the_play(bounce=bounce)
    try:
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(_demo(play, fast=fast, as_json=json, page=html))
    except NoAnswer as error:
        raise Refused(f"the demonstration broke off: {error}") from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


async def _demo(play: Play, *, fast: bool, as_json: bool, page: Path | None) -> None:
    from mailsystem.cli.demo.telling import for_machines, told
    from mailsystem.telemetry.flow import Flow

    flow = Flow()
    async with play.stage(flow) as cast:
        if not as_json and page is None:
            await _shown(play, cast, flow, fast=fast)
            return
        story = await told(play, cast, flow)
    if page is not None:
        from mailsystem.cli.demo.page import written

        _write(page, written(story, flow))
        if not as_json and page != Path("-"):
            say(f"the journey is in {page}; open it in a browser")
    if as_json:
        print_json(for_machines(story, flow))


def _write(page: Path, text: str) -> None:
    if page == Path("-"):
        say(text)
        return
    try:
        page.write_text(text, encoding="utf-8")
    except OSError as error:
        raise Refused(f"cannot write {page}: {(error.strerror or str(error)).lower()}") from None


async def _shown(play: Play, cast: object, flow: Flow, *, fast: bool) -> None:
    """The story for people, as it happens."""
    import asyncio

    from rich.console import Console

    from mailsystem.cli.demo.play import Chapter, Reading, Remembered, Silence, Step
    from mailsystem.cli.demo.telling import Inside, telling
    from mailsystem.cli.demo.view import Sheet
    from mailsystem.telemetry.flow import Arrow

    console = Console()
    sheet = Sheet(console, flow.is_open, play.lanes)

    async def rest(seconds: float) -> None:
        # Who reads a pipe reads it later anyway.
        if not fast and console.is_terminal:
            await asyncio.sleep(seconds)

    sheet.title(play.title)
    async for one in telling(play, cast, flow):
        match one:
            case Chapter():
                sheet.chapter(one)
                await rest(BETWEEN_CHAPTERS)
            case Arrow():
                sheet.arrow(one)
                await rest(BETWEEN_ARROWS)
            case Inside():
                sheet.inside(one)
                await rest(BETWEEN_ARROWS)
            case Silence(lane, text, long=long):
                sheet.silence(lane, text)
                await rest(IN_SILENCE if long else BETWEEN_STEPS)
            case Remembered():
                sheet.remembered(one)
                await rest(BETWEEN_STEPS)
            case Reading():
                sheet.reading(one)
                await rest(BETWEEN_CHAPTERS)
            case Step():
                await rest(BETWEEN_STEPS)
    sheet.summary(play.taken(flow))
    for comparison in play.compared(cast):
        sheet.comparison(comparison)
    if play.generations:
        sheet.generations(play.generations)
