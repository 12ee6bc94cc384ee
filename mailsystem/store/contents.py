"""Message bytes: kept once, shared by recipients and copies, exactly as they came.

A content is its *head* (trace fields of ours and the header block, up to 256 KiB) beside the parsed facts, and the octets
after it: small ones in the database, large ones in a file that was written and fsynced before the commit that names it.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
import tempfile
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from mailsystem.mail.clock import Clock
from mailsystem.mail.content import Facts, Scanner, scan
from mailsystem.mail.errors import Unavailable
from mailsystem.mail.mailbox import ContentId
from mailsystem.store.database import Database, Many, Sql, Unit
from mailsystem.telemetry import Trace

INLINE_LIMIT: Final = 128 << 10
HEAD_LIMIT: Final = 256 << 10
SLICE: Final = 256 << 10
_ON_LOOP: Final = 32 << 10
"""A message up to this size is scanned where we stand (some 0.1 ms); larger ones in a thread."""


class Spool:
    """A message on its way in: in memory, and past the limit in a temporary file of the store.

    Whoever made it discards it in a `finally`; once it was stored that does nothing.
    """

    def __init__(self, directory: Path, limit: int) -> None:
        self._directory = directory
        self._limit = limit
        self._chunks: list[bytes] = []
        self._held = 0
        self._path: Path | None = None
        self.size = 0
        """Octets written so far."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Take octets in; never blocks. Call `flush` when `wants_flush`."""
        self._chunks.append(bytes(data))
        self._held += len(data)
        self.size += len(data)

    @property
    def held(self) -> int:
        """Octets of it in memory."""
        return self._held

    @property
    def wants_flush(self) -> bool:
        """Whether more is held in memory than should be."""
        return self.size > self._limit and self._held >= (SLICE if self._path is not None else 1)

    async def flush(self) -> None:
        """Move what is held into the file. Raises `Unavailable` where the disk does not take it."""
        if self._chunks:
            chunks, self._chunks, self._held = self._chunks, [], 0
            try:
                await asyncio.to_thread(self._append, chunks)
            except OSError as error:
                raise Unavailable("cannot store the message") from error

    def discard(self) -> None:
        """Forget everything."""
        self._chunks, self._held = [], 0
        if self._path is not None:
            self._path.unlink(missing_ok=True)
            self._path = None

    def _append(self, chunks: list[bytes]) -> None:
        # It is not kept open: one command may bring a thousand of these, and files that are open are few.
        if self._path is None:
            descriptor, name = tempfile.mkstemp(dir=self._directory)
            self._path = Path(name)
        else:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        with open(descriptor, "wb", buffering=0) as file:
            for chunk in chunks:
                view = memoryview(chunk)
                while view:
                    view = view[file.write(view) :]

    def _bytes(self) -> bytes | None:
        """Everything, while it is all in memory."""
        return b"".join(self._chunks) if self._path is None else None


@dataclass(frozen=True, slots=True)
class Staged:
    """A content that is ready to be named by a commit: if it has a file, that is on disk."""

    facts: Facts
    prefix_size: int
    sha256: bytes
    head: bytes
    body: bytes | None
    """The octets after `head`; None where they are in `file`."""
    file: str | None

    @property
    def weight(self) -> int:
        return len(self.head) + len(self.body or b"")


