"""Telling a client that waits how far its command has come (RFC 9585)."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Final

from mailsystem.imap.session import Session

FIRST: Final = 2.0
"""Seconds after which a command is long; before that nothing is said."""
AGAIN: Final = 5.0
"""Seconds between two notices."""


class Progress:
    """How far one command has come; tells so while it is entered, which may be several times.

    Whoever enters it says nothing to the client until it is left.
    """

    def __init__(self, session: Session, total: int = 0) -> None:
        self.done = 0
        self.total = total
        """How many there will be; 0 while that is not known."""
        self._session = session
        self._due = asyncio.get_running_loop().time() + FIRST
        self._over = asyncio.Event()
        self._begins: asyncio.TimerHandle | None = None
        self._telling: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Progress:
        self._over.clear()
        # Most commands are over long before: they pay for no task.
        self._begins = asyncio.get_running_loop().call_at(self._due, self._begin)
        return self

    def _begin(self) -> None:
        self._telling = asyncio.create_task(self._tell())

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._begins is not None:
            self._begins.cancel()
        telling, self._telling = self._telling, None
        if telling is None:
            return
        # It is asked to end, not cancelled: what it is just handing over must not be lost.
        self._over.set()
        [outcome] = await asyncio.gather(telling, return_exceptions=True)
        if error is None and isinstance(outcome, Exception):
            raise outcome

    async def _tell(self) -> None:
        loop = asyncio.get_running_loop()
        while not self._over.is_set():
            try:
                async with asyncio.timeout_at(self._due):
                    await self._over.wait()
            except TimeoutError:
                self._due = loop.time() + AGAIN
                self._session.send(self.notice())
                await self._session.flush()

    def add(self, count: int) -> None:
        """So many more are done."""
        self.done += count

    def notice(self) -> bytes:
        """ "INPROGRESS" SP "(" inprogress-tag SP inprogress-state ")" """
        tag = self._session.tag
        # Within brackets a tag that has one itself would end them.
        named = b'"%b"' % tag if b"]" not in tag else b"NIL"
        done = min(self.done, self.total) if self.total else self.done
        state = b"%d %d" % (done, self.total) if self.total else b"%d NIL" % done if done else b"NIL NIL"
        return b"* OK [INPROGRESS (%b %b)] still at it\r\n" % (named, state)
