"""Octets become lines of bounded length. Sans-IO."""

from __future__ import annotations

from mailsystem.mail.errors import SyntaxFault


class Lines:
    """Cuts what a peer says into lines, of which none is longer than `limit` octets with its end.

    A bare LF ends a line too: whoever tries a server by hand sends it, and unlike in a message there is nothing here that
    it could smuggle.
    """

    __slots__ = ("_buffer", "_limit", "_longer", "_seen", "_skipping")

    def __init__(self, limit: int, *, longer: tuple[bytes, int] = (b"", 0)) -> None:
        """What begins with the word in `longer`, in any case, may have as many octets as stand beside it."""
        self._limit = limit
        self._longer = longer
        self._buffer = bytearray()
        self._seen = 0  # no line end before this
        self._skipping = False

    @property
    def pending(self) -> int:
        """Octets that came in and are not read yet."""
        return len(self._buffer)

    def feed(self, data: bytes) -> None:
        self._buffer += data

    def next(self, limit: int = 0) -> bytes | None:
        """The next line without its end; None until there is one. Where `limit` is larger it counts for this line.

        Raises `SyntaxFault`, once, for a line that is too long; the rest of that line is passed over.
        """
        if self._skipping:
            self._skip()
        buffer = self._buffer
        end = buffer.find(b"\n", self._seen)
        length = end if end >= 0 else len(buffer)
        if length >= self._limit and length >= max(limit, self._limit, self._allowed()):
            self._skipping = True
            self._skip()
            raise SyntaxFault("line too long")
        if end < 0:
            self._seen = length
            return None
        line = bytes(buffer[: end - 1 if buffer[end - 1 : end] == b"\r" else end])
        del buffer[: end + 1]
        self._seen = 0
        return line

    def _allowed(self) -> int:
        word, most = self._longer
        return most if self._buffer[: len(word)].upper() == word else 0

    def _skip(self) -> None:
        end = self._buffer.find(b"\n", self._seen)
        self._skipping = end < 0
        del self._buffer[: end + 1 if end >= 0 else None]
        self._seen = 0
