"""What a request brings in JSON: long attachments stay where they were received, so that it never is in memory as a whole."""

from __future__ import annotations

import asyncio
import base64
import re
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from mmap import ACCESS_READ, mmap
from typing import Final

from mailsystem.mail.errors import TooLarge
from mailsystem.store import Spool
from mailsystem.web.problems import Problem

LONG: Final = 4 << 10
"""Octets of an attachment, in base64, that are left where they are."""
MOST_BESIDE: Final = 8 << 20
"""Octets of all else that is told."""
_PIECE: Final = 57 << 14
"""Octets that are looked at together."""
_STRING: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_NAMES_CONTENT: Final = b'"content"'
_PREFIX: Final = re.compile(rb'data:[^,"]{0,200}+,')
"""A browser puts the type in front (RFC 2397)."""
_BASE64: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_LINE: Final = 76
_ESCAPED: Final = re.compile(rb"\\(?:(/)|[nr]|u00([0-7][0-9A-Fa-f]))")
_LINE_ENDS: Final = str.maketrans("", "", "\r\n")
_LONGEST_ESCAPE: Final = 6


@dataclass(frozen=True, slots=True)
class _Left:
    """An attachment that is left where it is: octets of the request, base64 as JSON has it."""

    start: int
    end: int


class Received:
    """The body of a request."""

    def __init__(self, body: bytes | mmap) -> None:
        """Raises `Problem` where too much is told beside attachments. Blocks, as everything here does."""
        self._body = body
        self._left: dict[str, _Left] = {}
        self._marks: dict[bytes, _Left] = {}
        self.beside = self._parted()
        """All that is told but for long attachments, in whose place stand their numbers, which are no base64."""

    def content(self, text: str) -> bytes:
        """The octets of an attachment whose content is said to be `text`; of one that was left where it is, a mark that stands
        for them in a message. Raises `ValueError` for what is no base64."""
        place = self._left.pop(text, None)  # nobody gets it twice
        if place is None:
            # Ruby, PHP and `base64` itself break it into lines.
            return base64.b64decode(text.translate(_LINE_ENDS), validate=True)
        if not self._is_base64(place):
            raise ValueError("no base64")
        octets = secrets.token_bytes(_LINE // 2)
        self._marks[base64.b64encode(octets)] = place
        return octets

    @property
    def is_taken(self) -> bool:
        """Whether all that was left where it is was an attachment."""
        return not self._left

    def pieces(self, octets: bytes) -> Iterator[bytes]:
        """A message that was made with the marks, with attachments in their place. To take the next one blocks for some
        milliseconds."""
        at = 0
        for found, mark in sorted((octets.index(mark), mark) for mark in self._marks):
            yield octets[at:found]
            yield from self._lines(self._marks[mark])
            at = found + len(mark)
        yield octets[at:]

    def _parted(self) -> bytes:
        body = self._body
        kept: list[bytes] = []
        at = before = 0
        is_content = False
        for found in _STRING.finditer(body):
            start, end = found.span()
            if is_content and end - start > LONG and body[before:start].strip() == b":":
                prefix = _PREFIX.match(body, start + 1)
                begin = prefix.end() if prefix is not None else start + 1
                number = f"={len(self._left)}"
                kept += [body[at:begin], number.encode()]
                self._left[number] = _Left(begin, end - 1)
                at = end - 1
            is_content = end - start == len(_NAMES_CONTENT) and found[0].lower() == _NAMES_CONTENT
            before = end
        kept.append(body[at:])
        if sum(map(len, kept)) > MOST_BESIDE:
            raise Problem(413, f"more than {MOST_BESIDE} octets beside the attachments")
        return b"".join(kept)

    def _lines(self, left: _Left) -> Iterator[bytes]:
        """Base64 in lines (RFC 2045 6.8), without the line end of the last one."""
        held = b""
        for piece in self._read(left):
            held += piece
            whole = (len(held) - 1) // _LINE * _LINE
            yield b"".join([held[at : at + _LINE] + b"\r\n" for at in range(0, whole, _LINE)])
            held = held[whole:]
        yield held

    def _read(self, left: _Left) -> Iterator[bytes]:
        at = left.start
        while at < left.end:
            end = min(at + _PIECE, left.end)
            if end < left.end and (begun := self._body.find(b"\\", end - _LONGEST_ESCAPE + 1, end)) >= 0:
                end = begun  # as a whole, the next time
            piece = self._body[at:end]
            # Some write `/`, `+` and `=` otherwise (RFC 8259 7), and break lines. What is left of it is no base64.
            yield _ESCAPED.sub(_unescaped, piece) if b"\\" in piece else piece
            at = end

    def _is_base64(self, left: _Left) -> bool:
        size, tail = 0, b""
        for piece in self._read(left):
            text = tail + piece
            tail = text[-2:]
            if text[:-2].translate(None, _BASE64):
                return False
            size += len(piece)
        return size % 4 == 0 and not tail.rstrip(b"=").translate(None, _BASE64)


def _unescaped(found: re.Match[bytes]) -> bytes:
    if found[2] is None:
        return found[1] or b""
    return bytes([int(found[2], 16)]).strip(b"\r\n")


async def keep(pieces: AsyncIterator[bytes], *spools: Spool, most: int | None = None) -> None:
    """Write what comes into each of the spools, to disk where it is not small. Raises `TooLarge` for more than `most` octets,
    and `Unavailable`."""
    size = 0
    async for piece in pieces:
        size += len(piece)
        for spool in spools:
            spool.write(piece)
            if spool.wants_flush:
                await spool.flush()
        if most is not None and size > most:
            raise TooLarge


async def opened(spool: Spool) -> AbstractContextManager[bytes | mmap]:
    """What a spool has taken in, to be looked at in a thread. Raises `Unavailable`."""
    octets = spool.octets()
    if octets is not None:
        return nullcontext(b"".join(octets))
    await spool.flush()
    await spool.settle()

    def map_() -> mmap:
        with open(spool.path or "", "rb") as file:
            return mmap(file.fileno(), 0, access=ACCESS_READ)

    return await asyncio.to_thread(map_)


async def in_thread(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    """The same pieces, each made in a thread."""
    while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
        yield piece
