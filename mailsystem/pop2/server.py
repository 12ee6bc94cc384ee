"""The POP2 door from outside: listening, and one client's conversation from greeting to goodbye."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

from mailsystem.directory import Directory
from mailsystem.mail.errors import MailError, SyntaxFault, WrongState
from mailsystem.net import OPEN, Bound, Closed, Connection, Stopping, Terms, listen
from mailsystem.pop2 import grammar, replies
from mailsystem.pop2.session import Options, Session
from mailsystem.pop2.verbs import TABLE, Verb
from mailsystem.store import Store
from mailsystem.telemetry import Trace
from mailsystem.telemetry.trace import CLIENT, REDACTED

_TURN: Final = 64
"""Commands of one client that may run before the others have a turn, where none of them has to wait."""


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
        await _serve(connection, store, directory, trace.child("pop2", peer=str(connection.peer)), options)

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
        # RFC 937, Server Decision Table: a time-out is garbage like any other.
        reason = "too long without a command"
        await _last_word(session, b"- " + reason.encode())
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
    """Greet, then one command after the other, strictly in order; returns why it is over.

    RFC 937: "if anything goes wrong close the connection". So the first bad command is the last.
    """
    session.talk.say(replies.greeting(session.options.hostname))
    turns = 0
    while not session.ended:
        entry: Verb | None = None
        line = b""
        try:
            line = await session.talk.hear(session.patience)
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
                await _last_word(session, reply)
                return "something went wrong"
        except (Stopping, TimeoutError, ConnectionError):
            raise
        except Exception as error:
            trail = "".join(traceback.format_tb(error.__traceback__))
            session.trace.event("bug", command=entry and entry.name, error=type(error).__name__, traceback=trail)
            await _last_word(session, replies.BUG)
            return "something went wrong"
        if reply is not None:
            session.talk.say(reply)
        await session.talk.flush_if_much()
        turns += 1
        if not turns % _TURN:
            await asyncio.sleep(0)
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
