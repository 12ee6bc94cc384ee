"""Keys that sign the mail of our domains (DKIM). Their public halves stand in DNS, below their selectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from mailsystem.mail.clock import Clock
from mailsystem.mail.errors import MailboxExists, NoSuchRecipient
from mailsystem.store.database import Database, Row, Sql, Unit


class Algorithm(StrEnum):
    """How a key signs, in the words of RFC 6376 3.3 and RFC 8463 3."""

    RSA = "rsa-sha256"
    ED25519 = "ed25519-sha256"


class KeyState(StrEnum):
    """Where a key stands in its life."""

    WAITING = "waiting"
    """Made, and to be published; it signs nothing yet."""
    ACTIVE = "active"
    """It signs."""
    RETIRED = "retired"
    """It signs no more, and has to stay in DNS until the last message that it has signed has arrived."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """One key of a domain."""

    domain: str
    selector: str
    """Where its public half is: `SELECTOR._domainkey.DOMAIN`."""
    algorithm: Algorithm
    secret: bytes = field(repr=False)
    """PKCS #8, in DER."""
    created: float
    state: KeyState
    changed: float
    """Since when it is in that state."""


class SigningKeys:
    def __init__(self, database: Database, *, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def domains(self) -> frozenset[str]:
        """Those that have keys that sign now."""
        return await self._database.read(_domains())

    async def active(self, domain: str) -> Sequence[SigningKey]:
        """Those that sign mail of a domain now."""
        return await self._database.read(_select("WHERE domain = $1 AND state = $2", domain, KeyState.ACTIVE.value))

    async def of(self, domain: str) -> Sequence[SigningKey]:
        """All of a domain, the oldest first."""
        return await self._database.read(_select("WHERE domain = $1", domain))

    async def all(self) -> Sequence[SigningKey]:
        """All there are, by domain, the oldest first."""
        return await self._database.read(_select(""))

    async def add(self, keys: Sequence[SigningKey]) -> None:
        """Add keys, all or none. Raises `MailboxExists` for a selector that is taken, and `NoSuchRecipient` for a domain."""
        await self._database.write(_add(keys))

    async def activate(self, domain: str) -> Sequence[SigningKey]:
        """Let those that wait sign, and retire those that did; gives all. Raises `NoSuchRecipient` where none waits."""
        return await self._database.write(_activate(domain, self._clock.now()))

    async def remove(self, domain: str, state: KeyState) -> Sequence[SigningKey]:
        """Forget those in a state; gives them."""
        return await self._database.write(_remove(domain, state))


_COLUMNS = "domain, selector, algorithm, secret, created, state, changed"
_ORDER = "ORDER BY domain, created, algorithm DESC, selector"


def _select(where: str, *params: str) -> Unit[list[SigningKey]]:
    rows = yield Sql(f"SELECT {_COLUMNS} FROM signing_keys {where} {_ORDER}", *params)  # noqa: S608
    return [_key_of(row) for row in rows]


def _domains() -> Unit[frozenset[str]]:
    rows = yield Sql("SELECT DISTINCT domain FROM signing_keys WHERE state = $1", KeyState.ACTIVE.value)
    return frozenset(row[0] for row in rows)


def _key_of(row: Row) -> SigningKey:
    domain, selector, algorithm, secret, created, state, changed = row
    return SigningKey(domain, selector, Algorithm(algorithm), bytes(secret), created, KeyState(state), changed)


def _add(keys: Sequence[SigningKey]) -> Unit[None]:
    for domain in {key.domain for key in keys}:
        if not (yield Sql("SELECT 1 FROM domains WHERE name = $1", domain)):
            raise NoSuchRecipient("no such domain")
    for key in keys:  # two of them, as a rule
        rows = yield Sql(
            f"INSERT INTO signing_keys ({_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7)"  # noqa: S608
            " ON CONFLICT DO NOTHING RETURNING selector",
            key.domain,
            key.selector,
            key.algorithm.value,
            key.secret,
            key.created,
            key.state.value,
            key.changed,
        )
        if not rows:
            raise MailboxExists("selector is taken")


def _activate(domain: str, now: float) -> Unit[list[SigningKey]]:
    waiting = yield Sql(
        "SELECT 1 FROM signing_keys WHERE domain = $1 AND state = $2 LIMIT 1", domain, KeyState.WAITING.value
    )
    if not waiting:
        raise NoSuchRecipient("no key waits")
    yield Sql(
        "UPDATE signing_keys SET state = CASE state WHEN $2 THEN $3 ELSE $4 END, changed = $5"
        " WHERE domain = $1 AND state <> $4",
        domain,
        KeyState.WAITING.value,
        KeyState.ACTIVE.value,
        KeyState.RETIRED.value,
        now,
    )
    return (yield from _select("WHERE domain = $1", domain))


def _remove(domain: str, state: KeyState) -> Unit[list[SigningKey]]:
    gone = yield from _select("WHERE domain = $1 AND state = $2", domain, state.value)
    yield Sql("DELETE FROM signing_keys WHERE domain = $1 AND state = $2", domain, state.value)
    return gone


def remove_all(domain: str) -> Unit[None]:
    """The domain goes."""
    yield Sql("DELETE FROM signing_keys WHERE domain = $1", domain)
