"""`mailsystem trace`: the life of a message, from the journal that the servers keep."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from mailsystem.cli.accounts import Refused, with_store
from mailsystem.cli.options import AsJson, Config, DataDir, examples
from mailsystem.cli.terminal import print_json, size

if TYPE_CHECKING:
    from rich.console import Console

    from mailsystem.mail.outgoing import Outgoing, Waiting
    from mailsystem.settings import Settings
    from mailsystem.store import Life, Note, Store


_MOST_NAMED: Final = 12
"""Recipients, or places, that one line names; JSON has all of them."""
_FOLLOWED_EVERY: Final = 0.5

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

Message = Annotated[
    str,
    typer.Argument(
        metavar="MESSAGE",
        help="The id that the 250 told and Received names, or the Message-ID, with or without angle brackets.",
    ),
]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="Go on telling what happens, until Ctrl-C.")]

epilog = examples(
    "mailsystem trace 1f0a93c2b4d5e6f7",
    "mailsystem trace '<20260105.1234@example.org>'",
    "mailsystem trace 20260105.1234@example.org --json",
)


def trace(
    message: Message,
    follow: Follow = False,
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
        if json:
            print_json([_as_dict(life) for life in told])
            return
        timeline = _Timeline(_console())
        timeline.tell(told)
        while follow:
            await asyncio.sleep(_FOLLOWED_EVERY)
            timeline.go_on(await store.journal.find(message))

    import asyncio

    try:
        with_store(config, data_dir, work)
    except KeyboardInterrupt:
        raise typer.Exit(0 if follow else 130) from None


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


class _Timeline:
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
            known.append(f"times in {_zone(life.notes[-1].last)}")
        self._console.print(Text(", ".join(known), "dim"))

    def _line(self, note: Note) -> None:
        day = time.strftime("%Y-%m-%d", time.localtime(note.at))
        if not self._dated and day != self._day:
            self._console.print(day, style="bold")
        self._day = day
        door = str(note.data.get("door", ""))
        row = [
            (f"{day} {_clock(note.at)} {_offset(note.at)}" if self._dated else _clock(note.at), "dim"),
            (f"{_since(note.at - self._before):>8}", "dim"),
            (f"{door:<5}", _COLOUR.get(door, "")),
            (f"{note.name:<9}", _NAME_COLOUR.get(note.name, "bold")),
        ]
        self._before = note.at
        self._print(row, _said(note))

    def _print(self, row: Sequence[tuple[str, str]], said: str) -> None:
        """One line, which hangs below its text where the terminal is too narrow for it."""
        from rich.text import Text

        front = Text("  ").join(Text(text, style) for text, style in row) + Text("  ")
        room = max(20, self._console.width - len(front))
        for number, line in enumerate(Text(said).wrap(self._console, room)):
            line.rstrip()
            self._console.print((front if not number else Text(" " * len(front))) + line)

    def _end(self, life: Life) -> None:
        for outgoing, waiting in life.queued:
            for one in waiting:
                self._print([("now", "bold"), ("in the queue", "yellow")], _state(outgoing, one))
        if life.places:
            where = [f"{place.login} {place.mailbox} (uid {place.uid})" for place in life.places]
            self._print([("now", "bold"), ("in", "")], _few(where))
        elif life.size is not None and not life.queued:
            self._print([("now", "bold")], "in no mailbox; its octets are swept away after a while")


def _key(life: Life, note: Note) -> tuple[int, float, str, str]:
    return life.content, note.at, note.name, str(note.data)


# What each line says


def _said(note: Note) -> str:
    data = note.data
    tell = _SAYINGS.get(note.name)
    words = tell(note) if tell else _others(data)
    if note.times > 1:
        same_day = time.localtime(note.at)[:3] == time.localtime(note.last)[:3]
        last = (
            _clock(note.last)
            if same_day
            else f"{time.strftime('%Y-%m-%d', time.localtime(note.last))} {_clock(note.last)}"
        )
        words += f", {note.times:,} times, last {last}"
    return _printable(words)


def _accepted(note: Note) -> str:
    data = note.data
    parts = [f"from {data.get('sender') or '<>'} to {_few(data.get('recipients', ()))}"]
    parts.append(f"{size(int(data.get('octets', 0)))} by {data.get('protocol', 'SMTP')}")
    return ", ".join(parts) + _over(data)


def _over(data: Mapping[str, Any]) -> str:
    """Who it was, and over what."""
    words = f" from {data['peer']}" if data.get("peer") else ""
    words += f", {data['tls']}" if data.get("tls") else ""
    words += f", login {data['login']}" if data.get("login") else ""
    return words + (f", {data['client']}" if data.get("client") else "")


def _who(data: Mapping[str, Any]) -> str:
    words = str(data.get("login") or "somebody")
    words += f" at {data['peer']}" if data.get("peer") else ""
    words += f" with {data['client']}" if data.get("client") else ""
    return words + (f", {data['tls']}" if data.get("tls") else "")


def _delivered(note: Note) -> str:
    return "to " + _few([f"{login} {mailbox} (uid {uid})" for login, mailbox, uid in note.data.get("places", ())])


def _place(note: Note, name: str = "mailbox") -> str:
    return str(note.data.get(name, "")) + (f" (uid {note.uid})" if note.uid is not None else "")


def _read(note: Note) -> str:
    what = "the top, by " if note.data.get("top") else "by "
    return what + _who(note.data) + (f", in {note.data['mailbox']}" if note.data.get("mailbox") else "")


def _carried(note: Note) -> str:
    return f"from {note.data.get('mailbox', '')} to {_place(note, 'target')} by {_who(note.data)}"


def _expunged(note: Note) -> str:
    why = " for another one" if note.data.get("replaced") else ""
    return f"from {_place(note)}{why} by {_who(note.data)}"


def _deleted(note: Note) -> str:
    to = f", to {note.data['target']}" if note.data.get("target") else ""
    return f"by {_who(note.data)}{to}"


def _attempt(note: Note) -> str:
    data = note.data
    words = f"for {data['recipient']}" if data.get("recipient") else ""
    if data.get("remote") or data.get("ip"):
        at = f"[{data['ip']}]" if data.get("ip") else ""
        words += f" at {' '.join(filter(None, [str(data.get('remote', '')), at]))}"
        words += f", {data['tls']}" if data.get("tls") else ", in clear"
    answer = str(data.get("reply") or data.get("status") or "")
    words += f": {answer}" if answer else ""
    return (words + (f", next try {_moment(data['next'])}" if "next" in data else "")).strip()


def _reported(note: Note) -> str:
    data = note.data
    what = " ".join(filter(None, [str(data.get("action", "")), str(data.get("status", ""))]))
    return f"{data.get('to', 'the sender')} was told of {data.get('recipient', '')}: {what}, by report {data.get('report', '')}"


def _queued(note: Note) -> str:
    data = note.data
    to = _few(data["recipients"]) if data.get("recipients") else str(data.get("recipient", ""))
    return f"for {to}, from {data.get('sender') or '<>'}"


def _others(data: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in data.items() if key not in {"door", "id"})


_SAYINGS: Final[Mapping[str, Callable[[Note], str]]] = {
    "accepted": _accepted,
    "reported": lambda note: f"to {note.data.get('recipient', '')}, a report of ours",
    "delivered": _delivered,
    "appended": lambda note: f"to {_place(note)} by {_who(note.data)}",
    "read": _read,
    "flagged": lambda note: f"{note.data.get('flags', '')} in {note.data.get('mailbox', '')} by {_who(note.data)}",
    "copied": _carried,
    "moved": _carried,
    "expunged": _expunged,
    "deleted": _deleted,
    "expired": lambda note: f"from {note.data.get('login', '')}, whose days for what was downloaded are over",
    "queued": _queued,
    "attempted": _attempt,
    "sent": _attempt,
    "deferred": _attempt,
    "failed": _attempt,
    "bounced": lambda note: _reported(note) if "report" in note.data else _attempt(note),
    "notified": _reported,
    **dict.fromkeys(
        ("retried", "held", "released", "dropped", "given up"),
        lambda note: f"for {_few(note.data.get('recipients', ()))}, by hand",
    ),
}


def _state(outgoing: Outgoing, one: Waiting) -> str:
    words = f"for {one.address}: {one.state.value}"
    if not one.state.is_final:
        words += f", tried {one.attempts} time{'' if one.attempts == 1 else 's'}"
        words += f", next {_moment(one.due)}" if one.state.value == "waiting" else ""
        words += f", given up {_moment(outgoing.expires)}"
    return words + (f", last answer {_printable(one.reply)}" if one.reply else "")


def _few(names: Sequence[str]) -> str:
    shown = ", ".join(str(name) for name in names[:_MOST_NAMED])
    return shown + (f" and {len(names) - _MOST_NAMED:,} more" if len(names) > _MOST_NAMED else "")


# Times


def _clock(seconds: float) -> str:
    from mailsystem.telemetry.log import clock

    return clock(seconds)


def _printable(text: str) -> str:
    from mailsystem.telemetry.log import printable

    return printable(text)


def _offset(seconds: float) -> str:
    return time.strftime("%z", time.localtime(seconds))


def _zone(seconds: float) -> str:
    return f"{time.strftime('%Z', time.localtime(seconds))} (UTC{_offset(seconds)})"


def _moment(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S %z", time.localtime(seconds))


def _since(seconds: float) -> str:
    """How long after the line before."""
    if seconds < 1:
        return f"+{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"+{seconds:.1f} s"
    if seconds < 3600:
        return f"+{seconds / 60:.1f} min"
    return f"+{seconds / 3600:.1f} h" if seconds < 86_400 else f"+{seconds / 86_400:.1f} d"


# For machines


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().isoformat(timespec="milliseconds")


def _places(data: Mapping[str, Any]) -> Mapping[str, Any]:
    if "places" not in data:
        return {}
    return {"places": [dict(zip(("login", "mailbox", "uid"), place, strict=True)) for place in data["places"]]}


def _as_dict(life: Life) -> Mapping[str, Any]:
    return {
        "names": list(life.names),
        "size": life.size,
        "events": [
            {
                "event": note.name,
                "time": _iso(note.at),
                "last": _iso(note.last),
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
                "due": _iso(one.due),
                "expires": _iso(outgoing.expires),
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
