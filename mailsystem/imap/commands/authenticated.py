"""Commands after login (RFC 3501 6.3): entering mailboxes, making them, filling them, waiting."""

from __future__ import annotations

from mailsystem.imap import reply
from mailsystem.imap.command import AUTHENTICATED, Ok, command
from mailsystem.imap.grammar import Arguments
from mailsystem.imap.session import Selected, Session, State
from mailsystem.imap.view import View
from mailsystem.mail.errors import SyntaxFault
from mailsystem.mail.mailbox import SYSTEM_FLAGS, Status
from mailsystem.store import Spool


@command("SELECT", AUTHENTICATED)
async def select(session: Session, args: Arguments, by_uid: bool) -> Ok | None:
    """RFC 3501 6.3.1: enter a mailbox."""
    return await _enter(session, args, read_only=False)


@command("EXAMINE", AUTHENTICATED)
async def examine(session: Session, args: Arguments, by_uid: bool) -> Ok | None:
    """RFC 3501 6.3.2: enter a mailbox and leave everything in it as it is."""
    return await _enter(session, args, read_only=True)


async def _enter(session: Session, args: Arguments, *, read_only: bool) -> Ok:
    args.sp()
    name = args.mailbox()
    args.end()
    # RFC 3501 6.3.1: the old mailbox is left even if the new one cannot be entered.
    session.select(None)
    heard = session.store.bell.rung
    opened = await session.store.mailboxes.open(session.account.id, name, claim_recent=not read_only)
    mailbox = opened.status.mailbox
    view = View(opened.uids, mailbox.modseq, opened.recent)
    session.select(Selected(mailbox, view, read_only), heard=heard)
    session.trace.event("selected", mailbox=mailbox.name, messages=view.exists, read_only=read_only)
    flags = " ".join((*SYSTEM_FLAGS, *opened.keywords)).encode("ascii")
    permanent = b"()" if read_only else b"(" + flags + b" \\*)"
    lines = [
        b"* FLAGS (" + flags + b")",
        b"* OK [PERMANENTFLAGS " + permanent + b"] kept",
        b"* %d EXISTS" % view.exists,
        b"* %d RECENT" % view.recent,
        b"* OK [UIDVALIDITY %d] valid" % mailbox.uidvalidity,
        b"* OK [UIDNEXT %d] next" % mailbox.uidnext,
    ]
    if opened.first_unseen is not None:
        lines.insert(4, b"* OK [UNSEEN %d] first unseen" % view.number(opened.first_unseen))
    session.send(b"\r\n".join(lines) + reply.CRLF)
    return Ok("entered", b"READ-ONLY" if read_only else b"READ-WRITE")


@command("CREATE", AUTHENTICATED)
async def create(session: Session, args: Arguments, by_uid: bool) -> Ok | None:
    """RFC 3501 6.3.3: make a mailbox, and those above it."""
    args.sp()
    name = args.mailbox()
    args.end()
    await session.store.mailboxes.create(session.account.id, name)
    return None


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
    session.send(b"* STATUS %b (%b)\r\n" % (reply.mailbox(counted.mailbox.name), items))
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
    """RFC 5161: there is nothing to enable yet, and what is unknown is passed over."""
    args.sp()
    args.atom()
    while args.accept(b" "):
        args.atom()
    args.end()
    session.send(b"* ENABLED\r\n")
    return None


@command("IDLE", AUTHENTICATED, looks=True, capability="IDLE")
async def idle(session: Session, args: Arguments, by_uid: bool) -> Ok | None:
    """RFC 2177: hear what is new at once, until DONE."""
    args.end()
    session.send(b"+ idling\r\n")
    line = await session.idle()
    if line.upper() != b"DONE":
        raise SyntaxFault("DONE expected")
    return None
