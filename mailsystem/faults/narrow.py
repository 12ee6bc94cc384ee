"""A connection through which little gets: so many octets a second, or so many and no more."""

from __future__ import annotations

import asyncio
import re
from typing import Any, Final, NoReturn, cast

from mailsystem.faults.rule import Rule
from mailsystem.net import Closed, Connection

WHY: Final = "ended by a fault"
_SLICE: Final = 0.1
"""Seconds between two pieces of what is slow."""
_LOOK: Final = 0.25
"""Seconds after which somebody who waits for nothing looks whether that is still wanted."""


async def pause(connection: Connection, seconds: float) -> None:
    """Let that time pass, unless the peer goes or the program ends."""
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    while (left := until - loop.time()) > 0 and connection.is_open and not connection.stopping:  # noqa: ASYNC110
        await asyncio.sleep(min(left, _LOOK))


async def hang_up(connection: Connection) -> NoReturn:
    """End the connection, after what was written before. Raises `Closed`, always."""
    await connection.close()
    raise Closed(WHY)


class Narrow:
    """What a door writes through instead of its connection, for the length of an answer: it holds it until `drain`.

    Everything else is the connection's.
    """

    __slots__ = ("_held", "_left", "_mark", "_rate", "_through")

    def __init__(self, through: Connection, fault: Rule, *, behind: re.Pattern[bytes] | None = None) -> None:
        """Octets are counted only `behind` the first of these, if that is given."""
        self._through = through
        self._rate = fault.throttle
        self._left = fault.truncate
        self._mark = behind if fault.truncate is not None else None
        self._held = bytearray()

    @classmethod
    def of(cls, through: Connection, fault: Rule, *, behind: re.Pattern[bytes] | None = None) -> Connection:
        """The same, to be put in the place of the connection."""
        return cast(Connection, cls(through, fault, behind=behind))

    def write(self, data: bytes) -> None:
        self._held += data

    @property
    def holds_back(self) -> bool:
        return bool(self._held) or self._through.holds_back

    async def drain(self, timeout: float = 300) -> None:
        """Let out what is held. Raises `Closed` where the connection ends by that, and `TimeoutError`."""
        data, self._held = bytes(self._held), bytearray()
        if self._mark is not None and (found := self._mark.search(data)) is not None:
            self._mark = None
            await self._pour(data[: found.end()], timeout)
            data = data[found.end() :]
        if self._mark is None and self._left is not None:
            if len(data) >= self._left:
                await self._pour(data[: self._left], timeout)
                await hang_up(self._through)
            self._left -= len(data)
        await self._pour(data, timeout)

    async def _pour(self, data: bytes, timeout: float) -> None:
        step = max(1, int(self._rate * _SLICE)) if self._rate else max(1, len(data))
        for at in range(0, len(data), step):
            piece = data[at : at + step]
            self._through.write(piece)
            await self._through.drain(timeout)
            if self._rate:
                await pause(self._through, len(piece) / self._rate)

    async def finish(self) -> None:
        """The answer has left: one that was to be cut ends the connection, however short it was. Raises `Closed`."""
        if self._left is not None:
            await hang_up(self._through)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._through, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in Narrow.__slots__:
            object.__setattr__(self, name, value)
        else:
            setattr(self._through, name, value)


async def finished(connection: Connection) -> Connection:
    """The connection itself, once the answer through a narrow one has left. Raises `Closed`."""
    narrow: object = connection
    if not isinstance(narrow, Narrow):
        return connection
    await narrow.finish()
    return narrow._through
