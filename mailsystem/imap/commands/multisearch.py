"""ESEARCH (RFC 7377): one search in several mailboxes, without leaving the selected one."""

from __future__ import annotations

import asyncio

from mailsystem.finding.apart import apart
from mailsystem.finding.key import Key, resolved
from mailsystem.imap.command import Ok
from mailsystem.imap.commands.finding import correlator
from mailsystem.imap.commands.search import asks_modseq, highest, saving
from mailsystem.imap.grammar import Arguments
from mailsystem.imap.progress import Progress
from mailsystem.imap.results import Returns, read_returns
from mailsystem.imap.search import read_search
from mailsystem.imap.session import FLUSH_AT, Selected, Session
from mailsystem.imap.sought import sought
from mailsystem.imap.sources import Source, chosen, read_sources
from mailsystem.imap.view import View
from mailsystem.mail.errors import NoSuchMailbox, NotPermitted, SyntaxFault
from mailsystem.mail.mailbox import SAVED, MessageSet


async def esearch(session: Session, args: Arguments, by_uid: bool) -> Ok | None:
    """What ESEARCH does."""
    args.sp()
    sources = read_sources(args) or [Source("SELECTED")]
    returns = read_returns(args) or Returns(all=True)
    in_selected = any(source.is_selected for source in sources)
    if in_selected:
        _ = session.selected  # RFC 7377 2.2: without one that is a mistake
    if returns.save and not all(source.is_selected for source in sources):
        raise SyntaxFault("only what is found in the selected mailbox can be saved")
    with saving(session, returns):
        key = read_search(
            args, _only_uids, now=session.store.clock.now(), may_name_charset=not session.dialect.accepts_utf8
        )
        tell_modseq = asks_modseq(session, key)
        progress = Progress(session)
        done: set[tuple[int, int]] = set()
        if in_selected:
            await _search(session, session.selected, await _called(session), key, returns, progress, tell_modseq)
            done.add((session.mailbox.account, session.mailbox.id))
        for name in await _names(session, sources):
            await asyncio.sleep(0)  # a small mailbox is searched without any pause, and there may be thousands
            within = await _opened(session, name)
            if within is not None and (place := (within.mailbox.account, within.mailbox.id)) not in done:
                done.add(place)
                await _search(session, within, name, key, returns, progress, tell_modseq)
    return None


def _only_uids(uids: MessageSet, of_uids: bool) -> MessageSet:
    """RFC 7377 2.1: numbers mean nothing in several mailboxes. What UIDs mean is said for each of them."""
    if not of_uids and uids != SAVED:
        raise SyntaxFault("no sequence numbers here")
    return uids


async def _called(session: Session) -> str:
    """The name that the selected mailbox has by now: it may have been renamed since it was entered."""
    place = session.mailbox.account, session.mailbox.id
    for mailbox, _ in await session.store.mailboxes.visible(session.account.id):
        if (mailbox.account, mailbox.id) == place:
            return mailbox.shown
    return session.mailbox.shown


async def _names(session: Session, sources: list[Source]) -> list[str]:
    if all(source.is_selected for source in sources):
        return []
    store, account = session.store.mailboxes, session.account.id
    seen = [mailbox for mailbox, _ in await store.visible(account)]
    own = [mailbox.shown for mailbox in seen if mailbox.account == account]
    others = [mailbox.shown for mailbox in seen if mailbox.account != account]
    subscribed = await store.subscriptions(account) if any(source.kind == "SUBSCRIBED" for source in sources) else ()
    return await apart(len(seen), lambda: chosen(sources, own, others, frozenset(subscribed)))


async def _opened(session: Session, name: str) -> Selected | None:
    """A mailbox as if it were entered; None where that is not possible: RFC 7377 2.2 has such left out in silence."""
    try:
        opened = await session.store.mailboxes.open(session.account.id, name, claim_recent=False)
    except (NoSuchMailbox, NotPermitted):
        return None
    mailbox = opened.mailbox
    return Selected(mailbox, View(opened.uids, mailbox.modseq, opened.recent), read_only=True)


async def _search(
    session: Session, within: Selected, name: str, key: Key, returns: Returns, progress: Progress, tell_modseq: bool
) -> None:
    here = resolved(key, lambda uids: within.view.pick(uids, True))
    before = progress.done
    async with progress:
        uids = await sought(session, here, within=within, progress=progress)
    progress.done = before + within.view.exists
    meant = returns.meant(uids)
    if returns.save:
        within.view.saved = await apart(len(meant), lambda: MessageSet.of(meant))
    if not uids or not returns.answers:
        return
    modseq = await highest(session, within, meant) if tell_modseq else None
    mailbox = b"MAILBOX %b UIDVALIDITY %d" % (session.dialect.mailbox(name), within.mailbox.uidvalidity)
    named = correlator(session) + b" " + mailbox
    session.send(await apart(len(uids), lambda: returns.response(named, uids, by_uid=True, modseq=modseq, ascend=True)))
    if session.buffered > FLUSH_AT:
        await session.flush()
