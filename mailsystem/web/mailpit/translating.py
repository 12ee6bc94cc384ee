"""Mailpit's searches, in the language in which messages are asked for here.

A search is words that all must hold. Quotes hold words together and are dropped, wherever they stand; `-` or `!` in front
says that it must not. There is no OR, and nothing else in parentheses.
"""

from __future__ import annotations

import datetime
import re
import zoneinfo
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Final

from mailsystem.mail.errors import SyntaxFault
from mailsystem.mail.query import (
    MOST_CHARACTERS,
    Addressed,
    Attached,
    Before,
    Body,
    Field,
    Has,
    Is,
    Larger,
    Not,
    Query,
    Since,
    Smaller,
    Tag,
    either,
    every,
    negated,
)
from mailsystem.mail.query.moments import span
from mailsystem.mail.tags import keyword_of

MOST_TERMS: Final = 200
PEOPLE: Final = ("from", "to", "cc", "bcc", "reply-to", "addressed")
BLIND: Final = ("bcc", "addressed")
"""Those that also find whom nobody but the envelope names."""
FIELDS: Final = ("subject", "from", "to", "cc", "bcc", "reply-to", "return-path")
"""Where a word that stands alone is looked for, beside the text and the names of files: no other field says what was meant."""

_PIECE: Final = re.compile(r'"([^"]*)"?|([^\s"]+)|(\s+)')
_SIZE: Final = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,6})?)\s?(k|kb|m|mb)?", re.IGNORECASE)
_STAMP: Final = re.compile(r"[0-9]{10}|[0-9]{13}")
_DATES: Final = (
    "%Y/%m/%d %H:%M:%S",
    "%Y/%m/%d %H:%M",
    "%m/%d/%Y",
    "%m/%d/%Y %H:%M",
    "%d %b %Y",
    "%d %B %Y",
    "%b %d, %Y",
    "%B %d, %Y",
    "%b %d %Y",
    "%Y-%m",
    "%Y",
    "%Y%m%d",
)
_WORDS: Final[Mapping[str, Query]] = {
    "is:read": Is("read"),
    "is:unread": Not(Is("read")),
    "is:tagged": Is("tagged"),
    "has:inline": Has("inline"),
    "has:inlines": Has("inline"),
    "has:attachment": Has("attachment"),
    "has:attachments": Has("attachment"),
}


def words_of(search: str) -> list[str]:
    """What Mailpit takes for one word each, without quotes."""
    words: list[str] = []
    word: str | None = None
    for quoted, plain, blank in _PIECE.findall(search):
        if blank:
            if word is not None:
                words.append(word)
            word = None
        else:
            word = (word or "") + quoted + plain
    if word is not None:
        words.append(word)
    return words


def zone_of(name: str) -> datetime.tzinfo:
    """A time zone by its name, and UTC for what is none."""
    try:
        return zoneinfo.ZoneInfo(name) if name else datetime.UTC
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return datetime.UTC


def people_in(search: str) -> list[str]:
    """Those who are looked for where a blind copy may have gone to them."""
    found = []
    for word in words_of(search):
        name, colon, value = word.lstrip("-!").partition(":")
        if colon and name.lower() in BLIND and value.strip():
            found.append(value.strip())
    return list(dict.fromkeys(found))


def translated(
    search: str, *, now: float, tz: datetime.tzinfo = datetime.UTC, blind: Mapping[str, Query] | None = None
) -> Query:
    """The same question. `blind` has what holds of messages that went to somebody whom they do not name.

    Raises `SyntaxFault` where it cannot be asked: a date that is none would, passed over, find everything.
    """
    if len(search) > MOST_CHARACTERS:
        raise SyntaxFault(f"a search may have {MOST_CHARACTERS} characters")
    words = words_of(search)
    if len(words) > MOST_TERMS:
        raise SyntaxFault(f"a search may have {MOST_TERMS} words")
    terms: list[Query] = []
    for word in words:
        excluded = len(word) > 1 and word[0] in "-!"
        bare = word[1:] if excluded else word
        if not any(character.isalnum() for character in bare):
            continue
        term = _term(bare, now, tz, blind or {})
        terms.append(negated(term) if excluded else term)
    if not terms:
        raise SyntaxFault("there is nothing in this search to look for")
    return every(*terms)


def _term(word: str, now: float, tz: datetime.tzinfo, blind: Mapping[str, Query]) -> Query:
    known = _WORDS.get(word.lower())
    if known is not None:
        return known
    name, colon, value = word.partition(":")
    name, value = name.lower(), value.strip()
    if not colon or not value:
        return _anywhere(word)
    if name in PEOPLE:
        seen: Query = Addressed(name, value)
        hidden = blind.get(value) if name in BLIND else None
        return seen if hidden is None else either(seen, hidden)
    reader = _READERS.get(name)
    return _anywhere(word) if reader is None else reader(word, value, now, tz)


def _anywhere(word: str) -> Query:
    """A word that stands alone. Where it is `html`, say, the names and types of parts are not meant."""
    name = () if "*" in word or "?" in word else (Attached(word),)  # nobody means a pattern here
    return either(Body(word), *(Field(field, word) for field in FIELDS), *name)


def _tag(word: str, value: str, now: float, tz: datetime.tzinfo) -> Query:
    keyword = keyword_of(value)
    return _anywhere(word) if keyword is None else Tag(keyword)


def _size(word: str, value: str, now: float, tz: datetime.tzinfo) -> Query:
    size = _SIZE.fullmatch(value)
    if size is None:
        return _anywhere(word)
    octets = int(float(size[1]) * {"": 1, "k": 1 << 10, "m": 1 << 20}[(size[2] or "").lower()[:1]])
    return Larger(octets) if word[:1] in "lL" else Smaller(octets)


def moment_of(text: str, now: float, tz: datetime.tzinfo) -> float:
    """Seconds since the epoch. Raises `SyntaxFault`."""
    if _STAMP.fullmatch(text):
        return int(text) / (1000 if len(text) == 13 else 1)
    try:
        return span(text, now, tz).first
    except SyntaxFault:
        pass
    for form in _DATES:
        try:
            when = datetime.datetime.strptime(text, form).replace(tzinfo=tz)
        except ValueError:
            continue
        return when.timestamp()
    try:
        when = parsedate_to_datetime(text)
        return (when if when.tzinfo is not None else when.replace(tzinfo=tz)).timestamp()
    except (TypeError, ValueError, IndexError, OverflowError):
        raise SyntaxFault(f"{text[:40]} is no date; one is written as 2026-01-31 or 2026-01-31T09:30") from None


def _after(word: str, value: str, now: float, tz: datetime.tzinfo) -> Query:
    return Since(moment_of(value, now, tz))


def _before(word: str, value: str, now: float, tz: datetime.tzinfo) -> Query:
    return Before(moment_of(value, now, tz))


_READERS: Final[Mapping[str, Callable[[str, str, float, datetime.tzinfo], Query]]] = {
    "subject": lambda word, value, now, tz: Field("subject", value),
    "message-id": lambda word, value, now, tz: Field("message-id", value),
    "tag": _tag,
    "larger": _size,
    "smaller": _size,
    "after": _after,
    "before": _before,
}
