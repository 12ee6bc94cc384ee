"""Commands within a mailbox (RFC 3501 6.4), but for FETCH, SEARCH and STORE."""

from __future__ import annotations

from mailsystem.imap import limiting, witness
from mailsystem.imap.command import SELECTED, Ok, command
from mailsystem.imap.grammar import Arguments
from mailsystem.imap.session import Session
from mailsystem.mail.mailbox import MessageSet
from mailsystem.store import Copied


@command("CHECK", SELECTED, looks=True)
async def check(session: Session, args: Arguments, by_uid: bool) -> Ok | None:
    """RFC 3501 6.4.1: everything is on disk already."""
    args.end()
    return None


@command("CLOSE", SELECTED)
async def close(session: Session, args: Arguments, by_uid: bool) -> Ok | None:
    """RFC 3501 6.4.2: expunge without a word, then leave; one that was only examined stays as it is."""
    args.end()
    if not session.read_only:
        changes = await session.store.mailboxes.expunge(
            session.mailbox.account, session.mailbox.id, actor=session.account.id, quietly=True
        )
        witness.expunged(session, changes)
    session.select(None)
    return None


@command("UNSELECT", SELECTED, capability="UNSELECT")
async def unselect(session: Session, args: Arguments, by_uid: bool) -> Ok | None:
    """RFC 3691: leave the mailbox without expunging."""
    args.end()
    session.select(None)
    return None


@command("EXPUNGE", SELECTED, uid=True, looks=True, capability="UIDPLUS")
async def expunge(session: Session, args: Arguments, by_uid: bool) -> Ok | None:
    """RFC 3501 6.4.3: remove what is marked `\\Deleted`; UID EXPUNGE only that among a set (RFC 4315)."""
    uids = None
    if by_uid:
        args.sp()
        uids = session.view.pick(args.sequence_set(), by_uid=True)
    args.end()
    session.need_write()
    if uids is not None and not uids:
        return None
    code = b""
    if uids is not None:
        uids, code = limiting.portion(session, uids)
    changes = await session.store.mailboxes.expunge(
        session.mailbox.account, session.mailbox.id, uids, actor=session.account.id
    )
    witness.expunged(session, changes)
    highest = None
    if changes.vanished and session.dialect.condstore:
        highest = Ok(code=b"HIGHESTMODSEQ %d" % changes.modseq)  # RFC 7162 3.2.7
    return limiting.telling(session, code, highest)


@command("COPY", SELECTED, uid=True, picks=True, target=True)
async def copy(session: Session, args: Arguments, by_uid: bool) -> Ok | None:
    """RFC 3501 6.4.7: copy messages with their flags and dates; all or none."""
    uids, target = _picked(session, args, by_uid)
    limiting.whole(session, uids)
    copied = await session.store.mailboxes.copy(
        session.mailbox.account, session.mailbox.id, uids, target, actor=session.account.id
    )
    witness.copied(session, copied, session.mailbox.shown, target)
    return Ok(code=_copyuid(copied))


@command("MOVE", SELECTED, uid=True, picks=True, target=True, capability="MOVE")
async def move(session: Session, args: Arguments, by_uid: bool) -> Ok | None:
    """RFC 6851: copy and remove in one; where they are now is told before they vanish here (6851 4.3)."""
    uids, target = _picked(session, args, by_uid)
    session.need_write()
    uids, code = limiting.portion(session, uids)
    moved = await session.store.mailboxes.move(
        session.mailbox.account, session.mailbox.id, uids, target, actor=session.account.id
    )
    if not moved.source:
        return limiting.telling(session, code, None)
    witness.copied(session, moved, session.mailbox.shown, target, moved=True)
    session.send(b"* OK [" + _copyuid(moved) + b"] moved\r\n")
    highest = Ok(code=b"HIGHESTMODSEQ %d" % moved.modseq) if session.dialect.condstore else None
    return limiting.telling(session, code, highest)


def _picked(session: Session, args: Arguments, by_uid: bool) -> tuple[MessageSet, str]:
    args.sp()
    chosen = args.sequence_set()
    args.sp()
    target = args.mailbox()
    args.end()
    return session.view.pick(chosen, by_uid), target


def _copyuid(copied: Copied) -> bytes:
    """resp-code-copy = "COPYUID" SP nz-number SP uid-set SP uid-set; nothing where nothing was copied (RFC 4315 3)"""
    if not copied.source:
        return b""
    source, target = MessageSet.of(copied.source), MessageSet.of(copied.target)
    return f"COPYUID {copied.uidvalidity} {source} {target}".encode("ascii")
