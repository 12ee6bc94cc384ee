"""What waits and why: `mailsystem queue list` and `show`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mailsystem.cli.accounts import Refused, with_store
from mailsystem.cli.options import AsJson, Config, DataDir, examples
from mailsystem.cli.queue.selecting import FromSender, Standing, ToDomain, plural, selection, unknown
from mailsystem.cli.terminal import moment, print_json, print_table, say, size

if TYPE_CHECKING:
    from mailsystem.mail.mailbox import ContentId
    from mailsystem.mail.outgoing import Outgoing, Waiting
    from mailsystem.settings import Settings
    from mailsystem.store import Backlog, Listing, Queued, Store

MessageId = Annotated[
    str, typer.Argument(metavar="ID", help="The id that its sender was told and that stands in Received.")
]
InState = Annotated[
    Standing | None, typer.Option("--state", help="Only recipients that wait to be tried, or that are held.")
]
Summary = Annotated[bool, typer.Option("--summary", help="Sums for each domain instead of messages.")]
Limit = Annotated[
    int, typer.Option("--limit", min=0, metavar="NUMBER", help="Most messages to list; 0 lists them all.")
]

list_epilog = examples(
    "mailsystem queue list",
    "mailsystem queue list --summary",
    "mailsystem queue list --domain example.net --state held",
)
show_epilog = examples("mailsystem queue show 5f0c3a9d1be27764")

_HEADER_OCTETS = 262_144
_SHOWN = {b"from": "From", b"subject": "Subject", b"date": "Date", b"message-id": "Message-ID"}


def list_(
    domain: ToDomain = None,
    sender: FromSender = None,
    state: InState = None,
    summary: Summary = False,
    limit: Limit = 100,
    json: AsJson = False,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """List the messages that wait, the oldest first: since when, for whom, when they are tried next, and what was said last."""
    which = selection(domain=domain, sender=sender, state=state)

    async def work(store: Store, _: Settings) -> tuple[Listing | list[Backlog], float]:
        if summary:
            return await store.oversight.backlog(which), store.clock.now()
        return await store.oversight.listing(which, most=limit), store.clock.now()

    found, now = with_store(config, data_dir, work)
    nothing = "nothing waits" + (" that fits" if domain or sender or state else "")
    if isinstance(found, list):
        _print_backlog(found, now, json=json, empty=nothing)
        return
    if json:
        print_json([_message(one, now) for one in found.messages])
        return
    print_table(
        ["id", "age>", "size>", "sender", "waiting", "held", "next try", "last reply"],
        [_row(one, now) for one in found.messages],
        empty=nothing,
        stacked=True,
    )
    if len(found.messages) < found.total:
        say(f"and {found.total - len(found.messages):,} more; see sums by --summary, or all of them by --limit 0")


def show(ident: MessageId, json: AsJson = False, config: Config = None, data_dir: DataDir = None) -> None:
    """Show one message: whose it is, and for each recipient what was tried, what the other side said and when it goes on.

    Of the message itself it shows a few header fields, never its text.
    """

    async def work(store: Store, _: Settings) -> tuple[list[Queued], dict[str, str], float]:
        found = await store.oversight.show(ident)
        if not found:
            raise Refused(unknown(ident))
        return found, await _header(store, found[0].message.content), store.clock.now()

    found, header, now = with_store(config, data_dir, work)
    if json:
        print_json([{**_message(one, now), "header": header} for one in found])
        return
    for number, one in enumerate(found):
        if number:
            say("")
        for name, value in {**_facts(one.message, now), **header}.items():
            say(f"{name + ':':<12} {value}")
        for to in one.recipients:
            say("")
            say(f"{to.address}: {_standing(to, now)}")
            for line in _history(to):
                say(f"  {line}")


def _print_backlog(found: list[Backlog], now: float, *, json: bool, empty: str) -> None:
    if json:
        print_json(
            [
                {
                    "domain": one.domain,
                    "messages": one.messages,
                    "waiting": one.waiting,
                    "held": one.held,
                    "oldest": moment(one.oldest),
                    "next_try": None if one.due is None or one.is_taken else moment(one.due),
                    "trying": one.is_taken,
                    "remote": one.remote,
                    "status": one.status,
                    "reply": one.reply,
                }
                for one in found
            ]
        )
        return
    print_table(
        ["domain", "messages>", "waiting>", "held>", "oldest>", "next try", "last reply"],
        [
            [
                one.domain,
                f"{one.messages:,}",
                f"{one.waiting:,}",
                f"{one.held:,}",
                span(now - one.oldest),
                "now" if one.is_taken else "" if one.due is None else _until(one.due, now),
                _said(one.remote, one.reply),
            ]
            for one in found
        ],
        empty=empty,
        stacked=True,
    )


def _row(one: Queued, now: float) -> list[str]:
    from mailsystem.mail.outgoing import State

    waiting = [to for to in one.recipients if to.state is State.WAITING]
    held = [to for to in one.recipients if to.state is State.HELD]
    tried = [to for to in one.recipients if to.attempted is not None]
    last = max(tried, key=lambda to: to.attempted or 0.0, default=None)
    following = min((_due(to, now) for to in waiting), default=None)
    return [
        one.message.ident,
        span(now - one.message.arrived),
        size(one.message.size),
        _sender(one.message),
        _some(waiting),
        _some(held),
        "" if following is None else _until(following, now),
        "" if last is None else _said(last.remote, last.reply),
    ]


def _some(recipients: list[Waiting]) -> str:
    """Whom, as long as that is short."""
    if not recipients:
        return ""
    more = f" and {len(recipients) - 1:,} more" if len(recipients) > 1 else ""
    return f"{recipients[0].address}{more}"


def _due(to: Waiting, now: float) -> float:
    return now if to.is_taken else to.due


def _said(remote: str, reply: str) -> str:
    """The last word on one line, and whose it was."""
    words = printed(reply)
    # What this server says of the other side names it already.
    return f"{remote}: {words}" if remote and words and remote not in words else words


def printed(text: str) -> str:
    """What another server said, on one line and without anything that a terminal obeys."""
    return "".join(c if c.isprintable() else " " for c in " ".join(text.split()))


def _sender(message: Outgoing) -> str:
    return str(message.sender) if message.sender else "<>"


def _facts(message: Outgoing, now: float) -> dict[str, str]:
    asked = [
        *([message.body] if message.body != "7BIT" else []),
        *(["SMTPUTF8"] if message.utf8 else []),
        *(["REQUIRETLS"] if message.require_tls else []),
        *([f"RET={message.ret}"] if message.ret else []),
        *([f"ENVID={message.envid}"] if message.envid else []),
    ]
    over = f"in {span(message.expires - now)}" if message.expires > now else "at the next failure"
    return {
        "id": message.ident,
        "sender": _sender(message),
        **({"login": message.login} if message.login else {}),
        "size": size(message.size),
        "arrived": f"{moment(message.arrived)}, {span(now - message.arrived)} ago",
        "given up": f"{moment(message.expires)}, {over}",
        **({"asked for": ", ".join(asked)} if asked else {}),
    }


def _standing(to: Waiting, now: float) -> str:
    from mailsystem.mail.outgoing import State

    if to.is_taken:
        return "is being tried now"
    if to.state is State.WAITING:
        return f"waits, next try {_when(to.due, now)}"
    if to.state is State.HELD:
        return "is held until it is released"
    return f"{to.state.value}, its sender is yet to be told" if not to.reported else to.state.value


def _when(due: float, now: float) -> str:
    return f"at {moment(due)}, in {span(due - now)}" if due > now else "now"


def _until(due: float, now: float) -> str:
    return f"in {span(due - now)}" if due > now else "now"


def _history(to: Waiting) -> list[str]:
    """The last try and what was said."""
    if to.attempted is None and not to.reply:
        return ["not tried yet"]
    lines = []
    if to.attempted is not None:
        at = f" at {to.remote}" if to.remote else ""
        lines.append(f"tried {plural(to.attempts, 'time')}, last {moment(to.attempted)}{at}")
    # As it was said, line for line.
    return [*lines, *(printed(line) for line in to.reply.splitlines())]


async def _header(store: Store, content: ContentId) -> dict[str, str]:
    from mailsystem.mail.header import fields
    from mailsystem.mail.words import decoded

    octets = await store.contents.read(content, 0, _HEADER_OCTETS)
    head = octets.partition(b"\r\n\r\n")[0] + b"\r\n"
    found: dict[str, str] = {}
    for name, value in fields(head):
        if name.lower() in _SHOWN:
            found.setdefault(_SHOWN[name.lower()], printed(decoded(value)))
    return found


def _message(one: Queued, now: float) -> dict[str, object]:
    message = one.message
    return {
        "id": message.ident,
        "sender": str(message.sender) if message.sender else "",
        "login": message.login,
        "size": message.size,
        "arrived": moment(message.arrived),
        "expires": moment(message.expires),
        "body": message.body,
        "utf8": message.utf8,
        "require_tls": message.require_tls,
        "recipients": [
            {
                "address": str(to.address),
                "state": to.state.value,
                "trying": to.is_taken,
                "next_try": moment(to.due) if to.state.value == "waiting" and not to.is_taken else None,
                "attempts": to.attempts,
                "attempted": None if to.attempted is None else moment(to.attempted),
                "remote": to.remote,
                "status": to.status,
                "reply": to.reply,
            }
            for to in one.recipients
        ],
    }


def span(seconds: float) -> str:
    """A length of time as people say it: `5 s`, `12 min`, `3 h`, `2 d`."""
    if seconds < 60:
        return f"{max(0, int(seconds))} s"
    if seconds < 3600:
        return f"{int(seconds // 60)} min"
    if seconds < 2 * 86_400:
        return f"{int(seconds // 3600)} h"
    return f"{int(seconds // 86_400)} d"
