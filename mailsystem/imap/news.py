"""What has happened in the selected mailbox, told to the client: after a command, and while it idles."""

from __future__ import annotations

import asyncio
from typing import Final

from mailsystem.imap import watch
from mailsystem.imap.answers import Answers
from mailsystem.imap.notify import Event
from mailsystem.imap.session import FLUSH_AT, Goodbye, Selected, Session
from mailsystem.imap.view import News
from mailsystem.mail.errors import NoSuchMailbox
from mailsystem.mail.mailbox import SYSTEM_FLAGS, Flag, Message, MessageSet
from mailsystem.mail.rights import Rights, may_change, settable
from mailsystem.store import ITSELF, Topic
from mailsystem.telemetry.trace import CLIENT

_LINES_AT_ONCE: Final = 4096


async def sync(
    session: Session, *, hold_expunges: bool = False, with_uid: bool = False, look: bool = True, own: bool = False
) -> bool:
    """Tell the client what has happened in its mailbox.

    With `hold_expunges` what is gone stays untold; `with_uid` puts UIDs beside flags. Unless it is to `look`, a bell that has
    not rung is believed. What was the client's `own` doing is told even if it wants to hear of nothing (RFC 5465). Gives
    whether all news wait for a later command, because what is gone does. Raises `Goodbye` when the mailbox is no more.
    """
    if session.state is not session.state.SELECTED:
        return False
    wanted = None if session.watch is None else session.watch.wanted
    if wanted is not None and not wanted.selected and not own:
        return False  # RFC 5465 3.1: then the client believes what it believed
    selected, bell = session.selected, session.store.bell
    view = selected.view
    if not look and bell.rung == session.heard and (hold_expunges or not view.holding):
        return False
    rung = bell.rung
    try:
        if selected.mailbox.account != session.account.id:
            await _tell_rights(session, selected)
        changes = await session.store.mailboxes.changes(
            selected.mailbox.account, selected.mailbox.id, view.modseq, actor=session.account.id
        )
    except NoSuchMailbox:
        # RFC 2180 3.3: the client's numbers mean nothing any more, and only BYE makes that clear to everyone.
        session.select(None)
        raise Goodbye("the selected mailbox was deleted") from None
    if hold_expunges and changes.vanished and session.dialect.qresync:
        # A ModSeq that it hears of makes the client believe that it knows all before that. So this waits as a whole.
        return True
    session.heard = rung
    fresh = [message.uid for message in changes.messages if not view.number(message.uid)] if wanted is not None else []
    told = view.apply(changes, hold_expunges=hold_expunges)
    if wanted is None:
        await _tell(session, selected, told, with_uid)
        return False
    if Event.FLAG_CHANGE not in wanted.selected and not own:
        told = told._replace(flags=[])
    await _tell(session, selected, told, True)  # RFC 5465 5.1
    if fresh and wanted.items is not None:
        await Answers(session, wanted.items).say(MessageSet.of(fresh))
    return False


async def admit(session: Session) -> None:
    """Raises `Goodbye` where the client's account was disabled or removed since that was last looked at."""
    if session.state is session.state.NOT_AUTHENTICATED:
        return
    bell = session.store.bell
    may_be_news = bell.sounded(session.admitted, _itself(session))
    session.admitted = bell.rung
    if not may_be_news:
        return
    known = await session.store.accounts.secrets(session.account.login)
    if known is None or known.disabled or known.account.id != session.account.id:
        raise Goodbye("the account is not open any more")


def _itself(session: Session) -> Topic:
    return session.account.id, ITSELF


async def _tell_rights(session: Session, selected: Selected) -> None:
    """In somebody else's mailbox: say what the client may do there, if that has changed (RFC 4314 5.1.1)."""
    mailbox = selected.mailbox
    rights = await session.store.mailboxes.rights(mailbox.account, mailbox.id, actor=session.account.id)
    if rights == selected.rights:
        return
    selected.rights = rights
    if selected.examined:
        return
    selected.read_only = not may_change(rights)
    permanent = b"" if selected.read_only else permanent_flags(selected.keywords, rights)
    session.send(b"* FLAGS (%b)\r\n" % flags_in_use(selected.keywords))
    session.send(b"* OK [PERMANENTFLAGS (%b)] your rights have changed\r\n" % permanent)
    session.send(b"* OK [%b] your rights have changed\r\n" % (b"READ-ONLY" if selected.read_only else b"READ-WRITE"))


