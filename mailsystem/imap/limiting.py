"""How many messages one command may be about (RFC 9738), where the server sets a limit at all.

What can be done in portions takes the highest UIDs and says how far down it came, so that the client can go on below. What is
all or nothing, or makes sense only as a whole, is refused.
"""

from __future__ import annotations

from mailsystem.imap.command import Ok
from mailsystem.imap.session import Session
from mailsystem.mail.errors import TooMany
from mailsystem.mail.mailbox import MessageSet


class OverLimit(TooMany):
    """More messages than one command may be about."""

    text = "too many messages, ask for fewer at once"

    def __init__(self, code: bytes) -> None:
        super().__init__()
        self.code = code
        """MESSAGELIMIT, as a response code without its brackets."""


def portion(session: Session, uids: MessageSet) -> tuple[MessageSet, bytes]:
    """Those of these messages that one command takes on, and the response code that tells so; empty where it is all."""
    limit = session.options.messages_per_command
    if not limit or session.view.count(uids) <= limit:
        return uids, b""
    taken = session.view.partial(uids, -1, -limit)
    return taken, b"MESSAGELIMIT %d %d" % (limit, taken.ranges[0][0])


def whole(session: Session, uids: MessageSet) -> None:
    """Raises `OverLimit` where it is not all of these messages that one command takes on."""
    _, code = portion(session, uids)
    if code:
        raise OverLimit(code)


def at_most(session: Session, count: int) -> None:
    """Raises `OverLimit` where it is more than one command takes on."""
    limit = session.options.messages_per_command
    if limit and count > limit:
        raise OverLimit(b"MESSAGELIMIT %d" % limit)


def telling(session: Session, code: bytes, done: Ok | None) -> Ok | None:
    """What a handler returns that did a portion: there is one code in a line, and a second one goes before (RFC 9738 3.1)."""
    words = "only the last of them"
    if not code:
        return done
    if done is None or not done.code:
        return Ok(words, code)
    session.send(b"* NO [%b] %b\r\n" % (code, words.encode("ascii")))
    return done
