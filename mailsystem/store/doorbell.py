"""Doorbells: how a commit in one process wakes those who wait in another, on one host.

Each process hangs a datagram socket into the directory of bells; whoever has committed sends a datagram to all the others. It
names the mailboxes concerned, as a hint. A bell that nobody answers any more is taken down.
"""

from __future__ import annotations

import asyncio
import errno
import os
import secrets
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Final

from mailsystem.mail.mailbox import AccountId, MailboxId
from mailsystem.store.bell import Topic
from mailsystem.store.owner import make_directory

_MOST_OCTETS: Final = 8192
_AGAIN_AFTER: Final = 0.05
_SETTLED_NS: Final = 1_000_000_000
_EVERYBODY: Final = b"*"
_NOBODY_HOME: Final = {errno.ECONNREFUSED, errno.ENOENT}


class Doorbell:
    """This process's own bell and its arm's length to the others'."""

    def __init__(self, directory: Path, rung: Callable[[Iterable[Topic] | None], None]) -> None:
        self._directory = directory
        self._spelled = str(directory)  # it is asked at every commit, and a `Path` spells itself anew
        self._rung = rung
        self._socket: socket.socket | None = None
        self._name = ""
        self._neighbours: list[str] = []
        self._listed_at = -1
        self._owed: set[str] = set()

    @asynccontextmanager
    async def hung(self) -> AsyncIterator[None]:
        """The bell hangs while the block runs."""
        make_directory(self._directory)
        self._name = f"{os.getpid()}-{secrets.token_hex(4)}"
        loop = asyncio.get_running_loop()
        bell = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            with _short(self._directory) as near:
                bell.bind(f"{near}/{self._name}")
            self._socket = bell
            loop.add_reader(bell, self._hear)
            try:
                yield
            finally:
                self._socket = None
                loop.remove_reader(bell)
                with suppress(FileNotFoundError):
                    os.unlink(self._directory / self._name)
        finally:
            bell.close()

    def ring(self, topics: Iterable[Topic]) -> None:
        """Tell every other process. Never waits: one whose queue is full is told again, about everything, a little later."""
        neighbours = self._others()
        if not neighbours:
            return
        text = b" ".join(b"%d.%d" % topic for topic in topics)
        self._send(neighbours, text if len(text) <= _MOST_OCTETS else _EVERYBODY)

    def _send(self, neighbours: list[str], text: bytes) -> None:
        if self._socket is None:
            return
        with _short(self._directory) as near:
            for name in neighbours:
                try:
                    self._socket.sendto(text, f"{near}/{name}")
                except OSError as error:
                    if error.errno in _NOBODY_HOME:
                        self._take_down(name)
                    elif not self._owed:
                        self._owed.add(name)
                        asyncio.get_running_loop().call_later(_AGAIN_AFTER, self._settle)
                    else:
                        self._owed.add(name)

    def _settle(self) -> None:
        owed, self._owed = self._owed, set()
        self._send(sorted(owed), _EVERYBODY)

    def _take_down(self, name: str) -> None:
        with suppress(OSError):
            os.unlink(self._directory / name)

    def _others(self) -> list[str]:
        changed = os.stat(self._spelled).st_mtime_ns
        if changed != self._listed_at:
            self._neighbours = [name for name in os.listdir(self._directory) if name != self._name]
            # A directory's time is coarse: one that has just changed may change again without showing it.
            self._listed_at = changed if time.time_ns() - changed > _SETTLED_NS else -1
        return self._neighbours

    def _hear(self) -> None:
        topics: set[Topic] = set()
        everybody = False
        for _ in range(64):
            try:
                text = self._socket.recv(_MOST_OCTETS) if self._socket is not None else b""
            except OSError:
                break
            if not text:
                break
            try:
                for item in text.split():
                    account, _, mailbox = item.partition(b".")
                    topics.add((AccountId(int(account)), MailboxId(int(mailbox))))
            except ValueError:
                everybody = True
        if everybody:
            self._rung(None)
        elif topics:
            self._rung(topics)


@contextmanager
def _short(directory: Path) -> Iterator[str]:
    """A spelling of the directory that fits into the 107 octets of a socket's address, however deep it lies."""
    if len(os.fsencode(directory)) < 80:
        yield str(directory)
        return
    descriptor = os.open(directory, os.O_PATH | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)
