"""What SORT and THREAD know of a message: its header fields, decoded as RFC 5256 and RFC 5957 want them. Sans-IO."""

from __future__ import annotations

import datetime
import re
from collections import deque
from collections.abc import Iterator
from functools import cached_property
from hashlib import blake2b
from itertools import islice
from typing import Final

from mailsystem.finding.header import date_of
from mailsystem.imap.subject import Base, base_subject
from mailsystem.mail.decomposition import decomposed
from mailsystem.mail.header import addresses, fields, picker, unfolded, without_comments
from mailsystem.mail.words import decoded

MOST_REFERENCES: Final = 100
"""Ids of one field that are followed: the first, and the last ones, of which the very last is what is answered."""
_LONGEST_ID: Final = 200
"""Octets of an id that are kept; a longer one is known by its digest."""

_FIELDS: Final = (b"SUBJECT", b"DATE", b"FROM", b"TO", b"CC", b"MESSAGE-ID", b"REFERENCES", b"IN-REPLY-TO")
_PICK: Final = picker(_FIELDS, False)
_TIME = re.compile(
    rb"(?<![0-9:])([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}))?(?![0-9:])[ \t]*+(?:([+-][0-9]{4})(?![0-9])|([A-Za-z]++))?"
)
_ZONES: Final = {
    **dict.fromkeys((b"UT", b"GMT", b"Z"), 0),
    b"EST": -5,
    b"EDT": -4,
    b"CST": -6,
    b"CDT": -5,
    b"MST": -7,
    b"MDT": -6,
    b"PST": -8,
    b"PDT": -7,
}
"""obs-zone (RFC 5322 4.3), in hours; the letters of the military say nothing."""
_MESSAGE_ID = re.compile(
    rb'<[ \t]*+(?:"((?:[^"\\]|\\.)*+)"|([^<>@"\s]++))[ \t]*+@[ \t]*+([^<>@\s\[\]]++|\[[^<>\[\]]*+\])[ \t]*+>', re.DOTALL
)
_ESCAPE = re.compile(rb"\\(.)", re.DOTALL)
_EPOCH: Final = datetime.date(1970, 1, 1).toordinal()


def collated(text: str) -> str:
    """Text so that plain comparison orders it as i;unicode-casemap does (RFC 5051): titlecase, taken apart."""
    if text.isascii():
        return text.upper()
    titled = (title if len(title := letter.title()) == 1 else letter for letter in text)
    return decomposed("".join(titled))


def sent_at(value: bytes) -> float | None:
    """The moment that a Date field names, in seconds since the epoch (RFC 5256 2.2); None if it names no day.

    A zone that is none counts as UTC, a time that is none as midnight.
    """
    value = without_comments(unfolded(value))
    day = date_of(value)
    if day is None:
        return None
    moment = (day.toordinal() - _EPOCH) * 86_400.0
    found = _TIME.search(value)
    if found is None:
        return moment
    hours, minutes, seconds = int(found[1]), int(found[2]), int(found[3] or 0)
    if hours > 23 or minutes > 59 or seconds > 60:
        return moment
    return moment + hours * 3600 + minutes * 60 + seconds - _offset(found[4], found[5])


def _offset(digits: bytes | None, name: bytes | None) -> int:
    if digits is None:
        return 3600 * _ZONES.get((name or b"").upper(), 0)
    hours, minutes = int(digits[1:3]), int(digits[3:5])
    if minutes > 59 or hours > 23:
        return 0
    return (hours * 3600 + minutes * 60) * (-1 if digits[:1] == b"-" else 1)


def message_ids(value: bytes) -> Iterator[bytes]:
    """Each valid msg-id in a field (RFC 5256 3), in the one spelling in which they are compared."""
    for match in _MESSAGE_ID.finditer(value):
        quoted, plain, domain = match.groups()
        local = plain if plain is not None else _ESCAPE.sub(rb"\1", quoted)
        id_ = local + b"@" + domain
        yield id_ if len(id_) <= _LONGEST_ID else blake2b(id_, digest_size=16).digest()


def chain(value: bytes) -> list[bytes]:
    """The ids of a field in their order; of very many those in the middle are passed over."""
    ids = message_ids(value)
    first = list(islice(ids, 1))
    return first + list(deque(ids, MOST_REFERENCES - 1))


class Heading:
    """The header of one message, of which only what is asked for is decoded."""

    def __init__(self, head: bytes) -> None:
        self._values: dict[bytes, bytes] = {}
        for name, value in fields(_PICK(head)):
            self._values.setdefault(name.upper(), value)

    def _value(self, name: bytes) -> bytes:
        return self._values.get(name, b"")

    @cached_property
    def base(self) -> Base:
        """Its base subject, decoded."""
        return base_subject(decoded(self._value(b"SUBJECT")))

    @property
    def sent(self) -> float | None:
        return sent_at(self._value(b"DATE"))

    def mailbox(self, name: bytes) -> str:
        """addr-mailbox of the first address in From, To or Cc; empty where there is none"""
        found = addresses(unfolded(self._value(name)))
        return decoded(found[0].mailbox or b"") if found else ""

    def display(self, name: bytes) -> str:
        """What is shown of the first address in From or To (RFC 5957 3): its name, or else itself."""
        found = addresses(unfolded(self._value(name)))
        if not found:
            return ""
        first = found[0]
        if first.host is None:  # a group
            return decoded(first.mailbox or b"")
        if first.name:
            return decoded(first.name)
        address = (first.mailbox or b"") + (b"@" + first.host if first.host else b"")
        return decoded(address)

    @property
    def message_id(self) -> bytes | None:
        """None where it names no valid one."""
        return next(message_ids(self._value(b"MESSAGE-ID")), None)

    @property
    def references(self) -> list[bytes]:
        """References, and where that names nobody the first in In-Reply-To (RFC 5256 3, step 1.A)."""
        return chain(self._value(b"REFERENCES")) or list(islice(message_ids(self._value(b"IN-REPLY-TO")), 1))
