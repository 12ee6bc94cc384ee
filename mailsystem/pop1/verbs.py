"""The table of verbs: everything known about a verb stands beside the function that runs it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from mailsystem.mail.errors import SyntaxFault
from mailsystem.pop1 import grammar, replies
from mailsystem.pop1.session import Session, State

GREETED: Final = State.GREETED
NAMED: Final = State.NAMED
KNOWN: Final = State.KNOWN
READING: Final = State.READING
SENT: Final = State.SENT
ANY: Final = GREETED | NAMED | KNOWN | READING | SENT

Handler: TypeAlias = Callable[[Session, bytes], Awaitable[bytes | None]]


@dataclass(frozen=True, slots=True)
class Verb:
    """One verb and its facts."""

    name: str
    syntax: str
    """As RFC 918 writes it: `RETR mailbox`."""
    states: State
    """Where it may be used (RFC 918, Diagram)."""
    secret: bool
    """Its arguments never reach a trace."""
    handler: Handler


TABLE: Final[dict[str, Verb]] = {}


def verb(syntax: str, states: State, *, secret: bool = False) -> Callable[[Handler], Handler]:
    """Put the decorated handler into the table.

    A handler reads its arguments to the end, then acts; it returns its reply, or None where it has sent the mail itself. It
    raises `MailError` and never catches.
    """

    def enter(handler: Handler) -> Handler:
        name = syntax.partition(" ")[0]
        TABLE[name] = Verb(name, syntax, states, secret, handler)
        return handler

    return enter


@verb("USER name", GREETED | NAMED)
async def user(session: Session, rest: bytes) -> bytes:
    """Says who it is. Every name is taken: who lives here is told to nobody."""
    session.check_privacy()
    session.user = grammar.argument(rest)
    session.state = NAMED
    return replies.ok("and the password?")


@verb("PASS password", NAMED, secret=True)
async def pass_(session: Session, rest: bytes) -> bytes:
    """The password, blanks and all; without success USER has to be said anew."""
    session.check_privacy()
    session.state = GREETED
    if not rest:
        raise SyntaxFault("argument missing")
    await session.log_in(rest)
    session.state = KNOWN
    return replies.ok("which mailbox?")


@verb("RETR mailbox", KNOWN)
async def retr(session: Session, rest: bytes) -> bytes:
    """Opens and locks a mailbox to read all of its messages, which stay: how many characters are they?"""
    return await _open(session, rest, deleting=False)


@verb("RDEL mailbox", KNOWN)
async def rdel(session: Session, rest: bytes) -> bytes:
    """The same, and they are deleted when they have come."""
    return await _open(session, rest, deleting=True)


async def _open(session: Session, rest: bytes, *, deleting: bool) -> bytes:
    await session.open(grammar.mailbox(rest), deleting=deleting)
    session.state = READING
    return replies.count(session.size)


@verb("RCEV", READING)
async def rcev(session: Session, rest: bytes) -> None:
    """Sends the mailbox, as many characters as were said."""
    grammar.nothing(rest)
    drop = session.maildrop
    await session.talk.pass_on(session.mail(), session.size)
    session.state = SENT
    contents = [message.content for _, message in drop.view]
    session.trace.event(
        "retrieved", login=drop.account.login, messages=len(contents), octets=session.size, contents=contents
    )


@verb("RECV", READING)
async def recv(session: Session, rest: bytes) -> None:
    """The same: so RFC 918 spells RCEV in its diagram."""
    await rcev(session, rest)


@verb("RCVD", SENT)
async def rcvd(session: Session, rest: bytes) -> bytes:
    """It came: after RDEL the messages go, and the mailbox is unlocked. What came counts as downloaded."""
    grammar.nothing(rest)
    session.state = KNOWN
    view = session.maildrop.view
    view.retrieved_all()
    if session.deleting:
        view.delete_all()
    # RFC 918, RCVD: that nothing could be deleted is told by an error.
    gone = await session.maildrop.update()
    return replies.ok(f"{gone} deleted" if gone else "")


@verb("RSET", KNOWN | READING | SENT)
async def rset(session: Session, rest: bytes) -> bytes:
    """Gives up what was begun; nothing is deleted, and the mailbox is unlocked."""
    grammar.nothing(rest)
    await session.leave()
    session.state = KNOWN
    return replies.ok()


@verb("NOOP", KNOWN | READING | SENT)
async def noop(session: Session, rest: bytes) -> bytes:
    """Nothing."""
    grammar.nothing(rest)
    return replies.ok()


@verb("QUIT", ANY)
async def quit_(session: Session, rest: bytes) -> bytes:
    """The session is over; what was not acknowledged by RCVD stays."""
    grammar.nothing(rest)
    session.ended = True
    await session.leave()
    return replies.ok("bye")
