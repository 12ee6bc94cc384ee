"""STORE (RFC 9051 6.4.6), conditional where the client knows of mod-sequences (RFC 7162 3.1.3)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

from mailsystem.imap import limiting, news, rollcall, witness
from mailsystem.imap.command import SELECTED, Ok, command
from mailsystem.imap.dialect import Dialect
from mailsystem.imap.fetch import Attribute
from mailsystem.imap.grammar import Arguments
from mailsystem.imap.session import FLUSH_AT, Session
from mailsystem.mail.mailbox import Changes, Message, MessageSet, ModSeq
from mailsystem.store import FlagOp

_FEW: Final = 16
"""Messages that are told one by one. Of many, the roll is asked again: it makes them one large line."""


@command("STORE", SELECTED, uid=True, numbers=True)
async def store(session: Session, args: Arguments, by_uid: bool) -> Ok | None:
    """RFC 9051 6.4.6: change flags; with UNCHANGEDSINCE (RFC 7162) only of messages that nobody has changed meanwhile."""
    args.sp()
    chosen = args.sequence_set()
    args.sp()
    since = _unchanged_since(args)
    op = FlagOp.ADD if args.accept(b"+") else FlagOp.REMOVE if args.accept(b"-") else FlagOp.SET
    args.expect(b"FLAGS")
    silent = args.accept(b".SILENT")
    args.sp()
    flags = args.flags()
    args.end()
    session.need_write()
    view = session.view
    uids = view.pick(chosen, by_uid)
    uids, code = limiting.portion(session, uids)
    if since is not None:
        session.use_condstore()
    if not uids:
        return None
    changes = await session.store.mailboxes.set_flags(
        session.mailbox.account, session.mailbox.id, uids, op, flags, since=since, actor=session.account.id
    )
    rung = session.store.bell.rung
    witness.flagged(session, op.value.removesuffix("FLAGS") + " ".join(sorted(flags)), changes)
    open_ = uids if changes.unchanged is None else changes.unchanged
    if not silent:
        await _answer(session, open_, changes, by_uid)
        followed = view.told(changes)
    else:
        if since is not None:
            # RFC 7162 3.1.3: each that passed is told, had it those flags before or not.
            await _answer(session, open_, changes, by_uid, flags=False)
        elif session.dialect.condstore:
            await _say(session, changes.messages, by_uid, flags=False)
        followed = view.follow(changes)
    if followed and changes.is_last:
        session.heard = rung  # our own stroke brings no news
    if since is None:
        return limiting.telling(session, code, None)
    # Those that are gone were changed, too.
    failed = [uid if by_uid else view.number(uid) for uid in view.members(uids) if uid not in open_]
    modified = Ok("some had changed", b"MODIFIED " + str(MessageSet.of(failed)).encode("ascii")) if failed else None
    return limiting.telling(session, code, modified)


def _unchanged_since(args: Arguments) -> ModSeq | None:
    """store-modifiers = "(" "UNCHANGEDSINCE" SP mod-sequence-valzer ")" SP (RFC 7162 7)"""
    if args.peek() != b"(":
        return None
    args.enter()
    args.expect(b"UNCHANGEDSINCE ")
    since = args.mod_sequence()
    args.leave()
    args.sp()
    return since


async def _answer(session: Session, uids: MessageSet, changes: Changes, by_uid: bool, *, flags: bool = True) -> None:
    """The flags of every message of the set, changed or not; or only the mod-sequences."""
    all_changed = len(changes.messages) == session.view.count(uids)
    if all_changed and len(changes.messages) <= _FEW:
        await _say(session, changes.messages, by_uid, flags=flags)
        return
    session.beyond = session.dialect.condstore
    announce = partial(news.tell_keywords, session) if flags else None
    if (
        await rollcall.answered(session, _attributes(session.dialect, by_uid, flags), uids, announce=announce)
        is not None
    ):
        return
    if all_changed:
        await _say(session, changes.messages, by_uid, flags=flags)
        return
    async for fetched in session.store.mailboxes.fetch(
        session.mailbox.account, session.mailbox.id, uids, actor=session.account.id
    ):
        await _say(session, [each.message for each in fetched], by_uid, flags=flags)


def _attributes(dialect: Dialect, by_uid: bool, flags: bool) -> Sequence[Attribute]:
    """What STORE tells of each message, as `Dialect.flags` and `Dialect.counted` tell it."""
    if not flags:
        return (Attribute.MODSEQ,) if dialect.uidonly else (Attribute.UID, Attribute.MODSEQ)
    uid = () if dialect.uidonly or not (by_uid or dialect.condstore or dialect.rev2) else (Attribute.UID,)
    return (*uid, Attribute.FLAGS, Attribute.MODSEQ) if dialect.condstore else (*uid, Attribute.FLAGS)


async def _say(session: Session, messages: Sequence[Message], by_uid: bool, *, flags: bool = True) -> None:
    """Tell the flags of these, or only that they have another mod-sequence (RFC 7162 3.1.3 wants that even of .SILENT)."""
    view, dialect = session.view, session.dialect
    if flags:
        news.tell_keywords(session, {message.flags for message in messages})
    for start in range(0, len(messages), 1000):
        some = [(number, m) for m in messages[start : start + 1000] if (number := view.number(m.uid))]
        session.send(dialect.changed(view, some, with_uid=by_uid) if flags else dialect.counted(some))
        if session.buffered > FLUSH_AT:
            await session.flush()
