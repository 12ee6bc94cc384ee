"""What lets programs and browsers in instead of a password: tokens that somebody has made, and the sessions of the page.

Only a digest of each is kept. One that nobody has used for as long as it lasts is gone.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from mailsystem.mail.account import Account
from mailsystem.mail.clock import Clock
from mailsystem.mail.errors import MailboxExists, NoSuchRecipient, TooMany
from mailsystem.mail.mailbox import AccountId
from mailsystem.store.database import Database, Sql, Unit
from mailsystem.store.secrets import account_of

PREFIX: Final = "ms_"
"""By which whoever finds one somewhere knows what it is."""
_MOST: Final = 100
"""Of one account; a further session takes the place of the one that was used least lately."""
_NOTED: Final = 600.0
"""Seconds within which a further use is not written down."""


@dataclass(frozen=True, slots=True)
class AccessToken:
    """One of them, without what it is proven with."""

    name: str
    """Empty for a session of the page."""
    scopes: frozenset[str]
    created: float
    used: float
    lasts: float | None
    """Seconds after its last use for which it is good; None for ever."""


@dataclass(frozen=True, slots=True)
class Access:
    """Who came in by one, and what they may do."""

    account: Account
    scopes: frozenset[str]


class AccessTokens:
    def __init__(self, database: Database, *, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def add(self, login: str, name: str, scopes: Iterable[str], *, lasts: float | None = None) -> str:
        """A new one, told this once. Raises `NoSuchRecipient`, `MailboxExists` for a name that is taken, `TooMany`."""
        secret = PREFIX + secrets.token_urlsafe(32)
        unit = _add(login, name, _digest(secret), scopes, self._clock.now(), lasts)
        await self._database.write(unit)
        return secret

    async def find(self, secret: str) -> Access | None:
        """Who has it; None where it is none (any more), or its account may not be used."""
        now, digest = self._clock.now(), _digest(secret)
        found = await self._database.read(_find(digest, now), brief=True)
        if found is None:
            return None
        access, used = found
        if now - used > _NOTED:
            await self._database.write(_note(digest, now), durable=False)
        return access

    async def of(self, login: str) -> Sequence[AccessToken]:
        """Those of somebody, the oldest first. Raises `NoSuchRecipient`."""
        return await self._database.read(_of(login, self._clock.now()))

    async def remove(self, login: str, name: str) -> None:
        """Take one away by its name. Raises `NoSuchRecipient`."""
        await self._database.write(_remove(login, name))

    async def end(self, secret: str) -> None:
        """Let nobody in by it any more."""
        await self._database.write(_end(_digest(secret)))


def forget(account: AccountId) -> Unit[None]:
    """All of an account: its password is another now, or it is gone."""
    yield Sql("DELETE FROM access_tokens WHERE account_id = $1", account)


def forget_sessions(login: str) -> Unit[None]:
    """Whoever sits before the page has to say the new password."""
    yield Sql(
        "DELETE FROM access_tokens WHERE name = '' AND account_id = (SELECT id FROM accounts WHERE login = $1)", login
    )


def _digest(secret: str) -> bytes:
    # They are as long as the digest and as random: nothing slower would make them harder to guess.
    return hashlib.sha256(secret.encode("utf-8", "replace")).digest()


def _add(login: str, name: str, digest: bytes, scopes: Iterable[str], now: float, lasts: float | None) -> Unit[None]:
    account = yield from _known(login)
    yield from _drop_stale(now)
    if name:
        if (yield Sql("SELECT 1 FROM access_tokens WHERE account_id = $1 AND name = $2", account, name)):
            raise MailboxExists("token exists")
        [[count]] = yield Sql("SELECT COUNT(*) FROM access_tokens WHERE account_id = $1 AND name <> ''", account)
        if count >= _MOST:
            raise TooMany("too many tokens")
    else:
        yield Sql(
            "DELETE FROM access_tokens WHERE digest IN (SELECT digest FROM access_tokens WHERE account_id = $1 AND name = ''"
            " ORDER BY used DESC LIMIT -1 OFFSET $2)",
            account,
            _MOST - 1,
        )
    yield Sql(
        "INSERT INTO access_tokens (digest, account_id, name, scopes, created, used, lasts)"
        " VALUES ($1, $2, $3, $4, $5, $5, $6)",
        digest,
        account,
        name,
        " ".join(sorted(scopes)),
        now,
        lasts,
    )


def _find(digest: bytes, now: float) -> Unit[tuple[Access, float] | None]:
    rows = yield Sql(
        "SELECT a.id, a.login, a.capabilities_off, t.scopes, t.used FROM access_tokens t JOIN accounts a ON a.id = t.account_id"
        " WHERE t.digest = $1 AND (t.lasts IS NULL OR t.used + t.lasts > $2) AND a.disabled IS NULL"
        " AND NOT EXISTS (SELECT 1 FROM domains d WHERE d.disabled IS NOT NULL"
        " AND substr(a.login, length(a.login) - length(d.name)) = '@' || d.name)",
        digest,
        now,
    )
    if not rows:
        return None
    id_, login, capabilities_off, scopes, used = rows[0]
    return Access(account_of(id_, login, capabilities_off), frozenset(scopes.split())), used


def _note(digest: bytes, now: float) -> Unit[None]:
    yield Sql("UPDATE access_tokens SET used = $2 WHERE digest = $1", digest, now)


def _of(login: str, now: float) -> Unit[list[AccessToken]]:
    account = yield from _known(login)
    rows = yield Sql(
        "SELECT name, scopes, created, used, lasts FROM access_tokens"
        " WHERE account_id = $1 AND (lasts IS NULL OR used + lasts > $2) ORDER BY created",
        account,
        now,
    )
    return [
        AccessToken(name, frozenset(scopes.split()), created, used, lasts)
        for name, scopes, created, used, lasts in rows
    ]


def _remove(login: str, name: str) -> Unit[None]:
    account = yield from _known(login)
    if not (yield Sql("DELETE FROM access_tokens WHERE account_id = $1 AND name = $2 RETURNING name", account, name)):
        raise NoSuchRecipient("no such token")


def _end(digest: bytes) -> Unit[None]:
    yield Sql("DELETE FROM access_tokens WHERE digest = $1", digest)


def _drop_stale(now: float) -> Unit[None]:
    yield Sql("DELETE FROM access_tokens WHERE lasts IS NOT NULL AND used + lasts <= $1", now)


def _known(login: str) -> Unit[AccountId]:
    rows = yield Sql("SELECT id FROM accounts WHERE login = $1", login)
    if not rows:
        raise NoSuchRecipient("no such account")
    return AccountId(rows[0][0])
