"""APPEND (RFC 9051 6.3.12), of several messages at once (RFC 3502), and REPLACE (RFC 8508).

A message may come as a literal8 with any octets in it (RFC 3516), or within UTF8 (RFC 9755 4): all are kept as they come.
"""

from __future__ import annotations

from collections.abc import Sequence

from mailsystem.imap import limiting
from mailsystem.imap.command import AUTHENTICATED, SELECTED, Ok, command
from mailsystem.imap.grammar import Arguments
from mailsystem.imap.session import Session
from mailsystem.mail.errors import Rejected
from mailsystem.mail.mailbox import MessageSet, Uid
from mailsystem.store import Appended, New, Spool


class Gone(Rejected):
    """Somebody else has expunged the message (RFC 5530 3)."""

    text = "the message is gone"


class Cancelled(Rejected):
    """A message of no octets, by which a client takes back all that it was about to append (RFC 3502 6.3.11)."""

    text = "a message of no octets, so nothing was appended"


@command("APPEND", AUTHENTICATED, target=True, capability="MULTIAPPEND")
async def append(session: Session, args: Arguments, by_uid: bool) -> Ok | None:
    """RFC 9051 6.3.12: put messages into a mailbox, exactly as they come, all or none; their UIDs are told (RFC 4315)."""
    args.sp()
    name = args.mailbox()
    news = [_message(session, args)]
    while not args.at_end():
        news.append(_message(session, args))
    limiting.at_most(session, len(news))
    await _look(session, name, news)
    done = await session.store.mailboxes.append_all(session.account.id, name, news)
    for each, new in zip(done, news, strict=True):
        _told(session, each, new)
    return Ok(code=_appenduid(done))


@command("REPLACE", SELECTED, uid=True, picks=True, target=True, capability="REPLACE")
async def replace(session: Session, args: Arguments, by_uid: bool) -> Ok | None:
    """RFC 8508: put a message into a mailbox and expunge another one, both or none; where it is now is told first."""
    args.sp()
    chosen = args.seq_number()
    args.sp()
    name = args.mailbox()
    new = _message(session, args)
    args.end()
    session.need_write()
    uids = list(session.view.members(session.view.pick(chosen, by_uid)))
    if not uids:
        raise Rejected("no such message")
    await _look(session, name, [new])
    mailbox = session.mailbox
    done = await session.store.mailboxes.replace(
        mailbox.account, mailbox.id, Uid(uids[0]), name, new, actor=session.account.id
    )
    if done is None:
        raise Gone
    appended, modseq, gone = done
    _told(session, appended, new)
    if session.trace.wants_contents:
        session.trace.event("expunged", mailbox=mailbox.shown, contents=[gone], uids=uids, replaced=True)
    session.send(b"* OK [" + _appenduid([appended]) + b"] appended\r\n")  # RFC 8508 4.3
    return Ok(code=b"HIGHESTMODSEQ %d" % modseq) if session.dialect.condstore else None


def _message(session: Session, args: Arguments) -> New:
    """append-message = SP [flag-list SP] [date-time SP] (literal / literal8 / "UTF8" SP "(" literal8 ")")

    Raises `Cancelled`.
    """
    args.sp()
    flags = None
    if args.peek() == b"(":
        flags = args.flag_list()
        args.sp()
    internaldate = None
    if args.peek() == b'"':
        internaldate = args.date_time()
        args.sp()
    within = args.accept(b"UTF8 (")
    if within:
        args.expect(b"~")
    else:
        args.accept(b"~")
    octets = args.literal()
    if within:
        args.expect(b")")
    if isinstance(octets, bytes):
        spool = session.spool()
        spool.write(octets)
    else:
        assert isinstance(octets, Spool)  # noqa: S101 - the session's framing makes no other sink
        spool = octets
    if not spool.size:
        raise Cancelled
    return New(spool, flags or frozenset(), internaldate)


def _told(session: Session, appended: Appended, new: New) -> None:
    where, uid = appended.mailbox.name, appended.uid
    session.trace.event("appended", mailbox=where, uid=uid, size=new.spool.size, contents=[appended.content])


async def _look(session: Session, name: str, news: list[New]) -> None:
    """Raises `NoSuchMailbox` before something large, which is on disk already, is scanned and fsynced in vain."""
    if any(new.spool.wants_flush or not new.spool.held for new in news):
        await session.store.mailboxes.find(session.account.id, name)


def _appenduid(done: Sequence[Appended]) -> bytes:
    """resp-code-apnd = "APPENDUID" SP nz-number SP append-uid ; append-uid = uniqueid / uid-set"""
    uids = MessageSet.of(each.uid for each in done)
    return f"APPENDUID {done[0].mailbox.uidvalidity} {uids}".encode("ascii")
