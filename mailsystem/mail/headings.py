"""What a header says of whom and about what: the fields that people search for, folded and side by side.

Of each message there is one line for each of the fields, with all that its fields of that name say. What a needle stands in is
found by one search through the lines of many messages.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from mailsystem.mail.haystack import fold
from mailsystem.mail.header import unfolded
from mailsystem.mail.words import decoded

NAMES: Final = (b"SUBJECT", b"FROM", b"TO", b"CC", b"BCC")
"""Of the fields, in capitals."""
LONGEST: Final = 2048
"""Octets of a message's lines together. Who writes more is read anew each time."""

_PLACES: Final = {name.lower(): place for place, name in enumerate(NAMES)}
_FIELD_IN_ANY_CASE = re.compile(rb"\n(subject|from|to|cc|bcc)[ \t]*+:([^\n]*+(?:\n[ \t][^\n]*+)*+)", re.IGNORECASE)
_FIELD = re.compile(_FIELD_IN_ANY_CASE.pattern)
# Octets that UTF-8 has no use for.
_OPENS: Final = b"\xfe"
_LINE_FEED: Final = b"\xff"
_SOME: Final = 32
_DENSE: Final = 12
"""If the first few are found in more than one line of so many, each line is looked at by itself."""


class Headings(NamedTuple):
    """The lines of some messages."""

    lines: tuple[bytes, ...]
    """For each of `NAMES` a line for each message, which ends in a line feed."""
    unkept: tuple[int, ...]
    """Numbers of messages of which they tell nothing, since there would be too much."""

    def holding(self, name: bytes, needle: str) -> list[int]:
        """Numbers of the messages that have a field of that name which holds the needle, which is folded; ascending."""
        return _lines_with(self.lines[NAMES.index(name)], _clue(needle))

    def and_more(self, others: Headings, count: int) -> Headings:
        """These, `count` of them, and then the others."""
        lines = tuple(mine + theirs for mine, theirs in zip(self.lines, others.lines, strict=True))
        return Headings(lines, (*self.unkept, *(count + number for number in others.unkept)))


def headings(heads: Iterable[bytes | None]) -> Headings:
    """Those of these header blocks, of which none is known where there is None."""
    columns: list[list[bytes]] = [[] for _ in NAMES]
    unkept: list[int] = []
    for number, head in enumerate(heads):
        lines = None if head is None else _lines(head)
        if lines is None:
            unkept.append(number)
            lines = [b""] * len(NAMES)
        for column, line in zip(columns, lines, strict=True):
            column.append(line)
    return Headings(tuple(b"\n".join((*column, b"")) for column in columns), tuple(unkept))


def _lines(head: bytes) -> list[bytes] | None:
    lines = [b""] * len(NAMES)
    length = 0
    head = b"\n" + head
    # Nine of ten headers, in which nothing is to be decoded: to fold them is one step.
    is_plain = head.isascii() and b"=?" not in head
    for name, value in _FIELD.findall(head.lower()) if is_plain else _FIELD_IN_ANY_CASE.findall(head):
        if len(value) > LONGEST:
            return None
        value = value.removesuffix(b"\r")
        line = _OPENS + (unfolded(value) if is_plain else _octets(fold(decoded(value))))
        length += len(line)
        lines[_PLACES[name if is_plain else name.lower()]] += line
    return lines if length <= LONGEST else None


def _clue(needle: str) -> bytes:
    # The empty needle stands in every field, so it asks whether there is one.
    return _octets(needle) or _OPENS


def _octets(folded: str) -> bytes:
    return folded.encode("utf-8", "surrogatepass").replace(b"\n", _LINE_FEED)


def _lines_with(lines: bytes, clue: bytes) -> list[int]:
    found: list[int] = []
    at = lines.find(clue)
    number = start = 0
    while at >= 0:
        number += lines.count(b"\n", start, at)
        found.append(number)
        number, start = number + 1, lines.find(b"\n", at) + 1
        if len(found) == _SOME and number < _SOME * _DENSE:
            rest = lines[start:].split(b"\n")
            return found + [other for other, line in enumerate(rest, number) if clue in line]
        at = lines.find(clue, start)
    return found
