"""Values into what the client reads. Sans-IO.

Nothing that comes from a client or a message is put on a line here without being quoted or counted.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from functools import lru_cache
from itertools import repeat
from math import floor
from operator import itemgetter
from typing import Final

from mailsystem.imap import utf7
from mailsystem.mail.mailbox import RECENT, SYSTEM_FLAGS, Flag

CRLF: Final = b"\r\n"

_ATOM = re.compile(rb'[^\x00-\x20\x7f-\xff(){%*"\\\]]+')
_QUOTABLE = re.compile(rb"[\x20-\x7e]{0,1000}")
_UNQUOTABLE = re.compile(rb'(["\\])')
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_LONGEST_QUOTED: Final = 1000
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


def value(data: bytes | None) -> bytes:
    """value = nstring / literal8 (RFC 5464 5)"""
    return b"~" + literal(data) if data is not None and b"\0" in data else nstring(data)


def nstring(data: bytes | None) -> bytes:
    """nstring = string / nil"""
    return b"NIL" if data is None else string(data)


def astring(data: bytes) -> bytes:
    """astring = 1*ASTRING-CHAR / string, the shortest that can hold these octets."""
    return data if _ATOM.fullmatch(data) and data.upper() != b"NIL" else string(data)


def mailbox(name: str, *, utf8: bool = False) -> bytes:
    """mailbox, as an atom where that is possible: in modified UTF-7, or with `utf8` in that (RFC 9051 5.1)."""
    wire = name.encode() if utf8 else utf7.encode(name)
    if _ATOM.fullmatch(wire) and wire.upper() != b"NIL":
        return wire
    if utf8 and len(wire) <= _LONGEST_QUOTED and not _CONTROL.search(name):
        return quoted(wire)
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


DATE_TIME: Final = b'"%b %b:%02d +0000"'
"""date-time, in UTC, of what `moment` or `moments` give: `"17-Jul-1996 02:44:25 +0000"`."""


def internaldate(seconds: float) -> bytes:
    """date-time, in UTC"""
    days, rest = divmod(floor(seconds), 86400)
    return DATE_TIME % (_day(days), _clock(rest // 60), rest % 60)


def moments(seconds: Iterable[float]) -> tuple[Iterable[bytes], Iterable[bytes], Iterable[int]]:
    """What `DATE_TIME` wants, for many moments: days, hours with minutes, and seconds."""
    split = list(map(divmod, map(floor, seconds), repeat(86400)))
    times = list(map(divmod, map(itemgetter(1), split), repeat(60)))
    return map(_day, map(itemgetter(0), split)), map(_clock, map(itemgetter(0), times)), map(itemgetter(1), times)


@lru_cache(maxsize=4096)
def _day(days: int) -> bytes:
    """date, so many days after the epoch"""
    t = time.gmtime(days * 86400)
    return b"%2d-%b-%04d" % (t[2], _MONTHS[t[1]], t[0])


@lru_cache(maxsize=1440)
def _clock(minutes: int) -> bytes:
    return b"%02d:%02d" % divmod(minutes, 60)


def listed(response: bytes, attributes: Iterable[str], name: bytes, extended: bytes = b"") -> bytes:
    """A LIST or LSUB line; `name` is spelled as this client reads it, `extended` what stands behind it (RFC 5258 6)."""
    return b'* %b (%b) "/" %b%b\r\n' % (response, " ".join(attributes).encode("ascii"), name, extended)


def old_name(name: bytes) -> bytes:
    """oldname-extended-item = "OLDNAME" SP "(" mailbox ")", as LIST's extended data (RFC 9051 9)"""
    return b' ("OLDNAME" (' + name + b"))"


def annotated(name: bytes, entries: Iterable[str]) -> bytes:
    """metadata-resp = "METADATA" SP mailbox SP entry-list: these have changed, how is for the client to ask (RFC 5464 4.4.2)"""
    return b"* METADATA " + name + b" " + b" ".join(astring(entry.encode()) for entry in entries) + CRLF
