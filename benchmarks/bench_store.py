"""The vault: durable deliveries per second, and what sharing one commit, one content and one file changes."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from mailsystem.mail.account import Account
from mailsystem.store import Drop, Store, open_store

REPEATS = 3
HEAD = b"From: a@example.org\r\nTo: b@example.org\r\nSubject: benchmark\r\nMIME-Version: 1.0\r\n\r\n"


async def deliver(store: Store, size: int, drops: Sequence[Drop]) -> None:
    spool = store.contents.spool()
    try:
        spool.write(HEAD + b"x" * 76 + b"\r\n" * (max(size - len(HEAD) - 76, 0) // 2))
        if spool.wants_flush:
            await spool.flush()
        await store.mailboxes.deliver(drops, spool)
    finally:
        spool.discard()


async def rate(count: int, tasks: int, work: Callable[[int], Awaitable[None]]) -> float:
    async def run(task: int) -> None:
        for step in range(task, count, tasks):
            await work(step)

    start = time.perf_counter()
    await asyncio.gather(*(run(task) for task in range(tasks)))
    return count / (time.perf_counter() - start)


async def measure(store: Store, people: list[Account]) -> None:
    rows: dict[str, list[float]] = {}
    cases: list[tuple[str, int, int, int, int]] = [
        # name, octets, deliveries, tasks at once, recipients
        ("5 KB, one after the other", 5_000, 400, 1, 1),
        ("5 KB, 20 at once", 5_000, 2_000, 20, 1),
        ("5 KB, 100 at once", 5_000, 2_000, 100, 1),
        ("5 KB, 20 at once, 10 recipients", 5_000, 400, 20, 10),
        ("100 KB, 20 at once", 100_000, 400, 20, 1),
        ("1 MB, 4 at once", 1_000_000, 60, 4, 1),
    ]
    for _ in range(REPEATS):
        for name, size, count, tasks, recipients in cases:

            async def work(step: int, size: int = size, recipients: int = recipients) -> None:
                await deliver(store, size, [Drop(people[(step + n) % len(people)].id) for n in range(recipients)])

            rows.setdefault(name, []).append(recipients * await rate(count, tasks, work))
    first = statistics.median(next(iter(rows.values())))
    print(f"{'durable deliveries':34}{'copies/s':>10}{'min':>9}{'max':>9}{'ratio':>8}")
    for name, rates in rows.items():
        median = statistics.median(rates)
        print(f"{name:34}{median:>10.0f}{min(rates):>9.0f}{max(rates):>9.0f}{median / first:>8.2f}")


async def run() -> None:
    with tempfile.TemporaryDirectory(dir=".") as directory:
        async with open_store(Path(directory) / "data") as store:
            people = [await store.accounts.add(f"u{n}@example.org", None) for n in range(20)]
            await measure(store, people)


def main() -> None:
    asyncio.run(run())


if __name__ == "__main__":
    main()
