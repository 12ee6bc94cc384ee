"""Sessions that have nothing to do for a moment: the next message for the same host may go over one of them."""

from __future__ import annotations

import asyncio
from typing import Final

from mailsystem.queue.client import Session
from mailsystem.queue.opening import Way, level_of
from mailsystem.store.tls_levels import Level

IDLE: Final = 5.0
"""Seconds that a session is kept for."""
MOST: Final = 50
"""Sessions that are kept, all together."""
MOST_PER_WAY: Final = 5
_LONGEST_GOODBYE: Final = 6.0
MESSAGES: Final = 100
"""Transactions that one session is used for."""


class Pool:
    """Keeps them, and says goodbye to those that nobody wanted in time."""

    def __init__(self, *, idle: float = IDLE) -> None:
        self._idle = idle
        self._kept: dict[Way, list[tuple[Session, asyncio.TimerHandle]]] = {}
        self._goodbyes: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return sum(map(len, self._kept.values()))

    def take(self, way: Way, least: Level) -> Session | None:
        """One that was kept, if it is still there and well enough protected."""
        for entry in reversed(self._kept.get(way, [])):
            session, _ = entry
            if not session.in_step:
                self._drop(way, entry)
                self.part(session)
            elif level_of(session) >= least:
                self._drop(way, entry)
                return session
        return None

    def keep(self, way: Way, session: Session) -> None:
        """Have it ready for the next message; or part from it, where it is of no use for one."""
        most = min(MESSAGES, session.most_messages)
        kept = self._kept.get(way, [])
        if not session.in_step or session.messages >= most or len(self) >= MOST or len(kept) >= MOST_PER_WAY:
            self.part(session)
            return
        timer = asyncio.get_running_loop().call_later(self._idle, self._expire, way, session)
        self._kept.setdefault(way, []).append((session, timer))

    def part(self, session: Session) -> None:
        """Say goodbye, without anybody waiting for it."""
        task = asyncio.create_task(session.quit())
        self._goodbyes.add(task)
        task.add_done_callback(self._goodbyes.discard)

    def _expire(self, way: Way, session: Session) -> None:
        for entry in self._kept.get(way, []):
            if entry[0] is session:
                self._drop(way, entry)
                self.part(session)
                return

    def _drop(self, way: Way, entry: tuple[Session, asyncio.TimerHandle]) -> None:
        entry[1].cancel()
        kept = self._kept[way]
        kept.remove(entry)
        if not kept:
            del self._kept[way]

    async def close(self) -> None:
        """Part from all of them."""
        for way, kept in list(self._kept.items()):
            for entry in list(kept):
                self._drop(way, entry)
                self.part(entry[0])
        if self._goodbyes:
            _, late = await asyncio.wait(self._goodbyes, timeout=_LONGEST_GOODBYE)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)
