"""Terms: what an index keeps of a text, and what it can tell of a needle by them.

A text is cut into terms at everything in ASCII that is neither letter nor digit, after it was folded; a needle is cut in the
same way. So one that is a single run of characters stands in a text if and only if it stands within one of its terms. Of any
other needle the terms tell only where it may stand. They are kept as UTF-8, in which no character is a part of another.

- Chinese and Japanese know no spaces: their runs are kept as pairs of neighbouring characters.
- A run too long to be a word is kept as windows that overlap, so that no short needle in it is lost.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from itertools import filterfalse, pairwise
from typing import Final, NamedTuple

from mailsystem.mail.haystack import Piece, Words, fields_in, fold, words_in
from mailsystem.mail.part import Part

LONGEST: Final = 128
"""Octets of a term."""
SURE: Final = LONGEST // 2
"""A needle up to so long is whole in one of the windows of a run that is longer than a term."""
MOST_TERMS: Final = 50_000
"""Distinct terms of one message: with more it is no text that anybody wrote, and is left to be read."""
_MOST_CLUES: Final = 8
_AT_ONCE: Final = 64 << 10
"""Octets that are split at once: a text without end may hold many more words than there are different ones."""

_CJK: Final = "\u3000-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_CJK_RUN = re.compile(f"[{_CJK}]+")
_RUN = re.compile(f"([{_CJK}]+)|(?:[0-9A-Za-z]|[^\x00-\x7f{_CJK}])+")
_ASCII_RUN = re.compile(rb"[0-9A-Za-z]+")
_SPACED: Final = bytes(octet if octet >= 0x80 or chr(octet).isalnum() else 0x20 for octet in range(256))
_LOWER: Final = _SPACED.lower()
_NOT_CJK: Final = bytes(range(0xE3))
"""Octets without which UTF-8 writes no such character."""


class Kind(IntEnum):
    """Where in a message a term stands."""

    BODY = 0
    HEADERS = 1
    """In the names of fields, in fields that have no kind of their own, and in the headers of parts."""
    SUBJECT = 2
    FROM = 3
    TO = 4
    CC = 5
    BCC = 6


_KINDS: Final = tuple(Kind)
_FIELDS: Final = {kind.name.lower().encode(): kind for kind in Kind if kind > Kind.HEADERS}
_ONLY_BODY: Final = frozenset([Kind.BODY])
_EVERYWHERE: Final = frozenset(Kind)
_MOST_HEADER: Final = 256 << 10
"""Octets of a header that are looked at for a field: of a longer one, terms would tell more than is there."""


def terms(text: str) -> set[bytes]:
    """The terms of a text, which is folded."""
    octets = text.encode("utf-8", "surrogatepass")
    pairs: set[str] = set()
    if octets.translate(None, _NOT_CJK):
        for run in set(_CJK_RUN.findall(text)):
            pairs.update(map("".join, pairwise(run)) if len(run) > 1 else run)
        octets = _CJK_RUN.sub(" ", text).encode("utf-8", "surrogatepass")
    found = _cut(_words(octets, _SPACED))
    found.update(pair.encode() for pair in pairs)
    return found


def terms_in(octets: bytes) -> set[bytes]:
    """The terms of a text in UTF-8 which is not folded yet: `terms(fold(text))`, for a fraction of the work.

    Of ASCII, upper case is all there is to fold. Other words are folded after the same ones were dropped, and each by
    itself: what ASCII has between words is its own beginning and end in Unicode's ways to take characters apart.
    """
    found = _words(octets, _LOWER)
    if octets.isascii():
        return _cut(found)
    others = list(filterfalse(bytes.isascii, found))
    found.difference_update(others)
    return _cut(found) | terms(fold(b" ".join(others).decode("utf-8", "surrogatepass")))


def _words(octets: bytes, table: bytes) -> set[bytes]:
    """Runs of what is a space neither in the octets nor in the table."""
    # By translating and splitting it takes a fifth of what a pattern takes.
    spaced = octets.translate(table)
    if len(spaced) <= _AT_ONCE:
        return set(spaced.split())
    found: set[bytes] = set()
    start = 0
    while start < len(spaced):
        end = spaced.find(b" ", start + _AT_ONCE)
        end = len(spaced) if end < 0 else end
        found.update(spaced[start:end].split())
        start = end
    return found


def _cut(found: set[bytes]) -> set[bytes]:
    """The same, with windows in place of the words that are too long."""
    if found and max(map(len, found)) > LONGEST:
        for long in [run for run in found if len(run) > LONGEST]:
            found.discard(long)
            found.update(_windows(long))
    return found


def _windows(run: bytes) -> Iterator[bytes]:
    # The last one begins where it reaches the end, and is longer than SURE.
    for start in range(0, len(run) - SURE, SURE):
        yield run[start : start + LONGEST]


class Gathered:
    """The terms of one message, piece by piece."""

    def __init__(self, root: Part) -> None:
        self._header = root.header
        self._kinds: list[set[bytes]] = [set() for _ in _KINDS]
        # What several parts say is split together: most of it is in all of them.
        self._unsplit: list[list[bytes]] = [[] for _ in _KINDS]
        self._weight = 0
        self._too_many = root.header[1] - root.header[0] > _MOST_HEADER

    @property
    def too_many(self) -> bool:
        """Whether it is settled that the message must be read."""
        return self._too_many

    def kinds(self) -> list[set[bytes]] | None:
        """By `Kind`; None where there are too many to be kept, so that the message must be read."""
        self._split()
        return None if self._too_many else self._kinds

    def add(self, piece: Piece, octets: bytes) -> None:
        """`octets` are those of the piece."""
        if self._too_many:
            return
        if not piece.in_body and self._header[0] <= piece.start < self._header[1]:
            others = self._unsplit[Kind.HEADERS]
            for name, value in fields_in(piece, octets):
                others.append(name)
                kind = _FIELDS.get(name.lower())
                (others if kind is None else self._unsplit[kind]).append(value)
        else:
            self._unsplit[Kind.BODY if piece.in_body else Kind.HEADERS].append(words_in(piece, octets))
        self._weight += len(octets)
        if self._weight > _AT_ONCE:
            self._split()

    def _split(self) -> None:
        for found, unsplit in zip(self._kinds, self._unsplit, strict=True):
            if unsplit:
                found |= terms_in(b"\n".join(unsplit))
                unsplit.clear()
        self._weight = 0
        if sum(map(len, self._kinds)) > MOST_TERMS:
            self._too_many = True
            self._kinds = [set() for _ in _KINDS]


class Clue(NamedTuple):
    """Octets to look for among terms, each of which stands between line ends."""

    octets: bytes
    kinds: frozenset[Kind]


@dataclass(frozen=True, slots=True)
class Probe:
    """What terms tell of a needle: a message in which one of the clues is missing does not hold it."""

    clues: tuple[Clue, ...]
    exact: bool
    """A message with all of them surely holds it."""


def probe_words(words: Words) -> Probe | None:
    """For BODY and TEXT; None where terms tell nothing."""
    kinds = _EVERYWHERE if words.headers else _ONLY_BODY
    clues, exact = _clues(words.needle)
    return Probe(tuple(Clue(clue, kinds) for clue in clues), exact) if clues else None


def probe_field(name: bytes, needle: str) -> Probe | None:
    """For a field of the message's own header, its name in any case; None where terms tell nothing."""
    name = name.lower()
    kind = _FIELDS.get(name, Kind.HEADERS)
    octets, exact = _clues(needle)
    clues = [Clue(clue, frozenset([kind])) for clue in octets]
    if name.isascii() and (kind is Kind.HEADERS or not clues):
        # As it stands before a colon, the words in it are whole.
        words = [word for word in _ASCII_RUN.findall(name) if len(word) <= LONGEST]
        clues += [Clue(b"\n%b\n" % word, frozenset([Kind.HEADERS])) for word in words[:_MOST_CLUES]]
    return Probe(tuple(clues), exact and kind is not Kind.HEADERS) if clues else None


def _clues(needle: str) -> tuple[list[bytes], bool]:
    clues: list[bytes] = []
    exact = False
    for run in _RUN.finditer(needle):
        opens, closes = run.start() > 0, run.end() < len(needle)
        alone = not (opens or closes)
        text = run.group()
        word = text.encode("utf-8", "surrogatepass")
        if run[1]:
            exact = alone and len(text) <= 2
            clues += [pair.encode() for pair in map("".join, pairwise(text))] if len(text) > 1 else [word]
        elif alone:
            exact = len(word) <= SURE
            clues += [word[:SURE]] if exact else [word[:SURE], word[-SURE:]]
        elif opens and closes and len(word) <= LONGEST:
            clues.append(b"\n%b\n" % word)
        elif opens:
            clues.append(b"\n" + word[:SURE])
        else:
            clues.append(word[-SURE:] + b"\n")
    return sorted(dict.fromkeys(clues), key=len, reverse=True)[:_MOST_CLUES], exact
