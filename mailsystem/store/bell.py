"""The bell: a commit rings, sleepers wake and look.

A ring may name the mailboxes that it is about, as a hint that saves the others a look; it never carries the news. The order
is always: `heard = bell.rung` → look → `await bell.wait(heard, about)`.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable
from typing import Final, TypeAlias

from mailsystem.mail.mailbox import AccountId, MailboxId

Topic: TypeAlias = tuple[AccountId, MailboxId]

_REMEMBERED: Final = 65_536


class Bell:
    """Strokes within one process; the driver carries them to and from other processes."""

    def __init__(self) -> None:
        self._rung = 0
        self._everybody = 0
        self._about: OrderedDict[Topic, int] = OrderedDict()
        self._sleepers: dict[Topic | None, set[asyncio.Future[None]]] = {}

    @property
    def rung(self) -> int:
        """How many strokes there were."""
        return self._rung

    def ring(self, topics: Iterable[Topic] | None) -> None:
        """Wake those who watch `topics`, or with `None` everybody. Must run on the loop."""
        self._rung += 1
        if topics is None:
            self._everybody = self._rung
            for key in list(self._sleepers):
                self._wake(key)
            return
        for topic in topics:
            self._about[topic] = self._rung
            self._about.move_to_end(topic)
            self._wake(topic)
        while len(self._about) > _REMEMBERED:
            # What is forgotten counts as rung for everybody: a look too many, never one too few.
            _, stroke = self._about.popitem(last=False)
            self._everybody = max(self._everybody, stroke)
        self._wake(None)

    async def wait(self, heard: int, about: Topic | None = None) -> None:
        """Return once something was committed after stroke `heard` that may concern `about` (None: anything).

        A pure wait: it may be cancelled at any time.
        """
        while not self._sounded(heard, about):
            sleeper = asyncio.get_running_loop().create_future()
            self._sleepers.setdefault(about, set()).add(sleeper)
            try:
                await sleeper
            finally:
                asleep = self._sleepers.get(about)
                if asleep is not None:
                    asleep.discard(sleeper)
                    if not asleep:
                        del self._sleepers[about]

    def _sounded(self, heard: int, about: Topic | None) -> bool:
        if about is None:
            return self._rung > heard
        return self._everybody > heard or self._about.get(about, 0) > heard

    def _wake(self, key: Topic | None) -> None:
        for sleeper in self._sleepers.pop(key, ()):
            if not sleeper.done():
                sleeper.set_result(None)
