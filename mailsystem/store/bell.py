"""The bell: a commit rings, sleepers wake and look.

A ring may name the mailboxes that it is about, as a hint that saves the others a look; it never carries the news. The order
is always: `heard = bell.rung` → look → `await bell.wait(heard, about)`.

The number 0 stands for an account as a whole: a stroke about any of its mailboxes is one about that too, and what is about
no mailbox (names, subscriptions, annotations) is about that alone. `ITSELF` stands for whether the account may be used.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Final, TypeAlias

from mailsystem.mail.mailbox import AccountId, MailboxId

Topic: TypeAlias = tuple[AccountId, MailboxId]

ITSELF: Final = MailboxId(-1)
_REMEMBERED: Final = 65_536


class Bell:
    """Strokes within one process; the driver carries them to and from other processes."""

    def __init__(self) -> None:
        self._rung = 0
        self._everybody = 0
        self._about: OrderedDict[Topic, int] = OrderedDict()
        self._sleepers: dict[Topic | None, set[asyncio.Future[None]]] = {}
        self._hearers: dict[Topic, set[Callable[[], None]]] = {}

    @property
    def rung(self) -> int:
        """How many strokes there were."""
        return self._rung

    def ring(self, topics: Iterable[Topic] | None) -> None:
        """Wake those who watch `topics`, or with `None` everybody. Must run on the loop."""
        self._rung += 1
        if topics is None:
            self._everybody = self._rung
            for key in {*self._sleepers, *self._hearers}:
                self._wake(key)
            return
        named = set(topics)
        for topic in named | {(account, MailboxId(0)) for account, _ in named}:
            self._about[topic] = self._rung
            self._about.move_to_end(topic)
            self._wake(topic)
        while len(self._about) > _REMEMBERED:
            # What is forgotten counts as rung for everybody: a look too many, never one too few.
            _, stroke = self._about.popitem(last=False)
            self._everybody = max(self._everybody, stroke)
        self._wake(None)

    async def wait(self, heard: int, *about: Topic) -> None:
        """Return once something was committed after stroke `heard` that may concern any of `about` (none given: anything).

        A pure wait: it may be cancelled at any time.
        """
        keys: tuple[Topic | None, ...] = about or (None,)
        while not self.sounded(heard, *about):
            sleeper = asyncio.get_running_loop().create_future()
            for key in keys:
                self._sleepers.setdefault(key, set()).add(sleeper)
            try:
                await sleeper
            finally:
                for key in keys:
                    asleep = self._sleepers.get(key)
                    if asleep is not None:
                        asleep.discard(sleeper)
                        if not asleep:
                            del self._sleepers[key]

    def tell(self, hearer: Callable[[], None], topics: Iterable[Topic]) -> None:
        """Call `hearer` at each stroke from now on that may concern any of `topics`, until it is to `spare`.

        It is called where the bell is rung, so it shall only wake somebody, who looks. What was rung before is not told.
        """
        for topic in topics:
            self._hearers.setdefault(topic, set()).add(hearer)

    def spare(self, hearer: Callable[[], None], topics: Iterable[Topic]) -> None:
        """Call `hearer` no more about `topics`."""
        for topic in topics:
            hearers = self._hearers.get(topic)
            if hearers is not None:
                hearers.discard(hearer)
                if not hearers:
                    del self._hearers[topic]

    def sounded(self, heard: int, *about: Topic) -> bool:
        """Whether there was a stroke after `heard` that may concern any of `about`."""
        if not about:
            return self._rung > heard
        return self._everybody > heard or any(self._about.get(topic, 0) > heard for topic in about)

    def _wake(self, key: Topic | None) -> None:
        for sleeper in self._sleepers.pop(key, ()):
            if not sleeper.done():
                sleeper.set_result(None)
        if key is not None:
            for hearer in self._hearers.get(key, ()):
                hearer()
