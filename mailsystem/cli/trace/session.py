"""The session in which a message came, line by line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mailsystem.cli.trace.sayings import iso, moment
from mailsystem.telemetry.log import printable

if TYPE_CHECKING:
    from rich.console import Console

    from mailsystem.settings import Settings
    from mailsystem.store import SessionRecord

_STYLE: Final = {"C": "#4c8dff", "S": ""}


def show(console: Console, session: SessionRecord | None, settings: Settings) -> None:
    """Print it; or why there is none."""
    from rich.text import Text

    console.print()
    if session is None:
        console.print(Text(f"no session is kept: {_why_not(settings)}", "dim"))
        return
    console.print(Text(_heading(session), "bold"))
    for line in session.lines:
        # A terminal does not fold what was one line: it can be copied as it was.
        words = Text.assemble(
            (f"{line.at_ms:>8} ms  ", "dim"),
            (f"{line.who}  ", "bold"),
            (printable(line.text), _STYLE.get(line.who, "")),
        )
        console.print(words, soft_wrap=True)
    if session.reason not in {"", "left"}:
        console.print(Text(f"             {session.reason}", "bold red"))


def _heading(session: SessionRecord) -> str:
    words = f"session {session.id} by {session.door}, {moment(session.began)}, from {session.peer or 'somebody'}"
    words += f" as {session.helo}" if session.helo else ""
    words += f", {session.tls}" if session.tls else ", in clear"
    words += f", login {session.login}" if session.login else ""
    words += f", {len(session.messages)} messages" if len(session.messages) != 1 else ""
    return printable(words)


def _why_not(settings: Settings) -> str:
    if settings.journal.transcripts is False:
        return "journal.transcripts is off"
    return "it came another way, too long ago, or to a server that keeps none (journal.transcripts)"


def session_as_dict(session: SessionRecord | None) -> dict[str, Any] | None:
    if session is None:
        return None
    return {
        "id": session.id,
        "door": session.door,
        "peer": session.peer,
        "helo": session.helo,
        "tls": session.tls,
        "login": session.login,
        "began": iso(session.began),
        "ended": iso(session.ended) if session.ended is not None else None,
        "reason": session.reason,
        "messages": len(session.messages),
        "refused": [each._asdict() for each in session.refused],
        "lines": [line._asdict() for line in session.lines],
    }
