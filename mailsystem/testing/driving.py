"""What waits for mail is written once, as a generator that yields what it waits for; here it is led to its end, by a thread or
by a task of asyncio or trio.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar

from mailsystem.testing.alone import OURS, running_trio
from mailsystem.testing.failing import hidden

__tracebackhide__ = hidden

T = TypeVar("T")

_ASIDE: Final = 1.0
"""Seconds between the time of a loop and ours from which on its time is another one."""


def clock() -> float:
    """Seconds of a clock that goes on where a test has stopped the others: freezegun puts its own in the place of
    `time.monotonic`, also for loops, and does not know this one."""
    return time.clock_gettime(time.CLOCK_MONOTONIC)


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
                value = await _came(wait)
            except BaseException as error:
                failed = error
            wait = steps.send(value) if failed is None else steps.throw(failed)
    except StopIteration as done:
        result: T = done.value
        return result


async def aside(call: Callable[[], T]) -> T:
    """Call it in a thread of its own, and wait for that: in a task of asyncio or of trio."""
    if (trio := running_trio()) is not None:
        done: T = await trio.to_thread.run_sync(call, abandon_on_cancel=True)
        return done
    pool = ThreadPoolExecutor(1, OURS)
    try:
        return await asyncio.get_running_loop().run_in_executor(pool, call)
    finally:
        pool.shutdown(wait=False)


async def _came(wait: Wait) -> Any:
    if running_trio() is None and abs(asyncio.get_running_loop().time() - clock()) < _ASIDE:
        return await asyncio.wait_for(asyncio.wrap_future(wait.future), wait.seconds)
    try:
        return await aside(partial(wait.future.result, wait.seconds))
    finally:
        wait.future.cancel()  # so that the thread ends, too
