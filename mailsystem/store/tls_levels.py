"""How well the way to a domain was protected: what it once had, it is not sent without."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from mailsystem.mail.clock import Clock
from mailsystem.store.database import Database, Sql, Unit

DAYS: Final = 30.0
"""Days since it was last seen for which a level is remembered."""

_DAY: Final = 86_400.0
_KNOWN_FOR: Final = 60.0
"""Seconds for which what another process has seen or forgotten may go unnoticed."""
_MOST_KNOWN: Final = 10_000


class Level(IntEnum):
    """How well mail to a domain was protected on its way."""

    NONE = 0
    ENCRYPTED = 1
    """By TLS, with whomever it was."""
    VERIFIED = 2
    """By TLS, with a host that has proven its name."""


@dataclass(frozen=True, slots=True)
class TlsLevel:
    """What is remembered of one domain."""

    domain: str
    level: Level
    since: float
    last: float


class TlsLevels:
    """Levels by domain, shared by all processes.

    A level is raised as soon as a better one is seen, and never lowered: it is forgotten when it was not seen for long. Each
    level counts for itself, so that where VERIFIED ends, ENCRYPTED holds for as long as that is still seen.
    """

    def __init__(self, database: Database, *, clock: Clock, days: float = DAYS) -> None:
        """With 0 days nothing is remembered."""
        self._database = database
        self._clock = clock
        self._seconds = days * _DAY
        self._swept = clock.now()
        self._known: dict[str, tuple[float, dict[Level, float]]] = {}

    async def level(self, domain: str) -> Level:
        """The best that is remembered."""
        now = self._clock.now()
        known = await self._look(domain, now)
        return max((level for level, last in known.items() if self._holds(last, now)), default=Level.NONE)

    async def seen(self, domain: str, level: Level) -> None:
        """Mail has just gone to the domain, as well protected as this. At most one write a day for each level."""
        if level is Level.NONE or not self._seconds:
            return
        now = self._clock.now()
        last = (await self._look(domain, now)).get(level)
        if last is not None and self._holds(last, now) and 0 <= now - last < _DAY:
            return
        if not 0 <= now - self._swept < _DAY:
            self._swept = now
            await self._database.write(_sweep(now - self._seconds))
        await self._database.write(_seen(domain, level, now, now - self._seconds))
        self._known.pop(domain, None)

    async def forget(self, domain: str) -> bool:
        """Whether there was anything to forget. Other processes notice within a minute."""
        self._known.pop(domain, None)
        return await self._database.write(_forget(domain))

    async def all(self) -> list[TlsLevel]:
        """The best of every domain, by name."""
        rows = await self._database.read(_all(self._clock.now() - self._seconds))
        return list({row.domain: row for row in rows}.values())

    def _holds(self, last: float, now: float) -> bool:
        return now - last < self._seconds

    async def _look(self, domain: str, now: float) -> dict[Level, float]:
        """When each level was last seen."""
        looked, known = self._known.get(domain, (0.0, {}))
        if not 0 <= now - looked < _KNOWN_FOR:
            known = await self._database.read(_look(domain))
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[domain] = (now, known)
        return known


def _look(domain: str) -> Unit[dict[Level, float]]:
    rows = yield Sql("SELECT level, last FROM tls_levels WHERE domain = $1", domain)
    return {Level(level): last for level, last in rows}


def _seen(domain: str, level: Level, now: float, oldest: float) -> Unit[None]:
    yield Sql(
        "INSERT INTO tls_levels (domain, level, since, last) VALUES ($1, $2, $3, $3)"
        " ON CONFLICT (domain, level) DO UPDATE SET last = excluded.last,"
        " since = CASE WHEN tls_levels.last <= $4 THEN excluded.since ELSE tls_levels.since END",
        domain,
        int(level),
        now,
        oldest,
    )


def _forget(domain: str) -> Unit[bool]:
    return bool((yield Sql("DELETE FROM tls_levels WHERE domain = $1 RETURNING level", domain)))


def _all(oldest: float) -> Unit[list[TlsLevel]]:
    """The better of one domain after the lesser."""
    rows = yield Sql("SELECT domain, level, since, last FROM tls_levels WHERE last > $1 ORDER BY domain, level", oldest)
    return [TlsLevel(domain, Level(level), since, last) for domain, level, since, last in rows]


def _sweep(oldest: float) -> Unit[None]:
    yield Sql("DELETE FROM tls_levels WHERE last <= $1", oldest)
