"""Work about very many messages, where it holds nobody up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")

MANY: Final = 2000
"""Messages of which so much as making a list holds others up."""


async def apart(many: int, work: Callable[[], T]) -> T:
    """The same as `work()`, in a thread if it is about many messages."""
    return await asyncio.to_thread(work) if many > MANY else work()
