"""What `sink` and `serve` say on a terminal: where they listen, what to try, and a line for each message that comes or goes."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TextIO

from mailsystem import __version__
from mailsystem.app import SELF_SIGNED
from mailsystem.app.listeners import is_secure
from mailsystem.cli.terminal import size
from mailsystem.telemetry.log import LEVELS, Log, as_text, clock, coloured, level_of, printable, takes_colour
from mailsystem.telemetry.trace import Event

if TYPE_CHECKING:
    from mailsystem.net import Bound
    from mailsystem.settings import Settings

BLUE, RED, DIM, BOLD = "34", "31", "2", "1"

_ANN: Final = "ann@example.org"


def of(bound: Mapping[str, Bound], settings: Settings, *, sink: bool) -> str:
    """The lines that greet whoever has started the program."""
    colour = takes_colour(sys.stdout)

    def ink(text: str, code: str) -> str:
        return coloured(text, code) if colour else text

    own = settings.sink
    known = own.passwords is not None or own.passwords_file is not None
    told = "passwords as sink.passwords has them" if known else "any password"
    name = f"sink: any recipient, {told}" if sink else "serving " + ", ".join(bound)
    lines = ["", f"  {ink('mailsystem', BOLD)} {__version__}  {name}", ""]
    width = max(5, *map(len, bound))
    for door, place in bound.items():
        where = str(place)
        if door == "web":
            root = settings.web.root.lstrip("/") if sink else ""
            where = page_url(place, secure=is_secure("web", settings)) + (f"{root}/" if root else "")
        lines.append(f"  {ink(f'{door.upper():<{width}}', RED if door.startswith('pop') else BLUE)} {where}")
    lines += [f"  {'mail':<{width}} {_tilde(settings.data_dir.absolute())}"]
    if sink and settings.tls.cert is None:
        lines.append(f"  {'TLS':<{width}} if asked for, by {_tilde(settings.data_dir.absolute() / SELF_SIGNED)}")
    if sink and settings.queue.sink_allow:
        lines.append(f"  {'sends':<{width}} to {', '.join(settings.queue.sink_allow)}, and to nobody else")
    lines.append("")
    if sink:
        user = "LOGIN:PASSWORD" if known else f"{_ANN}:any"
        sender = f" --user {user}" if own.login_required else ""
        all_see = "A login without an @" if known else "The login sink"
        lines += [f"  {ink('send a message', DIM)}", f"  {send_line(bound['smtp'])}{sender}", ""]
        lines += [f"  {ink('read it by POP3', DIM)}", f"  {pop3_line(bound['pop3'], user)}", ""]
        lines += [f"  {ink('read it by IMAP', DIM)}", f"  {imap_line(bound['imap'], user)}", ""]
        lines += [f"  {ink(f'{all_see} sees everything, an address its own mail. Ctrl-C ends it.', DIM)}", ""]
    return "\n".join(lines)


def page_url(web: Bound, *, secure: bool) -> str:
    """Where a browser finds the page."""
    return f"{'https' if secure else 'http'}://{_reached(web)}/"


def send_line(smtp: Bound) -> str:
    """A command that sends a message, to be pasted into a shell."""
    return (
        f"printf 'To: {_ANN}\\r\\nSubject: Hello\\r\\n\\r\\nIt works.\\r\\n' | curl smtp://{_reached(smtp)} "
        f"--mail-from bob@example.org --mail-rcpt {_ANN} -T -"
    )


def pop3_line(pop3: Bound, user: str = f"{_ANN}:any") -> str:
    """A command that reads the first message by POP3."""
    return f"curl pop3://{_reached(pop3)}/1 --user {user}"


def imap_line(imap: Bound, user: str = f"{_ANN}:any") -> str:
    """A command that reads the first message by IMAP."""
    return f"curl 'imap://{_reached(imap)}/INBOX;MAILINDEX=1' --user {user}"


def console_log(stream: TextIO, *, level: str) -> Log:
    """The log of a sink for people: a line for each message that came or was read, and whatever went wrong."""
    colour = takes_colour(stream)
    quiet_below = LEVELS.index("warning") if level == "info" else LEVELS.index(level)

    def render(event: Event) -> str | None:
        told = message_line(event, colour=colour)
        if told is None and (event.name == "line" or LEVELS.index(level_of(event)) >= quiet_below):
            told = "  " + as_text(event, colour=colour, date=False)
        return told

    return Log(stream, render, level=level)


def message_line(event: Event, *, colour: bool = False) -> str | None:
    """A message that came, was read or was refused, or a fault that struck, in a line; None for any other event."""
    data = event.data
    match event.name:
        case "delivered":
            arrow, code = "→", BLUE
            text = f"{_who(data['sender'])} → {', '.join(data['recipients'])}  {size(data['octets'])}"
        case "retrieved":
            arrow, code = "←", RED if event.door.startswith("pop") else BLUE
            messages = data.get("messages", 1)
            what = size(data["octets"]) if "octets" in data else f"{messages:,} message{'' if messages == 1 else 's'}"
            text = f"{data.get('login') or 'somebody'} read {what}"
        case "refused":
            arrow, code = "×", "33"
            text = f"{data.get('command') or 'what was said'}: {data.get('reason', '')}"
        case "fault":
            arrow, code = "!", "33"
            text = f"{data['command']}: {data['fault']}"
        case _:
            return None
    when = clock(event.time)[:8]
    door = f"{event.door:<4}"
    if colour:
        when, door, arrow = coloured(when, DIM), coloured(door, code), coloured(arrow, code)
    return f"  {when}  {door} {arrow} {printable(text)}"


def _who(sender: Any) -> str:
    return str(sender) or "<>"


def _reached(place: Bound) -> str:
    """Where this machine itself reaches a door that may listen everywhere."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(place.host, place.host)
    return str(replace(place, host=host))


def _tilde(path: Path) -> str:
    home = Path.home()
    return f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path)
