"""Who logged in, when, from where, by which door. Noted in memory and written together soon after, so no login waits for it.

What one address did at one door on one day is one row with a count, and each account keeps only its newest ones: neither a
client that polls nor somebody who guesses passwords can make it grow.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from mailsystem.mail.clock import Clock
from mailsystem.mail.errors import Unavailable
from mailsystem.mail.mailbox import AccountId
from mailsystem.store.database import Database, Many, Sql, Unit

KEPT: Final = 100
"""Rows that are kept of each account, of good logins and of failed ones."""

_SOON: Final = 1.0
_MOST_WAITING: Final = 10_000
_LONGEST: Final = 255
_DAY: Final = 86_400


@dataclass(frozen=True, slots=True)
class Login:
    """What one address did at one door on one day."""

    ok: bool
    door: str
    host: str
    mechanism: str
    first: float
    last: float
    times: int


class LoginHistory:
    """Notes logins; `keep` writes them."""

    def __init__(self, database: Database, *, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._waiting: OrderedDict[tuple[str, bool, int, str, str, str], Login] = OrderedDict()
        self._used: dict[tuple[AccountId, str], float] = {}
        self._some = asyncio.Event()

    def note(self, login: str, *, door: str, host: str, ok: bool, mechanism: str) -> None:
        """Somebody tried to log in as `login`. Forgotten where nobody has that login."""
        now = self._clock.now()
        door, host, mechanism = door[:_LONGEST], host[:_LONGEST], mechanism[:_LONGEST]
        key = (login, ok, int(now // _DAY), door, host, mechanism)
        before = self._waiting.get(key)
        if before is None:
            self._waiting[key] = Login(ok, door, host, mechanism, now, now, 1)
            if len(self._waiting) > _MOST_WAITING:
                self._waiting.popitem(last=False)
        else:
            self._waiting[key] = replace(before, last=now, times=before.times + 1)
        self._some.set()

    def used(self, account: AccountId, name: str) -> None:
        """This app password was right."""
        self._used[account, name] = self._clock.now()
        self._some.set()

    async def keep(self) -> None:
        """Write what was noted, again and again, until cancelled; the last of it is left to `settle`."""
        while True:
            await self._some.wait()
            await asyncio.sleep(_SOON)
            # What has been taken out of memory is written even if this is cancelled meanwhile.
            await asyncio.shield(self._settle_if_possible())

    async def _settle_if_possible(self) -> None:
        with suppress(Unavailable):
            await self.settle()

    async def settle(self) -> None:
        """Write what was noted so far. Raises `Unavailable`; it is lost then, and nobody's mail hangs on it."""
        self._some.clear()
        waiting, self._waiting = self._waiting, OrderedDict()
        used, self._used = self._used, {}
        if waiting or used:
            rows = [
                (login, day, one.ok, one.door, one.host, one.mechanism, one.first, one.last, one.times)
                for (login, _, day, *_), one in waiting.items()
            ]
            await self._database.write(
                _write(rows, [(account, name, at) for (account, name), at in used.items()]), durable=False
            )


def _write(
    rows: list[tuple[str, int, bool, str, str, str, float, float, int]], used: list[tuple[AccountId, str, float]]
) -> Unit[None]:
    yield Many(
        "INSERT INTO logins (account_id, ok, day, door, host, mechanism, first, last, times)"
        " SELECT a.id, $3, $2, $4, $5, $6, $7, $8, $9 FROM accounts a WHERE a.login = $1"
        " ON CONFLICT (account_id, ok, day, door, host, mechanism)"
        " DO UPDATE SET last = excluded.last, times = logins.times + excluded.times",
        rows,
    )
    yield Many(
        "DELETE FROM logins WHERE account_id = (SELECT id FROM accounts WHERE login = $1) AND ok = $2 AND last <"  # noqa: S608
        " (SELECT l.last FROM logins l JOIN accounts a ON a.id = l.account_id WHERE a.login = $1 AND l.ok = $2"
        f" ORDER BY l.last DESC LIMIT 1 OFFSET {KEPT - 1})",
        sorted({(row[0], row[2]) for row in rows}),
    )
    yield Many("UPDATE app_passwords SET last_used = $3 WHERE account_id = $1 AND name = $2", used)


def of(account: AccountId) -> Unit[list[Login]]:
    """The newest first."""
    rows = yield Sql(
        "SELECT ok, door, host, mechanism, first, last, times FROM logins WHERE account_id = $1 ORDER BY last DESC, ok",
        account,
    )
    return [Login(bool(row[0]), *row[1:]) for row in rows]
