"""Commands before login (RFC 3501 6.2)."""

from __future__ import annotations

from mailsystem.imap.command import NOT_AUTHENTICATED, Ok, capabilities, command
from mailsystem.imap.grammar import Arguments
from mailsystem.imap.session import Session
from mailsystem.mail.errors import AuthRequired, NotPermitted, Rejected
from mailsystem.mail.sasl import Credentials
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
    credentials = Credentials.of(name, password)
    proving = session.directory.login(credentials, session.peer)
    await session.log_in(proving, mechanism="LOGIN", login=credentials.login)
    return _welcome(session)


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
    _need_privacy(session)
    if name not in session.mechanisms:
        raise Rejected("unknown mechanism")
    proving = session.directory.authenticate(name, initial, session.ask, peer=session.peer, binding=session.binding)
    await session.log_in(proving, mechanism=name)
    return _welcome(session)


def _need_privacy(session: Session) -> None:
    if not session.may_log_in:
        raise AuthRequired("start TLS first")


def _welcome(session: Session) -> Ok:
    return Ok("welcome", b"CAPABILITY " + capabilities(session))
