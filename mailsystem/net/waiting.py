"""Waits that follow one another, each of which may end by itself: one timer for all of them."""

from __future__ import annotations

import asyncio


class Waiting:
    """One waits at a time. To set a timer and take it back costs more than most answers: so it stays, and fires too early."""

    __slots__ = ("_fires", "_future", "_loop", "_timer", "_until")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._future: asyncio.Future[bool] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._fires = 0.0
        """When the timer does."""
        self._until = 0.0
        """How long the present wait may last."""

    async def wait(self, timeout: float) -> None:
        """Until `wake` is called. Raises `TimeoutError` after `timeout` seconds. May be cancelled."""
        self._until = until = self._loop.time() + timeout
        if self._timer is None or until < self._fires:
            self._set(until)
        self._future = self._loop.create_future()
        try:
            if await self._future:
                raise TimeoutError
        finally:
            self._future = None

    def wake(self, expired: bool = False) -> None:
        """End the present wait, if there is one."""
        if self._future is not None and not self._future.done():
            self._future.set_result(expired)

    def stop(self) -> None:
        """No more waits: drop the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set(self, when: float) -> None:
        self.stop()
        self._fires = when
        self._timer = self._loop.call_at(when, self._fired)

    def _fired(self) -> None:
        self._timer = None
        if self._future is not None:
            if self._loop.time() >= self._until:
                self.wake(expired=True)
            else:
                self._set(self._until)
