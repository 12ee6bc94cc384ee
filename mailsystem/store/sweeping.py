"""What no message names any more is dropped: the rows, the files, and the space in files that others share.

Each step is safe by itself, whenever the process dies:

1. Rows of contents without messages go, in one transaction.
2. A file that no row names is removed, if nothing was written to it for the grace: a commit may be about to name it.
3. Of a file that is mostly dead, what lives is copied to the current segment and brought to disk; then a transaction moves
   the rows that are still where they were. Rows that went meanwhile leave a dead copy, which is found in its turn.
4. When no row names the old file any more, it is removed. Whoever has it open reads on; whoever has just looked up where to
   read looks once more.

Each content is compared with its SHA-256 before it is moved: what the disk has damaged stays where it is, and is told.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from mailsystem.store.database import Database, Many, Sql, Unit
from mailsystem.store.segments import Place
from mailsystem.telemetry import Trace

_AT_ONCE: Final = 1000
"""Rows, or files, that one unit looks at."""
_COPIED: Final = 256 << 20
"""Octets that one sweep copies at most: there is another in an hour."""
_TOGETHER: Final = 4 << 20
"""Octets that are copied before rows are moved."""


class Living(NamedTuple):
    """A content in a file."""

    id: int
    offset: int
    size: int
    """Octets of it there."""
    prefix: bytes
    """What is in front of them in the message, but lies in its row."""
    sha256: bytes


class Moved(NamedTuple):
    """A content that was copied: who names it there shall name it here."""

    id: int
    was: Place
    now: Place


class Sweep:
    """Sweeps one directory of contents."""

    def __init__(
        self, database: Database, directory: Path, append: Callable[[bytes], Awaitable[Place]], *, trace: Trace
    ) -> None:
        """`append` writes octets to the current segment; they are on disk when it returns. It raises `OSError`."""
        self._database = database
        self._directory = directory
        self._append = append
        self._trace = trace
        self._damaged: set[str] = set()
        """Files that hold something damaged: they stay as they are."""

    async def run(self, before: float) -> int:
        """Drop what has been dead since `before`; returns how many contents went. Raises `Unavailable` and `OSError`."""
        swept = 0
        seen = _AT_ONCE
        while seen == _AT_ONCE:
            seen, dead = await self._database.write(_sweep(before), patient=True)
            await asyncio.to_thread(self._remove_those_of, [(file, size) for file, size in dead if file])
            swept += len(dead)
        left = _COPIED
        old = await asyncio.to_thread(self._files_before, before)
        for start in range(0, len(old), _AT_ONCE):
            sizes = dict(old[start : start + _AT_ONCE])
            alive = await self._database.read(_alive(list(sizes)))
            await asyncio.to_thread(self._remove, [file for file in sizes if file not in alive])
            for file, octets in alive.items():
                if octets * 2 < sizes[file] and left > 0 and file not in self._damaged:
                    left -= octets
                    await self._compact(file, sizes[file])
        return swept

    def _files_before(self, before: float) -> list[tuple[str, int]]:
        """Name and size of the files that nobody has written to since."""
        old = []
        for path in self._directory.glob("??/*"):
            with suppress(FileNotFoundError):  # it was given back, or swept by another process, just now
                stat = path.stat()
                if stat.st_mtime <= before:
                    old.append((path.name, stat.st_size))
        return old

    def _remove_those_of(self, contents: Sequence[tuple[str, int]]) -> None:
        """Remove the files that held nothing but these contents of so many octets."""
        for file, size in contents:
            with suppress(FileNotFoundError), _locked(self._path(file)) as held:
                if held is not None and os.fstat(held.fileno()).st_size == size:
                    self._path(file).unlink()

    def _remove(self, files: Sequence[str]) -> None:
        for file in files:
            with suppress(FileNotFoundError), _locked(self._path(file)) as held:
                if held is not None:
                    self._path(file).unlink()

    def _path(self, file: str) -> Path:
        return self._directory / file[:2] / file

    async def _compact(self, file: str, size: int) -> None:
        """Move what lives in a file to the current segment, and remove it. Does nothing while somebody else has it."""
        try:
            held = await asyncio.to_thread(_lock, self._path(file))
        except FileNotFoundError:
            return
        if held is None:
            return
        with held:
            kept, offset = 0, -1
            while living := await self._database.read(_living(file, offset)):
                offset = living[-1].offset
                for some in _portions(living):
                    bodies = [await asyncio.to_thread(_read, held, one) for one in some]
                    whole = [(one, body) for one, body in zip(some, bodies, strict=True) if body is not None]
                    places = await asyncio.gather(*(self._append(body) for _, body in whole))
                    moved = [
                        Moved(one.id, Place(file, one.offset), place)
                        for (one, _), place in zip(whole, places, strict=True)
                    ]
                    await self._database.write(_move(moved), patient=True)
                    kept += sum(one.size for one, _ in whole)
                    for one, body in zip(some, bodies, strict=True):
                        if body is None:
                            self._damaged.add(file)
                            self._trace.event("content damaged", file=file, offset=one.offset, content=one.id)
            if file not in self._damaged and not await self._database.read(_alive([file])):
                await asyncio.to_thread(self._path(file).unlink, missing_ok=True)
                self._trace.event("compacted", file=file, octets=size, kept=kept)


def _lock(path: Path) -> BinaryIO | None:
    """The file, for nobody else to append to or to compact; None if somebody does. Raises `OSError`."""
    file = open(path, "rb", buffering=0)  # noqa: SIM115 - it is held on
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


@contextmanager
def _locked(path: Path) -> Iterator[BinaryIO | None]:
    file = _lock(path)
    try:
        yield file
    finally:
        if file is not None:
            file.close()


def _read(file: BinaryIO, one: Living) -> bytes | None:
    """The octets of a content; None where they are not those that came."""
    octets = os.pread(file.fileno(), one.size, one.offset)
    digest = hashlib.sha256(one.prefix)
    digest.update(octets)
    return octets if digest.digest() == one.sha256 else None


def _portions(living: Sequence[Living]) -> Iterator[list[Living]]:
    """Some at a time, of about `_TOGETHER` octets."""
    some: list[Living] = []
    for one in living:
        some.append(one)
        if sum(each.size for each in some) >= _TOGETHER:
            yield some
            some = []
    if some:
        yield some


def _sweep(before: float) -> Unit[tuple[int, list[tuple[str | None, int]]]]:
    """Drop contents without messages, of so many that may be; returns where they lay, and how many octets of each there."""
    candidates = yield Sql("SELECT content_id FROM orphans WHERE since <= $1 ORDER BY since LIMIT $2", before, _AT_ONCE)
    seen = [row[0] for row in candidates]
    dead = yield Sql(
        "DELETE FROM contents WHERE id IN LIST $1"
        " AND NOT EXISTS (SELECT 1 FROM messages WHERE messages.content_id = contents.id)"
        " AND NOT EXISTS (SELECT 1 FROM outbound WHERE outbound.content_id = contents.id)"
        " RETURNING id, file, size - prefix_size",
        seen,
    )
    gone = [row[0] for row in dead]
    yield Sql("DELETE FROM bodies WHERE content_id IN LIST $1", gone)
    yield Sql("DELETE FROM previews WHERE content_id IN LIST $1", gone)
    yield Sql("DELETE FROM orphans WHERE content_id IN LIST $1", seen)
    return len(seen), [(file, size) for _, file, size in dead]


def _alive(files: list[str]) -> Unit[dict[str, int]]:
    """How many octets of each file are named; those of which none is are left out."""
    rows = yield Sql("SELECT file, SUM(size - prefix_size) FROM contents WHERE file IN LIST $1 GROUP BY file", files)
    return dict(rows)


def _living(file: str, after: int) -> Unit[list[Living]]:
    """The next contents in a file, behind this offset."""
    rows = yield Sql(
        "SELECT id, file_offset, size - prefix_size, substr(head, 1, prefix_size), sha256 FROM contents"
        " WHERE file = $1 AND file_offset > $2 ORDER BY file_offset LIMIT $3",
        file,
        after,
        _AT_ONCE,
    )
    return [Living(*row) for row in rows]


def _move(moved: Sequence[Moved]) -> Unit[None]:
    """Let those that still are where they were be where they are now."""
    yield Many(
        "UPDATE contents SET file = $4, file_offset = $5 WHERE id = $1 AND file = $2 AND file_offset = $3",
        [(one.id, *one.was, *one.now) for one in moved],
    )
