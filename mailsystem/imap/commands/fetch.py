"""FETCH (RFC 9051 6.4.5), with what CONDSTORE, QRESYNC (RFC 7162) and PARTIAL (RFC 9394) put behind its items."""

from __future__ import annotations

from mailsystem.imap import limiting
from mailsystem.imap.answers import Answers
from mailsystem.imap.command import SELECTED, Ok, command
from mailsystem.imap.dialect import vanished
from mailsystem.imap.fetch import Attribute, Modifiers, read_request
from mailsystem.imap.grammar import Arguments
from mailsystem.imap.session import FLUSH_AT, Session
from mailsystem.mail.errors import SyntaxFault
from mailsystem.mail.mailbox import SAVED, MessageSet, ModSeq


@command("FETCH", SELECTED, uid=True, numbers=True)
async def fetch(session: Session, args: Arguments, by_uid: bool) -> Ok | None:
    """RFC 9051 6.4.5: tell what is asked of each message."""
    args.sp()
    chosen = args.sequence_set()
    args.sp()
    items, modifiers = read_request(args)
    _check(session, modifiers, by_uid)
    uids = session.view.pick(chosen, by_uid)
    if modifiers.changed_since is not None:
        items = items.including(Attribute.MODSEQ)  # RFC 7162 3.1.4.1
    if Attribute.MODSEQ in items.attributes:
        session.use_condstore()
        session.beyond = True
    if by_uid and not session.dialect.uidonly:
        # RFC 9051 6.4.9: whether it was asked for or not; RFC 9586 3.3 has it in front.
        items = items.including(Attribute.UID)
    if modifiers.changed_since is not None:
        within = session.view.saved if chosen == SAVED else chosen
        uids &= await _changed(session, within, modifiers.changed_since, vanished_too=modifiers.vanished)
    if modifiers.partial is not None:
        first, last = modifiers.partial
        limiting.at_most(session, abs(last - first) + 1)
        uids = session.view.partial(uids, first, last)
    uids, code = limiting.portion(session, uids)
    answers = Answers(session, items)
    try:
        await answers.say(uids)
    finally:
        # What the client has got it has got, even where it is gone before the last of it.
        if answers.told and answers.reads:
            told: dict[str, object] = {"login": session.account.login, "messages": answers.told}
            if answers.read:
                told |= {"mailbox": session.mailbox.shown, "contents": answers.read}
            session.trace.event("retrieved", **told)
    if not by_uid and modifiers.changed_since is None and answers.told < session.view.count(uids):
        # RFC 2180 4.1.2: somebody else has expunged some of them, and now is not the time to say which (RFC 5530).
        return limiting.telling(session, code, Ok("some of the messages are gone", b"EXPUNGEISSUED"))
    return limiting.telling(session, code, None)


def _check(session: Session, modifiers: Modifiers, by_uid: bool) -> None:
    if modifiers.vanished:
        # RFC 7162 3.2.6
        if modifiers.changed_since is None or not by_uid:
            raise SyntaxFault("VANISHED belongs to UID FETCH and CHANGEDSINCE")
        if not session.dialect.qresync:
            raise SyntaxFault("enable QRESYNC first")
    if modifiers.partial is not None and not by_uid:
        raise SyntaxFault("PARTIAL belongs to UID FETCH")  # RFC 9394 3.3


async def _changed(session: Session, chosen: MessageSet, since: ModSeq, *, vanished_too: bool) -> MessageSet:
    """The UIDs of what has changed since; what has vanished, of those chosen, is told first (RFC 7162 3.2.6)."""
    mailbox, view = session.mailbox, session.view
    changed, gone = await session.store.mailboxes.changed(
        mailbox.account, mailbox.id, since, vanished_too=vanished_too, actor=session.account.id
    )
    if gone:
        # What is gone and was not told yet is news, and told with the rest of that.
        for line in vanished((gone & chosen) - MessageSet.of(view.members(gone)), earlier=True):
            session.send(line)
            if session.buffered > FLUSH_AT:
                await session.flush()
    return changed
