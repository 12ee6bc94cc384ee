"""Messages out of files: mbox, Maildir, single ones, and what is piped in."""

from __future__ import annotations

import errno
import os
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import BinaryIO, Final

from mailsystem.cli.folders import PARTS, keywords_in, mailbox_level, maildir_mailbox
from mailsystem.mail.mailbox import Flag
from mailsystem.mail.mbox import (
    LOOK_BEHIND,
    Begin,
    ends_message,
    keyword_flags,
    maildir_flags,
    mozilla_flags,
    split,
    status_flags,
)

_LINE: Final = 64 << 10
"""Octets of a line that are read at once."""
_HEAD: Final = 256 << 10
_LATEST: Final = 253_402_300_799.0
"""The end of the year 9999, in seconds since the epoch."""
_KEPT: Final = re.compile(rb"(?im)^(x?-?status|x-keywords|x-mozilla-(?:status|keys)|date|return-path):[ \t]*([^\r\n]*)")
_KEYWORDS: Final = 50
"""Of a message that are taken over."""
_BEGINNING: Final = re.compile(rb"(?:\xef\xbb\xbf)?(?:>?From |[!-9;-~]+[ \t]*:)")
_PACKED: Final = {
    b"\x1f\x8b": "packed (gzip)",
    b"BZh": "packed (bzip2)",
    b"\xfd7zXZ": "packed (xz)",
    b"\x28\xb5\x2f\xfd": "packed (zstd)",
    b"7z\xbc\xaf": "packed (7z)",
    b"PK\x03\x04": "packed (zip)",
    b"!BDN": "a file of Outlook",
    b"\xd0\xcf\x11\xe0": "a file of Outlook",
    b"SQLite format 3\0": "a database",
}
"""What is often taken for mail, by its first octets."""
_LOOKED_AT: Final = 1000
STDIN: Final = "-"


@dataclass
class Letter:
    """A message that is read; once all its pieces were taken, everything about it is known."""

    where: str
    pieces: Iterator[bytes]
    sender: str = ""
    date: float | None = None
    flags: frozenset[Flag] = frozenset()
    folder: str = ""
    """The mailbox that it was in, where the place tells."""
    head: bytearray = field(default_factory=bytearray)
    in_mbox: bool = False
    """Its fields for flags are a mail program's; elsewhere only its sender can have written them."""

    def octets(self) -> Iterator[bytes]:
        """Its pieces."""
        for piece in self.pieces:
            if len(self.head) < _HEAD:
                self.head += piece[: _HEAD - len(self.head)]
            yield piece
        head = bytes(self.head).partition(b"\r\n\r\n")[0]
        told = {name.lower(): value for name, value in reversed(_KEPT.findall(head))}
        if self.in_mbox:
            status = told.get(b"status", b"") + told.get(b"x-status", b"")
            self.flags |= status_flags(status.decode("ascii", "replace"))
            self.flags |= mozilla_flags(told.get(b"x-mozilla-status", b"").decode("ascii", "replace").strip())
            keywords = b" ".join((told.get(b"x-keywords", b""), told.get(b"x-mozilla-keys", b"")))
            self.flags |= {*keyword_flags(keywords.decode("ascii", "replace"))[:_KEYWORDS]}
        self.sender = self.sender or told.get(b"return-path", b"").strip(b" <>").decode("utf-8", "replace")
        if self.date is None and b"date" in told:
            self.date = _moment(told[b"date"])
        if self.date is not None and not 0 <= self.date <= _LATEST:
            self.date = None  # IMAP cannot say it


def letters(
    paths: list[str], read: Callable[[int], None], passed: Callable[[Path], None] = lambda _: None
) -> Iterator[Letter]:
    """The messages of all these places, one after the other: each must be taken whole before the next. `read` hears how many
    octets were read, and `passed` of files beside mail that are none. Raises `OSError`."""
    for text in paths:
        if text == STDIN:
            yield from _stream(sys.stdin.buffer, STDIN, read, seekable=False)
        else:
            yield from _place(Path(text), read, passed)


def size_of(paths: list[str]) -> int | None:
    """Octets of all of them together; None where that is not known."""
    if STDIN in paths:
        return None
    total = 0
    for path in map(Path, paths):
        files = [path] if not path.is_dir() else [each for each in path.rglob("*") if _is_there(each)]
        total += sum(each.stat().st_size for each in files)
    return total


