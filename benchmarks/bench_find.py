"""Queries about a large account: phrases of frequent words, pages, and many mailboxes. `FIND=40000` sets how many messages."""

from __future__ import annotations

import asyncio
import os
import random
import tempfile
import time
from pathlib import Path

from mailsystem.finding.finder import Finder
from mailsystem.mail.query import parse
from mailsystem.store import New, Store, open_store

MESSAGES = int(os.environ.get("FIND", "40000"))
MAILBOXES = 10
REPEATS = 3
WORDS = [
    f"{a}{b}{c}"
    for a in ("al", "be", "ca", "do")
    for b in ("ri", "to", "mu", "ne", "so")
    for c in ("n", "ra", "st", "lm")
]
QUERIES = (
    '"{0} {1}"', '"{0} {1} {2} {3}"', 'body:"{0}, {1}"', 'subject:"{0} {1}"', "{0} {1}", "{0} {1} {2}", '"{0} {1} nowhere"',
    "envelope-from:@shop7.test", "xylophon", "is:unread {0}",
)  # fmt: skip


def letter(chance: random.Random, number: int) -> bytes:
    """Of eighty words, so that each is in most messages, and of a pair of them one follows the other in few."""
    lines = [" ".join(chance.choices(WORDS, k=12)) for _ in range(30)]
    sender = f"n{number}@shop{number % 500}.test"
    head = (
        f"Return-Path: <{sender}>\r\nFrom: {sender}\r\nTo: ann@example.org\r\n"
        f"Subject: {' '.join(chance.choices(WORDS, k=4))}\r\nMessage-ID: <{number}@shop.test>\r\n"
        "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
    )
    return (head + "\r\n".join(lines) + "\r\n").encode()


async def fill(store: Store, account: int) -> None:
    chance = random.Random(1)
    names = ["INBOX", *(f"Folder {number}" for number in range(1, MAILBOXES))]
    for name in names[1:]:
        await store.mailboxes.create(account, name)  # type: ignore[arg-type]
    for start in range(0, MESSAGES, 500):
        news = []
        for number in range(start, min(start + 500, MESSAGES)):
            spool = store.contents.spool()
            spool.write(letter(chance, number))
            news.append(New(spool, internaldate=1_600_000_000.0 + 60 * number))
        # Most are in one mailbox.
        name = "INBOX" if (start // 500) % 2 == 0 else names[(start // 1000) % MAILBOXES]
        await store.mailboxes.append_all(account, name, news)  # type: ignore[arg-type]
        for each in news:
            each.spool.discard()


async def measure() -> None:
    with tempfile.TemporaryDirectory(dir=os.environ.get("FIND_IN", ".")) as directory:
        async with open_store(Path(directory), indexed=False) as store:
            ann = await store.accounts.add("ann@example.org", None)
            await fill(store, ann.id)
            await store.index.catch_up()
            finder = Finder(store)
            print(
                f"{MESSAGES} messages in {MAILBOXES} mailboxes\n{'query':52}{'hits':>7}{'more':>6}{'ms':>10}{'CPU ms':>10}"
            )
            for text in QUERIES:
                asked = text.format(*WORDS[7::13])
                query = parse(asked, now=0)
                rows = []
                for _ in range(REPEATS):
                    began = time.perf_counter(), time.process_time()
                    found = await finder.find(ann.id, query, limit=50)
                    rows.append((time.perf_counter() - began[0], time.process_time() - began[1]))
                wall, cpu = (1e3 * min(column) for column in zip(*rows, strict=True))
                print(
                    f"{asked[:50]:52}{len(found.messages):>7}{'yes' if found.next else 'no':>6}{wall:>10.1f}{cpu:>10.1f}"
                )


def main() -> None:
    asyncio.run(measure())


if __name__ == "__main__":
    main()
