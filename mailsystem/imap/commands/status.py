"""STATUS (RFC 9051 6.3.11), with all that extensions let it count."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from mailsystem.imap.command import AUTHENTICATED, Ok, command
from mailsystem.imap.grammar import Arguments
from mailsystem.imap.session import Session
from mailsystem.mail.errors import SyntaxFault
from mailsystem.mail.mailbox import Status

_ATTS: Final = frozenset({
    "MESSAGES", "RECENT", "UIDNEXT", "UIDVALIDITY", "UNSEEN",  # RFC 3501
    "DELETED", "SIZE",  # RFC 9051, RFC 8438
    "DELETED-STORAGE",  # RFC 9208
    "HIGHESTMODSEQ",  # RFC 7162
    "MAILBOXID",  # RFC 8474
    "APPENDLIMIT",  # RFC 7889
})  # fmt: skip


@command("STATUS", AUTHENTICATED, capability="STATUS=SIZE")
async def status(session: Session, args: Arguments, by_uid: bool) -> Ok | None:
    """RFC 9051 6.3.11: counts of a mailbox one need not be in."""
    args.sp()
    name = args.mailbox()
    args.sp()
    atts = status_atts(session, args)
    args.end()
    session.send(line(session, await session.store.mailboxes.status(session.account.id, name), atts))
    return None


def status_atts(session: Session, args: Arguments) -> tuple[str, ...]:
    """ "(" status-att *(SP status-att) ")"; each once. Who asks for HIGHESTMODSEQ enables CONDSTORE (RFC 7162 3.1)."""
    args.enter()
    atts = [args.keyword()]
    while args.accept(b" "):
        atts.append(args.keyword())
    args.leave()
    for att in atts:
        # RFC 9051 has no recent messages any more.
        if att not in _ATTS or (att == "RECENT" and session.dialect.rev2):
            raise SyntaxFault("unknown status item")
    if "HIGHESTMODSEQ" in atts:
        session.use_condstore()
    return tuple(dict.fromkeys(atts))


def line(session: Session, counted: Status, atts: Sequence[str]) -> bytes:
    """mailbox-data =/ "STATUS" SP mailbox SP "(" [status-att-list] ")" """
    items = b" ".join(_item(session, counted, att) for att in atts)
    return b"* STATUS %b (%b)\r\n" % (session.dialect.mailbox(counted.mailbox.shown), items)


def _item(session: Session, counted: Status, att: str) -> bytes:
    mailbox = counted.mailbox
    match att:
        case "MESSAGES":
            value = counted.messages
        case "RECENT":
            value = counted.recent
        case "UIDNEXT":
            value = mailbox.uidnext
        case "UIDVALIDITY":
            value = mailbox.uidvalidity
        case "UNSEEN":
            value = counted.unseen
        case "DELETED":
            value = counted.deleted
        case "SIZE":
            value = counted.size
        case "DELETED-STORAGE":
            value = counted.deleted_size
        case "HIGHESTMODSEQ":
            value = mailbox.modseq
        case "APPENDLIMIT":
            value = session.options.largest_message
        case _:
            return b"MAILBOXID (%b)" % mailbox.objectid.encode("ascii")
    return b"%b %d" % (att.encode("ascii"), value)
