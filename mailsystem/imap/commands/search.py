"""SEARCH (RFC 9051 6.4.4), with what it returns and saves; and what SORT, THREAD and ESEARCH share with it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from mailsystem.finding.apart import apart
from mailsystem.finding.key import Among, Every, Key, Modified, leaves, scope
from mailsystem.imap import limiting, reply
from mailsystem.imap.command import Ok
from mailsystem.imap.commands.finding import correlator
from mailsystem.imap.grammar import Arguments, UidRequired
from mailsystem.imap.numbers import written, written_ascending
from mailsystem.imap.progress import Progress
from mailsystem.imap.results import Returns, read_returns
from mailsystem.imap.search import Resolve, read_search
from mailsystem.imap.session import Selected, Session
from mailsystem.imap.sought import sought
from mailsystem.mail.errors import SyntaxFault
from mailsystem.mail.mailbox import SAVED, STAR, MessageSet

_NUMBERS: Final = 8
"""So many numbers are as soon written as one message is looked at."""
_FIRST_STRETCH: Final = 256
"""Messages that are looked at first where only the first or last that is found counts."""


async def search(session: Session, args: Arguments, by_uid: bool) -> Ok | None:
    """What SEARCH does."""
    args.sp()
    returns = read_returns(args)
    if returns is None and session.dialect.rev2:
        returns = Returns(all=True)  # RFC 9051 6.4.4: there is no other response
    with saving(session, returns):
        key = read_search(
            args,
            resolver(session),
            now=session.store.clock.now(),
            may_name_charset=not session.dialect.accepts_utf8,
        )
        key, code = _portion(session, key)
        uids = await _found(session, key, returns)
        tell_modseq = asks_modseq(session, key)
        if returns is None:
            await tell(session, b"SEARCH", uids, by_uid=by_uid, tell_modseq=tell_modseq, ascend=True)
        else:
            await answer(session, returns, uids, by_uid=by_uid, tell_modseq=tell_modseq, ascend=True)
    return limiting.telling(session, code, None)


def _portion(session: Session, key: Key) -> tuple[Key, bytes]:
    """The key, for as many messages as one command looks at, and the response code that tells so (RFC 9738 3.1)."""
    uids, code = limiting.portion(session, candidates(session, key))
    return Every((Among(uids), key)) if code else key, code


def candidates(session: Session, key: Key) -> MessageSet:
    """The messages that have to be looked at for a key."""
    within = scope(key)
    return MessageSet(((1, STAR),)) if within is None else within


def resolver(session: Session) -> Resolve:
    """What sets mean in a key: as UIDs of the selected mailbox."""
    view = session.view

    def resolve(chosen: MessageSet, of_uids: bool) -> MessageSet:
        if of_uids or chosen == SAVED:
            return view.pick(chosen, True)
        if session.dialect.uidonly:
            raise UidRequired  # RFC 9586 3.5
        session.numbered = True
        # A number beyond the end is a mistake for FETCH, but a SEARCH among such only finds nothing there.
        count = view.exists
        clipped = [
            (min(low, count), min(high, count)) for low, high in chosen.ranges if low <= count or STAR in (low, high)
        ]
        return view.pick(MessageSet.of_ranges(clipped), False) if count else MessageSet()

    return resolve


@contextmanager
def saving(session: Session, returns: Returns | None) -> Iterator[None]:
    """RFC 5182 2.1: where SAVE ends in NO nothing is saved any more; BAD leaves what was saved before."""
    try:
        yield
    except SyntaxFault:
        raise
    except Exception:
        if returns is not None and returns.save:
            session.view.saved = MessageSet()
        raise


async def _found(session: Session, key: Key, returns: Returns | None) -> Sequence[int]:
    """The UIDs for which the key holds, ascending; where `returns` needs no more, only the first and the last of them."""
    async with Progress(session, session.view.exists) as progress:
        if returns is not None and returns.ends_only:
            return await _ends(session, key, returns, progress)
        return await sought(session, key, progress=progress)


async def _ends(session: Session, key: Key, returns: Returns, progress: Progress) -> list[int]:
    """The first and the last UID for which the key holds, without weighing what lies between where that can be told."""
    first = await _end(session, key, progress, last=False) if returns.min else None
    if returns.max and (first is not None or not returns.min):
        last = await _end(session, key, progress, last=True)
        return sorted({uid for uid in (first, last) if uid is not None})
    return [] if first is None else [first]


async def _end(session: Session, key: Key, progress: Progress, *, last: bool) -> int | None:
    uids = session.view.uids
    done, stretch = 0, _FIRST_STRETCH
    while done < len(uids):
        upto = min(done + stretch, len(uids))
        low, high = (len(uids) - upto, len(uids) - done) if last else (done, upto)
        among = Among(MessageSet(((uids[low], uids[high - 1]),)))
        hits = await sought(session, Every((among, key)), progress=progress)
        if hits:
            return hits[-1 if last else 0]
        done, stretch = upto, stretch * 4
    return None


def asks_modseq(session: Session, key: Key) -> bool:
    """Whether mod-sequences are to be told: a key spoke of them, which also enables CONDSTORE (RFC 7162 3.1)."""
    if not any(isinstance(leaf, Modified) for leaf in leaves(key)):
        return False
    session.use_condstore()
    session.beyond = True
    return True


async def places(selected: Selected, uids: Sequence[int]) -> MessageSet:
    """These messages as ranges, neighbours in the view together."""
    return await apart(len(uids), lambda: selected.view.pick(MessageSet.of(uids), True))


async def highest(session: Session, selected: Selected, uids: Sequence[int]) -> int | None:
    """The highest mod-sequence of these messages; None where there are none."""
    mailbox, chosen = selected.mailbox, await places(selected, uids)
    known, most = frozenset(uids), 0
    async for read in session.store.mailboxes.fetch(mailbox.account, mailbox.id, chosen, actor=session.account.id):
        most = max([most, *(each.message.modseq for each in read if each.message.uid in known)])
    return most or None


def _numbered(session: Session, uids: Sequence[int], by_uid: bool, ascend: bool) -> Sequence[int]:
    """Messages as this command names them, in the same order."""
    return uids if by_uid else session.view.numbers(uids, ascend=ascend)


async def tell(
    session: Session, name: bytes, uids: Sequence[int], *, by_uid: bool, tell_modseq: bool, ascend: bool = False
) -> None:
    """SEARCH and SORT as they were before there was ESEARCH; with a mod-sequence as RFC 7162 3.1.5 has it.

    `ascend`: whether the UIDs do.
    """
    modseq = await highest(session, session.selected, uids) if tell_modseq else None

    def line() -> bytes:
        named = _numbered(session, uids, by_uid, ascend)
        return (
            b"* "
            + name
            + (written_ascending if ascend else written)(named)
            + (b" (MODSEQ %d)" % modseq if modseq is not None else b"")
            + reply.CRLF
        )

    session.send(await apart(len(uids) // _NUMBERS, line))


async def answer(
    session: Session,
    returns: Returns,
    uids: Sequence[int],
    *,
    by_uid: bool,
    tell_modseq: bool,
    ascend: bool = False,
) -> None:
    """Give back and save what the result options ask of these, which are in the order of the answer: perhaps they `ascend`."""
    meant = returns.meant(uids)
    modseq = await highest(session, session.selected, meant) if tell_modseq else None
    if returns.save:
        session.view.saved = await apart(len(meant), lambda: MessageSet.of(meant))
    if returns.answers:
        named = correlator(session)
        session.send(
            await apart(
                len(uids) // _NUMBERS if ascend else len(uids),
                lambda: returns.response(
                    named, _numbered(session, uids, by_uid, ascend), by_uid=by_uid, modseq=modseq, ascend=ascend
                ),
            )
        )
