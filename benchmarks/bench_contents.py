"""Where octets lie: in the database, in files that messages share (segments), or in files of their own.

For messages of one size that come 20 at once: durable deliveries per second, CPU of the process for each, and reads of whole
messages per second. The ratios are to the database.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from mailsystem.mail.account import Account
from mailsystem.mail.mailbox import ContentId
from mailsystem.store import Drop, Store, open_store

REPEATS: Final = 3
AT_ONCE: Final = 20
OCTETS: Final = 40 << 20
"""About so much is delivered for each figure."""
MOST: Final = 1000
SIZES: Final = (4 << 10, 8 << 10, 16 << 10, 32 << 10, 64 << 10, 128 << 10, 1 << 20)
NEVER: Final = 1 << 30
LIMITS: Final = {"database": (NEVER, NEVER), "segments": (0, NEVER), "files": (0, 0)}
"""Up to how many octets a message lies in the database, and up to how many in a segment."""


@dataclass
class Figures:
    """Of one size in one place, one for each repeat."""

    delivered: list[float] = field(default_factory=list)
    cost: list[float] = field(default_factory=list)
    read: list[float] = field(default_factory=list)


def message(size: int) -> bytes:
    lines = b"".join(random.Random(size).randbytes(38).hex().encode() + b"\r\n" for _ in range(size // 78))
    return b"From: a@example.org\r\nTo: b@example.org\r\nSubject: benchmark\r\n\r\n" + lines


async def all_of(count: int, work: Callable[[], Awaitable[None]]) -> float:
    """Seconds that it takes."""
    left = itertools.repeat(None, count)

    async def run() -> None:
        for _ in left:
            await work()

    start = time.perf_counter()
    await asyncio.gather(*(run() for _ in range(AT_ONCE)))
    return time.perf_counter() - start


async def measure(store: Store, account: Account, raw: bytes, figures: Figures) -> None:
    count = max(min(OCTETS // len(raw), MOST), AT_ONCE)
    contents: list[ContentId] = []

    async def deliver() -> None:
        spool = store.contents.spool()
        try:
            spool.write(raw)
            done = await store.mailboxes.deliver([Drop(account.id)], spool, prefix=b"Return-Path: <>\r\n")
            contents.append(done.content)
        finally:
            spool.discard()

    async def read() -> None:
        await store.contents.read(random.choice(contents))

    cpu = time.process_time()
    figures.delivered.append(count / await all_of(count, deliver))
    figures.cost.append((time.process_time() - cpu) / count * 1000)
    figures.read.append(count / await all_of(count, read))


def show(found: dict[tuple[int, str], Figures]) -> None:
    print(f"{'octets':>8} {'in':9}{'deliveries/s':>13}{'ratio':>7}{'CPU ms':>8}{'ratio':>7}{'reads/s':>9}{'ratio':>7}")
    for (size, name), figures in found.items():
        first = found[size, "database"]
        cells = [f"{size:>8} {name:9}"]
        for values, base, form in (
            (figures.delivered, first.delivered, "13.0f"),
            (figures.cost, first.cost, "8.2f"),
            (figures.read, first.read, "9.0f"),
        ):
            median = statistics.median(values)
            cells.append(f"{median:>{form}}{median / statistics.median(base):>7.2f}")
        print("".join(cells))


async def run() -> None:
    found: dict[tuple[int, str], Figures] = {}
    with tempfile.TemporaryDirectory(dir=".") as directory:
        async with AsyncExitStack() as stack:
            places: dict[str, tuple[Store, Account]] = {}
            for name, (inline, spooled) in LIMITS.items():
                opened = open_store(Path(directory) / name, inline_limit=inline, spool_limit=spooled, indexed=False)
                store = await stack.enter_async_context(opened)
                places[name] = store, await store.accounts.add("a@example.org", None)
            for _ in range(REPEATS):
                for size in SIZES:
                    raw = message(size)
                    for name, (store, account) in places.items():
                        await measure(store, account, raw, found.setdefault((size, name), Figures()))
    show(found)


def main() -> None:
    asyncio.run(run())


if __name__ == "__main__":
    main()
