"""Files that contents are appended to, many to one, so that those who come together wait for one disk write.

- A *segment* belongs to the process that made it, by a name that nobody else uses, and is locked (`flock`) for as long as that
  may append: two processes never write to one file, and a sweep can see that somebody still does. It is never opened for
  writing again: a process that starts begins a new one.
- Its space is taken from the disk ahead, `_AHEAD` octets at a time, and what is left is given back when it is closed: so
  `fdatasync` waits for no change of its size (1.1 ms for 1 MB, and 2.2 ms without).
- It takes `LARGEST` octets, then comes the next: large enough that making one (two fsyncs) is rare, small enough that one can
  be copied when most of it is dead.
- Contents have no frame of their own: where each lies is known to the database alone. A place is named by a commit only after
  `fdatasync`; what a process that died has left behind is named by none, and is dead space.

Measured with 1 MB each and 20 at once: 1,300 a second, against 360 as files of their own and 200 in the database; with 50 KB:
11,000, 720 and 3,400. Up to some 32 KB the database is as quick, since its one fsync then serves for all.
"""

from __future__ import annotations

import asyncio
import fcntl
import math
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from mailsystem.store.owner import give, make_directory

T = TypeVar("T")

LARGEST: Final = 64 << 20
"""Octets of a segment; only one that holds a single content may have more."""
_AHEAD: Final = 8 << 20
_APART: Final = 192 << 10
"""A content from this size on is written in a thread of its own; smaller ones one after the other, in one hop for all."""
_GROUP: Final = 64
_PIECES: Final = 1024
"""Pieces that one call may write (IOV_MAX)."""


class Place(NamedTuple):
    """Where the octets of a content lie."""

    file: str
    offset: int


class _Segment:
    __slots__ = ("descriptor", "end", "failed", "name", "ready", "users")

    def __init__(self, name: str, descriptor: int) -> None:
        self.name = name
        self.descriptor = descriptor
        self.end = 0
        """Where the next content goes."""
        self.ready = 0
        """Up to here the disk has kept space for it."""
        self.users = 1
        """Contents on their way into it, and one more while it is the current one."""
        self.failed: OSError | None = None
        """The disk may have lost something of it: nothing more goes in."""


class _Waiting(NamedTuple):
    """A content on its way to the disk."""

    segment: _Segment
    offset: int
    octets: Sequence[bytes | bytearray]
    """What is to be written; nothing if that was done."""
    work: Callable[[], Any] | None
    answer: asyncio.Future[Any]


class Segments:
    """The segments of one process: one is current, and some before it may still be written."""

    def __init__(self, directory: Path, *, largest: int = LARGEST) -> None:
        self._directory = directory
        self._largest = largest
        self._current: _Segment | None = None
        self._making = asyncio.Lock()
        self._waiting: list[_Waiting] = []
        self._worker: asyncio.Task[None] | None = None
        self._closing: set[asyncio.Future[None]] = set()

    async def append(self, octets: Sequence[bytes | bytearray], work: Callable[[], T]) -> tuple[Place, T]:
        """Write these octets, and let `work` do what else is to be done with them, in a thread.

        They are on disk when this returns. Raises `OSError`, and what `work` raises: then the place is dead space.
        """
        size = sum(map(len, octets))
        segment, offset = await self._reserve(size)
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()
        if size < _APART:
            self._queue(_Waiting(segment, offset, octets, work, answer))
            return Place(segment.name, offset), await answer
        writing = loop.run_in_executor(None, _apart, segment.descriptor, offset, octets, work)

        def written(writing: asyncio.Future[T]) -> None:
            # Whoever waits may have given up: the thread went on, so the file stayed open for it.
            if writing.cancelled() or writing.exception() is not None:
                self._leave(segment)
            else:
                self._queue(_Waiting(segment, offset, (), None, answer))

        writing.add_done_callback(written)
        done = await asyncio.shield(writing)
        await answer
        return Place(segment.name, offset), done

    def give_back(self, place: Place, size: int) -> None:
        """What lies there is surely named by no commit: the next content may have the place, if it is the last."""
        current = self._current
        if current is not None and current.name == place.file and current.end == place.offset + size:
            current.end = place.offset

    async def retire(self, before: float = math.inf) -> None:
        """Append nothing more to the current segment, if nothing has been since `before`: so it can be swept."""
        current = self._current
        if current is not None and os.fstat(current.descriptor).st_mtime <= before:
            self._replace(None)
        if self._closing:
            await asyncio.wait(self._closing)

    async def close(self) -> None:
        """Let what is on its way arrive, and close all files."""
        while self._worker is not None:
            await asyncio.wait([self._worker])
        await self.retire()

    async def _reserve(self, size: int) -> tuple[_Segment, int]:
        while (segment := self._fitting(size)) is None or segment.end + size > segment.ready:
            # A task of its own: whoever waits may give up, and what was made is there for the next.
            await asyncio.shield(asyncio.create_task(self._make_ready(size)))
        offset = segment.end
        segment.end += size
        segment.users += 1
        return segment, offset

    async def _make_ready(self, size: int) -> None:
        """Let there be a current segment with so much space. Raises `OSError`."""
        async with self._making:
            segment = self._fitting(size)
            if segment is None:
                segment = await asyncio.to_thread(_make, self._directory)
                self._replace(segment)
            if segment.end + size > segment.ready:
                # Nobody writes there yet: where the system has no way to do it, the library writes zeros.
                ready = segment.end + max(size, _AHEAD)
                segment.users += 1
                try:
                    await asyncio.to_thread(_allocate, segment.descriptor, segment.ready, ready)
                finally:
                    self._leave(segment)
                segment.ready = ready

    def _fitting(self, size: int) -> _Segment | None:
        current = self._current
        if current is None or current.failed is not None:
            return None
        return current if not current.end or current.end + size <= self._largest else None

    def _queue(self, waiting: _Waiting) -> None:
        self._waiting.append(waiting)
        if self._worker is None:
            self._worker = asyncio.create_task(self._work())

    async def _work(self) -> None:
        """Bring to disk what waits, group after group, until nothing does."""
        try:
            while self._waiting:
                group, self._waiting = self._waiting[:_GROUP], self._waiting[_GROUP:]
                outcomes = await asyncio.to_thread(_settle, group)
                for one, outcome in zip(group, outcomes, strict=True):
                    self._leave(one.segment)
                    if one.answer.done():
                        continue
                    if isinstance(outcome, BaseException):
                        one.answer.set_exception(outcome)
                    else:
                        one.answer.set_result(outcome[0])
        finally:
            self._worker = None

    def _replace(self, segment: _Segment | None) -> None:
        was, self._current = self._current, segment
        if was is not None:
            self._leave(was)

    def _leave(self, segment: _Segment) -> None:
        """One user less; the last one closes the file, and so unlocks it."""
        segment.users -= 1
        if not segment.users:
            closing = asyncio.get_running_loop().run_in_executor(None, _close, segment)
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)


