"""SELECT and EXAMINE (RFC 9051 6.3.2 and 6.3.3), and how a client that has been here before catches up (RFC 7162)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from mailsystem.imap import reply
from mailsystem.imap.command import AUTHENTICATED, Ok, command
from mailsystem.imap.dialect import vanished
from mailsystem.imap.grammar import Arguments, UidRequired
from mailsystem.imap.news import flags_in_use, permanent_flags
from mailsystem.imap.session import FLUSH_AT, Selected, Session, State
from mailsystem.imap.view import View
from mailsystem.mail.errors import SyntaxFault
from mailsystem.mail.mailbox import MessageSet, ModSeq
from mailsystem.mail.rights import may_change

_LINES_AT_ONCE: Final = 1000


@dataclass(frozen=True, slots=True)
class Known:
    """What a client remembers of a mailbox from an earlier session (RFC 7162 3.2.5)."""

    uidvalidity: int
    modseq: ModSeq
    uids: MessageSet | None
    """The UIDs that it holds; None for all there were."""


@command("SELECT", AUTHENTICATED)
async def select(session: Session, args: Arguments, by_uid: bool) -> Ok | None:
    """RFC 9051 6.3.2: enter a mailbox; with CONDSTORE and QRESYNC (RFC 7162) what has changed since is told."""
    return await _enter(session, args, read_only=False)


@command("EXAMINE", AUTHENTICATED)
async def examine(session: Session, args: Arguments, by_uid: bool) -> Ok | None:
    """RFC 9051 6.3.3: enter a mailbox and leave everything in it as it is."""
    return await _enter(session, args, read_only=True)


async def _enter(session: Session, args: Arguments, *, read_only: bool) -> Ok:
    args.sp()
    said, name = args.mailbox_as_said()
    known = _parameters(session, args)
    args.end()
    if session.state is State.SELECTED:
        # RFC 3501 6.3.1: the old mailbox is left even if the new one cannot be entered; RFC 7162 3.2.11: and this says when.
        session.select(None)
        session.send(b"* OK [CLOSED] left the mailbox before\r\n")
    heard = session.store.bell.rung
    opened = await session.store.mailboxes.open(session.account.id, name, claim_recent=not read_only)
    mailbox = opened.mailbox
    view = View(opened.uids, mailbox.modseq, opened.recent)
    keywords = set(opened.keywords)
    examined, read_only = read_only, read_only or not may_change(opened.rights)
    session.select(Selected(mailbox, view, read_only, keywords, opened.rights, examined), heard=heard)
    session.trace.event("selected", mailbox=mailbox.shown, messages=view.exists, read_only=read_only)
    dialect, flags = session.dialect, flags_in_use(keywords)
    permanent = b"(" + (b"" if read_only else permanent_flags(keywords, opened.rights)) + b")"
    lines = [
        b"* FLAGS (" + flags + b")",
        b"* OK [PERMANENTFLAGS " + permanent + b"] kept",
        b"* %d EXISTS" % view.exists,
    ]
    if not dialect.rev2:
        lines.append(b"* %d RECENT" % view.recent)
        if opened.first_unseen is not None and not dialect.uidonly:
            lines.append(b"* OK [UNSEEN %d] first unseen" % view.number(opened.first_unseen))
    lines += [
        b"* OK [UIDVALIDITY %d] valid" % mailbox.uidvalidity,
        b"* OK [UIDNEXT %d] next" % mailbox.uidnext,
        b"* OK [HIGHESTMODSEQ %d] highest" % mailbox.modseq,
        b"* OK [MAILBOXID (%b)] its own for ever" % mailbox.objectid.encode("ascii"),
    ]
    if dialect.rev2:
        # RFC 9051 6.3.2: whoever keeps the attributes that it was told last shall not lose what the mailbox is for.
        uses = (mailbox.special_use or "").split()
        lines.append(
            reply.listed(b"LIST", uses, dialect.mailbox(mailbox.shown), dialect.instead_of(said)).removesuffix(
                reply.CRLF
            )
        )
    session.send(b"\r\n".join(lines) + reply.CRLF)
    if opened.over_quota:
        session.send(b"* NO [OVERQUOTA] you keep more than you may\r\n")  # RFC 9208 4.3.1
    if known is not None and known.uidvalidity == mailbox.uidvalidity:
        await _catch_up(session, known)
    return Ok("entered", b"READ-ONLY" if read_only else b"READ-WRITE")


def _parameters(session: Session, args: Arguments) -> Known | None:
    """select-params = SP "(" select-param *(SP select-param) ")" (RFC 4466); those unknown are a mistake"""
    known = None
    if not args.accept(b" "):
        return None
    args.enter()
    while True:
        word = args.keyword()
        if word == "CONDSTORE":
            session.dialect = session.dialect.enabling(["CONDSTORE"])
        elif word == "QRESYNC":
            if not session.dialect.qresync:
                raise SyntaxFault("enable QRESYNC first")  # RFC 7162 3.2.5
            args.sp()
            known = _known(args, numbered=not session.dialect.uidonly)
        else:
            raise SyntaxFault("unknown parameter")
        if args.peek() == b")":
            break
        args.sp()
    args.leave()
    return known


def _known(args: Arguments, *, numbered: bool) -> Known:
    """ "(" uidvalidity SP mod-sequence-value [SP known-uids] [SP seq-match-data] ")"; the last only by numbers"""
    args.enter()
    uidvalidity = args.nz_number()
    args.sp()
    modseq = args.mod_sequence()
    uids = None
    if args.accept(b" ") and args.peek() != b"(":
        uids = args.uid_set()
        args.accept(b" ")
    if args.peek() == b"(":
        if not numbered:
            raise UidRequired  # RFC 9586 3.7
        # seq-match-data = "(" known-sequence-set SP known-uid-set ")": a help for servers that remember less than we do.
        args.enter()
        args.uid_set()
        args.sp()
        args.uid_set()
        args.leave()
    args.leave()
    return Known(uidvalidity, modseq, uids)


async def _catch_up(session: Session, known: Known) -> None:
    """Tell what has vanished, then what has changed, since the client was last here (RFC 7162 3.2.5.1)."""
    mailbox, view = session.mailbox, session.view
    if known.modseq >= mailbox.modseq:
        return
    changes = await session.store.mailboxes.changes(mailbox.account, mailbox.id, known.modseq, actor=session.account.id)
    session.beyond = changes.modseq > view.modseq
    uids = MessageSet(((1, mailbox.uidnext - 1),)) if known.uids is None else known.uids
    # What vanished or came after the mailbox was entered is news, and told with the rest of that.
    gone = (changes.vanished & uids) - MessageSet.of(view.members(changes.vanished))
    for line in vanished(gone, earlier=True):
        session.send(line)
        if session.buffered > FLUSH_AT:
            await session.flush()
    told = [(number, m) for m in changes.messages if m.uid in uids and (number := view.number(m.uid))]
    for start in range(0, len(told), _LINES_AT_ONCE):
        session.send(session.dialect.changed(view, told[start : start + _LINES_AT_ONCE], with_uid=True))
        if session.buffered > FLUSH_AT:
            await session.flush()
