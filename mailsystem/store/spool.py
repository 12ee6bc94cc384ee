"""A message on its way in: held in memory while it is small, on disk as soon as it is not."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from mailsystem.mail.errors import Unavailable
from mailsystem.store.owner import give

SPOOL_LIMIT: Final = 2 << 20
"""Octets of one message that are held in memory; a larger one is written to a file while it comes in.

So all but few messages meet the disk once, together with others, and not with two renames of a file each.
"""
ROOM: Final = 32 << 20
"""Octets that all messages on their way in may hold in memory together, before those that are not small go to disk."""
_PIECE: Final = 1 << 20
"""A file grows by so many octets at a time: a thread writes them while the next ones come in."""
_SMALL_PIECE: Final = 64 << 10
"""And by so many where all messages together hold more than they should."""
_JOINED: Final = 16 << 10
"""Octets that come in smaller pieces are gathered, or each would cost more than it holds."""
_SYNCED: Final = 8 << 20
"""Octets after which a file is brought to disk, so that little is left to wait for at its end."""


class Room:
    """How much memory the spools of one store take together, in octets."""

    __slots__ = ("most", "taken")

    def __init__(self, most: int = ROOM) -> None:
        self.most = most
        self.taken = 0


class Spool:
    """A message on its way in: in memory, and past the limit in a temporary file of the store.

    Whoever made it discards it in a `finally`; once it was stored that does nothing.
    """

    __slots__ = (
        "_chunks", "_directory", "_discarded", "_held", "_limit", "_room", "_small", "_tail", "_unsynced", "_writing",
        "path", "size",
    )  # fmt: skip

    def __init__(self, directory: Path, limit: int, *, room: Room, small: int) -> None:
        """`limit` is how much of it is held in memory while there is room, `small` how much is in any case."""
        self._directory = directory
        self._limit = limit
        self._room = room
        self._small = small
        self._chunks: list[bytes | bytearray] = []
        self._tail: bytearray | None = None
        """The last chunk, while small pieces are gathered in it."""
        self._held = 0
        self._writing: asyncio.Future[None] | None = None
        self._discarded = False
        self._unsynced = 0
        self.path: Path | None = None
        """Its file, once it has one."""
        self.size = 0
        """Octets written so far."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Take octets in; never blocks. Call `flush` when `wants_flush`."""
        size = len(data)
        if size >= _JOINED:
            self._chunks.append(bytes(data))
            self._tail = None
        elif self._tail is None and not self._chunks:
            self._chunks.append(bytes(data))  # most messages come in one piece
        else:
            if self._tail is None or len(self._tail) >= _JOINED:
                self._tail = bytearray()
                self._chunks.append(self._tail)
            self._tail += data
        self._held += size
        self._room.taken += size
        self.size += size

    @property
    def held(self) -> int:
        """Octets of it in memory."""
        return self._held

    @property
    def wants_flush(self) -> bool:
        """Whether more is held in memory than should be."""
        if self.path is not None or self._writing is not None:
            return self._held >= (_PIECE if self._room.taken <= self._room.most else _SMALL_PIECE)
        return self.size > self._limit or (self.size > self._small and self._room.taken > self._room.most)

    async def flush(self) -> None:
        """Begin to move what is held into the file, once what was moved before is there.

        Raises `Unavailable` where the disk does not take it; what comes of the last piece is told by `settle`.
        """
        await self.settle()
        if self._chunks:
            chunks = self._chunks
            self._forget()
            # A new message has no file yet, so it begins with what is held; from then on it is known by `path`.
            self._writing = asyncio.get_running_loop().run_in_executor(None, self._append, chunks)
            self._writing.add_done_callback(self._written)

    async def settle(self) -> None:
        """Wait until all that was flushed is in the file. Raises `Unavailable` where the disk did not take it."""
        if self._writing is not None:
            try:
                await asyncio.shield(self._writing)
            except OSError as error:
                raise Unavailable("cannot store the message") from error
            self._writing = None

    def discard(self) -> None:
        """Forget everything."""
        self._discarded = True
        self._forget()
        if self.path is not None and (self._writing is None or self._writing.done()):
            self.path.unlink(missing_ok=True)
            self.path = None

    def octets(self) -> Sequence[bytes | bytearray] | None:
        """Everything, while it is all in memory; None once it has a file."""
        return self._chunks if self.path is None and self._writing is None else None

    def _forget(self) -> None:
        self._room.taken -= self._held
        self._chunks, self._tail, self._held = [], None, 0

    def _written(self, writing: asyncio.Future[None]) -> None:
        if not writing.cancelled():
            writing.exception()  # `settle` tells it, if anybody still asks
        if self._discarded:
            self.discard()

    def _append(self, chunks: Sequence[bytes | bytearray]) -> None:
        # It is not kept open: one command may bring a thousand of these, and files that are open are few.
        if is_new := self.path is None:
            descriptor, name = tempfile.mkstemp(dir=self._directory)
            self.path = Path(name)
        else:
            descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        with open(descriptor, "wb", buffering=0) as file:
            if is_new:
                give(descriptor, self._directory)
            for chunk in chunks:
                view = memoryview(chunk)
                while view:
                    view = view[file.write(view) :]
                self._unsynced += len(chunk)
            if self._unsynced >= _SYNCED:
                os.fdatasync(descriptor)
                self._unsynced = 0
