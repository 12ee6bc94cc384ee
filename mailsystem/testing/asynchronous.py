"""The `amail` of a test: the same as `mail`, for those who wait in a task."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.message import Message as Parsed
from typing import Literal, overload

from mailsystem.testing.driving import led_async
from mailsystem.testing.expecting import Expected
from mailsystem.testing.failing import hidden
from mailsystem.testing.inbox import Belongings
from mailsystem.testing.matching import Pattern, Wanted
from mailsystem.testing.message import Message
from mailsystem.testing.postbox import QUIET, TIMEOUT, Order

__tracebackhide__ = hidden


class AsyncInbox(Belongings):
    """The mail of one test. What does not come raises `MailFailure`, with a table of what did. See `Inbox`."""

    async def messages(self) -> list[Message]:
        """All that have arrived, in the order in which they came."""
        return await led_async(self._box.every())

    async def latest(self) -> Message:
        """The last that has arrived. Raises `MailFailure` where there is none."""
        return await led_async(self._box.latest())

    async def clear(self) -> None:
        """Forget all messages, and remove them from what their recipients read by POP3 and IMAP."""
        await led_async(self._box.clear())

    @overload
    async def expect(  # type: ignore[overload-overlap] # one message is asked for by far the most often
        self,
        *,
        subject: Pattern | None = None,
        from_: Pattern | None = None,
        to: Pattern | None = None,
        query: str | None = None,
        count: Literal[1] = 1,
        order: Order = "arrival",
        timeout: float = TIMEOUT,
    ) -> Message: ...
    @overload
    async def expect(
        self,
        *,
        subject: Pattern | None = None,
        from_: Pattern | None = None,
        to: Pattern | None = None,
        query: str | None = None,
        count: int,
        order: Order = "arrival",
        timeout: float = TIMEOUT,
    ) -> list[Message]: ...
    async def expect(
        self,
        *,
        subject: Pattern | None = None,
        from_: Pattern | None = None,
        to: Pattern | None = None,
        query: str | None = None,
        count: int = 1,
        order: Order = "arrival",
        timeout: float = TIMEOUT,
    ) -> Message | list[Message]:
        """The one message that is like this, or with a `count` all those; see `Inbox.expect`."""
        wanted = Wanted(subject, from_, to, query)
        messages = await led_async(self._box.expect(wanted, count=count, order=order, timeout=timeout))
        return messages[0] if count == 1 else messages

    @asynccontextmanager
    async def expecting(
        self,
        *,
        subject: Pattern | None = None,
        from_: Pattern | None = None,
        to: Pattern | None = None,
        query: str | None = None,
        count: int = 1,
        order: Order = "arrival",
        timeout: float = TIMEOUT,
    ) -> AsyncIterator[Expected]:
        """The same of what comes because of the block, and not before: it is waited for at the block's end."""
        after = await led_async(self._box.mark())
        self._box.is_idle = False
        expected = Expected()
        yield expected
        wanted = Wanted(subject, from_, to, query)
        steps = self._box.expect(wanted, count=count, order=order, timeout=timeout, after=after)
        expected.fill(await led_async(steps))

    async def none(
        self,
        *,
        subject: Pattern | None = None,
        from_: Pattern | None = None,
        to: Pattern | None = None,
        query: str | None = None,
        within: float = QUIET,
    ) -> None:
        """Nothing like this has come, nor comes until it has been quiet for `within` seconds, or at once after `idle()`."""
        await led_async(self._box.none(Wanted(subject, from_, to, query), within=within))

    async def deliver(self, message: Parsed | bytes, *, to: str | None = None, from_: str | None = None) -> Message:
        """Let a message arrive, for whoever reads mail; see `Inbox.deliver`."""
        after = await led_async(self._box.mark())
        await asyncio.to_thread(self._send, message, to, from_)
        steps = self._box.expect(Wanted(), count=1, order="arrival", timeout=TIMEOUT, after=after)
        return (await led_async(steps))[0]
