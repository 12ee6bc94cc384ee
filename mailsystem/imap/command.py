"""The table of commands: everything known about a command stands beside the function that runs it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import chain
from typing import Final, TypeAlias

from mailsystem.imap.grammar import Arguments
from mailsystem.imap.session import Session, State

NOT_AUTHENTICATED: Final = State.NOT_AUTHENTICATED
AUTHENTICATED: Final = State.AUTHENTICATED | State.SELECTED
"""Logged in, with or without a mailbox (RFC 3501 6.3)."""
SELECTED: Final = State.SELECTED
ANY: Final = NOT_AUTHENTICATED | AUTHENTICATED


@dataclass(frozen=True, slots=True)
class Ok:
    """What a handler returns when there is more to say than that it was done."""

    text: str = ""
    """Human words; empty for `NAME completed`."""
    code: bytes = b""
    """A response code, without its brackets."""
    then: Callable[[], Awaitable[None]] | None = None
    """What has to happen once this is on its way, and before anything else."""


class Instead(Exception):
    """A command is answered by this, whatever has become of it."""

    def __init__(self, answer: bytes) -> None:
        """`answer` is all that follows the tag."""
        super().__init__()
        self.answer = answer


Handler: TypeAlias = Callable[[Session, Arguments, bool], Awaitable[Ok | None]]


@dataclass(frozen=True, slots=True)
class Command:
    """One command and its facts."""

    name: str
    handler: Handler
    states: State
    """Where it may be used."""
    uid: bool
    """Whether it can be said as `UID NAME` too."""
    picks: bool
    """Without UID it picks messages by sequence number, which who has enabled UIDONLY may not (RFC 9586 3)."""
    numbers: bool
    """It picks and answers by sequence number, so no EXPUNGE may be sent while it runs (RFC 3501 7.4.1)."""
    target: bool
    """It puts messages into a mailbox: when that is missing the client may create it (`TRYCREATE`)."""
    looks: bool
    """Its purpose is to hear what is new."""
    capability: str | None
    """What CAPABILITY lists because of it; several are parted by spaces."""
    secret: bool
    """Its arguments never reach a trace."""


TABLE: Final[dict[str, Command]] = {}

FEATURES: Final = (
    "IMAP4rev1",
    "IMAP4rev2",
    "CHILDREN",
    "SPECIAL-USE",
    "CONDSTORE",
    "QRESYNC",
    "UIDONLY",
    "UTF8=ACCEPT",
    "OBJECTID",
    "BINARY",
    "SAVEDATE",
    "PREVIEW",
    "ESEARCH",
    "SEARCHRES",
    "WITHIN",
    "PARTIAL",
    "INPROGRESS",
    "SORT=DISPLAY",
    "ESORT",
    "THREAD=ORDEREDSUBJECT",
    "RIGHTS=kxte",
)
"""What is listed by CAPABILITY and is no command."""


def command(
    name: str,
    states: State,
    *,
    uid: bool = False,
    picks: bool = False,
    numbers: bool = False,
    target: bool = False,
    looks: bool = False,
    capability: str | None = None,
    secret: bool = False,
) -> Callable[[Handler], Handler]:
    """Put the decorated handler into the table.

    A handler reads its arguments to the end, then acts, and sends untagged data; it returns `Ok` or None and raises
    `MailError`. It never writes a tag, never catches, never syncs: `dispatch` does.
    """

    def enter(handler: Handler) -> Handler:
        TABLE[name] = Command(name, handler, states, uid, picks or numbers, numbers, target, looks, capability, secret)
        return handler

    return enter


@cache
def _always() -> tuple[str, ...]:
    """What is listed whoever asks. The table is complete when the first client comes."""
    of_commands = [entry.capability.split() for entry in TABLE.values() if entry.capability]
    return (*FEATURES, *chain.from_iterable(of_commands))


def capabilities(session: Session) -> bytes:
    """What this client can use, separated by spaces.

    Everything is listed before login too: there are clients that never ask again. After it, what was switched off for the
    account is left out: some clients fail at what they are offered.
    """
    now: list[str] = []
    if session.state is State.NOT_AUTHENTICATED:
        # RFC 7888 6: who is not known yet may send only small literals without waiting.
        now += ["LITERAL-", "SASL-IR"]
        if session.may_start_tls:
            now.append("STARTTLS")
        if session.may_log_in:
            now += [f"AUTH={name}" for name in session.mechanisms]
        else:
            now.append("LOGINDISABLED")
    else:
        now.append("LITERAL+")
    options = session.options
    return _listed(options.largest_message, options.messages_per_command, tuple(now), session.hidden)


@lru_cache(maxsize=256)
def _listed(largest_message: int, messages_per_command: int, now: tuple[str, ...], hidden: frozenset[str]) -> bytes:
    words = [*_always(), f"APPENDLIMIT={largest_message}"]
    if messages_per_command:
        words.append(f"MESSAGELIMIT={messages_per_command}")
    return " ".join(word for word in (*words, *now) if word.upper() not in hidden).encode("ascii")