def _place(path: Path, read: Callable[[int], None], passed: Callable[[Path], None]) -> Iterator[Letter]:
    if not path.is_dir():
        with path.open("rb") as file:
            yield from _stream(file, str(path), read, seekable=file.seekable())
    elif _is_maildir(path):
        yield from _maildir(path, "", read)
        for below in sorted(path.glob(".?*")):
            if not below.is_symlink() and (below / "cur").is_dir():
                yield from _maildir(below, maildir_mailbox(below.name), read)
        for below, folder in _nested(path, ""):
            yield from _maildir(below, folder, read)
    else:
        for below in sorted(path.iterdir()):
            # A link may lead round in a circle.
            if below.name.startswith(".") or below.is_symlink():
                continue
            if below.is_dir() or (below.is_file() and _is_mail(below)):
                yield from _place(below, read, passed)
            elif below.is_file():
                passed(below)


def _is_mail(path: Path) -> bool:
    """Whether a file among others looks like mail: programs keep indexes and lists beside it."""
    if path.suffix.lower() == ".eml":
        return True
    with path.open("rb") as file:
        return _BEGINNING.match(file.read(_LOOKED_AT)) is not None


def _is_maildir(path: Path) -> bool:
    if (path / "cur").is_dir():
        return True
    # Its folders may stand beside INBOX as well as within it.
    names = [each.name for each in path.iterdir() if each.name[:1] == "." or each.name.upper() == "INBOX"]
    return any((path / name / "cur").is_dir() for name in names)


def _nested(path: Path, above: str) -> Iterator[tuple[Path, str]]:
    """The Maildirs that are in directories within one, as some programs keep its folders, and the mailbox that each is."""
    for below in sorted(path.iterdir()):
        name = below.name.removeprefix(".") if above else below.name
        if name.startswith(".") or name in PARTS or below.is_symlink() or not below.is_dir():
            continue
        folder = above + mailbox_level(name)
        if (below / "cur").is_dir():
            yield below, folder
        yield from _nested(below, folder + "/")


def _maildir(path: Path, folder: str, read: Callable[[int], None]) -> Iterator[Letter]:
    keywords = keywords_in(path)
    parts = [path / part for part in ("new", "cur")]
    for name in sorted(each for part in parts if part.is_dir() and not part.is_symlink() for each in part.iterdir()):
        if _is_there(name) and not name.name.startswith("."):
            with name.open("rb") as file:
                date = name.stat().st_mtime
                flags = maildir_flags(name.name, keywords)
                yield Letter(
                    str(name), _whole(_first(file, str(name)), file, read), date=date, flags=flags, folder=folder
                )


def _is_there(path: Path) -> bool:
    """Whether it is a file of those that were named: a link among them may lead to any other of this machine."""
    return path.is_file() and not path.is_symlink()


def _stream(file: BinaryIO, where: str, read: Callable[[int], None], *, seekable: bool) -> Iterator[Letter]:
    first = _first(file, where)
    if not first:
        return
    if not first.startswith(b"From "):
        yield Letter(where, _whole(first, file, read))
        return

    def lines() -> Iterator[bytes]:
        line = first
        while line:
            read(len(line))
            yield line
            line = _line(file)

    def ends_after(octets: int) -> bool:
        """Whether a message ends there: before the end, or before another one."""
        here = file.tell()
        if here + octets > os.fstat(file.fileno()).st_size:
            return False
        file.seek(here + octets)
        behind = file.read(LOOK_BEHIND)
        end = file.tell() - len(behind)
        file.seek(here)
        return end == here + octets and ends_message(behind)

    parts = split(lines(), ends_after if seekable else None)
    waiting: list[Begin] = []

    def pieces() -> Iterator[bytes]:
        for part in parts:
            if isinstance(part, Begin):
                waiting.append(part)
                return
            yield part

    for part in parts:
        if isinstance(part, Begin):
            waiting.append(part)
            break
    number = 0
    while waiting:
        begin = waiting.pop()
        number += 1
        yield Letter(f"{where}, message {number}", pieces(), begin.sender, begin.date, in_mbox=True)


def _whole(first: bytes, file: BinaryIO, read: Callable[[int], None]) -> Iterator[bytes]:
    """A message that is alone in its file."""
    line = first
    while line:
        read(len(line))
        yield line[:-1] + b"\r\n" if line.endswith(b"\n") and not line.endswith(b"\r\n") else line
        line = _line(file)


def _first(file: BinaryIO, where: str) -> bytes:
    """The first line. Raises `OSError` where what is there is surely no mail."""
    first = _line(file)
    packed = next((name for beginning, name in _PACKED.items() if first.startswith(beginning)), None)
    if packed is not None:
        raise OSError(errno.EINVAL, f"it is {packed} and not mail; unpack or export it first", where)
    return first


def _line(file: BinaryIO) -> bytes:
    """A line, or so much of a long one; a CRLF stays together."""
    line = file.readline(_LINE)
    return line + file.readline(1) if line.endswith(b"\r") else line


def _moment(value: bytes) -> float | None:
    try:
        return parsedate_to_datetime(value.decode("ascii", "replace")).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
