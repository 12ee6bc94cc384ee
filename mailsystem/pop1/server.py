"""The POP1 door from outside: listening, and one client's conversation from greeting to goodbye."""

from __future__ import annotations

import asyncio
import re
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

from mailsystem.directory import Directory
from mailsystem.mail.errors import AuthFailed, InUse, MailError, SyntaxFault, WrongState
from mailsystem.net import OPEN, Bound, Closed, Connection, Stopping, Terms, listen
from mailsystem.pop1 import grammar, replies
from mailsystem.pop1.session import Options, Session, State
from mailsystem.pop1.verbs import TABLE, Verb
from mailsystem.store import Store
from mailsystem.telemetry import Trace
from mailsystem.telemetry.trace import CLIENT, REDACTED

_TURN: Final = 64
"""Commands of one client that may run before the others have a turn, where none of them has to wait."""
_WEB: Final = re.compile(rb"(?:GET|HEAD|POST|PUT|DELETE|OPTIONS|CONNECT|PATCH|TRACE) \S+ HTTP/")


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
        await _serve(connection, store, directory, trace.child("pop1", peer=str(connection.peer)), options)

    async with listen(
        serve, host, port, tls=None, terms=terms, full=replies.FULL + b"\r\n", grace=grace, trace=trace
    ) as bound:
        yield bound


async def _serve(connection: Connection, store: Store, directory: Directory, trace: Trace, options: Options) -> None:
    trace.event("connected", tls=connection.secure)
    session = Session(connection, store, directory, trace, options)
    reason = "quit"
    try:
        reason = await _converse(session)
    except Stopping:
        reason = "server is shutting down"
        await _last_word(session, replies.STOPPING)
    except TimeoutError:
        reason = "too long without a command"
        await _last_word(session, b"-ERR " + reason.encode())
    except ConnectionError as end:
        reason = str(end) or "connection lost"
    except asyncio.CancelledError:
        reason = "cancelled"
        raise
    finally:
        await session.leave()
        trace.event("disconnected", reason=reason)


async def _last_word(session: Session, line: bytes) -> None:
    session.talk.say(line)
    with suppress(Closed):
        await session.talk.flush()


async def _converse(session: Session) -> str:
    """Greet, then one command after the other, strictly in order; returns why it is over."""
    session.talk.say(replies.ok(f"{session.options.hostname} POP ready"))
    turns = 0
    while not session.ended:
        reply = await _answer(session)
        if reply is not None:
            session.talk.say(reply)
        if why := _enough(session):
            await _last_word(session, b"-ERR " + why.encode())
            return why
        await session.talk.flush_if_much()
        turns += 1
        if not turns % _TURN:
            await asyncio.sleep(0)
    await session.talk.flush()
    return "quit"


def _enough(session: Session) -> str | None:
    """Why we do not want to hear any more from this client, if so."""
    if session.failures >= session.options.login_attempts:
        return "too many failed logins"
    if session.bad >= session.options.bad_commands:
        return "too many bad commands"
    return None


async def _answer(session: Session) -> bytes | None:
    """Do what the next line says; returns the reply. Raises what ends the session."""
    entry: Verb | None = None
    line = b""
    try:
        line = await session.talk.hear(session.patience)
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
        session.failures += isinstance(error, AuthFailed)
        session.bad += isinstance(error, SyntaxFault | WrongState)
        if entry is None:
            # It may be anything, a password that was sent at the wrong moment too.
            session.trace.line(CLIENT, b"[%d octets]" % len(line))
            if _WEB.match(line):
                # A browser that was made to talk to us would have its form's fields understood as commands.
                session.bad = session.options.bad_commands
        if isinstance(error, InUse) and session.drop is not None and session.drop.lost:
            # Somebody else holds the mailbox that was being read; another may be opened.
            await session.leave()
            session.drop.lost, session.state = False, State.KNOWN
        return replies.refusal(error)
    except (Stopping, TimeoutError, ConnectionError):
        raise
    except Exception as error:
        trail = "".join(traceback.format_tb(error.__traceback__))
        session.trace.event("bug", command=entry and entry.name, error=type(error).__name__, traceback=trail)
        return replies.BUG
    session.bad = 0
    return reply


def _spoken(line: bytes, rest: bytes, entry: Verb) -> bytes:
    """The command as a trace may see it."""
    if entry.secret and rest:
        return entry.name.encode() + b" " + REDACTED
    return line
