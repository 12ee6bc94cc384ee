"""Compression of a stream in both directions by raw DEFLATE (RFC 1951, RFC 4978), bounded in memory and in what comes out.

What is sent is compressed by a compressor of its own for each piece, which is told the last octets before it as a dictionary.
As measured, it compresses the lines of IMAP as well as one that lives as long as the stream, and an idle connection keeps 2 KiB
for it, not 256. What is heard is inflated in the same way: behind a whole line the inflater rests, and only what it would
have to remember is kept.
"""

from __future__ import annotations

import zlib
from typing import Final

_LEVEL: Final = 1
_WINDOW: Final = -13
_MEMORY: Final = 6
_DICTIONARY: Final = 2048
_ANY_WINDOW: Final = -15
"""The peer may use all of it."""
_WINDOW_OCTETS: Final = 32 * 1024
_FLUSHED: Final = b"\x00\x00\xff\xff"
"""How every sync flush ends: an empty block, behind which the next one begins at an octet's border."""
_HARMLESS: Final = 8 << 20
"""Octets that may come out of whatever."""
_HIGHEST_RATIO: Final = 200
"""Octets that may come out of one, beyond that. A mail program's lines compress ten to one, repeated text a hundred to one."""


class BadStream(Exception):
    """What came is not compressed as it should be, or only made to burst us."""


class Deflate:
    """Both directions. Sans-IO."""

    __slots__ = ("_came", "_full", "_heard", "_inflater", "_made", "_sent", "tail")

    def __init__(self) -> None:
        self.tail = b""
        """What has come and was not inflated yet."""
        self._inflater: zlib._Decompress | None = None
        self._heard = b""
        self._full = False
        self._sent = b""
        self._came = 0
        self._made = 0

    @property
    def holding(self) -> bool:
        """Whether `inflate` may give more without being fed."""
        return bool(self.tail) or self._full

    def deflate(self, data: bytes) -> bytes:
        """What to send for `data`, so that the peer can read all of it at once."""
        compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, _WINDOW, _MEMORY, zlib.Z_DEFAULT_STRATEGY, self._sent)
        # Behind a sync flush a new compressor goes on at an octet's border; what it repeats is still in the peer's window.
        packed = compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH)
        self._sent = (self._sent + data[-_DICTIONARY:])[-_DICTIONARY:]
        return packed

    def inflate(self, data: bytes, most: int) -> bytes:
        """At most `most` octets of what the peer meant; the rest waits in `tail`. Raises `BadStream`."""
        inflater = self._inflater
        if inflater is None:
            inflater = self._inflater = zlib.decompressobj(_ANY_WINDOW, self._heard)
        if inflater.eof:
            raise BadStream("the compressed stream had ended")
        self._came += len(data)
        try:
            meant = inflater.decompress(self.tail + data, most)
        except zlib.error:
            raise BadStream("not compressed as it should be") from None
        self.tail = inflater.unconsumed_tail
        # zlib may have taken everything and not given everything.
        self._full = len(meant) >= most
        self._made += len(meant)
        if self._made > _HARMLESS and self._made > _HIGHEST_RATIO * self._came:
            raise BadStream("too much out of too little")
        self._heard = (self._heard + meant[-_WINDOW_OCTETS:])[-_WINDOW_OCTETS:]
        if not self.holding and self._heard.endswith(b"\n") and data.endswith(_FLUSHED):
            # Nothing but the flush behind a line ends so: plain octets of a stored block would be those of the line's end.
            self._inflater = None
        return meant
