"""The IMAP door: the only module here that has to do with a socket."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final

from mailsystem.directory import Directory
from mailsystem.imap import dispatch, news, reply
from mailsystem.imap.command import capabilities
from mailsystem.imap.framing import Continue, Frame
from mailsystem.imap.options import Options
from mailsystem.imap.session import FLUSH_AT, Goodbye, Session
from mailsystem.net import OPEN, Bound, Closed, Connection, Injected, Stopping, Terms, listen
from mailsystem.store import Store
from mailsystem.telemetry import Trace

if TYPE_CHECKING:
    from mailsystem.faults import Faults
    from mailsystem.imap.faulty import Faulty

_TURN: Final = 64
"""Commands of one client that may run before the others have a turn, where none of them has to wait."""
_LONG: Final = 0.002
"""Seconds after which the others have one anyhow: a set of ten thousand numbers takes longer to be read."""
_FULL: Final = b"* BYE [UNAVAILABLE] too many connections, come again later\r\n"  # RFC 9051 7.1.5, RFC 5530 3


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
    largest_message: int = 1 << 30,
    messages_per_command: int = 0,
    share_with_anyone: bool = False,
    login_timeout: float = 180,
    idle_timeout: float = 1800,
    keepalive: float = 240,
    login_attempts: int = 3,
    bad_commands: int = 20,
    grace: float = 5.0,
    terms: Terms = OPEN,
    faults: Faults | None = None,
) -> AsyncIterator[Bound]:
    """Serve IMAP until the block is left; then say BYE to everybody.

    `tls` enables STARTTLS or, with `implicit_tls`, wraps every connection at once. The numbers are explained at `Options`.
    With `faults`, what they say goes wrong.
    """
    options = Options(
        hostname=hostname,
        tls=None if implicit_tls else tls,
        cleartext_login=cleartext_login,
        largest_message=largest_message,
        messages_per_command=messages_per_command,
        share_with_anyone=share_with_anyone,
        login_timeout=login_timeout,
        idle_timeout=idle_timeout,
        keepalive=keepalive,
        login_attempts=login_attempts,
        bad_commands=bad_commands,
    )

    async def serve(connection: Connection) -> None:
        await _serve(connection, store, directory, trace.child("imap", peer=str(connection.peer)), options, faults)

    at_once = tls if implicit_tls else None
    async with listen(serve, host, port, tls=at_once, terms=terms, full=_FULL, grace=grace, trace=trace) as bound:
        yield bound


async def _serve(
    connection: Connection,
    store: Store,
    directory: Directory,
    trace: Trace,
    options: Options,
    faults: Faults | None,
) -> None:
    trace.event("connected", tls=connection.secure)
    session = Session(connection, store, directory, trace, options)
    faulty: Faulty | None = None
    if faults is not None:
        from mailsystem.imap.faulty import Faulty  # only now: a server has no faults

        faulty = Faulty(session, faults)
    reason = "logout"
    try:
        await _converse(session, faulty)
    except Goodbye as end:
        reason = str(end)
        session.send(b"* BYE " + reply.text(reason) + reply.CRLF)
        with suppress(Closed):
            await session.flush()
    except Injected:
        reason = "octets in clear behind STARTTLS"
        trace.event("attacked", reason=reason)
        session.send(b"* BYE " + reply.text(reason) + reply.CRLF)
        with suppress(Closed):
            await session.flush()
    except (ConnectionError, Stopping) as end:
        reason = str(end) or "stopped"
    except asyncio.CancelledError:
        reason = "cancelled"
        raise
    finally:
        session.discard()
        trace.event("disconnected", reason=reason)


async def _converse(session: Session, faulty: Faulty | None) -> None:
    """Greet, then one command after the other, strictly in order, until somebody says BYE."""
    name = reply.text(session.options.hostname)
    ready = b"* OK [CAPABILITY " + capabilities(session) + b"] " + name + b" ready\r\n"
    if faulty is None:
        session.send(ready)
    else:
        await faulty.greet(ready)
    turns, clock = 0, asyncio.get_running_loop().time
    began = clock()
    while not session.ended:
        heard = session.framing.next()
        match heard:
            case Frame():
                try:
                    await dispatch.run(session, heard, faulty)
                finally:
                    session.discard()
                turns += 1
                if session.buffered > FLUSH_AT:
                    await session.flush()
                if not turns % _TURN or clock() - began > _LONG:
                    await asyncio.sleep(0)
                    began = clock()
            case Continue():
                session.send(b"+ go ahead\r\n")
            case None:
                # Only now, so that the answers to commands that came together leave together.
                await session.flush()
                await news.attend(session)
                began = clock()
    await session.flush()
