"""When mail that could not be handed on is tried again, when its sender is told, and when it is given up. Sans-IO.

RFC 5321 4.5.4.1 leaves it to the sender, within bounds: soon at first, since most failures pass soon; then ever more rarely;
and given up after four or five days.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

SPREAD: Final = 0.2
"""How much sooner or later than planned, at most, a try is made: what failed together does not come back together."""
_MOST_DOUBLINGS: Final = 64  # more than any wait can have; and 2.0 ** attempts would overflow one day


@dataclass(frozen=True, slots=True)
class Schedule:
    """The times of one queue, all of them in seconds."""

    first: float = 120.0
    """Until the second try. Who greylists lets us in after one minute, or after five: with two, and four more, the second or
    the third try comes soon after either. With five at once, jitter would let every other one come a moment too early."""
    most: float = 4 * 3600.0
    """Between two tries, whatever jitter adds."""
    notice: float = 4 * 3600.0
    """Until the sender hears that it takes longer; 0 says nothing."""
    lifetime: float = 5 * 86_400.0
    """Until it is given up and comes back."""

    def next_try(
        self,
        attempts: int,
        now: float,
        *,
        expires: float | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> float:
        """When a recipient is due again after `attempts` tries, the one that just failed included.

        The wait doubles with each try, up to `most`, and is spread by `SPREAD` to both sides; `jitter` gives a number from 0
        to 1 (both may come). With `expires` the last try is made no later than that: it is due then, and given up if it fails.
        Never before `now`.
        """
        doubled = self.first * 2.0 ** min(max(attempts, 1) - 1, _MOST_DOUBLINGS)
        # The longest wait is planned shorter, not cut off: else half of all that waits long would come at the same moment.
        planned = min(doubled, self.most / (1 + SPREAD))
        due = now + planned * (1 + SPREAD * (2 * jitter() - 1))
        if expires is not None:
            due = min(due, expires)
        return max(due, now)

    def expires(self, arrived: float) -> float:
        """Until when a message that arrived then is tried."""
        return arrived + self.lifetime

    def is_expired(self, arrived: float, now: float) -> bool:
        """Whether a message is given up, if it could not be handed on by now."""
        return now >= self.expires(arrived)

    def is_delay_due(self, arrived: float, now: float) -> bool:
        """Whether its sender shall hear that it takes longer. Not any more once it is given up: then that is what they hear."""
        return 0 < self.notice <= now - arrived and not self.is_expired(arrived, now)
