"""Commands before login (RFC 3501 6.2)."""

from __future__ import annotations

from functools import partial

from mailsystem.imap.command import NOT_AUTHENTICATED, Ok, capabilities, command
from mailsystem.imap.grammar import Arguments
from mailsystem.imap.session import Session
from mailsystem.mail import sasl
from mailsystem.mail.errors import AuthRequired, NotPermitted, Rejected, SyntaxFault
from mailsystem.mail.sasl import MECHANISMS, Credentials
from mailsystem.net import Injected


@command("STARTTLS", NOT_AUTHENTICATED)
async def starttls(session: Session, args: Arguments, by_uid: bool) -> Ok | None:
    """RFC 3501 6.2.1: TLS from the next octet on."""
    args.end()
    if not session.may_start_tls:
        raise NotPermitted("no TLS to start here")
    if session.pending:
        # Whatever came behind it in clear would be taken for part of the protected conversation.
        raise Injected
    return Ok("begin TLS now", then=session.start_tls)


@command("LOGIN", NOT_AUTHENTICATED, secret=True)
async def login(session: Session, args: Arguments, by_uid: bool) -> Ok | None:
    """RFC 3501 6.2.3: a name and a password."""
    args.sp()
    name = args.astring()
    args.sp()
    password = args.astring()
    args.end()
    _need_privacy(session)
    return await _log_in(session, Credentials.of(name, password))


@command("AUTHENTICATE", NOT_AUTHENTICATED, secret=True)
async def authenticate(session: Session, args: Arguments, by_uid: bool) -> Ok | None:
    """RFC 3501 6.2.2, with the initial response of RFC 4959."""
    args.sp()
    name = args.keyword()
    initial = None
    if not args.at_end():
        args.sp()
        initial = args.base64()
    args.end()
    mechanism = MECHANISMS.get(name)
    if mechanism is None:
        raise Rejected("unknown mechanism")
    _need_privacy(session)
    response = None if initial is None else sasl.decode(initial)
    return await _log_in(session, await sasl.proven(mechanism, response, partial(_ask, session)))


async def _ask(session: Session, challenge: bytes) -> bytes:
    answer = await session.ask(challenge)
    if answer == b"*":
        raise SyntaxFault("cancelled")  # RFC 3501 6.2.2: it is BAD then
    return answer


def _need_privacy(session: Session) -> None:
    if not session.may_log_in:
        raise AuthRequired("start TLS first")


async def _log_in(session: Session, credentials: Credentials) -> Ok:
    await session.log_in(credentials)
    return Ok("welcome", b"CAPABILITY " + capabilities(session))
