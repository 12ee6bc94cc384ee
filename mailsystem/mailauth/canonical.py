"""The `relaxed` form of a body (RFC 6376 3.4.4), hashed piece by piece: a large message is never in memory as a whole."""

from __future__ import annotations

import hashlib
from typing import Final

_EMPTY_LINES: Final = b"\r\n" * 512


class BodyHash:
    """SHA-256 of a relaxed body.

    White space before a line end, and empty lines at the end of the body, do not count. So both are held back until what
    comes after them is known.
    """

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._held = b""
        """Of the current line: one space for all white space that may turn out to be its last, and a CR."""
        self._lines = 0
        """Line ends that may turn out to be the body's last."""
        self._empty = True

    def feed(self, piece: bytes) -> None:
        octets = self._held + piece.replace(b"\t", b" ")
        while b"  " in octets:
            octets = octets.replace(b"  ", b" ")
        end = len(octets)
        if octets.endswith(b"\r"):
            end -= 1
        if octets.endswith(b" ", 0, end):
            end -= 1
        self._held = octets[end:]
        octets = octets[:end].replace(b" \r\n", b"\r\n")
        end = len(octets)
        for ends in (_EMPTY_LINES, b"\r\n"):
            while octets.endswith(ends, 0, end):
                end -= len(ends)
        if end:
            self._let_lines_go()
            self._hash.update(memoryview(octets)[:end])
            self._empty = False
        self._lines += (len(octets) - end) // 2

    def close(self) -> bytes:
        """The digest: nothing more comes."""
        if self._held.endswith(b"\r"):  # a CR that ends no line is an octet like any other
            self._let_lines_go()
            self._hash.update(self._held)
            self._empty = False
        if not self._empty:
            # A line end that is missing is added: whoever sends the message adds it as well (RFC 5321 4.1.1.4).
            self._hash.update(b"\r\n")
        return self._hash.digest()

    def _let_lines_go(self) -> None:
        while self._lines:
            some = min(self._lines, len(_EMPTY_LINES) // 2)
            self._hash.update(_EMPTY_LINES[: 2 * some])
            self._lines -= some
