"""What has happened in the selected mailbox, told to the client: after a command, and while it idles."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable
from typing import Final

from mailsystem.imap import watch
from mailsystem.imap.answers import Answers
from mailsystem.imap.notify import Event
from mailsystem.imap.session import FLUSH_AT, Goodbye, Selected, Session
from mailsystem.imap.transcript import Transcript
from mailsystem.imap.view import News
from mailsystem.mail.errors import NoSuchMailbox
from mailsystem.mail.mailbox import SYSTEM_FLAGS, Flag, MessageSet
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
    place = (selected.mailbox.account, selected.mailbox.id)
    # A client that is told a mod-sequence believes that it knows all before it; the bell of another process may ring later.
    look = look or session.beyond
    if not look and (hold_expunges or not view.holding) and not bell.sounded(session.heard, place):
        return False
    rung = bell.rung
    try:
        if selected.mailbox.account != session.account.id:
            await _tell_rights(session, selected)
        changes = await session.store.mailboxes.changes(
            selected.mailbox.account,
            selected.mailbox.id,
            view.modseq,
            actor=session.account.id,
            together=not look,
        )
    except NoSuchMailbox:
        # RFC 2180 3.3: the client's numbers mean nothing any more, and only BYE makes that clear to everyone.
        session.select(None)
        raise Goodbye("the selected mailbox was deleted") from None
    if hold_expunges and session.dialect.qresync and view.count(changes.vanished):
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
        tell_keywords(session, {message.flags for _, message in news.flags})
    for start in range(0, len(news.flags), _LINES_AT_ONCE):
        session.send(dialect.changed(view, news.flags[start : start + _LINES_AT_ONCE], with_uid=with_uid))
        if session.buffered > FLUSH_AT:
            await session.flush()


def tell_keywords(session: Session, told: Iterable[frozenset[Flag]]) -> None:
    """Before flags are told: name keywords that are new in this mailbox (RFC 3501 7.2.6)."""
    known = session.selected.keywords
    new = {flag for held in told for flag in held if flag[0] != "\\"} - known
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


def heed(session: Session) -> None:
    """Between two answers: let the trace follow what is said from here on, or no more, as somebody reads lines now or not."""
    session.transcript = Transcript(session.trace) if session.trace.wants_lines else None


async def idle(session: Session) -> bytes:
    """Push news as they come until the client says a line, which is returned (RFC 2177)."""
    with _Ear(session) as ear:
        while (line := session.framing.line()) is None:
            if session.trace.wants_lines is (session.transcript is None):
                heed(session)
            await admit(session)
            await sync(session, look=False)
            await watch.look(session)
            await session.flush()
            if not await ear.stirred(session.options.keepalive):
                session.send(b"* OK still here\r\n")
    session.trace.line(CLIENT, line if line.upper() == b"DONE" else b"[%d octets]" % len(line))
    return line


async def attend(session: Session) -> None:
    """Wait for more from the client; if it has said what it wants to hear (RFC 5465), tell that meanwhile."""
    if session.watch is None:
        await session.receive()
        return
    with _Ear(session) as ear:
        while not ear.heard_client:
            await admit(session)
            await sync(session, look=False, hold_expunges=session.watch.wanted.delayed)
            await watch.look(session)
            await session.flush()
            await ear.stirred(math.inf)


class _Ear:
    """Waits for the client and for the bell at once, by one future and no task."""

    __slots__ = ("_session", "_silent_until", "_topics", "heard_client")

    def __init__(self, session: Session) -> None:
        self._session = session
        self._topics: list[Topic] = []
        self._listen_anew()
        self.heard_client = False
        """It has said more, which the framing has."""

    def _listen_anew(self) -> None:
        self._silent_until = asyncio.get_running_loop().time() + self._session.patience()

    def __enter__(self) -> _Ear:
        self._turn()
        return self

    def __exit__(self, *_: object) -> None:
        self._session.store.bell.spare(self._session.nudge, self._topics)

    def _turn(self) -> bool:
        """Listen to what there may be news about now; whether that is anything else than before."""
        topics = [_itself(self._session), *watch.topics(self._session)]
        if topics == self._topics:
            return False
        bell, nudge = self._session.store.bell, self._session.nudge
        bell.spare(nudge, self._topics)
        bell.tell(nudge, topics)
        self._topics = topics
        return True

    async def stirred(self, timeout: float) -> bool:
        """Wait until there may be something that the client is told of, or is ended by, or until it says more.

        False where nothing was for `timeout` seconds. Raises `Closed` and `Goodbye`.
        """
        if self._turn():
            return True  # what was rung about these before is looked for first
        left = self._silent_until - asyncio.get_running_loop().time()
        try:
            if await self._session.stirred(min(left, timeout)):
                self.heard_client = True
                self._listen_anew()
        except TimeoutError:
            if left <= timeout:
                raise Goodbye("too long without a command") from None
            return False
        return True
