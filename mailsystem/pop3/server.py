"""The POP3 door from outside: listening, and one client's conversation from greeting to goodbye."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from mailsystem.directory import Directory
from mailsystem.mail.errors import AuthFailed, MailError, SyntaxFault, Unavailable, WrongState
from mailsystem.net import OPEN, Bound, Connection, Injected, Stopping, Terms, listen
from mailsystem.pop3 import grammar, replies
from mailsystem.pop3.languages import Phrase
from mailsystem.pop3.session import Options, Session, State
from mailsystem.pop3.verbs import TABLE, Verb
from mailsystem.store import Store
from mailsystem.telemetry import Trace
from mailsystem.telemetry.trace import CLIENT, REDACTED

if TYPE_CHECKING:
    from mailsystem.faults import Faults

_FULL: Final = b"-ERR [SYS/TEMP] too many connections, come again later\r\n"  # RFC 3206 4


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
    faults: Faults | None = None,
) -> AsyncIterator[Bound]:
    """Serve POP3 until the block is left; then nobody's deletions are done but those of a QUIT that has come.

    `tls` enables STLS or, with `implicit_tls`, wraps every connection at once. The numbers are explained at `Options`.
    With `faults`, what they say goes wrong.
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

    if faults is not None:
        from mailsystem.pop3.faulty import Faulty  # only now: a server has no faults

    async def serve(connection: Connection) -> None:
        session = Session(connection, store, directory, trace.child("pop3", peer=str(connection.peer)), options)
        if faults is not None:
            session.faulty = Faulty(session, faults)
        await session.talk.hold(
            lambda: _converse(session), farewell=lambda end: _farewell(session, end), leave=session.leave
        )

    at_once = tls if implicit_tls else None
    async with listen(serve, host, port, tls=at_once, terms=terms, full=_FULL, grace=grace, trace=trace) as bound:
        yield bound


def _farewell(session: Session, end: Exception) -> bytes | None:
    match end:
        case Stopping():
            return replies.refusal(Unavailable(replies.STOPPING), session.language)
        case Injected():
            return replies.refusal(SyntaxFault("nothing may follow STLS"), session.language)
    return None  # RFC 1939 3: who is too slow is left without UPDATE and without a word


async def _converse(session: Session) -> str:
    """Greet, then one command after the other, strictly in order; returns why it is over."""
    ready = replies.ok(Phrase("{host} POP3 ready", host=session.options.hostname))
    if session.faulty is None:
        session.talk.say(ready)
    else:
        await session.faulty.greet(ready)
    while not session.ended:
        try:
            line = await session.talk.hear()  # what was said leaves before anything is waited for (RFC 2449 6.6)
        except SyntaxFault as error:
            _refuse(session, error)
            session.patience.bad += 1
        else:
            await _run(session, line)
        if why := session.patience.over:
            await session.talk.last_word(replies.refusal(SyntaxFault(why), session.language))
            return why
        await session.talk.take_turns()
    await session.talk.flush()
    return "maildrop lock lost" if session.lost else "quit"


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
        session.patience.bad += 1
        session.talk.mistrust(line)
        _refuse(session, error, entry)
        return
    try:
        session.check_lease()
        if session.faulty is None:
            text = await entry.handler(session, args)
        else:
            text = await session.faulty.perform(entry, args, line)
    except MailError as error:
        if session.midway:
            session.talk.cut(f"answer not finished: {error}")
        # Who is known may ask for messages that are not there as often as they like.
        session.patience.bad += session.state is State.AUTHORIZATION and not isinstance(error, AuthFailed)
        _refuse(session, error, entry)
    except (Injected, Stopping, TimeoutError, ConnectionError):
        raise
    except Exception as error:
        session.trace.bug(error, command=entry.name)
        if session.midway:
            session.talk.cut("answer not finished")
        session.talk.say(replies.refusal(Unavailable(replies.BUG), session.language))
    else:
        session.patience.bad = 0
        if text is not None:
            session.talk.say(replies.ok(text, session.language))
    if session.faulty is not None:
        await session.faulty.answered()


def _refuse(session: Session, error: MailError, entry: Verb | None = None) -> None:
    if isinstance(error, AuthFailed):
        session.patience.failures += 1
    session.talk.say(replies.refusal(error, session.language))
    session.trace.event("refused", command=entry.name if entry is not None else None, reason=str(error))


def _spoken(line: bytes, entry: Verb) -> bytes:
    """The command as a trace may see it."""
    if entry.secret and len(line) > len(entry.name):
        return line[: len(entry.name)] + b" " + REDACTED
    return line
