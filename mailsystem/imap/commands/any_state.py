"""Commands for any state (RFC 3501 6.1, RFC 2971)."""

from __future__ import annotations

from typing import Final

from mailsystem.imap.command import ANY, Ok, capabilities, command
from mailsystem.imap.grammar import Arguments
from mailsystem.imap.session import Session
from mailsystem.mail.errors import SyntaxFault

_MOST_FIELDS: Final = 30
_LONGEST_KEY: Final = 30
_LONGEST_VALUE: Final = 1024


@command("CAPABILITY", ANY)
async def capability(session: Session, args: Arguments, by_uid: bool) -> Ok | None:
    """RFC 3501 6.1.1: what can be used here and now."""
    args.end()
    session.send(b"* CAPABILITY " + capabilities(session) + b"\r\n")
    return None


@command("NOOP", ANY, looks=True)
async def noop(session: Session, args: Arguments, by_uid: bool) -> Ok | None:
    """RFC 3501 6.1.2: nothing, and so what is new is told."""
    args.end()
    return None


@command("LOGOUT", ANY)
async def logout(session: Session, args: Arguments, by_uid: bool) -> Ok | None:
    """RFC 3501 6.1.3: goodbye."""
    args.end()
    session.select(None)
    session.send(b"* BYE see you\r\n")
    session.ended = True
    return None


@command("ID", ANY, capability="ID")
async def identify(session: Session, args: Arguments, by_uid: bool) -> Ok | None:
    """RFC 2971: who the client says it is; some clients are not offered what they fail at."""
    args.sp()
    fields = _fields(args)
    args.end()
    if fields:
        session.client = fields
        session.trace.event("identified", client=fields)
    session.send(b'* ID ("name" "mailsystem")\r\n')
    return None


def _fields(args: Arguments) -> dict[str, str | None]:
    """id-params-list = "(" *(string SP nstring) ")" / nil"""
    if args.accept(b"NIL"):
        return {}
    args.enter()
    fields: dict[str, str | None] = {}
    while args.peek() != b")":
        if fields:
            args.sp()
        key = args.string()
        args.sp()
        value = args.nstring()
        # RFC 2971 3.3 sets these bounds.
        if len(key) > _LONGEST_KEY or len(value or b"") > _LONGEST_VALUE or len(fields) >= _MOST_FIELDS:
            raise SyntaxFault("too much identification")
        fields[key.decode("utf-8", "replace").lower()] = None if value is None else value.decode("utf-8", "replace")
    args.leave()
    return fields
