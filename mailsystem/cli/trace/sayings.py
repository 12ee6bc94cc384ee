"""What each line of a message's life says, and its times, for people."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from mailsystem.cli.terminal import size
from mailsystem.telemetry.log import clock, printable

if TYPE_CHECKING:
    from mailsystem.mail.outgoing import Outgoing, Waiting
    from mailsystem.store import Note

MOST_NAMED: Final = 12
"""Recipients, or places, that one line names; JSON has all of them."""


def said(note: Note) -> str:
    data = note.data
    tell = _SAYINGS.get(note.name)
    words = tell(note) if tell else _others(data)
    if note.times > 1:
        same_day = time.localtime(note.at)[:3] == time.localtime(note.last)[:3]
        last = (
            clock(note.last)
            if same_day
            else f"{time.strftime('%Y-%m-%d', time.localtime(note.last))} {clock(note.last)}"
        )
        words += f", {note.times:,} times, last {last}"
    return printable(words)


def _accepted(note: Note) -> str:
    data = note.data
    parts = [f"from {data.get('sender') or '<>'} to {few(data.get('recipients', ()))}"]
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
    return "to " + few([f"{login} {mailbox} (uid {uid})" for login, mailbox, uid in note.data.get("places", ())])


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
    return (words + (f", next try {moment(data['next'])}" if "next" in data else "")).strip()


def _reported(note: Note) -> str:
    data = note.data
    what = " ".join(filter(None, [str(data.get("action", "")), str(data.get("status", ""))]))
    return f"{data.get('to', 'the sender')} was told of {data.get('recipient', '')}: {what}, by report {data.get('report', '')}"


def _queued(note: Note) -> str:
    data = note.data
    to = few(data["recipients"]) if data.get("recipients") else str(data.get("recipient", ""))
    return f"for {to}, from {data.get('sender') or '<>'}"


_WHY: Final = {
    "age": "as it was too old",
    "messages": "which had too many messages",
    "octets": "which had too many octets",
}


def _expired(note: Note) -> str:
    why = _WHY.get(note.data.get("why", ""), "whose days for what was downloaded are over")
    return f"from {note.data.get('login', '')}, {why}"


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
    "expired": _expired,
    "queued": _queued,
    "attempted": _attempt,
    "sent": _attempt,
    "deferred": _attempt,
    "failed": _attempt,
    "bounced": lambda note: _reported(note) if "report" in note.data else _attempt(note),
    "notified": _reported,
    **dict.fromkeys(
        ("retried", "held", "released", "dropped", "given up"),
        lambda note: f"for {few(note.data.get('recipients', ()))}, by hand",
    ),
}


def state(outgoing: Outgoing, one: Waiting) -> str:
    words = f"for {one.address}: {one.state.value}"
    if not one.state.is_final:
        words += f", tried {one.attempts} time{'' if one.attempts == 1 else 's'}"
        words += f", next {moment(one.due)}" if one.state.value == "waiting" else ""
        words += f", given up {moment(outgoing.expires)}"
    return words + (f", last answer {printable(one.reply)}" if one.reply else "")


def few(names: Sequence[str]) -> str:
    shown = ", ".join(str(name) for name in names[:MOST_NAMED])
    return shown + (f" and {len(names) - MOST_NAMED:,} more" if len(names) > MOST_NAMED else "")


def offset(seconds: float) -> str:
    return time.strftime("%z", time.localtime(seconds))


def zone(seconds: float) -> str:
    return f"{time.strftime('%Z', time.localtime(seconds))} (UTC{offset(seconds)})"


def moment(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S %z", time.localtime(seconds))


def iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().isoformat(timespec="milliseconds")


def since(seconds: float) -> str:
    """How long after the line before."""
    if seconds < 1:
        return f"+{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"+{seconds:.1f} s"
    if seconds < 3600:
        return f"+{seconds / 60:.1f} min"
    return f"+{seconds / 3600:.1f} h" if seconds < 86_400 else f"+{seconds / 86_400:.1f} d"
