"""Files of contents that are open for reading: a few, those asked for last."""

from __future__ import annotations

import asyncio
import os
from collections import OrderedDict
from pathlib import Path
from typing import BinaryIO, Final

_MOST: Final = 64
_NOWAIT: Final[int | None] = getattr(os, "RWF_NOWAIT", None)


class Opened:
    """One of them, held by `users`; closed once it is neither held nor remembered."""

    __slots__ = ("file", "users")

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.users = 0


class Files:
    """Opens the files of contents, and keeps some open: the same one is asked for again and again."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._open: OrderedDict[str, Opened] = OrderedDict()

    def path(self, name: str) -> Path:
        return self._directory / name[:2] / name

    async def take(self, name: str) -> Opened:
        """Hold a file until `give`: it can be read even if it is removed meanwhile. Raises `OSError`."""
        found = self._open.get(name)
        if found is None:
            file = await asyncio.to_thread(open, self.path(name), "rb", 0)
            found = self._open.get(name)
            if found is None:
                found = self._open[name] = Opened(file)
            else:
                file.close()  # somebody was quicker
        self._open.move_to_end(name)
        found.users += 1
        if len(self._open) > _MOST:
            idle = next((each for each, opened in self._open.items() if not opened.users), None)
            if idle is not None:
                self._open.pop(idle).file.close()
        return found

    def give(self, name: str, opened: Opened) -> None:
        """It is not read any more."""
        opened.users -= 1
        if not opened.users and (self._open.get(name) is not opened or len(self._open) > _MOST):
            if self._open.get(name) is opened:
                del self._open[name]
            opened.file.close()

    def forget(self) -> None:
        """Remember none: what was removed gives its space back as soon as nobody reads it."""
        for opened in self._open.values():
            if not opened.users:
                opened.file.close()
        self._open.clear()


async def read_at(file: BinaryIO, position: int, length: int) -> bytes:
    """So many octets from there; fewer only at the end of the file. Raises `OSError`.

    What the system has in memory is copied where we stand (some 15 µs for 128 KiB, against 80 µs for a hop to a thread): it is
    asked to rather give nothing than to wait for the disk (`RWF_NOWAIT`). Only then a thread does.
    """
    if _NOWAIT is not None:
        buffer = bytearray(length)
        try:
            if os.preadv(file.fileno(), [buffer], position, _NOWAIT) == length:
                return bytes(buffer)
        except OSError:
            pass  # it would wait, or this file system cannot tell
    return await asyncio.to_thread(_pread, file, position, length)


def _pread(file: BinaryIO, position: int, length: int) -> bytes:
    return os.pread(file.fileno(), length, position)
