"""Octets become command lines, and messages become dot-stuffed lines (RFC 1939 3). Sans-IO."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from mailsystem.mail.errors import SyntaxFault

COMMAND_LIMIT: Final = 2048
"""Octets of a command with its line end. RFC 2449 4 asks for 255; passwords and clients' habits are longer."""
AUTH_LIMIT: Final = 12_288
"""The same for AUTH and the responses to its challenges (RFC 4954 4: what is enough for all mechanisms)."""

_KEYWORD: Final = re.compile(rb"[A-Za-z][A-Za-z0-9]{0,15}")
_NUMBER: Final = re.compile(rb"[0-9]{1,10}")
_BLANK_LINE: Final = re.compile(rb"\n\r?\n")


class Arguments:
    """What stands behind a keyword: a cursor over words."""

    __slots__ = ("_rest",)

    def __init__(self, rest: bytes) -> None:
        self._rest = rest

    def rest(self) -> bytes:
        """All that is left, as it stands: RFC 1939 7 lets a password have spaces, leading and trailing ones too."""
        rest, self._rest = self._rest, b""
        return rest

    def at_end(self) -> bool:
        return not self._rest or not self._rest.strip(b" ")

    def word(self) -> bytes:
        """The next word. Raises `SyntaxFault` where there is none."""
        word, _, self._rest = self._rest.lstrip(b" ").partition(b" ")
        if not word:
            raise SyntaxFault("argument missing")
        return word

    def number(self) -> int:
        """The next word as a number: digits and nothing else. Raises `SyntaxFault`."""
        word = self.word()
        if not _NUMBER.fullmatch(word):
            raise SyntaxFault("not a number")
        return int(word)

    def end(self) -> None:
        """Raises `SyntaxFault` unless all was read. Trailing spaces are nothing."""
        if not self.at_end():
            raise SyntaxFault("too many arguments")


def keyword(line: bytes) -> tuple[str, Arguments]:
    """A command line as its keyword in capitals and the rest. Raises `SyntaxFault`."""
    if b"\0" in line or b"\r" in line:
        raise SyntaxFault("control character in command")
    word, _, rest = line.partition(b" ")
    return _spelled(word), Arguments(rest)


@lru_cache(maxsize=256)
def _spelled(word: bytes) -> str:
    if not _KEYWORD.fullmatch(word):
        raise SyntaxFault("unknown command")
    return word.decode("ascii").upper()


class Stuffing:
    """Dot-stuffs a message in any pieces, and ends it: RFC 1939 3.

    A dot is doubled at the start, after CRLF, *and after a bare LF*. By the letter only CRLF ends a line; but most clients
    split at LF, and to them LF . CRLF inside a message would be its end, and what follows the server's next answers: mail
    could put words into our mouth. So wherever any client may see the start of a line, the dot is doubled. Those that split
    at LF get every message octet for octet; those that split at CRLF alone get one dot too many where a dot follows a bare
    LF, which mail must not contain (RFC 5322 2.3), and nobody can be made to see an early end.

    For the same reason only CRLF counts as the end of the last line: after anything else a CRLF is added, or clients of the
    second kind would wait for the end for ever.
    """

    __slots__ = ("_tail",)

    def __init__(self) -> None:
        self._tail = b"\r\n"  # the last two octets: we are at the start of a line

    def feed(self, chunk: bytes) -> bytes:
        """The next piece as it goes over the wire."""
        if not chunk:
            return b""
        stuffed = chunk.replace(b"\n.", b"\n..")  # the same object where there is nothing to do
        if chunk[:1] == b"." and self._tail[-1:] == b"\n":
            stuffed = b"." + stuffed
        self._tail = (self._tail + chunk[-2:])[-2:]
        return stuffed

    def close(self) -> bytes:
        """What ends the message: the CRLF that it may lack, and the dot."""
        return b".\r\n" if self._tail == b"\r\n" else b"\r\n.\r\n"


class Top:
    """Passes a message's header, the blank line after it, and so many lines of its body (RFC 1939 7, TOP)."""

    __slots__ = ("_in_header", "_left", "_tail", "done")

    def __init__(self, lines: int) -> None:
        self._left = lines
        self._in_header = True
        self._tail = b"\n"  # so that a message may begin with its blank line
        self.done = False
        """Nothing more will be passed."""

    def feed(self, chunk: bytes) -> bytes:
        """As much of the next piece as belongs to the answer."""
        if self.done:
            return b""
        position = 0
        if self._in_header:
            looked = self._tail + chunk
            found = _BLANK_LINE.search(looked)
            if found is None:
                self._tail = looked[-2:]
                return chunk
            self._in_header = False
            position = found.end() - len(self._tail)
        ends = chunk.count(b"\n", position)
        if ends < self._left:
            self._left -= ends
            return chunk
        for _ in range(self._left):
            position = chunk.index(b"\n", position) + 1
        self.done = True
        return chunk[:position]
