"""Values into what the client reads. Sans-IO.

Nothing that comes from a client or a message is put on a line here without being quoted or counted.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from mailsystem.imap import utf7
from mailsystem.mail.mailbox import RECENT, SYSTEM_FLAGS, Flag

CRLF: Final = b"\r\n"

_ATOM = re.compile(rb'[^\x00-\x20\x7f-\xff(){%*"\\\]]+')
_QUOTABLE = re.compile(rb"[\x20-\x7e]{0,1000}")
_UNQUOTABLE = re.compile(rb'(["\\])')
_UNSAFE = re.compile(r"[^\x20-\x7e]+")
_MONTHS: Final = (b"", *b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split())


def string(data: bytes) -> bytes:
    """string = quoted / literal, whichever can hold these octets."""
    if _QUOTABLE.fullmatch(data):
        return quoted(data)
    return literal(data)


def quoted(data: bytes) -> bytes:
    """quoted = DQUOTE *QUOTED-CHAR DQUOTE; for octets that are known to fit in."""
    return b'"' + _UNQUOTABLE.sub(rb"\\\1", data) + b'"'


def literal(data: bytes) -> bytes:
    """literal = "{" number "}" CRLF *CHAR8"""
    return b"{%d}\r\n%b" % (len(data), data)


def nstring(data: bytes | None) -> bytes:
    """nstring = string / nil"""
    return b"NIL" if data is None else string(data)


def mailbox(name: str) -> bytes:
    """mailbox, in modified UTF-7, as an atom where that is possible."""
    wire = utf7.encode(name)
    if _ATOM.fullmatch(wire) and wire.upper() != b"NIL":
        return wire
    return string(wire)


def text(words: str) -> bytes:
    """Human words for the end of a line: whatever could break it is left out."""
    return _UNSAFE.sub("?", words).encode("ascii")


@lru_cache(maxsize=4096)
def flags(held: frozenset[Flag], recent: bool = False) -> bytes:
    """flag-list, the system flags first; `recent` adds `\\Recent`, which is never stored."""
    ordered: list[str] = [flag for flag in SYSTEM_FLAGS if flag in held]
    if recent:
        ordered.append(RECENT)
    ordered += sorted(held.difference(SYSTEM_FLAGS))
    return b"(" + " ".join(ordered).encode("ascii") + b")"


def internaldate(seconds: float) -> bytes:
    """date-time, in UTC: `"17-Jul-1996 02:44:25 +0000"`."""
    t = time.gmtime(seconds)
    return b'"%2d-%b-%04d %02d:%02d:%02d +0000"' % (t[2], _MONTHS[t[1]], t[0], t[3], t[4], t[5])


def fetch_flags(number: int, held: bytes, uid: int | None = None) -> bytes:
    """The untagged FETCH line with one message's flags, and its UID if that is given."""
    if uid is None:
        return b"* %d FETCH (FLAGS %b)\r\n" % (number, held)
    return b"* %d FETCH (UID %d FLAGS %b)\r\n" % (number, uid, held)


def listed(response: bytes, attributes: Iterable[str], name: str) -> bytes:
    """A LIST or LSUB line."""
    return b'* %b (%b) "/" %b\r\n' % (response, " ".join(attributes).encode("ascii"), mailbox(name))
