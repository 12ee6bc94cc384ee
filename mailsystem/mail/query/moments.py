"""Days, times and ages as people write them."""

from __future__ import annotations

import datetime
import re
from typing import Final, NamedTuple

from mailsystem.mail.errors import SyntaxFault
from mailsystem.mail.query.values import EPOCH, when

_AGE = re.compile(r"([0-9]{1,10})\s*+(s|sec|m|min|h|d|w|y)", re.IGNORECASE)
_SECONDS: Final = {"s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400, "y": 365 * 86_400}
_DAY = re.compile(r"([0-9]{4})[-/]([0-9]{1,2})[-/]([0-9]{1,2})")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9:.,]{2,20}(?:[Zz]|[+-][0-9:]{2,8})?")
_YEARS: Final = range(1000, 9999)
_WRONG: Final = "a time is a day (2026-01-31, today), a moment (2026-01-31T09:30) or an age (5m, 2h, 3d)"


class OutOfCalendar(SyntaxFault):
    """A moment that cannot be written."""


class Span(NamedTuple):
    """What was named, in seconds since the epoch."""

    first: float
    end: float | None
    """Behind the last moment of a day; None where it is one moment."""


def span(text: str, now: float, tz: datetime.tzinfo) -> Span:
    """The day in `tz`, the moment, or the moment so long before `now`. Raises `SyntaxFault`."""
    word = text.lower()
    if word in ("today", "yesterday"):
        today = datetime.datetime.fromtimestamp(now, tz).date()
        return _of_day(today if word == "today" else today - datetime.timedelta(days=1), tz)
    if word == "now":
        return Span(_known(_seconds(when(now))), None)
    if age := _AGE.fullmatch(text):
        return Span(_known(_seconds(when(now)) - int(age[1]) * _SECONDS[age[2].lower()]), None)
    try:
        if day := _DAY.fullmatch(text):
            return _of_day(datetime.date(*map(int, day.groups())), tz)
        if _TIME.fullmatch(text):
            moment = datetime.datetime.fromisoformat(text.upper())
            return Span(_known(_seconds(moment if moment.tzinfo else moment.replace(tzinfo=tz))), None)
    except ValueError:
        raise SyntaxFault("there is no such day or time; " + _WRONG) from None
    raise SyntaxFault(_WRONG)


def _of_day(day: datetime.date, tz: datetime.tzinfo) -> Span:
    first, end = (
        _seconds(datetime.datetime.combine(date, datetime.time(), tz))
        for date in (day, day + datetime.timedelta(days=1))
    )
    return Span(_known(first), end)


def _seconds(moment: datetime.datetime) -> float:
    return (moment - EPOCH) / datetime.timedelta(microseconds=1) / 1_000_000


def _known(moment: float) -> float:
    if when(moment).year not in _YEARS:
        raise OutOfCalendar
    return moment
