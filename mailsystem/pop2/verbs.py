"""The table of verbs: everything known about a verb stands beside the function that runs it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from mailsystem.mail.errors import SyntaxFault
from mailsystem.pop2 import grammar, replies
from mailsystem.pop2.session import Session, State

AUTH: Final = State.AUTH
MBOX: Final = State.MBOX
ITEM: Final = State.ITEM
NEXT: Final = State.NEXT

Handler: TypeAlias = Callable[[Session, bytes], Awaitable[bytes | None]]


@dataclass(frozen=True, slots=True)
class Verb:
    """One verb and its facts."""

    name: str
    syntax: str
    """As RFC 937 writes it: `READ [nnn]`."""
    states: State
    """Where it may be used (RFC 937, Server Decision Table)."""
    secret: bool
    """Behind its first argument nothing reaches a trace."""
    handler: Handler


TABLE: Final[dict[str, Verb]] = {}


def verb(syntax: str, states: State, *, secret: bool = False) -> Callable[[Handler], Handler]:
    """Put the decorated handler into the table.

    A handler reads its arguments to the end, then acts; it returns its reply, or None where it has sent the message itself.
    It raises `MailError` and never catches.
    """

    def enter(handler: Handler) -> Handler:
        name = syntax.partition(" ")[0]
        TABLE[name] = Verb(name, syntax, states, secret, handler)
        return handler

    return enter


@verb("HELO user password", AUTH, secret=True)
async def helo(session: Session, rest: bytes) -> bytes:
    """Says who it is, locks the maildrop and enters INBOX, the default mailbox."""
    await session.log_in(*grammar.user_and_password(rest))
    session.state = MBOX
    return replies.count(session.maildrop.view.count)


@verb("FOLD mailbox", MBOX | ITEM)
async def fold(session: Session, rest: bytes) -> bytes:
    """Enters another mailbox; what was acknowledged by ACKD in the last one goes now."""
    name = grammar.mailbox(rest)
    session.state, session.current = MBOX, 1
    await session.enter(name)
    return replies.count(session.maildrop.view.count)


@verb("READ [nnn]", MBOX | ITEM)
async def read(session: Session, rest: bytes) -> bytes:
    """Begins to read a message, the current one unless another is named: how long is it?"""
    number = grammar.number(rest)
    if number is not None:
        session.current = number
    return _item(session)


def _item(session: Session) -> bytes:
    session.state = ITEM
    return replies.length(session.size, session.current)


@verb("RETR", ITEM)
async def retr(session: Session, rest: bytes) -> None:
    """Sends the message, as many octets as were said."""
    grammar.nothing(rest)
    size = session.size
    if not size:
        # RFC 937, RETR: asked for a message of no length, the server hangs up.
        raise SyntaxFault("no such message")
    drop = session.maildrop
    content = drop.view.message(session.current).content
    await session.talk.pass_on(drop.octets(session.current), size)
    session.state = NEXT
    session.trace.event("retrieved", login=drop.account.login, message=session.current, octets=size, contents=[content])


@verb("ACKS", NEXT)
async def acks(session: Session, rest: bytes) -> bytes:
    """It came and is kept here, as long as its owner keeps what was downloaded; goes on to the next."""
    grammar.nothing(rest)
    session.maildrop.view.retrieved(session.current)
    session.current += 1
    return _item(session)


@verb("ACKD", NEXT)
async def ackd(session: Session, rest: bytes) -> bytes:
    """It came and is deleted here, at QUIT or FOLD; goes on to the next."""
    grammar.nothing(rest)
    session.maildrop.view.delete(session.current)
    session.current += 1
    return _item(session)


@verb("NACK", NEXT)
async def nack(session: Session, rest: bytes) -> bytes:
    """It did not come; stays at it."""
    grammar.nothing(rest)
    return _item(session)


@verb("QUIT", AUTH | MBOX | ITEM)
async def quit_(session: Session, rest: bytes) -> bytes:
    """What was acknowledged by ACKD goes. Whether that succeeds or not, the session is over."""
    grammar.nothing(rest)
    session.ended = True
    if session.drop is not None:
        await session.drop.update()
    return replies.ok("OK")