async def _tell(session: Session, selected: Selected, news: News, with_uid: bool) -> None:
    dialect, view = session.dialect, selected.view
    gone = dialect.gone(news)
    for start in range(0, len(gone), _LINES_AT_ONCE):
        session.send(b"".join(gone[start : start + _LINES_AT_ONCE]))
        if session.buffered > FLUSH_AT:
            await session.flush()
    if news.exists is not None:
        session.send(dialect.came(news))
    if news.flags:
        tell_keywords(session, [message for _, message in news.flags])
    for start in range(0, len(news.flags), _LINES_AT_ONCE):
        session.send(dialect.changed(view, news.flags[start : start + _LINES_AT_ONCE], with_uid=with_uid))
        if session.buffered > FLUSH_AT:
            await session.flush()


def tell_keywords(session: Session, messages: list[Message]) -> None:
    """Before flags are told: name keywords that are new in this mailbox (RFC 3501 7.2.6)."""
    known = session.selected.keywords
    new = {flag for held in {message.flags for message in messages} for flag in held if flag[0] != "\\"} - known
    if new:
        known |= new
        session.send(b"* FLAGS (" + flags_in_use(known) + b")\r\n")


def flags_in_use(keywords: set[Flag]) -> bytes:
    """The flags of a mailbox: those that are always there, then its keywords."""
    return " ".join((*SYSTEM_FLAGS, *sorted(keywords))).encode("ascii")


def permanent_flags(keywords: set[Flag], rights: Rights) -> bytes:
    """Those of them that may be changed with these rights, and `\\*` where new keywords may be made (RFC 4314 5.1.1)."""
    may = settable((*SYSTEM_FLAGS, *keywords), rights)
    flags: list[str] = [flag for flag in (*SYSTEM_FLAGS, *sorted(keywords)) if flag in may]
    return " ".join([*flags, "\\*"] if "w" in rights else flags).encode("ascii")


async def idle(session: Session) -> bytes:
    """Push news as they come until the client says a line, which is returned (RFC 2177)."""
    arriving: asyncio.Task[None] | None = None
    ringing: asyncio.Task[None] | None = None
    try:
        while (line := session.framing.line()) is None:
            await admit(session)
            await sync(session, look=False)
            await watch.look(session)
            await session.flush()
            if arriving is None:
                arriving = asyncio.ensure_future(session.receive())
            ringing = _news(session)
            waiting = {arriving, ringing}
            done, _ = await asyncio.wait(
                waiting, timeout=session.options.keepalive, return_when=asyncio.FIRST_COMPLETED
            )
            if not done:
                session.send(b"* OK still here\r\n")
            ringing.cancel()
            if arriving.done():
                arriving.result()
                arriving = None
        session.trace.line(CLIENT, line if line.upper() == b"DONE" else b"[%d octets]" % len(line))
        return line
    finally:
        # Both are pure waits: what they wait for is not lost with them. Nobody else may wait before they have ended.
        waits = [task for task in (arriving, ringing) if task is not None]
        for task in waits:
            task.cancel()
        if waits:
            await asyncio.gather(*waits, return_exceptions=True)


def _news(session: Session) -> asyncio.Task[None]:
    """A wait until there may be something that the client is told of, or is ended by."""
    heard = watch.heard(session) if (about := watch.topics(session)) else session.admitted
    return asyncio.ensure_future(session.store.bell.wait(min(heard, session.admitted), _itself(session), *about))


async def attend(session: Session) -> None:
    """Wait for more from the client; if it has said what it wants to hear (RFC 5465), tell that meanwhile."""
    if session.watch is None:
        await session.receive()
        return
    arriving = asyncio.ensure_future(session.receive())
    ringing: asyncio.Task[None] | None = None
    try:
        while not arriving.done():
            await admit(session)
            await sync(session, look=False, hold_expunges=session.watch.wanted.delayed)
            await watch.look(session)
            await session.flush()
            ringing = _news(session)
            await asyncio.wait({arriving, ringing}, return_when=asyncio.FIRST_COMPLETED)
            ringing.cancel()
        arriving.result()
    finally:
        waits = [task for task in (arriving, ringing) if task is not None]
        for task in waits:
            task.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