def _settle(group: Sequence[_Waiting]) -> list[tuple[Any] | BaseException]:
    """Write what is to be written and bring it to disk, in a thread: one fdatasync for all in the same segment."""
    outcomes: list[tuple[Any] | BaseException] = []
    for one in group:
        try:
            outcomes.append((one.work and one.work(),))
        except Exception as error:
            outcomes.append(error)
    for first, end in _runs(group):
        # One call for all that lie side by side: after each call that lets others run, one waits for one's turn again.
        try:
            octets = [piece for one in group[first:end] for piece in one.octets]
            write_at(group[first].segment.descriptor, group[first].offset, octets)
        except OSError as error:
            outcomes[first:end] = [error] * (end - first)
    for segment in {one.segment for one in group}:
        try:
            if segment.failed is None:
                os.fdatasync(segment.descriptor)
        except OSError as error:
            # Linux tells it once and forgets what could not be written: of this file nothing is sure any more.
            segment.failed = error
    return [
        one.segment.failed if one.segment.failed is not None else outcome
        for one, outcome in zip(group, outcomes, strict=True)
    ]


def _runs(group: Sequence[_Waiting]) -> Iterator[tuple[int, int]]:
    """From where to where in the group contents are to be written that lie side by side."""
    first, reached = 0, -1
    for at, one in enumerate(group):
        if at > first and (one.offset != reached or one.segment is not group[first].segment):
            yield first, at
            first = at
        reached = one.offset + sum(map(len, one.octets))
    yield first, len(group)


def _apart(descriptor: int, offset: int, octets: Sequence[bytes | bytearray], work: Callable[[], T]) -> T:
    write_at(descriptor, offset, octets)
    return work()


def _make(directory: Path) -> _Segment:
    name = secrets.token_hex(16)
    folder = folder_of(directory, name)
    descriptor = os.open(folder / name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        give(descriptor, folder)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fsync_directory(folder)
    except BaseException:
        os.close(descriptor)
        raise
    return _Segment(name, descriptor)


def _allocate(descriptor: int, start: int, end: int) -> None:
    # Where there is no room, whoever writes hears of it.
    with suppress(OSError):
        os.posix_fallocate(descriptor, start, end - start)


def _close(segment: _Segment) -> None:
    with suppress(OSError):
        written = os.fstat(segment.descriptor)
        os.ftruncate(segment.descriptor, segment.end)
        os.utime(
            segment.descriptor, ns=(written.st_atime_ns, written.st_mtime_ns)
        )  # the sweep asks for the last content
    os.close(segment.descriptor)


def folder_of(directory: Path, name: str) -> Path:
    """The folder that a file of this name belongs in, made where it is missing. Raises `OSError`."""
    folder = directory / name[:2]
    if not folder.is_dir():
        make_directory(folder)
        fsync_directory(directory)
    return folder


def fsync_directory(path: Path) -> None:
    """Bring the names in a directory to disk. Raises `OSError`."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_at(descriptor: int, offset: int, octets: Sequence[bytes | bytearray]) -> None:
    """All of them, one behind the other. Raises `OSError`."""
    for start in range(0, len(octets), _PIECES):
        views = [memoryview(piece) for piece in octets[start : start + _PIECES]]
        while views:
            written = os.pwritev(descriptor, views, offset)
            offset += written
            while views and written >= len(views[0]):
                written -= len(views.pop(0))
            if written:
                views[0] = views[0][written:]
