"""The `amail` of a test: the same as `mail`, for those who wait in a task."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.message import Message as Parsed
from functools import partial
from typing import Literal, Unpack, overload

from mailsystem.testing.driving import aside, led_async
from mailsystem.testing.expecting import Expected
from mailsystem.testing.failing import hidden
from mailsystem.testing.inbox import Belongings
from mailsystem.testing.matching import Asked
from mailsystem.testing.message import Message
from mailsystem.testing.postbox import Expecting

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

    # One message is asked for by far the most often.
    @overload
    async def expect(self, *, count: Literal[1] = 1, **asked: Unpack[Expecting]) -> Message: ...  # type: ignore[overload-overlap]
    @overload
    async def expect(self, *, count: int, **asked: Unpack[Expecting]) -> list[Message]: ...
    async def expect(self, *, count: int = 1, **asked: Unpack[Expecting]) -> Message | list[Message]:
        """The one message that is like this, or with a `count` all those; see `Inbox.expect`."""
        messages = await led_async(self._box.expect(count, **asked))
        return messages[0] if count == 1 else messages

    @asynccontextmanager
    async def expecting(self, *, count: int = 1, **asked: Unpack[Expecting]) -> AsyncIterator[Expected]:
        """The same of what comes because of the block, and not before: it is waited for at the block's end."""
        after = await led_async(self._box.mark())
        self._box.is_idle = False
        expected, steps = Expected(), self._box.expect(count, after, **asked)
        yield expected
        expected.fill(await led_async(steps))

    async def none(self, *, within: float | None = None, **asked: Unpack[Asked]) -> None:
        """Nothing like this has come, nor is anybody left who could send it; see `Inbox.none`."""
        await led_async(self._box.none(within, **asked))

    async def deliver(self, message: Parsed | bytes, *, to: str | None = None, from_: str | None = None) -> Message:
        """Let a message arrive, for whoever reads mail; see `Inbox.deliver`."""
        after = await led_async(self._box.mark())
        await aside(partial(self._send, message, to, from_))
        return (await led_async(self._box.expect(after=after)))[0]
