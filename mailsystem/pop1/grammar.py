"""A command line becomes its keyword and its argument; and how messages stand in the one piece that is sent. Sans-IO."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from mailsystem.mail.errors import SyntaxFault

COMMAND_LIMIT: Final = 512
"""Octets of a command with its line end. RFC 918 has no limit; RFC 937 has this one."""

_KEYWORD: Final = re.compile(rb"[A-Za-z]{1,16}")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

_AROUND: Final = len(" 3-Oct-1984 14:33:05 +0000,;000000000000\r\n")


def keyword(line: bytes) -> tuple[str, bytes]:
    """A command line as its keyword in capitals and the rest. Raises `SyntaxFault`."""
    if b"\0" in line or b"\r" in line:
        raise SyntaxFault("control character in command")
    word, _, rest = line.partition(b" ")
    if not _KEYWORD.fullmatch(word):
        raise SyntaxFault("unknown command")
    return word.decode("ascii").upper(), rest


def argument(rest: bytes) -> bytes:
    """The one argument: all of the rest, blanks within it too."""
    found = rest.strip(b" ")
    if not found:
        raise SyntaxFault("argument missing")
    return found


def mailbox(rest: bytes) -> str:
    """A mailbox's name."""
    try:
        return argument(rest).decode()
    except UnicodeDecodeError:
        raise SyntaxFault("mailbox name is not UTF-8") from None


def nothing(rest: bytes) -> None:
    """Raises `SyntaxFault` where there is an argument. Trailing blanks are none."""
    if rest.strip(b" "):
        raise SyntaxFault("too many arguments")


def separated(size: int) -> int:
    """How long a message is with the line before it: the date takes the same room every day."""
    return _AROUND + len(str(size)) + size


def separator(date: float, size: int) -> bytes:
    """The line that stands before each message.

    RFC 918 says nothing of what is between the messages of a mailbox: the file was sent as it lay on the disk. This is how
    it lay on TOPS-20, where an early server ran: `3-Oct-1984 14:33:05 +0000,537;000000000000`, the date, the octets of the
    message behind the line, and flags. Since it counts, no message can pretend to be two.
    """
    when = datetime.fromtimestamp(date, UTC)
    day = f"{when.day:>2}-{_MONTHS[when.month - 1]}-{when.year:04d}"
    return f"{day} {when:%H:%M:%S} +0000,{size};{0:012o}\r\n".encode()
