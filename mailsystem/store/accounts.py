"""Who lives here: domains, accounts, aliases. Logins, domains and addresses are kept in their normal spelling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mailsystem.mail.account import Account
from mailsystem.mail.clock import Clock
from mailsystem.mail.errors import MailboxExists, NoSuchRecipient
from mailsystem.mail.mailbox import INBOX, AccountId
from mailsystem.store import names
from mailsystem.store.database import Database, Many, Sql, Unit


@dataclass(frozen=True, slots=True)
class AccountSummary:
    """An account and what it keeps."""

    account: Account
    created: float
    messages: int
    size: int
    """Octets of all its messages together, shared or not."""


@dataclass(frozen=True, slots=True)
class Alias:
    """Mail for `address` goes to each of `targets`."""

    address: str
    targets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Route:
    """What the directory must know about one address, looked up at once."""

    account: AccountId | None
    targets: tuple[str, ...]
    ours: bool
    """Whether its domain is one of ours."""


class Accounts:
    def __init__(self, database: Database, *, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def add(
        self, login: str, password_hash: str | None, *, mailboxes: Sequence[tuple[str, str | None]] = ()
    ) -> Account:
        """A new account with INBOX and these mailboxes (name, special use), all subscribed. Raises `MailboxExists`."""
        return await self._database.write(_add(login, password_hash, mailboxes, self._clock.now(), strict=True))

    async def ensure(self, login: str) -> Account:
        """The account of that login, made without a password if it is not there."""
        known = await self._database.read(_find(login))
        if known is None:
            known = await self._database.write(_add(login, None, (), self._clock.now(), strict=False))
        return known

    async def find(self, login: str) -> Account:
        """Raises `NoSuchRecipient`."""
        known = await self._database.read(_find(login))
        if known is None:
            raise NoSuchRecipient("no such account")
        return known

    async def password(self, login: str) -> tuple[Account, str | None] | None:
        """The account and its password hash; None for an unknown login."""
        return await self._database.read(_password(login))

    async def set_password(self, login: str, password_hash: str | None) -> None:
        """Raises `NoSuchRecipient`."""
        await self._database.write(
            _must(
                Sql("UPDATE accounts SET password = $2 WHERE login = $1 RETURNING id", login, password_hash),
                NoSuchRecipient("no such account"),
            )
        )

    async def list(self) -> list[AccountSummary]:
        """All accounts by login."""
        return await self._database.read(_list())

    async def remove(self, login: str) -> None:
        """Drop an account with all its mail. Raises `NoSuchRecipient`."""
        await self._database.write(_remove(login, self._clock.now()))

    async def domains(self) -> Sequence[str]:
        return await self._database.read(_domains())

    async def add_domain(self, name: str) -> None:
        """Raises `MailboxExists`."""
        statement = Sql(
            "INSERT INTO domains (name, created) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING name",
            name,
            self._clock.now(),
        )
        await self._database.write(_must(statement, MailboxExists("domain exists")))

    async def remove_domain(self, name: str) -> None:
        """Raises `NoSuchRecipient`."""
        statement = Sql("DELETE FROM domains WHERE name = $1 RETURNING name", name)
        await self._database.write(_must(statement, NoSuchRecipient("no such domain")))

    async def aliases(self) -> Sequence[Alias]:
        """All aliases by address."""
        return await self._database.read(_aliases())

    async def set_alias(self, address: str, targets: Sequence[str]) -> None:
        """Mail for `address` goes to exactly these from now on."""
        await self._database.write(_set_alias(address, targets))

    async def remove_alias(self, address: str) -> None:
        """Raises `NoSuchRecipient`."""
        statement = Sql("DELETE FROM aliases WHERE address = $1 RETURNING target", address)
        await self._database.write(_must(statement, NoSuchRecipient("no such alias")))

    async def route(self, address: str, domain: str) -> Route:
        """What is known about an address: its account, its alias targets, its domain."""
        return await self._database.read(_route(address, domain))


def _must(statement: Sql, failure: Exception) -> Unit[None]:
    if not (yield statement):
        raise failure


def _add(
    login: str, password_hash: str | None, mailboxes: Sequence[tuple[str, str | None]], now: float, *, strict: bool
) -> Unit[Account]:
    rows = yield Sql(
        "INSERT INTO accounts (login, password, created) VALUES ($1, $2, $3) ON CONFLICT (login) DO NOTHING RETURNING id",
        login,
        password_hash,
        now,
    )
    if not rows:
        known = None if strict else (yield from _find(login))
        if known is None:
            raise MailboxExists("account exists")
        return known
    account = AccountId(rows[0][0])
    wanted = [(INBOX, None), *((name, use) for name, use in mailboxes if name != INBOX)]
    for name, use in wanted:
        yield from names.create(account, name, use, now)
    yield from names.subscribe(account, [name for name, _ in wanted])
    return Account(account, login)


def _find(login: str) -> Unit[Account | None]:
    rows = yield Sql("SELECT id, login FROM accounts WHERE login = $1", login)
    return Account(rows[0][0], rows[0][1]) if rows else None


def _password(login: str) -> Unit[tuple[Account, str | None] | None]:
    rows = yield Sql("SELECT id, login, password FROM accounts WHERE login = $1", login)
    return (Account(rows[0][0], rows[0][1]), rows[0][2]) if rows else None


def _list() -> Unit[list[AccountSummary]]:
    rows = yield Sql(
        "SELECT a.id, a.login, a.created, COUNT(m.uid), COALESCE(SUM(m.size), 0) FROM accounts a"
        " LEFT JOIN messages m ON m.account_id = a.id GROUP BY a.id, a.login, a.created ORDER BY a.login"
    )
    return [AccountSummary(Account(row[0], row[1]), row[2], row[3], row[4]) for row in rows]


def _remove(login: str, now: float) -> Unit[None]:
    account = yield from _find(login)
    if account is None:
        raise NoSuchRecipient("no such account")
    yield from names.drop_all(account.id, now)
    yield Sql("DELETE FROM leases WHERE account_id = $1", account.id)
    yield Sql("DELETE FROM accounts WHERE id = $1", account.id)


def _domains() -> Unit[list[str]]:
    rows = yield Sql("SELECT name FROM domains ORDER BY name")
    return [row[0] for row in rows]


def _aliases() -> Unit[list[Alias]]:
    rows = yield Sql("SELECT address, target FROM aliases ORDER BY address, target")
    by_address: dict[str, list[str]] = {}
    for address, target in rows:
        by_address.setdefault(address, []).append(target)
    return [Alias(address, tuple(targets)) for address, targets in by_address.items()]


def _set_alias(address: str, targets: Sequence[str]) -> Unit[None]:
    yield Sql("DELETE FROM aliases WHERE address = $1", address)
    yield Many(
        "INSERT INTO aliases (address, target) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        [(address, target) for target in targets],
    )


def _route(address: str, domain: str) -> Unit[Route]:
    account = yield from _find(address)
    targets = yield Sql("SELECT target FROM aliases WHERE address = $1 ORDER BY target", address)
    ours = yield Sql("SELECT 1 FROM domains WHERE name = $1", domain)
    return Route(account.id if account else None, tuple(row[0] for row in targets), bool(ours))
