"""The octets of a message on their way through DATA: where it ends, what was stuffed, what it carries. Sans-IO."""

from __future__ import annotations

from typing import Final

END: Final = b"\r\n.\r\n"
_HELD: Final = (b"\r\n.\r", b"\r\n.", b"\r\n", b"\r")  # what may be the beginning of END, or of a stuffed line


class DataReader:
    """Takes a message apart from what surrounds it, in chunks of any size and never line by line.

    Only CRLF.CRLF ends a message (RFC 5321 2.3.8 and 4.1.1.4): every other spelling of a line with a lone dot is
    content, so that no two servers can disagree about where a message ends ("SMTP smuggling").
    """

    __slots__ = ("_held", "_started", "bare", "done", "rest")

    def __init__(self) -> None:
        self.done = False
        """The end has been read."""
        self.rest = b""
        """What came behind the end: it belongs to the next command."""
        self.bare = False
        """A CR without its LF or a LF without its CR has been seen."""
        self._held = b"\r\n"  # as if a line had ended before: `.CRLF` right away is the empty message
        self._started = False

    def feed(self, data: bytes) -> bytes:
        """The next octets of the message, its dots undone (RFC 5321 4.5.2). Not to be called once `done`."""
        text = self._held + data
        # A dot is found sixty times faster than the end: attachments in base64 have none.
        dot = text.find(b".")
        end = text.find(END, max(dot - 2, 0)) if dot >= 0 else -1
        if end >= 0:
            self.done = True
            self.rest = text[end + len(END) :]
            self._held = b""
            piece = text[: end + 2]
        else:
            self._held = next((held for held in _HELD if text.endswith(held)), b"")
            piece = text[: len(text) - len(self._held)] if self._held else text
        if not piece:
            return b""
        # No piece ever parts a CR from its LF, so that they can be counted.
        if not self.bare:
            lines = piece.count(b"\r\n")
            self.bare = piece.count(b"\n") != lines or piece.count(b"\r") != lines
        if dot >= 0:
            # The first dot of a line goes whatever follows it, not only when it is another dot.
            piece = piece.replace(b"\r\n.", b"\r\n")
        if not self._started:
            self._started = True
            return piece[2:]
        return piece


class Hops:
    """Counts the Received fields in a header block: how many servers a message has passed (RFC 5321 6.3)."""

    __slots__ = ("_held", "_over", "count")

    def __init__(self) -> None:
        self.count = 0
        self._held = b"\n"
        self._over = False

    def feed(self, piece: bytes) -> None:
        """The next octets of the message; nothing is looked at behind the header."""
        if self._over:
            return
        text = self._held + piece
        end = text.find(b"\n\r\n")
        bare = text.find(b"\n\n", 0, end if end >= 0 else len(text))  # where bare LFs are accepted
        if bare >= 0:
            end = bare
        if end >= 0:
            self._over = True
            text = text[: end + 1]
        self.count += text.lower().count(b"\nreceived:")
        self._held = text[-9:]  # one less than what is counted, so that nothing counts twice
