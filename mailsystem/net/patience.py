"""How long we listen to a peer, and how much of what is no use."""

from __future__ import annotations

import asyncio


class Patience:
    """With one peer. Times are in seconds; they count from its making on."""

    __slots__ = ("_bad_commands", "_idle", "_login_attempts", "_until", "bad", "failures", "known")

    def __init__(
        self, *, login_timeout: float, idle_timeout: float, login_attempts: int = 3, bad_commands: int = 20
    ) -> None:
        self.known = False
        """Who it is."""
        self.failures = 0
        """Logins that failed."""
        self.bad = 0
        """Lines in a row that were no commands."""
        self._until = asyncio.get_running_loop().time() + login_timeout
        self._idle = idle_timeout
        self._login_attempts = login_attempts
        self._bad_commands = bad_commands

    def left(self) -> float:
        """How long the next words may take to come. Raises `TimeoutError`."""
        if self.known:
            return self._idle
        # One that is not known may not hold the connection by saying a little now and then.
        left = self._until - asyncio.get_running_loop().time()
        if left <= 0:
            raise TimeoutError
        return left

    def lose(self) -> None:
        """Have no more of it."""
        self.bad = self._bad_commands

    @property
    def over(self) -> str | None:
        """Why we do not want to hear any more, if so."""
        if self.failures >= self._login_attempts:
            return "too many failed logins"
        if self.bad >= self._bad_commands:
            return "too many bad commands"
        return None
