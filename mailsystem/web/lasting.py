"""What lasts: streams of events and waits. Nobody has so many of them that none is left for others."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from typing import TYPE_CHECKING, Final

from fastapi.responses import StreamingResponse

from mailsystem.net.limits import place
from mailsystem.web.problems import Problem, problem

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from mailsystem.web.visitors import Visitor

_AGAIN: Final = {"Retry-After": "10"}


class Lasting:
    """Counts streams and waits in this process, by who asks and from where."""

    def __init__(self, most_of_one: int, most_from_one: int) -> None:
        """`most_of_one` of one account and `most_from_one` from one address, this machine apart; 0 sets no limit."""
        self._most_of = most_of_one
        self._most_from = most_from_one
        self._open: Counter[str | int] = Counter()

    @property
    def open(self) -> int:
        """How many there are now."""
        return sum(count for who, count in self._open.items() if isinstance(who, int))

    @contextmanager
    def place(self, visitor: Visitor) -> Iterator[None]:
        """One more, until the end of the block. Raises `Problem` where there are too many."""
        if (why := self._why_not(visitor)) is not None:
            raise Problem(429, why, headers=_AGAIN)
        each = (visitor.account.id, place(visitor.peer.host))
        self._open.update(each)
        try:
            yield
        finally:
            self._open.subtract(each)
            for who in each:
                if not self._open[who]:
                    del self._open[who]

    def _why_not(self, visitor: Visitor) -> str | None:
        if self._most_of and self._open[visitor.account.id] >= self._most_of:
            return f"{self._most_of} streams and waits of this account are open already"
        if self._most_from and not visitor.peer.is_loopback and self._open[place(visitor.peer.host)] >= self._most_from:
            return f"{self._most_from} streams and waits from this address are open already"
        return None


class Stream(StreamingResponse):
    """Server-sent events, that count as long as somebody reads them."""

    def __init__(self, events: AsyncGenerator[bytes, None], lasting: Lasting, visitor: Visitor) -> None:
        # Proxies shall pass each event on when it comes.
        super().__init__(events, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})
        self._events = events
        self._lasting = lasting
        self._visitor = visitor

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Closed at once, not when nobody knows of it any more: who reads no further may have gone.
        async with aclosing(self._events):
            try:
                with self._lasting.place(self._visitor):
                    await super().__call__(scope, receive, send)
            except Problem as full:
                await problem(full.status, full.detail, full.headers)(scope, receive, send)