class Contents:
    """Reads and stages contents; the mailboxes name them."""

    def __init__(self, database: Database, directory: Path, *, clock: Clock, trace: Trace, inline_limit: int) -> None:
        self._database = database
        self._directory = directory
        self._incoming = directory / "incoming"
        self._clock = clock
        self._trace = trace
        self._inline_limit = inline_limit

    def prepare(self) -> None:
        """Make the directories; drop what a killed process left half written long ago."""
        for directory in (self._directory, self._incoming):
            directory.mkdir(mode=0o700, exist_ok=True)
        stale = self._clock.now() - 86_400
        for entry in os.scandir(self._incoming):
            if entry.stat().st_mtime < stale:
                os.unlink(entry)

    def spool(self) -> Spool:
        return Spool(self._incoming, self._inline_limit)

    async def stage(self, spool: Spool, prefix: bytes) -> Staged:
        """Scan the message `prefix` + `spool` and, if it is large, bring it to disk. Raises `Unavailable`."""
        octets = spool._bytes()
        try:
            if octets is not None and len(octets) <= self._inline_limit:
                if len(octets) <= _ON_LOOP:
                    return _inline(prefix, octets)
                return await asyncio.to_thread(_inline, prefix, octets)
            await spool.flush()
            return await asyncio.to_thread(self._to_file, spool, prefix)
        except OSError as error:
            self._trace.event("store failed", what="content", reason=str(error))
            raise Unavailable("cannot store the message") from error

    def _to_file(self, spool: Spool, prefix: bytes) -> Staged:
        if spool._path is None:
            raise ValueError("spool was discarded")
        scanner, digest, head = Scanner(), hashlib.sha256(prefix), bytearray(prefix)
        scanner.feed(prefix)
        with open(spool._path, "rb", buffering=0) as file:
            os.fsync(file.fileno())  # whoever wrote it: what counts is the file
            while chunk := file.read(SLICE):
                scanner.feed(chunk)
                digest.update(chunk)
                if len(head) < HEAD_LIMIT:
                    head += chunk[: HEAD_LIMIT - len(head)]
        facts = scanner.close()
        name = secrets.token_hex(16)
        folder = self._directory / name[:2]
        if not folder.is_dir():
            folder.mkdir(mode=0o700, exist_ok=True)
            _fsync_directory(self._directory)
        os.rename(spool._path, folder / name)
        spool._path = None
        _fsync_directory(folder)
        head_size = min(facts.header_size, HEAD_LIMIT)
        return Staged(facts, len(prefix), digest.digest(), bytes(head[:head_size]), None, name)

    async def read(self, content: ContentId, start: int = 0, end: int | None = None) -> bytes:
        """Octets [start, end) of the whole message, trace fields included. Raises `Unavailable` if it is gone."""
        return b"".join([chunk async for chunk in self.stream(content, start, end)])

    async def stream(self, content: ContentId, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """Octets [start, end) in slices of about 256 KiB, of which one is in memory at a time. Raises `Unavailable`."""
        size, prefix_size, file, head = await self._database.read(_location(content))
        end = size if end is None else min(end, size)
        if start < len(head) and start < end:
            yield head[start : min(end, len(head))]
            start = len(head)
        if start >= end:
            return
        if file is None:
            octets = await self._database.read(_body(content, start - len(head), end - start))
            for offset in range(0, len(octets), SLICE):
                yield octets[offset : offset + SLICE]
            return
        try:
            opened = await asyncio.to_thread(open, self._path(file), "rb", 0)
            try:
                position = start - prefix_size
                while start < end:
                    chunk = await asyncio.to_thread(_slice, opened, position, min(SLICE, end - start))
                    if not chunk:
                        raise OSError("file is shorter than its record")
                    yield chunk
                    start += len(chunk)
                    position += len(chunk)
            finally:
                opened.close()
        except OSError as error:
            self._trace.event("store failed", what="content", reason=str(error))
            raise Unavailable("the message cannot be read") from error

    def _path(self, file: str) -> Path:
        return self._directory / file[:2] / file

    async def unstage(self, staged: Staged, spool: Spool) -> None:
        """Give a content that surely no commit has named back to its spool, from where it may be staged again."""
        if staged.file is not None:
            await asyncio.to_thread(self._give_back, staged.file, spool)

    def _give_back(self, file: str, spool: Spool) -> None:
        back = self._incoming / file
        os.rename(self._path(file), back)
        spool._path = back

    async def sweep(self, *, grace: float) -> int:
        """Drop contents that no message has named for `grace` seconds; returns how many.

        Files go after the commit; those whose process died just then, or between the file and its commit, are found
        here too: old, and named by no content.
        """
        before = self._clock.now() - grace
        swept = await self._database.write(_sweep(before))
        await asyncio.to_thread(self._unlink, [file for file in swept if file])
        old = await asyncio.to_thread(self._files_before, before)
        if old:
            named = await self._database.read(_named())
            await asyncio.to_thread(self._unlink, [file for file in old if file not in named])
        return len(swept)

    def _unlink(self, files: list[str]) -> None:
        for file in files:
            self._path(file).unlink(missing_ok=True)

    def _files_before(self, before: float) -> list[str]:
        old = []
        for path in self._directory.glob("??/*"):
            with suppress(FileNotFoundError):  # it was given back, or swept by another process, just now
                if path.stat().st_mtime <= before:
                    old.append(path.name)
        return old


def insert(staged: Staged) -> Unit[ContentId]:
    """Name a staged content."""
    facts = staged.facts
    [[content]] = yield Sql(
        "INSERT INTO contents (size, prefix_size, header_size, sha256, file, envelope, bodystructure, body, parts, head)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING id",
        facts.size,
        staged.prefix_size,
        facts.header_size,
        staged.sha256,
        staged.file,
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


def _location(content: ContentId) -> Unit[tuple[int, int, str | None, bytes]]:
    rows = yield Sql("SELECT size, prefix_size, file, head FROM contents WHERE id = $1", content)
    if not rows:
        raise Unavailable("the message cannot be read")
    size, prefix_size, file, head = rows[0]
    return size, prefix_size, file, head


def _body(content: ContentId, start: int, length: int) -> Unit[bytes]:
    rows = yield Sql("SELECT substr(octets, $2, $3) FROM bodies WHERE content_id = $1", content, start + 1, length)
    if not rows:
        raise Unavailable("the message cannot be read")
    return bytes(rows[0][0])


def _sweep(before: float) -> Unit[list[str | None]]:
    candidates = yield Sql("SELECT content_id FROM orphans WHERE since <= $1 ORDER BY since LIMIT 1000", before)
    seen = [row[0] for row in candidates]
    dead = yield Sql(
        "DELETE FROM contents WHERE id IN LIST $1"
        " AND NOT EXISTS (SELECT 1 FROM messages WHERE messages.content_id = contents.id)"
        " AND NOT EXISTS (SELECT 1 FROM outbound WHERE outbound.content_id = contents.id) RETURNING id, file",
        seen,
    )
    yield Sql("DELETE FROM bodies WHERE content_id IN LIST $1", [row[0] for row in dead])
    yield Sql("DELETE FROM previews WHERE content_id IN LIST $1", [row[0] for row in dead])
    yield Sql("DELETE FROM orphans WHERE content_id IN LIST $1", seen)
    return [row[1] for row in dead]


def _named() -> Unit[set[str]]:
    rows = yield Sql("SELECT file FROM contents WHERE file IS NOT NULL")
    return {row[0] for row in rows}


def _inline(prefix: bytes, octets: bytes) -> Staged:
    raw = prefix + octets if prefix else octets
    facts = scan(raw)
    head = min(facts.header_size, HEAD_LIMIT)
    return Staged(facts, len(prefix), hashlib.sha256(raw).digest(), raw[:head], raw[head:], None)


def _slice(file: BinaryIO, position: int, length: int) -> bytes:
    return os.pread(file.fileno(), length, position)


def _fsync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
