"""Octets in, command lines out: bounded, and strict about what ends a line. Sans-IO."""

from __future__ import annotations

from typing import Final

from mailsystem.smtp import replies
from mailsystem.smtp.replies import Refusal

COMMAND_LIMIT: Final = 2048
"""Octets of a command line, its CRLF included. RFC 5321 4.5.3.1.4 asks for 512 and more with each extension."""
AUTH_LIMIT: Final = 12288
"""The same for AUTH and for the responses to its challenges (RFC 4954 4)."""
MOST_DROPPED: Final = 1 << 20
"""Octets of one endless line that are read over before the peer is left."""


class Lines:
    """What a client has sent and nobody has read yet."""

    __slots__ = ("_at", "_buffer", "_dropped", "_loose")

    def __init__(self, *, loose: bool = False) -> None:
        """`loose` takes a bare LF for the end of a command, for those who type by hand into a sink."""
        self._buffer = b""
        self._at = 0
        self._dropped = 0
        self._loose = loose

    def feed(self, data: bytes) -> None:
        """Octets as they came."""
        self._buffer = self._buffer[self._at :] + data
        self._at = 0

    def __bool__(self) -> bool:
        """Whether anything waits, a whole line or not."""
        return self._at < len(self._buffer)

    def take(self, most: int | None = None) -> bytes:
        """All that waits, as it came, or the first octets of it."""
        if most is not None and most < len(self._buffer) - self._at:
            self._at += most
            return self._buffer[self._at - most : self._at]
        taken = self._buffer[self._at :]
        self._buffer = b""
        self._at = 0
        return taken

    def next(self, limit: int | None = None) -> bytes | None:
        """The next line without its end; None when it has not arrived whole. `limit` stands for the command's own.

        Raises `Refusal` for a line that is too long, once its end has come, and for one that does not end in CRLF.
        """
        end = self._buffer.find(b"\n", self._at)
        if end < 0:
            waiting = len(self._buffer) - self._at
            if self._dropped or waiting > (limit or self._limit()):
                self._dropped += waiting
                self._buffer = b""
                self._at = 0
                if self._dropped > MOST_DROPPED:
                    raise Refusal(replies.LINE_TOO_LONG, close=True)
            return None
        too_long = self._dropped or end + 1 - self._at > (limit or self._limit())
        line = self._buffer[self._at : end]
        self._at = end + 1
        self._dropped = 0
        if too_long:
            raise Refusal(replies.RESPONSE_TOO_LONG if limit else replies.LINE_TOO_LONG)
        if line.endswith(b"\r"):
            line = line[:-1]
        elif not self._loose:
            # RFC 5321 2.3.8: nothing but CRLF ends a line. Whoever means something else by this LF than we do is
            # either a broken client or one behind another server's back, and what follows is not to be guessed at.
            raise Refusal(replies.BARE_NEWLINE_IN_COMMAND, close=True)
        if b"\r" in line or b"\0" in line:
            raise Refusal(replies.BAD_OCTETS)
        return line

    def _limit(self) -> int:
        return AUTH_LIMIT if self._buffer[self._at : self._at + 5].upper() == b"AUTH " else COMMAND_LIMIT
