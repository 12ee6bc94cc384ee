"""The lock on a maildrop (RFC 1939 3), as one session holds it: taken, renewed while the session lives, given back."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from mailsystem.mail.errors import InUse, MailError
from mailsystem.mail.mailbox import AccountId, ContentId
from mailsystem.store import Handled, Lease, Maildrops
from mailsystem.store import Maildrop as Found
from mailsystem.telemetry import Trace

_RENEW_EVERY: Final = 20.0
"""Seconds; the lease lives 60."""
_ACQUIRE_PAUSES: Final = (0.05, 0.2, 0.5)
"""A client that lost its connection comes back faster than its old session has noticed: worth a moment."""


class Lock:
    """One session's; empty until it is taken."""

    __slots__ = ("_lease", "_maildrops", "_renewal", "_timer", "_trace", "lost")

    def __init__(self, maildrops: Maildrops, trace: Trace) -> None:
        self._maildrops = maildrops
        self._trace = trace
        self._lease: Lease | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._renewal: asyncio.Task[None] | None = None
        self.lost = False
        """It is somebody else's, or may be."""

    async def take(self, account: AccountId, *, login_delay: int | None, look: bool = False) -> Found | None:
        """From here on it renews itself. Raises `InUse`, and `TooSoon` within `login_delay` seconds of the last login; None
        is for who has logged in already.

        If it is to `look`, it may give what there is at the same time; then it raises `NoSuchMailbox`, too.
        """
        for pause in _ACQUIRE_PAUSES:
            try:
                found = await self._try(account, login_delay, look)
            except InUse:
                await asyncio.sleep(pause)
            else:
                break
        else:
            found = await self._try(account, login_delay, look)
        self.lost = False
        if self._lease is not None and not self._lease.held:
            self._trace.event("lease not taken", reason="the disk takes nothing")
        self._renew_later()
        return found

    async def _try(self, account: AccountId, login_delay: int | None, look: bool) -> Found | None:
        found = None
        if look:
            self._lease, found = await self._maildrops.open(account, login_delay=login_delay)
        else:
            self._lease = await self._maildrops.acquire(account, login_delay=login_delay)
        return found

    def check(self) -> None:
        """Raises `InUse` when the maildrop may be somebody else's by now."""
        if self.lost and self._lease is not None:
            raise InUse("the maildrop lock was lost")

    async def finish(self, handled: Sequence[Handled]) -> Sequence[ContentId]:
        """Change the maildrop, if the lock is still ours, and give it back; all or nothing. Tells the messages that went.

        Raises `MailError`.
        """
        if self._lease is None:
            return []
        await self._stop_renewing()
        self.check()
        removed: Sequence[ContentId] = []
        if handled:
            removed = await self._maildrops.finish(self._lease, handled)
        else:
            self._maildrops.give_back(self._lease)
        self._lease = None
        return removed

    async def leave(self, *, undone: bool = False) -> None:
        """Give it back, changing nothing. With `undone` nobody did log in."""
        await self._stop_renewing()
        lease, self._lease = self._lease, None
        if lease is not None and not self.lost:
            try:
                if undone:
                    await self._maildrops.release(lease, undone=True)
                else:
                    self._maildrops.give_back(lease)
            except MailError as error:
                self._trace.event("lease kept", reason=str(error))  # it ends by itself

    def _renew_later(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(_RENEW_EVERY, self._renew_soon)

    def _renew_soon(self) -> None:
        self._timer = None
        self._renewal = asyncio.get_running_loop().create_task(self._renew())

    async def _renew(self) -> None:
        if self._lease is None:
            return
        try:
            self._lease = await self._maildrops.renew(self._lease)
        except InUse as error:
            self.lost = True
            self._trace.event("lease lost", reason=str(error))
            return
        except MailError as error:
            self._trace.event("lease not renewed", reason=str(error))  # there is time for another attempt
        self._renew_later()

    async def _stop_renewing(self) -> None:
        # A renewal that runs is not cancelled: it writes. It is over soon, and may have set the next timer.
        if self._renewal is not None:
            await asyncio.wait([self._renewal])
            self._renewal = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
