"""What waits for mail is written once, as a generator that yields what it waits for; here it is led to its end, by a thread or
by a task of asyncio.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from concurrent.futures import Future
from typing import Any, NamedTuple, TypeAlias, TypeVar

from mailsystem.testing.failing import hidden

__tracebackhide__ = hidden

T = TypeVar("T")


class Wait(NamedTuple):
    """Wait for this, and raise `TimeoutError` where it takes longer."""

    future: Future[Any]
    seconds: float


Steps: TypeAlias = Generator[Wait, Any, T]
"""Yields waits, is sent what came of them, and returns a `T`."""


def led(steps: Steps[T]) -> T:
    """Lead it to its end; blocks this thread."""
    try:
        wait = next(steps)
        while True:
            failed: BaseException | None = None
            value: Any = None
            try:
                value = wait.future.result(wait.seconds)
            except BaseException as error:
                wait.future.cancel()
                failed = error
            # Not while it is handled: what is raised because of it need not tell of it.
            wait = steps.send(value) if failed is None else steps.throw(failed)
    except StopIteration as done:
        result: T = done.value
        return result


async def led_async(steps: Steps[T]) -> T:
    """Lead it to its end; blocks nobody."""
    try:
        wait = next(steps)
        while True:
            failed: BaseException | None = None
            value: Any = None
            try:
                value = await asyncio.wait_for(asyncio.wrap_future(wait.future), wait.seconds)
            except BaseException as error:
                failed = error
            wait = steps.send(value) if failed is None else steps.throw(failed)
    except StopIteration as done:
        result: T = done.value
        return result
