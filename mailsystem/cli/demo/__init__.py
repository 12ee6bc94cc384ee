"""`mailsystem demo`: one message's life, push and pull, or the history of POP, through the real doors."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mailsystem.cli.accounts import Refused
from mailsystem.cli.options import AsJson, examples
from mailsystem.cli.terminal import print_json

if TYPE_CHECKING:
    from mailsystem.app import Running
    from mailsystem.cli.demo.story import Play
    from mailsystem.telemetry.flow import Flow

BETWEEN_STEPS, BETWEEN_ARROWS, BETWEEN_CHAPTERS, IN_SILENCE = 0.6, 0.2, 2.5, 3.0
"""Seconds for somebody to read what has come."""


epilog = examples("mailsystem demo", "mailsystem demo --fast", "mailsystem demo --json", "mailsystem demo --history")


def watch(
    fast: Annotated[bool, typer.Option("--fast", help="Do not wait for anybody to read.")] = False,
    json: AsJson = False,
    history: Annotated[
        bool,
        typer.Option("--history", help="Show three generations of POP, of 1984, 1985 and today, fetch the same mail."),
    ] = False,
) -> None:
    """Watch one message's life: pushed by SMTP and IMAP, pulled by POP3.

    Starts everything on free ports in a temporary directory, lets real clients
    talk to it, and draws what they say to each other with the time it took.
    """
    import asyncio

    from mailsystem.cli.demo import history as past
    from mailsystem.cli.demo import story
    from mailsystem.cli.demo.clients import NoAnswer
    from mailsystem.cli.run import loop_factory

    play = past.PLAY if history else story.PLAY
    try:
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(_demo(play, fast=fast, as_json=json))
    except NoAnswer as error:
        raise Refused(f"the demonstration broke off: {error}") from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


async def _demo(play: Play, *, fast: bool, as_json: bool) -> None:
    from mailsystem.app import running
    from mailsystem.settings import Accounts, Imap, Log, Pop1, Pop2, Pop3, Settings, Smtp
    from mailsystem.telemetry.flow import Flow

    flow = Flow()
    with tempfile.TemporaryDirectory(prefix="mailsystem-demo-") as place:
        settings = Settings(
            data_dir=Path(place),
            host="127.0.0.1",
            hostname="mail.example.org",
            smtp=Smtp(port=0),
            pop3=Pop3(port=0),
            imap=Imap(port=0),
            pop2=Pop2(port=0),
            pop1=Pop1(port=0),
            accounts=Accounts(detail_folder=True),
            log=Log(lines=True),
        )
        async with running(settings, play.roles, own_certificate=True, sinks=[flow]) as house:
            await _move_in(house, play)
            if as_json:
                print_json(await _told(play, house, flow, Path(place)))
            else:
                await _shown(play, house, flow, Path(place), fast=fast)


async def _move_in(house: Running, play: Play) -> None:
    from mailsystem.app import MAILBOXES
    from mailsystem.cli.demo.story import BOB, DOMAIN, PASSWORD
    from mailsystem.directory import hash_password

    await house.store.accounts.add_domain(DOMAIN)
    await house.store.accounts.add(BOB, await hash_password(PASSWORD), mailboxes=(*MAILBOXES, *play.mailboxes))


async def _told(play: Play, house: Running, flow: Flow, place: Path) -> dict[str, Any]:
    """The story for machines."""
    from mailsystem.cli.demo.story import Chapter
    from mailsystem.telemetry.flow import as_dict

    chapters: list[dict[str, Any]] = []
    shown = 0
    with play.cast(house.bound, flow, place) as cast:
        async for moment in play.tell(cast):
            if isinstance(moment, Chapter):
                chapters.append({"title": moment.title, "text": moment.text, "arrows": []})
            start = flow.arrows[0].time if flow.arrows else 0.0
            chapters[-1]["arrows"] += [as_dict(arrow, start=start) for arrow in flow.arrows[shown:]]
            shown = len(flow.arrows)
    return {
        "lanes": [lane._asdict() for lane in play.lanes],
        "chapters": chapters,
        "milliseconds": {one.key: one.ms for one in play.taken(flow)},
        **({"generations": [one._asdict() for one in play.generations]} if play.generations else {}),
        "events": [
            {
                "time": round(event.time - start, 6),
                "name": event.name,
                "protocol": event.door,
                "session": event.session,
                "data": dict(event.data),
            }
            for event in flow.events
            if event.name != "line"
        ],
    }


async def _shown(play: Play, house: Running, flow: Flow, place: Path, *, fast: bool) -> None:
    """The story for people."""
    import asyncio

    from rich.console import Console

    from mailsystem.cli.demo.story import Chapter, Silence
    from mailsystem.cli.demo.view import Sheet, spell_ms

    console = Console()
    sheet = Sheet(console, flow.is_open, play.lanes)

    async def rest(seconds: float) -> None:
        # Who reads a pipe reads it later anyway.
        if not fast and console.is_terminal:
            await asyncio.sleep(seconds)

    sheet.title(play.title)
    shown = 0
    with play.cast(house.bound, flow, place) as cast:
        async for moment in play.tell(cast):
            for arrow in flow.arrows[shown:]:
                sheet.arrow(arrow)
                await rest(BETWEEN_ARROWS)
            shown = len(flow.arrows)
            match moment:
                case Chapter():
                    sheet.chapter(moment)
                    await rest(BETWEEN_CHAPTERS)
                case Silence(lane, text, long=long):
                    sheet.silence(lane, text)
                    await rest(IN_SILENCE if long else BETWEEN_STEPS)
                    if long and (since := flow.first_push()) is not None:
                        sheet.silence(lane, f"for {spell_ms((time.time() - since) * 1000)} now")
                case _:
                    await rest(BETWEEN_STEPS)
    sheet.summary(play.taken(flow))
    if play.generations:
        sheet.generations(play.generations)
