"""Searching for a session: as whoever has logged in, in the mailbox that is selected or in another one."""

from __future__ import annotations

from collections.abc import Sequence

from mailsystem.finding.key import Key
from mailsystem.finding.searching import Searching
from mailsystem.finding.sifting import Within
from mailsystem.imap.progress import Progress
from mailsystem.imap.session import Selected, Session


async def sought(
    session: Session, key: Key, *, within: Selected | None = None, progress: Progress | None = None
) -> Sequence[int]:
    """The UIDs of all messages for which the key holds, ascending."""
    selected = session.selected if within is None else within
    where = Within(
        session.store, selected.mailbox.account, selected.mailbox.id, selected.view, actor=session.account.id
    )
    return await Searching(where, key, done=None if progress is None else progress.add).run()
