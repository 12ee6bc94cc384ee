"""Who has knocked before: triplets of network, sender and recipient, shared by all processes.

Nothing here need survive a loss of power: a triplet that is forgotten only has to come once more.
"""

from __future__ import annotations

from typing import Final

from mailsystem.mail.clock import Clock
from mailsystem.store.database import Database, Sql, Unit

DELAY: Final = 300.0
"""Seconds after its first sight from which on a triplet passes."""
WINDOW: Final = 2 * 86_400.0
"""Seconds within which it must have come again."""
REMEMBERED: Final = 35 * 86_400.0
"""Seconds since its last mail for which one that passed is known: a monthly letter stays known."""
MOST: Final = 1_000_000
"""Triplets that are kept; of more, those that never passed go first."""

_SWEEP_EVERY: Final = 3600.0
_TOUCH_EVERY: Final = 86_400.0


class Greylist:
    def __init__(self, database: Database, *, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._swept = clock.now()

    async def wait(self, network: str, sender: str, recipient: str) -> float:
        """Seconds until mail of this triplet is let through; 0 where it is."""
        now = self._clock.now()
        if not 0 <= now - self._swept < _SWEEP_EVERY:
            self._swept = now
            await self.sweep()
        # One that is known and was touched lately is only read: the usual case costs no write.
        left, change = await self._database.read(_look(network, sender, recipient, now), brief=True)
        if change:
            left = await self._database.write(_touch(network, sender, recipient, now), durable=False)
        return left

    async def sweep(self, *, most: int = MOST) -> None:
        """Forget what is too old, and what is too many."""
        await self._database.write(_sweep(self._clock.now(), most), durable=False)


def _look(network: str, sender: str, recipient: str, now: float) -> Unit[tuple[float, bool]]:
    """How long to wait, and whether that must be written down."""
    rows = yield Sql(
        "SELECT first, last, passed FROM greylist WHERE network = $1 AND sender = $2 AND recipient = $3",
        network,
        sender,
        recipient,
    )
    if not rows:
        return DELAY, True
    first, last, passed = rows[0]
    if passed:
        known = 0 <= now - last < REMEMBERED
        return (0.0, now - last >= _TOUCH_EVERY) if known else (DELAY, True)
    if not 0 <= now - first < WINDOW:
        return DELAY, True
    left = max(0.0, first + DELAY - now)
    return left, not left


def _touch(network: str, sender: str, recipient: str, now: float) -> Unit[float]:
    # Looked at again inside the transaction: another process may have been here in between.
    left, change = yield from _look(network, sender, recipient, now)
    if change:
        yield Sql(
            "INSERT INTO greylist (network, sender, recipient, first, last, passed) VALUES ($1, $2, $3, $4, $4, $5)"
            " ON CONFLICT (network, sender, recipient) DO UPDATE SET"
            " first = CASE WHEN excluded.passed = 1 THEN greylist.first ELSE excluded.first END,"
            " last = excluded.last, passed = excluded.passed",
            network,
            sender,
            recipient,
            now,
            0 if left else 1,
        )
    return left


def _sweep(now: float, most: int) -> Unit[None]:
    yield Sql("DELETE FROM greylist WHERE last < $1 OR (passed = 0 AND last < $2)", now - REMEMBERED, now - WINDOW)
    [[count]] = yield Sql("SELECT COUNT(*) FROM greylist")
    if count > most:
        yield Sql(
            "DELETE FROM greylist WHERE (network, sender, recipient) IN"
            " (SELECT network, sender, recipient FROM greylist ORDER BY passed, last LIMIT $1)",
            count - most,
        )
