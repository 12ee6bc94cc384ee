"""SORT (RFC 5256), by what is displayed too (RFC 5957), and with what a search returns (RFC 5267)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeVar

from mailsystem.imap import limiting
from mailsystem.imap.command import Ok
from mailsystem.imap.commands.search import answer, asks_modseq, candidates, places, resolver, saving, tell
from mailsystem.imap.grammar import Arguments
from mailsystem.imap.progress import Progress
from mailsystem.imap.results import read_returns
from mailsystem.imap.search import read_criteria
from mailsystem.imap.session import Session
from mailsystem.imap.sorting import needs_heading, ordered, read_sort, row
from mailsystem.imap.sought import sought
from mailsystem.store import Fetched, Want

T = TypeVar("T")


async def sort(session: Session, args: Arguments, by_uid: bool) -> Ok | None:
    """What SORT does."""
    args.sp()
    returns = read_returns(args)
    with saving(session, returns):
        criteria = read_sort(args)
        args.sp()
        key = read_criteria(args, resolver(session), now=session.store.clock.now())
        limiting.whole(session, candidates(session, key))
        # Each is looked at twice: whether it is found, and what it is sorted by.
        async with Progress(session, 2 * session.view.exists) as progress:
            uids = await sought(session, key, progress=progress)
            want = Want.HEAD if needs_heading(criteria) else Want.NONE
            rows = await read(
                session, uids, want, lambda fetched: row(criteria, fetched.message, fetched.head), progress
            )
            uids = await asyncio.to_thread(ordered, criteria, rows)
        tell_modseq = asks_modseq(session, key)
        if returns is None:
            await tell(session, b"SORT", uids, by_uid=by_uid, tell_modseq=tell_modseq)
        else:
            await answer(session, returns, uids, by_uid=by_uid, tell_modseq=tell_modseq)
    return None


async def read(
    session: Session, uids: Sequence[int], want: Want, make: Callable[[Fetched], T], progress: Progress
) -> list[T]:
    """What `make` makes of each of these messages, in the order of the mailbox; decoded where it holds nobody up."""
    mailbox, known = session.mailbox, frozenset(uids)
    progress.done = progress.total - len(uids)
    made: list[T] = []

    def decode(slice_: Sequence[Fetched]) -> list[T]:
        return [make(each) for each in slice_ if each.message.uid in known]

    chosen = await places(session.selected, uids)
    async for slice_ in session.store.mailboxes.fetch(
        mailbox.account, mailbox.id, chosen, want, actor=session.account.id
    ):
        slice_made = await asyncio.to_thread(decode, slice_)
        progress.done += len(slice_made)
        made += slice_made
    return made
