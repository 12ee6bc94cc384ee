"""NOTIFY (RFC 5465): the client says what it wants to hear, at any time and without asking."""

from __future__ import annotations

from mailsystem.imap import news, watch
from mailsystem.imap.command import AUTHENTICATED, Ok, command
from mailsystem.imap.grammar import Arguments
from mailsystem.imap.notify import Wanted, read_wanted
from mailsystem.imap.session import Session
from mailsystem.mail.errors import SyntaxFault


@command("NOTIFY", AUTHENTICATED, capability="NOTIFY")
async def notify(session: Session, args: Arguments, by_uid: bool) -> Ok | None:
    """RFC 5465 3.1: from now on the client hears of these events, or of none."""
    args.sp()
    wanted, tell = Wanted(), False
    match args.keyword():
        case "SET":
            args.sp()
            if args.accept(b"STATUS "):
                tell = True
            wanted = read_wanted(args)
        case "NONE":
            pass
        case _:
            raise SyntaxFault("SET or NONE expected")
    args.end()
    await news.sync(session)  # RFC 5465 3.1: what has come to pass until now is told as it was until now
    await watch.begin(session, wanted, tell=tell)
    return None
