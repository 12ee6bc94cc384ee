"""Commands after login (RFC 3501 6.3): making mailboxes, filling them, waiting."""

from __future__ import annotations

from mailsystem.imap import news
from mailsystem.imap.command import AUTHENTICATED, Ok, command
from mailsystem.imap.dialect import ENABLES
from mailsystem.imap.grammar import Arguments
from mailsystem.imap.session import Session, State
from mailsystem.mail.errors import SyntaxFault
from mailsystem.mail.mailbox import Status
from mailsystem.store import Spool


@command("CREATE", AUTHENTICATED)
async def create(session: Session, args: Arguments, by_uid: bool) -> Ok | None:
    """RFC 3501 6.3.3: make a mailbox, and those above it."""
    args.sp()
    name = args.mailbox()
    args.end()
    made = await session.store.mailboxes.create(session.account.id, name)
    return Ok(code=b"MAILBOXID (%b)" % made.objectid.encode("ascii"))  # RFC 8474 4.1


@command("DELETE", AUTHENTICATED)
async def delete(session: Session, args: Arguments, by_uid: bool) -> Ok | None:
    """RFC 3501 6.3.4: drop a mailbox with its messages, not those below it."""
    args.sp()
    name = args.mailbox()
    args.end()
    mailbox = await session.store.mailboxes.find(session.account.id, name)
    await session.store.mailboxes.delete(session.account.id, name)
    if session.state is State.SELECTED and session.mailbox.id == mailbox.id:
        # The client knows what it did; it is simply in no mailbox any more.
        session.select(None)
        session.send(b"* OK [CLOSED] the selected mailbox was deleted\r\n")
    return None


@command("RENAME", AUTHENTICATED)
async def rename(session: Session, args: Arguments, by_uid: bool) -> Ok | None:
    """RFC 3501 6.3.5: give a mailbox and those below it another name; whoever is in it stays in it."""
    args.sp()
    old = args.mailbox()
    args.sp()
    new = args.mailbox()
    args.end()
    await session.store.mailboxes.rename(session.account.id, old, new)
    return None


@command("SUBSCRIBE", AUTHENTICATED)
async def subscribe(session: Session, args: Arguments, by_uid: bool) -> Ok | None:
    """RFC 3501 6.3.6: add a name to the subscribed ones, be there such a mailbox or not."""
    args.sp()
    name = args.mailbox()
    args.end()
    await session.store.mailboxes.subscribe(session.account.id, name, True)
    return None


@command("UNSUBSCRIBE", AUTHENTICATED)
async def unsubscribe(session: Session, args: Arguments, by_uid: bool) -> Ok | None:
    """RFC 3501 6.3.7."""
    args.sp()
    name = args.mailbox()
    args.end()
    await session.store.mailboxes.subscribe(session.account.id, name, False)
    return None


@command("STATUS", AUTHENTICATED)
async def status(session: Session, args: Arguments, by_uid: bool) -> Ok | None:
    """RFC 3501 6.3.10: counts of a mailbox one need not be in."""
    args.sp()
    name = args.mailbox()
    args.sp()
    args.enter()
    wanted = [_status_att(args)]
    while args.accept(b" "):
        wanted.append(_status_att(args))
    args.leave()
    args.end()
    counted = await session.store.mailboxes.status(session.account.id, name)
    items = b" ".join(b"%b %d" % (att.encode("ascii"), _count(counted, att)) for att in dict.fromkeys(wanted))
    session.send(b"* STATUS %b (%b)\r\n" % (session.dialect.mailbox(counted.mailbox.name), items))
    return None


def _status_att(args: Arguments) -> str:
    """status-att = "MESSAGES" / "RECENT" / "UIDNEXT" / "UIDVALIDITY" / "UNSEEN" """
    att = args.keyword()
    if att not in ("MESSAGES", "RECENT", "UIDNEXT", "UIDVALIDITY", "UNSEEN"):
        raise SyntaxFault("unknown status item")
    return att


def _count(counted: Status, att: str) -> int:
    match att:
        case "MESSAGES":
            return counted.messages
        case "RECENT":
            return counted.recent
        case "UIDNEXT":
            return counted.mailbox.uidnext
        case "UIDVALIDITY":
            return counted.mailbox.uidvalidity
        case _:
            return counted.unseen


@command("APPEND", AUTHENTICATED, target=True)
async def append(session: Session, args: Arguments, by_uid: bool) -> Ok | None:
    """RFC 3501 6.3.11: put a message into a mailbox, exactly as it comes; its UID is told (RFC 4315)."""
    args.sp()
    name = args.mailbox()
    args.sp()
    flags = None
    if args.peek() == b"(":
        flags = args.flag_list()
        args.sp()
    internaldate = None
    if args.peek() == b'"':
        internaldate = args.date_time()
        args.sp()
    message = args.literal()
    args.end()
    if isinstance(message, bytes):
        spool = session.spool()
        spool.write(message)
    else:
        assert isinstance(message, Spool)  # noqa: S101 - the session's framing makes no other sink
        spool = message
        # It is on disk and would be scanned and fsynced in vain.
        await session.store.mailboxes.find(session.account.id, name)
    done = await session.store.mailboxes.append(
        session.account.id, name, spool, flags=flags or frozenset(), internaldate=internaldate
    )
    session.trace.event("appended", mailbox=done.mailbox.name, uid=done.uid, size=spool.size)
    return Ok(code=b"APPENDUID %d %d" % (done.mailbox.uidvalidity, done.uid))


@command("NAMESPACE", AUTHENTICATED, capability="NAMESPACE")
async def namespace(session: Session, args: Arguments, by_uid: bool) -> Ok | None:
    """RFC 2342: one personal namespace without a prefix."""
    args.end()
    session.send(b'* NAMESPACE (("" "/")) NIL NIL\r\n')
    return None


@command("ENABLE", State.AUTHENTICATED, capability="ENABLE")
async def enable(session: Session, args: Arguments, by_uid: bool) -> Ok | None:
    """RFC 5161: from now on the client understands these extensions; what is unknown is passed over."""
    args.sp()
    wanted = [args.keyword()]
    while args.accept(b" "):
        wanted.append(args.keyword())
    args.end()
    hidden = session.hidden
    enabled = [word for word in dict.fromkeys(wanted) if word in ENABLES and word not in hidden]
    session.dialect = session.dialect.enabling(enabled)
    session.send(b"".join([b"* ENABLED", *(b" " + word.encode("ascii") for word in enabled), b"\r\n"]))
    return None


@command("IDLE", AUTHENTICATED, looks=True, capability="IDLE")
async def idle(session: Session, args: Arguments, by_uid: bool) -> Ok | None:
    """RFC 2177: hear what is new at once, until DONE."""
    args.end()
    session.send(b"+ idling\r\n")
    line = await news.idle(session)
    if line.upper() != b"DONE":
        raise SyntaxFault("DONE expected")
    return None
