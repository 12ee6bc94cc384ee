"""Search: by the index against by reading, and what other structures would cost. `SEARCH=100000` sets how many messages.

Words are made up, as many and as frequent as in real mail (Zipf), with the noise that headers carry: ids, signatures.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import resource
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from mailsystem.finding.key import Arrived, Every, Field, Flagged, Key, Not, Text
from mailsystem.imap.session import Selected
from mailsystem.imap.sought import sought
from mailsystem.imap.view import View
from mailsystem.mail.content import Part, scan
from mailsystem.mail.haystack import Words, fold, pieces, text_in
from mailsystem.mail.mailbox import SEEN, Flag
from mailsystem.store import Drop, Store, open_store

MESSAGES = int(os.environ.get("SEARCH", "20000"))
VOCABULARY = 400_000
SYLLABLES = {
    tongue: written.split()
    for tongue, written in {
        "latin": "ba ne ri to lu ka mi so de va ter ung ent age ion ing pre con ex al or um is en ed ly ve qu st",
        "german": "ver be ge ung keit lich ß ä ö ü sch ein aus auf ten der hau str wei",
        "russian": "по на ко ро не ст ра во то ен ни ка ть ся пр ов ла ми де",
        "greek": "κα το πρ ση μα νε ρο λα τι θε ων ιά έν",
    }.items()
}


class Author:
    """Writes messages, always the same ones."""

    def __init__(self, seed: int = 1) -> None:
        self.random = random.Random(seed)
        self.words: list[str] = []
        known: set[str] = set()
        tongues = list(SYLLABLES)
        while len(self.words) < VOCABULARY:
            # Frequent words are short.
            length = 1 + min(5, int(len(self.words) ** 0.15) + self.random.randrange(2))
            tongue = SYLLABLES[self.random.choices(tongues, [12, 3, 2, 1])[0]]
            word = "".join(self.random.choices(tongue, k=length))
            if word not in known:
                known.add(word)
                self.words.append(word)
        weights = itertools.accumulate(1 / (rank + 2.7) for rank in range(len(self.words)))
        self.cumulated = list(weights)

    def say(self, count: int) -> list[str]:
        return self.random.choices(self.words, cum_weights=self.cumulated, k=count)

    def token(self, octets: int) -> str:
        return self.random.randbytes(octets).hex()

    def message(self, number: int) -> bytes:
        words = self.say(max(20, int(self.random.lognormvariate(5.6, 0.9))))
        lines = [
            f"{' '.join(words[at : at + 6])}; {' '.join(words[at + 6 : at + 12])}" for at in range(0, len(words), 12)
        ]
        sender, person = self.say(2), self.say(2)
        head = [
            f"Received: from mx{number % 50}.example.net by mail.example.org with ESMTPS id {self.token(8)};",
            f"DKIM-Signature: v=1; a=rsa-sha256; d=example.net; s=s1; bh={self.token(22)}; b={self.token(64)}",
            f"Message-ID: <{self.token(12)}@example.net>",
            f"From: {' '.join(sender)} <user{number % 3000}@example.net>",
            f"To: {' '.join(person)} <ann@example.org>",
            f"Subject: {' '.join(self.say(6))}",
            "Date: Mon, 7 Feb 2022 21:52:25 -0800",
            "MIME-Version: 1.0",
            "Content-Type: text/plain; charset=utf-8",
            "Content-Transfer-Encoding: 8bit",
        ]
        return "\r\n".join([*head, "", *lines, ""]).encode()


async def fill(store: Store, author: Author, count: int) -> Any:
    ann = await store.accounts.add("ann@example.org", None)

    async def post(number: int) -> None:
        spool = store.contents.spool()
        spool.write(author.message(number))
        flags = frozenset([SEEN]) if number % 20 else frozenset([Flag("Work")])
        await store.mailboxes.deliver([Drop(ann.id, "INBOX", flags)], spool, internaldate=1_600_000_000 + 60.0 * number)

    for start in range(0, count, 500):
        await asyncio.gather(*(post(number) for number in range(start, min(start + 500, count))))
    return ann


def keys(author: Author) -> dict[str, Key]:
    words = author.words
    rare, common, middle = words[len(words) // 3], words[20], words[3000]

    def body(needle: str) -> Key:
        return Text(Words(fold(needle), False))

    def text(needle: str) -> Key:
        return Text(Words(fold(needle), True))

    return {
        "BODY, a rare word": body(rare),
        "BODY, a word in few": body(middle),
        "BODY, a common word": body(common),
        "BODY, a word in none": body("xylophonqz"),
        "BODY, two words": body(f"{words[30]} {words[60]}"),
        "BODY, inside of words": body(rare[1:-1]),
        "BODY, two letters": body("qz"),
        "BODY, two common letters": body("er"),
        "TEXT, a rare word": text(rare),
        "TEXT, a word in none": text("xylophonqz"),
        "SUBJECT, a rare word": Field(b"SUBJECT", fold(words[9000])),
        "SUBJECT, a common word": Field(b"SUBJECT", fold(common)),
        "FROM, an address": Field(b"FROM", "user77@example.net"),
        "HEADER Message-ID": Field(b"MESSAGE-ID", "00aa00aa@example.net"),
        "UNSEEN": Not(Flagged(SEEN)),
        "SINCE": Arrived(1_600_000_000 + 60.0 * MESSAGES * 0.9, float("inf")),
        "UNSEEN BODY, a common word": Every((Not(Flagged(SEEN)), body(common))),
    }


async def timed(session: Any, key: Key, repeats: int) -> tuple[float, Sequence[int]]:
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        found = await sought(session, key)
        times.append(time.perf_counter() - began)
    return statistics.median(times), found


async def session_of(store: Store, account: Any) -> Any:
    opened = await store.mailboxes.open(account.id, "INBOX", claim_recent=False)
    mailbox = opened.mailbox
    selected = Selected(mailbox, View(opened.uids, mailbox.modseq, opened.recent), True)
    return SimpleNamespace(store=store, account=account, selected=selected)


async def measure(directory: Path) -> None:
    author = Author()
    async with open_store(directory, indexed=False) as store:
        began = time.perf_counter()
        ann = await fill(store, author, MESSAGES)
        print(f"{MESSAGES} messages delivered in {time.perf_counter() - began:.1f} s")
        session = await session_of(store, ann)
        wanted = keys(author)
        scans = {name: await timed(session, key, 1) for name, key in wanted.items()}
        before = (directory / "mail.db").stat().st_size
        began, cpu = time.perf_counter(), time.process_time()
        await store.index.catch_up()
        wall, cpu = time.perf_counter() - began, time.process_time() - cpu
        counted = await store.index.counted()
        octets = (await store.mailboxes.status(ann.id, "INBOX")).size
        print(
            f"indexed in {wall:.1f} s: {1e6 * cpu / MESSAGES:.0f} µs of CPU and {counted.octets / MESSAGES:.0f} octets"
            f" for each message of {octets / MESSAGES:.0f}; {counted.shelves} shelves; database {before >> 20} MiB before"
        )
        print(f"{'search':32}{'found':>8}{'reading ms':>12}{'index ms':>10}{'ratio':>9}")
        for name, key in wanted.items():
            took, found = await timed(session, key, 5)
            scan_took, scanned = scans[name]
            assert found == scanned, name
            print(f"{name:32}{len(found):>8}{1e3 * scan_took:>12.1f}{1e3 * took:>10.2f}{scan_took / took:>9.1f}")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10} MiB")


def others(count: int) -> None:
    """The same text in SQLite's own full-text tables."""
    author = Author()
    texts = []
    for number in range(count):
        raw = author.message(number)
        texts.append(
            "\n".join(text_in(piece, raw[piece.start : piece.end]) for piece in pieces(Part.load(scan(raw).parts), 64))
        )
    words = author.words
    for name, options in (
        ("words (ascii)", "tokenize='ascii', detail=none"),
        ("words with places", "tokenize='unicode61'"),
        ("trigrams", "tokenize='trigram', detail=full"),
    ):
        with tempfile.TemporaryDirectory(dir=".") as directory:
            connection = sqlite3.connect(Path(directory) / "fts.db", isolation_level=None)
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(f"CREATE VIRTUAL TABLE t USING fts5(text, content='', {options})")
            began = time.process_time()
            for start in range(0, count, 64):
                connection.execute("BEGIN")
                connection.executemany(
                    "INSERT INTO t(rowid, text) VALUES (?, ?)", list(enumerate(texts[start : start + 64], start + 1))
                )
                connection.execute("COMMIT")
            cpu = time.process_time() - began
            [[octets]] = connection.execute("SELECT SUM(LENGTH(block)) FROM t_data").fetchall()
            row = f"{name:32}{1e6 * cpu / count:>10.0f} µs{octets / count:>10.0f} octets"
            for needle in (words[len(words) // 3], words[20]):
                began = time.perf_counter()
                found = connection.execute("SELECT rowid FROM t WHERE t MATCH ?", (f'"{needle}"',)).fetchall()
                row += f"{1e3 * (time.perf_counter() - began):>10.2f} ms for {len(found)}"
            connection.execute("CREATE VIRTUAL TABLE v USING fts5vocab(t, 'row')")
            began = time.perf_counter()
            [[total]] = connection.execute("SELECT COUNT(*) FROM v WHERE instr(term, ?)", (words[20],)).fetchall()
            print(f"{row}; its vocabulary is scanned in {1e3 * (time.perf_counter() - began):.0f} ms ({total} terms)")
            connection.close()
    began = time.perf_counter()
    hits = sum(words[20] in text for text in texts)
    took = 1e3 * (time.perf_counter() - began)
    print(
        f"{'folded text, kept and scanned':32}{sum(map(len, texts)) / count:>23.0f} octets{took:>10.2f} ms for {hits}"
    )


def main() -> None:
    with tempfile.TemporaryDirectory(dir=".") as directory:
        asyncio.run(measure(Path(directory) / "data"))
    print("\nother structures, 5,000 messages: cost of indexing one; a rare word, a common one")
    others(5000)


if __name__ == "__main__":
    main()
