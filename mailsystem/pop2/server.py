"""The POP2 door from outside: listening, and one client's conversation from greeting to goodbye."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mailsystem.directory import Directory
from mailsystem.mail.errors import MailError, SyntaxFault, WrongState
from mailsystem.net import OPEN, Bound, Connection, Stopping, Terms, listen
from mailsystem.pop2 import grammar, replies
from mailsystem.pop2.session import Options, Session
from mailsystem.pop2.verbs import TABLE, Verb
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
    grace: float = 5.0,
    terms: Terms = OPEN,
) -> AsyncIterator[Bound]:
    """Serve POP2 until the block is left. It knows no TLS; the numbers are explained at `Options`."""
    options = Options(hostname, cleartext_login, login_timeout, idle_timeout)

    async def serve(connection: Connection) -> None:
        session = Session(connection, store, directory, trace.child("pop2", peer=str(connection.peer)), options)
        await session.talk.hold(lambda: _converse(session), farewell=_farewell, leave=session.leave)

    async with listen(
        serve, host, port, tls=None, terms=terms, full=replies.FULL + b"\r\n", grace=grace, trace=trace
    ) as bound:
        yield bound


def _farewell(end: Exception) -> bytes:
    # RFC 937, Server Decision Table: a time-out is garbage like any other.
    return replies.STOPPING if isinstance(end, Stopping) else b"- too long without a command"


async def _converse(session: Session) -> str:
    """Greet, then one command after the other, strictly in order; returns why it is over.

    RFC 937: "if anything goes wrong close the connection". So the first bad command is the last.
    """
    session.talk.say(replies.greeting(session.options.hostname))
    while not session.ended:
        entry: Verb | None = None
        line = b""
        try:
            line = await session.talk.hear()
            name, rest = grammar.keyword(line)
            entry = TABLE.get(name)
            if entry is None:
                raise SyntaxFault("unknown command")
            session.trace.line(CLIENT, _spoken(line, rest, entry))
            reply = await _run(session, rest, entry)
        except MailError as error:
            if entry is None:
                # It may be anything, a password too.
                session.trace.line(CLIENT, b"[%d octets]" % len(line))
            session.trace.event("refused", command=entry.name if entry is not None else None, reason=str(error))
            reply = replies.refusal(error)
            if reply.startswith(b"-"):
                await session.talk.last_word(reply)
                return "something went wrong"
        except (Stopping, TimeoutError, ConnectionError):
            raise
        except Exception as error:
            session.trace.bug(error, command=entry and entry.name)
            await session.talk.last_word(replies.BUG)
            return "something went wrong"
        if reply is not None:
            session.talk.say(reply)
        await session.talk.take_turns()
    await session.talk.flush()
    return "quit"


async def _run(session: Session, rest: bytes, entry: Verb) -> bytes | None:
    if session.state not in entry.states:
        raise WrongState(f"{entry.name} is not possible now")
    if session.drop is not None:
        session.drop.check()
    return await entry.handler(session, rest)


def _spoken(line: bytes, rest: bytes, entry: Verb) -> bytes:
    """The command as a trace may see it."""
    if entry.secret and rest:
        user, password = grammar.split(rest)
        return b" ".join([entry.name.encode(), *([user] if password else []), REDACTED])
    return line
