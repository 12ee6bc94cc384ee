"""The POP1 door from outside: listening, and one client's conversation from greeting to goodbye."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mailsystem.directory import Directory
from mailsystem.mail.errors import AuthFailed, InUse, MailError, SyntaxFault, WrongState
from mailsystem.net import OPEN, Bound, Connection, Stopping, Terms, listen
from mailsystem.pop1 import grammar, replies
from mailsystem.pop1.session import Options, Session, State
from mailsystem.pop1.verbs import TABLE, Verb
from mailsystem.store import Store
from mailsystem.telemetry import Trace
from mailsystem.telemetry.trace import CLIENT, REDACTED


@asynccontextmanager
async def serving(
    store: Store,
    directory: Directory,
    trace: Trace,
    *,
    host: str,
    port: int,
    cleartext_login: bool = False,
    hostname: str = "localhost",
    login_timeout: float = 180,
    idle_timeout: float = 600,
    login_attempts: int = 3,
    bad_commands: int = 20,
    grace: float = 5.0,
    terms: Terms = OPEN,
) -> AsyncIterator[Bound]:
    """Serve POP1 until the block is left. It knows no TLS; the numbers are explained at `Options`."""
    options = Options(hostname, cleartext_login, login_timeout, idle_timeout, login_attempts, bad_commands)

    async def serve(connection: Connection) -> None:
        session = Session(connection, store, directory, trace.child("pop1", peer=str(connection.peer)), options)
        await session.talk.hold(lambda: _converse(session), farewell=_farewell, leave=session.leave)

    async with listen(
        serve, host, port, tls=None, terms=terms, full=replies.FULL + b"\r\n", grace=grace, trace=trace
    ) as bound:
        yield bound


def _farewell(end: Exception) -> bytes:
    return replies.STOPPING if isinstance(end, Stopping) else b"-ERR too long without a command"


async def _converse(session: Session) -> str:
    """Greet, then one command after the other, strictly in order; returns why it is over."""
    session.talk.say(replies.ok(f"{session.options.hostname} POP ready"))
    while not session.ended:
        reply = await _answer(session)
        if reply is not None:
            session.talk.say(reply)
        if why := session.patience.over:
            await session.talk.last_word(b"-ERR " + why.encode())
            return why
        await session.talk.take_turns()
    await session.talk.flush()
    return "quit"


async def _answer(session: Session) -> bytes | None:
    """Do what the next line says; returns the reply. Raises what ends the session."""
    entry: Verb | None = None
    line = b""
    try:
        line = await session.talk.hear()
        name, rest = grammar.keyword(line)
        entry = TABLE.get(name)
        if entry is None:
            raise SyntaxFault("unknown command")
        session.trace.line(CLIENT, _spoken(line, rest, entry))
        if session.state not in entry.states:
            raise WrongState(f"{name} is not possible now")
        if session.drop is not None:
            session.drop.check()
        reply = await entry.handler(session, rest)
    except MailError as error:
        session.trace.event("refused", command=entry.name if entry is not None else None, reason=str(error))
        session.patience.failures += isinstance(error, AuthFailed)
        session.patience.bad += isinstance(error, SyntaxFault | WrongState)
        if entry is None:
            # It may be anything, a password that was sent at the wrong moment too.
            session.trace.line(CLIENT, b"[%d octets]" % len(line))
            session.talk.mistrust(line)
        if isinstance(error, InUse) and session.drop is not None and session.drop.lost:
            # Somebody else holds the mailbox that was being read; another may be opened.
            await session.leave()
            session.state = State.KNOWN
        return replies.refusal(error)
    except (Stopping, TimeoutError, ConnectionError):
        raise
    except Exception as error:
        session.trace.bug(error, command=entry and entry.name)
        return replies.BUG
    session.patience.bad = 0
    return reply


def _spoken(line: bytes, rest: bytes, entry: Verb) -> bytes:
    """The command as a trace may see it."""
    if entry.secret and rest:
        return entry.name.encode() + b" " + REDACTED
    return line
