"""The POP3 door from outside: listening, and one client's conversation from greeting to goodbye."""

from __future__ import annotations

import asyncio
import re
import ssl
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

from mailsystem.directory import Directory
from mailsystem.mail.errors import AuthFailed, MailError, SyntaxFault, Unavailable, WrongState
from mailsystem.net import OPEN, Bound, Closed, Connection, Injected, Stopping, Terms, listen
from mailsystem.pop3 import grammar, replies
from mailsystem.pop3.languages import Phrase
from mailsystem.pop3.session import Options, Session, State
from mailsystem.pop3.verbs import TABLE, Verb
from mailsystem.store import Store
from mailsystem.telemetry import Trace
from mailsystem.telemetry.trace import CLIENT, REDACTED

_TURN: Final = 64
"""Commands of one client that may run before the others have a turn, where none of them has to wait."""
_FULL: Final = b"-ERR [SYS/TEMP] too many connections, come again later\r\n"  # RFC 3206 4
_WEB: Final = re.compile(rb"(?:GET|HEAD|POST|PUT|DELETE|OPTIONS|CONNECT|PATCH|TRACE) \S+ HTTP/")


@asynccontextmanager
async def serving(
    store: Store,
    directory: Directory,
    trace: Trace,
    *,
    host: str,
    port: int,
    tls: ssl.SSLContext | None = None,
    implicit_tls: bool = False,
    cleartext_login: bool = False,
    hostname: str = "localhost",
    login_timeout: float = 180,
    idle_timeout: float = 600,
    login_attempts: int = 3,
    bad_commands: int = 20,
    login_delay: int = 0,
    grace: float = 5.0,
    terms: Terms = OPEN,
) -> AsyncIterator[Bound]:
    """Serve POP3 until the block is left; then nobody's deletions are done but those of a QUIT that has come.

    `tls` enables STLS or, with `implicit_tls`, wraps every connection at once. The numbers are explained at `Options`.
    """
    options = Options(
        hostname=hostname,
        tls=None if implicit_tls else tls,
        cleartext_login=cleartext_login,
        login_timeout=login_timeout,
        idle_timeout=idle_timeout,
        login_attempts=login_attempts,
        bad_commands=bad_commands,
        login_delay=login_delay,
    )

    async def serve(connection: Connection) -> None:
        await _serve(connection, store, directory, trace.child("pop3", peer=str(connection.peer)), options)

    at_once = tls if implicit_tls else None
    async with listen(serve, host, port, tls=at_once, terms=terms, full=_FULL, grace=grace, trace=trace) as bound:
        yield bound


async def _serve(connection: Connection, store: Store, directory: Directory, trace: Trace, options: Options) -> None:
    trace.event("connected", tls=connection.secure)
    session = Session(connection, store, directory, trace, options)
    reason = "quit"
    try:
        reason = await _converse(session)
    except Stopping:
        reason = "server is shutting down"
        await _last_word(session, Unavailable(replies.STOPPING))
    except Injected:
        reason = "octets in clear behind STLS"
        trace.event("attacked", reason=reason)
        await _last_word(session, SyntaxFault("nothing may follow STLS"))
    except TimeoutError:
        # RFC 1939 3: without UPDATE and without a word.
        reason = "too long without a command"
    except ConnectionError as end:
        reason = str(end) or "connection lost"
    except asyncio.CancelledError:
        reason = "cancelled"
        raise
    finally:
        await session.leave()
        trace.event("disconnected", reason=reason)


async def _last_word(session: Session, error: MailError) -> None:
    session.say(replies.refusal(error, session.language))
    with suppress(Closed):
        await session.flush()


async def _converse(session: Session) -> str:
    """Greet, then one command after the other, strictly in order; returns why it is over."""
    session.say(replies.ok(Phrase("{host} POP3 ready", host=session.options.hostname)))
    turns = 0
    while not session.ended:
        try:
            line = session.lines.next()
        except SyntaxFault as error:
            _refuse(session, error)
            session.bad += 1
        else:
            if line is None:
                # Only now, so that the answers to commands that came together leave together (RFC 2449 6.6).
                await session.flush()
                await session.receive()
                continue
            await _run(session, line)
        if why := _enough(session):
            await _last_word(session, SyntaxFault(why))
            return why
        await session.flush_if_much()
        turns += 1
        if not turns % _TURN:
            await asyncio.sleep(0)
    await session.flush()
    return "maildrop lock lost" if session.lost else "quit"


def _enough(session: Session) -> str | None:
    """Why we do not want to hear any more from this client, if so."""
    if session.failures >= session.options.login_attempts:
        return "too many failed logins"
    if session.bad >= session.options.bad_commands:
        return "too many bad commands"
    return None


async def _run(session: Session, line: bytes) -> None:
    """Do what one line says and answer it. Raises what ends the session."""
    entry: Verb | None = None
    try:
        name, args = grammar.keyword(line)
        entry = TABLE.get(name)
        if entry is None:
            raise SyntaxFault("unknown command")
        if session.trace.wants_lines:
            session.trace.line(CLIENT, _spoken(line, entry))
        if session.state not in entry.states:
            raise WrongState(Phrase("{verb} is not possible now", verb=name))
    except MailError as error:
        if entry is None:
            # It may be anything, a password that was sent at the wrong moment too.
            session.trace.line(CLIENT, b"[%d octets]" % len(line))
        # A browser that was made to talk to us would have its form's fields understood as commands.
        session.bad = session.options.bad_commands if _WEB.match(line) else session.bad + 1
        _refuse(session, error, entry)
        return
    try:
        session.check_lease()
        text = await entry.handler(session, args)
    except MailError as error:
        if session.midway:
            session.cut(f"answer not finished: {error}")
        # Who is known may ask for messages that are not there as often as they like.
        session.bad += session.state is State.AUTHORIZATION and not isinstance(error, AuthFailed)
        _refuse(session, error, entry)
    except (Injected, Stopping, TimeoutError, ConnectionError):
        raise
    except Exception as error:
        session.trace.event(
            "bug",
            command=entry.name,
            error=type(error).__name__,
            traceback="".join(traceback.format_tb(error.__traceback__)),
        )
        if session.midway:
            session.cut("answer not finished")
        session.say(replies.refusal(Unavailable(replies.BUG), session.language))
    else:
        session.bad = 0
        if text is not None:
            session.say(replies.ok(text, session.language))


def _refuse(session: Session, error: MailError, entry: Verb | None = None) -> None:
    if isinstance(error, AuthFailed):
        session.failures += 1
    session.say(replies.refusal(error, session.language))
    session.trace.event("refused", command=entry.name if entry is not None else None, reason=str(error))


def _spoken(line: bytes, entry: Verb) -> bytes:
    """The command as a trace may see it."""
    if entry.secret and len(line) > len(entry.name):
        return line[: len(entry.name)] + b" " + REDACTED
    return line
