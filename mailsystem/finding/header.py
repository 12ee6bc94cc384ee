"""A header block as SEARCH sees it: fields decoded and folded, and the day of its Date. Sans-IO."""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from typing import Final

from mailsystem.mail.address import normal_domain
from mailsystem.mail.errors import SyntaxFault
from mailsystem.mail.haystack import Words, fold, run_of
from mailsystem.mail.header import addresses, fields, picker, unfolded, without_comments
from mailsystem.mail.words import decoded

__all__ = ["Header", "Words", "date_of", "fold"]

_DATE = re.compile(rb"(?<![0-9])([0-9]{1,2})[ \t-]+([A-Za-z]{3})[A-Za-z]*[ \t-]+([0-9]{2,4})(?![0-9])")
_RETURN_PATH = re.compile(rb"Return-Path:[ \t]*<([^\r\n]*)>[ \t]*\r\n", re.IGNORECASE)
_ALONE = re.compile(
    rb"Return-Path:[^\r\n]*+\r\nReceived:[^\r\n]*+\r\n(?:[ \t](?!for <)[^\r\n]*+\r\n)*+[ \t]for <([^\r\n<>]*+)>;",
    re.IGNORECASE,
)
"""The two fields that are put in front, and of the second one the line that is there for a single recipient."""
_MONTHS: Final = {name: i for i, name in enumerate(b"jan feb mar apr may jun jul aug sep oct nov dec".split(), 1)}


class Header:
    """A header block, of which only what is asked for is decoded."""

    __slots__ = ("_lower", "_values", "block")

    def __init__(self, block: bytes) -> None:
        self.block = block
        self._values: dict[bytes, list[str]] = {}
        # In lower case, where that is all there is to decode and to fold in any field.
        self._lower = block.lower() if block.isascii() and b"=?" not in block else None

    def has(self, name: bytes, needle: str) -> bool:
        """Whether a field of that name (in capitals) holds the needle, which is folded."""
        if self._lower is not None and (run := run_of(needle)) and run not in self._lower:
            return False  # most of them: no field needs to be found for that
        return any(needle in value for value in self.values(name))

    def values(self, name: bytes) -> list[str]:
        """What each field of that name (in capitals) says, folded."""
        known = self._values.get(name)
        if known is None:
            known = self._values[name] = [fold(decoded(value)) for value in self._raw(name)]
        return known

    def names(self, name: bytes, local: str | None, domain: str, spelled: str) -> bool:
        """Whether a field of that name (in capitals) has that address, or with no `local` any of that domain.

        `spelled`, which is folded, is how it stands there; only the local part may stand within quotes besides.
        """
        within_quotes = spelled if local is None or spelled[0] == '"' else f'"{local}"{spelled[len(local) :]}'
        if self._lower is not None and domain.lower().encode() not in self._lower:
            return False  # most of them
        for value in self._raw(name):
            text = fold(decoded(value))
            if (spelled in text or within_quotes in text) and any(
                _is_normal(one.host, domain)
                and (local is None or fold(one.mailbox.decode("utf-8", "replace")) == local)
                for one in addresses(unfolded(value))
                if one.host and one.mailbox
            ):
                return True
        return False

    def sent(self) -> datetime.date | None:
        """The day in the Date field, as it was where it was written (RFC 3501 6.4.4: time and zone do not count)."""
        for value in self._raw(b"DATE"):
            return date_of(value)
        return None

    def sender(self) -> str | None:
        """Who was named by MAIL FROM, as the field says that is put in front of what comes in (RFC 5321 4.4); empty for nobody.

        None where no such field is the first: what stands further down, whoever wrote the message may have put there.
        """
        found = _RETURN_PATH.match(self.block)
        return found[1].decode("utf-8", "replace") if found is not None else None

    def recipient(self) -> Sequence[str]:
        """Who was named by RCPT TO, if it was one alone: then the Received field tells that is put in front."""
        found = _ALONE.match(self.block)
        return (found[1].decode("utf-8", "replace"),) if found is not None else ()

    def _raw(self, name: bytes) -> list[bytes]:
        return [value for _, value in fields(picker((name,), False)(self.block))]


def _is_normal(host: bytes, domain: str) -> bool:
    try:
        return normal_domain(host.decode("utf-8", "replace")) == domain
    except SyntaxFault:
        return False


def date_of(value: bytes) -> datetime.date | None:
    """The day that a Date field names; None if it names none."""
    found = _DATE.search(without_comments(unfolded(value)))
    if found is None:
        return None
    day, month, year = int(found[1]), _MONTHS.get(found[2].lower(), 0), int(found[3])
    if len(found[3]) < 4:
        # RFC 5322 4.3: two digits below 50 are of this century, the others and three digits count from 1900.
        year += 2000 if len(found[3]) == 2 and year < 50 else 1900
    try:
        return datetime.date(year, month, day)
    except ValueError:
        return None
