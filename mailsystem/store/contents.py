"""Message bytes: kept once, shared by recipients and copies, exactly as they came.

A content is its *head* (trace fields of ours and the header block, up to 256 KiB) beside the parsed facts, and the octets
after it: small ones in the database, others in a file that was brought to disk before the commit that names it. Those that
memory can hold on their way in share a file (see `segments`), from some offset on; larger ones have a file of their own,
which they were written to while they came in. A file that no content names is swept (see `sweeping`).
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from mailsystem.mail.clock import Clock
from mailsystem.mail.content import Facts, Scanner, scan
from mailsystem.mail.errors import Unavailable
from mailsystem.mail.mailbox import ContentId
from mailsystem.store.database import Database, Many, Sql, Unit
from mailsystem.store.opened import Files, Opened, read_at
from mailsystem.store.owner import make_directory
from mailsystem.store.segments import LARGEST, Place, Segments, folder_of, fsync_directory
from mailsystem.store.spool import SPOOL_LIMIT, Room, Spool
from mailsystem.store.sweeping import Sweep
from mailsystem.telemetry import Trace

INLINE_LIMIT: Final = 32 << 10
"""Octets of a message up to which it lies in the database as a whole.

From about here on a place in a segment costs as little CPU, is read faster, and is written once instead of twice, first into
the log and then into the database (`python -m benchmarks contents`).
"""
WHOLE: Final = 128 << 10
"""A message up to this size may be read as a whole, wherever it lies. Earlier programs kept these in the database."""
HEAD_LIMIT: Final = 256 << 10
SLICE: Final = 128 << 10
"""Octets that are read at a time: what is larger is mapped anew each time by the C library, a page fault for every 4 KiB."""
_ON_LOOP: Final = 32 << 10
"""A message up to this size is scanned, and read, where we stand (some 0.1 ms); larger ones in a thread."""


@dataclass(frozen=True, slots=True)
class Staged:
    """A content that is ready to be named by a commit: if it has a file, that is on disk."""

    facts: Facts
    prefix_size: int
    sha256: bytes
    head: bytes
    body: bytes | None
    """The octets after `head`; None where they are at `place`."""
    place: Place | None
    """Where the message without its prefix begins."""

    @property
    def weight(self) -> int:
        return len(self.head) + len(self.body or b"")


class Contents:
    """Reads and stages contents; the mailboxes name them."""

    def __init__(
        self,
        database: Database,
        directory: Path,
        *,
        clock: Clock,
        trace: Trace,
        inline_limit: int = INLINE_LIMIT,
        spool_limit: int = SPOOL_LIMIT,
        segment: int = LARGEST,
    ) -> None:
        """`segment` is how many octets a file that contents share takes."""
        self._database = database
        self._directory = directory
        self._incoming = directory / "incoming"
        self._clock = clock
        self._trace = trace
        self._inline_limit = inline_limit
        self._spool_limit = max(spool_limit, inline_limit)
        self._room = Room()
        self._files = Files(directory)
        self._segments = Segments(directory, largest=segment)
        self._sweep = Sweep(database, directory, self._append, trace=trace)

    def prepare(self) -> None:
        """Make the directories; drop what a killed process left half written long ago."""
        for directory in (self._directory, self._incoming):
            make_directory(directory)
        stale = self._clock.now() - 86_400
        for entry in os.scandir(self._incoming):
            with suppress(FileNotFoundError):  # another process that starts just now does the same
                if entry.stat().st_mtime < stale:
                    os.unlink(entry)

    async def close(self) -> None:
        """Close all files."""
        await self._segments.close()
        self._files.forget()

    def spool(self) -> Spool:
        return Spool(self._incoming, self._spool_limit, room=self._room, small=self._inline_limit)

    async def stage(self, spool: Spool, prefix: bytes) -> Staged:
        """Scan the message `prefix` + `spool` and, if it is not small, bring it to disk. Raises `Unavailable`."""
        chunks = spool.octets()
        try:
            if chunks is None or spool.size > self._spool_limit:
                await spool.flush()
                await spool.settle()
                return await asyncio.to_thread(self._to_file, spool, prefix)
            if spool.size > self._inline_limit:
                return await self._to_segment(chunks, prefix)
            octets = b"".join(chunks)
            if len(octets) <= _ON_LOOP:
                return _inline(prefix, octets)
            return await asyncio.to_thread(_inline, prefix, octets)
        except OSError as error:
            self._trace.event("store failed", what="content", reason=str(error))
            raise Unavailable("cannot store the message") from error

    async def _to_segment(self, chunks: Sequence[bytes | bytearray], prefix: bytes) -> Staged:
        place, (facts, digest, head) = await self._segments.append(chunks, partial(_read_over, prefix, chunks))
        return Staged(facts, len(prefix), digest, head, None, place)

    async def _append(self, octets: bytes) -> Place:
        place, _ = await self._segments.append((octets,), bool)
        return place

    def _to_file(self, spool: Spool, prefix: bytes) -> Staged:
        if spool.path is None:
            raise ValueError("spool was discarded")
        scanner, digest, head = Scanner(), hashlib.sha256(prefix), bytearray(prefix)
        scanner.feed(prefix)
        with open(spool.path, "rb", buffering=0) as file:
            os.fsync(file.fileno())  # whoever wrote it: what counts is the file
            slice_ = memoryview(bytearray(SLICE))  # one for all: new memory each time would be dearer than the scan
            while count := file.readinto(slice_):
                chunk = slice_[:count]
                scanner.feed(chunk)
                digest.update(chunk)
                if len(head) < HEAD_LIMIT:
                    head += chunk[: HEAD_LIMIT - len(head)]
        facts = scanner.close()
        name = secrets.token_hex(16)
        folder = folder_of(self._directory, name)
        os.rename(spool.path, folder / name)
        spool.path = None
        fsync_directory(folder)
        head_size = min(facts.header_size, HEAD_LIMIT)
        return Staged(facts, len(prefix), digest.digest(), bytes(head[:head_size]), None, Place(name, 0))

    async def read(self, content: ContentId, start: int = 0, end: int | None = None) -> bytes:
        """Octets [start, end) of the whole message, trace fields included. Raises `Unavailable` if it is gone."""
        return b"".join([chunk async for chunk in self.stream(content, start, end)])

    async def digest(self, content: ContentId) -> bytes:
        """SHA-256 of the whole message, trace fields included. Raises `Unavailable` if it is gone."""
        return await self._database.read(_digest(content), brief=True)

    async def stream(self, content: ContentId, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """Octets [start, end) in slices of about 128 KiB, of which one is in memory at a time. Raises `Unavailable`."""
        where = await self._database.read(_location(content), brief=True)
        end = where.size if end is None else min(end, where.size)
        if start < where.head_size and start < end:
            head = where.head
            if head is None:
                head = await self._database.read(_head(content))
            yield head[start : min(end, where.head_size)]
            start = where.head_size
        if start >= end:
            return
        if where.place is None:
            brief = where.size <= _ON_LOOP
            octets = await self._database.read(_body(content, start - where.head_size, end - start), brief=brief)
            for offset in range(0, len(octets), SLICE):
                yield octets[offset : offset + SLICE]
            return
        try:
            opened, place = await self._take(content, where.place)
            try:
                position = place.offset + start - where.prefix_size
                while True:
                    chunk = await read_at(opened.file, position, min(SLICE, end - start))
                    if not chunk:
                        raise OSError("file is shorter than its record")
                    yield chunk
                    start += len(chunk)
                    position += len(chunk)
                    if start >= end:
                        break
                    await asyncio.sleep(0)  # what is in memory was read without one
            finally:
                self._files.give(place.file, opened)
        except OSError as error:
            self._trace.event("store failed", what="content", reason=str(error))
            raise Unavailable("the message cannot be read") from error

    async def _take(self, content: ContentId, place: Place) -> tuple[Opened, Place]:
        """The file in which a content lies, held; it may have been moved since one looked. Raises `OSError`."""
        while True:
            try:
                return await self._files.take(place.file), place
            except FileNotFoundError:
                now = (await self._database.read(_location(content), brief=True)).place
                if now is None or now == place:
                    raise
                place = now

    async def unstage(self, staged: Staged, spool: Spool) -> None:
        """Give a content that surely no commit has named back to its spool, from where it may be staged again."""
        if staged.place is None:
            return
        if spool.size and spool.held == spool.size:
            self._segments.give_back(staged.place, spool.size)
        else:
            await asyncio.to_thread(self._give_back, staged.place.file, spool)

    def _give_back(self, file: str, spool: Spool) -> None:
        back = self._incoming / file
        os.rename(self._files.path(file), back)
        spool.path = back

    async def sweep(self, *, grace: float) -> int:
        """Drop contents that no message has named for `grace` seconds, and make their space free (see `sweeping`).

        Returns how many. Raises `Unavailable` and `OSError`.
        """
        before = self._clock.now() - grace
        await self._segments.retire(before)
        try:
            return await self._sweep.run(before)
        finally:
            self._files.forget()

    async def let_go(self, *, grace: float) -> None:
        """Hold open no file that another process may want to sweep, or has removed: `sweep` does that by itself."""
        await self._segments.retire(self._clock.now() - grace)
        self._files.forget()


def insert(staged: Staged) -> Unit[ContentId]:
    """Name a staged content."""
    facts = staged.facts
    [[content]] = yield Sql(
        "INSERT INTO contents"
        " (size, prefix_size, header_size, sha256, file, file_offset, envelope, bodystructure, body, parts, head)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) RETURNING id",
        facts.size,
        staged.prefix_size,
        facts.header_size,
        staged.sha256,
        staged.place.file if staged.place is not None else None,
        staged.place.offset if staged.place is not None else 0,
        facts.envelope,
        facts.bodystructure,
        facts.body,
        facts.parts,
        staged.head,
    )
    if staged.body is not None:
        yield Sql("INSERT INTO bodies (content_id, octets) VALUES ($1, $2)", content, staged.body)
    return ContentId(content)


def orphan(contents: set[ContentId], now: float) -> Unit[None]:
    """Note contents that may have lost their last message; the sweep looks again."""
    yield Many(
        "INSERT INTO orphans (content_id, since) VALUES ($1, $2) ON CONFLICT (content_id) DO UPDATE SET since = $2",
        [(content, now) for content in contents],
    )


class _Location(NamedTuple):
    size: int
    prefix_size: int
    place: Place | None
    head_size: int
    head: bytes | None
    """None where it is long."""


def _location(content: ContentId) -> Unit[_Location]:
    rows = yield Sql(
        "SELECT size, prefix_size, file, file_offset, length(head), CASE WHEN length(head) <= $2 THEN head END"
        " FROM contents WHERE id = $1",
        content,
        _ON_LOOP,
    )
    if not rows:
        raise Unavailable("the message cannot be read")
    size, prefix_size, file, offset, head_size, head = rows[0]
    return _Location(size, prefix_size, None if file is None else Place(file, offset), head_size, head)


def _digest(content: ContentId) -> Unit[bytes]:
    rows = yield Sql("SELECT sha256 FROM contents WHERE id = $1", content)
    if not rows:
        raise Unavailable("the message cannot be read")
    return bytes(rows[0][0])


def _head(content: ContentId) -> Unit[bytes]:
    rows = yield Sql("SELECT head FROM contents WHERE id = $1", content)
    if not rows:
        raise Unavailable("the message cannot be read")
    return bytes(rows[0][0])


def _body(content: ContentId, start: int, length: int) -> Unit[bytes]:
    rows = yield Sql("SELECT substr(octets, $2, $3) FROM bodies WHERE content_id = $1", content, start + 1, length)
    if not rows:
        raise Unavailable("the message cannot be read")
    return bytes(rows[0][0])


def _read_over(prefix: bytes, chunks: Sequence[bytes | bytearray]) -> tuple[Facts, bytes, bytes]:
    """The facts about a message, its digest and its head."""
    if sum(map(len, chunks)) <= WHOLE:
        raw = b"".join((prefix, *chunks))
        facts = scan(raw)
        return facts, hashlib.sha256(raw).digest(), raw[: min(facts.header_size, HEAD_LIMIT)]
    # Chunk by chunk: a copy of the whole would be new memory each time, and that is dearer than to scan it.
    scanner, digest, head = Scanner(), hashlib.sha256(prefix), bytearray(prefix)
    scanner.feed(prefix)
    for chunk in chunks:
        scanner.feed(chunk)
        digest.update(chunk)
        if len(head) < HEAD_LIMIT:
            head += chunk[: HEAD_LIMIT - len(head)]
    facts = scanner.close()
    return facts, digest.digest(), bytes(head[: min(facts.header_size, HEAD_LIMIT)])


def _inline(prefix: bytes, octets: bytes) -> Staged:
    raw = prefix + octets if prefix else octets
    facts = scan(raw)
    head = min(facts.header_size, HEAD_LIMIT)
    return Staged(facts, len(prefix), hashlib.sha256(raw).digest(), raw[:head], raw[head:], None)
