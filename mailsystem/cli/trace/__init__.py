"""`mailsystem trace`: the life of a message, from the journal that the servers keep."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from mailsystem.cli.accounts import Refused, with_store
from mailsystem.cli.options import AsJson, Config, DataDir, examples
from mailsystem.cli.terminal import print_json
from mailsystem.cli.trace.sayings import iso
from mailsystem.cli.trace.session import session_as_dict, show

if TYPE_CHECKING:
    from rich.console import Console

    from mailsystem.mail.mailbox import ContentId
    from mailsystem.settings import Settings
    from mailsystem.store import Life, SessionRecord, Store

_FOLLOWED_EVERY: Final = 0.5

Message = Annotated[
    str,
    typer.Argument(
        metavar="MESSAGE",
        help="The id that the 250 told and Received names, or the Message-ID, with or without angle brackets.",
    ),
]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="Go on telling what happens, until Ctrl-C.")]

Transcript = Annotated[
    bool,
    typer.Option("--transcript", help="Also show the SMTP session in which it came, line by line; a sink keeps that."),
]

epilog = examples(
    "mailsystem trace 1f0a93c2b4d5e6f7",
    "mailsystem trace '<20260105.1234@example.org>'",
    "mailsystem trace 20260105.1234@example.org --json",
    "mailsystem trace 1f0a93c2b4d5e6f7 --transcript",
)


def trace(
    message: Message,
    follow: Follow = False,
    transcript: Transcript = False,
    json: AsJson = False,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Tell the life of a message: how it came, where it went, who has read and deleted it by which protocol.

    It is there about a second after it happened, whether the servers run or not,
    for as many days as journal.days says. What one client does with a message
    again and again is one line a day: the first time, the last, and how often.
    Who reads this sees who reads whose mail, though never what is in it.
    """
    if json and follow:
        raise typer.BadParameter("--follow tells lines, --json tells a whole: choose one")

    async def work(store: Store, settings: Settings) -> None:
        told = await store.journal.find(message)
        if not told:
            raise Refused(_nothing(message, settings.journal.days))
        sessions = await _sessions(store, told) if transcript else {}
        if json:
            whole = [_as_dict(life) for life in told]
            if transcript:
                for each, life in zip(whole, told, strict=True):
                    each["session"] = session_as_dict(sessions.get(life.content))
            print_json(whole)
            return
        from mailsystem.cli.trace.timeline import Timeline

        console = _console()
        timeline = Timeline(console)
        for index, life in enumerate(told):
            if index:
                console.print()
            timeline.tell([life])
            if transcript:
                show(console, sessions.get(life.content), settings)
        while follow:
            await asyncio.sleep(_FOLLOWED_EVERY)
            timeline.go_on(await store.journal.find(message))

    import asyncio

    try:
        with_store(config, data_dir, work)
    except KeyboardInterrupt:
        raise typer.Exit(0 if follow else 130) from None


async def _sessions(store: Store, told: Sequence[Life]) -> Mapping[ContentId, SessionRecord]:
    """Those in which these messages came, where they are kept."""
    found = await store.journal.evidences([life.content for life in told])
    sessions = {id_: await store.journal.session(id_) for id_ in {each.session for each in found.values()} if id_}
    return {
        content: session
        for content, each in found.items()
        if each.session and (session := sessions[each.session]) is not None
    }


def _nothing(message: str, days: int) -> str:
    if not days:
        return f"nothing is known of {message}: journal.days is 0, so nothing is kept of any message"
    return (
        f"nothing is known of {message}; give the id that the 250 told and Received names, or the Message-ID, of a message"
        f" of the last {days} days (journal.days)"
    )


def _console() -> Console:
    from rich.console import Console

    console = Console(file=sys.stdout, highlight=False)
    # A pipe has no width: what `grep` or `awk` reads is never folded, and every line has its date.
    return console if console.is_terminal else Console(file=sys.stdout, highlight=False, width=10_000)


def _places(data: Mapping[str, Any]) -> Mapping[str, Any]:
    if "places" not in data:
        return {}
    return {"places": [dict(zip(("login", "mailbox", "uid"), place, strict=True)) for place in data["places"]]}


def _as_dict(life: Life) -> dict[str, Any]:
    return {
        "names": list(life.names),
        "size": life.size,
        "events": [
            {
                "event": note.name,
                "time": iso(note.at),
                "last": iso(note.last),
                "times": note.times,
                **({"uid": note.uid} if note.uid is not None else {}),
                **note.data,
                **_places(note.data),
            }
            for note in life.notes
        ],
        "queue": [
            {
                "id": outgoing.ident,
                "recipient": str(one.address),
                "state": one.state.value,
                "attempts": one.attempts,
                "due": iso(one.due),
                "expires": iso(outgoing.expires),
                "remote": one.remote,
                "status": one.status,
                "reply": one.reply,
            }
            for outgoing, waiting in life.queued
            for one in waiting
        ],
        "places": [
            {"login": place.login, "mailbox": place.mailbox, "uid": place.uid, "flags": sorted(place.flags)}
            for place in life.places
        ],
    }
