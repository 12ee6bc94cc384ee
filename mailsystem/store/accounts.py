"""Who lives here, and what they may: the room's face. Logins, domains and addresses are kept in their normal spelling."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from mailsystem.mail.account import Account
from mailsystem.mail.clock import Clock
from mailsystem.mail.envelope import Peer
from mailsystem.mail.errors import MailboxExists, NoSuchRecipient
from mailsystem.mail.mailbox import INBOX, AccountId
from mailsystem.store import access_tokens, logins, names, rights, routes, secrets, signing_keys, webhooks
from mailsystem.store.bell import ITSELF
from mailsystem.store.database import Database, Ring, Row, Sql, Unit
from mailsystem.store.logins import Login, LoginHistory
from mailsystem.store.routes import Alias, Disabled, Domain, Route
from mailsystem.store.secrets import AppPassword, Secrets, account_of

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Quota:
    """The most that an account may keep; None is without end."""

    messages: int | None = None
    octets: int | None = None


@dataclass(frozen=True, slots=True)
class AccountSummary:
    """An account, what it keeps and what it may."""

    account: Account
    created: float
    messages: int
    size: int
    """Octets of all its messages together, shared or not."""
    quota: Quota = Quota()
    disabled: Disabled | None = None
    any_sender: bool = False
    """It may send in anybody's name."""
    space: str | None = None
    """The space that it is in."""


class Accounts:
    def __init__(self, database: Database, *, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self.history = LoginHistory(database, clock=clock)

    # -- accounts

    async def add(
        self,
        login: str,
        password_hash: str | None,
        *,
        scram: str | None = None,
        mailboxes: Sequence[tuple[str, str | None]] = (),
    ) -> Account:
        """A new account with INBOX and these mailboxes (name, special use), all subscribed. Raises `MailboxExists`."""
        unit = _add(login, password_hash, scram, mailboxes, self._clock.now(), strict=True)
        return await self._database.write(unit)

    async def ensure(self, login: str) -> Account:
        """The account of that login, made without a password if it is not there."""
        known = await self._database.read(_find(login), brief=True)
        if known is None:
            known = await self._database.write(_add(login, None, None, (), self._clock.now(), strict=False))
        return known

    async def find(self, login: str) -> Account:
        """Raises `NoSuchRecipient`."""
        return await self._database.read(_known(login), brief=True)

    async def list(self) -> list[AccountSummary]:
        """All accounts by login."""
        return await self._database.read(_list())

    async def summary(self, login: str) -> AccountSummary:
        """One of them. Raises `NoSuchRecipient`."""
        return await self._database.read(_summary(login), brief=True)

    async def remove(self, login: str) -> None:
        """Drop an account with all its mail. Raises `NoSuchRecipient`."""
        await self._database.write(removal(login, self._clock.now()))

    async def set_quota(self, login: str, quota: Quota) -> None:
        """What is kept already stays, however much. Raises `NoSuchRecipient`."""
        await self._change(login, "most_messages = $2, most_octets = $3", quota.messages, quota.octets)

    async def disable(self, login: str, how: Disabled | None) -> None:
        """Let nobody log in and no mail in; None enables it again. Raises `NoSuchRecipient`."""
        unit = _of(login, lambda account: _disable(account, how.value if how else None))
        await self._database.write(unit)

    async def set_any_sender(self, login: str, on: bool) -> None:
        """Whether it may send in anybody's name. Raises `NoSuchRecipient`."""
        await self._change(login, "any_sender = $2", int(on))

    async def set_capabilities_off(self, login: str, names: Iterable[str]) -> None:
        """What IMAP shall not offer to it from its next login on. Raises `NoSuchRecipient`."""
        words = " ".join(sorted({name.upper() for name in names}))
        await self._change(login, "capabilities_off = $2", words)

    async def _change(self, login: str, what: str, *values: object) -> None:
        statement = Sql(f"UPDATE accounts SET {what} WHERE login = $1 RETURNING id", login, *values)  # noqa: S608
        await self._database.write(_must(statement, NoSuchRecipient("no such account")))

    # -- what proves a login

    async def password(self, login: str) -> tuple[Account, str | None] | None:
        """The account and its password hash; None for an unknown login."""
        known = await self.secrets(login)
        return (known.account, known.password) if known else None

    async def secrets(self, login: str) -> Secrets | None:
        """All that can prove this login; None where nobody has it."""
        return await self._database.read(secrets.find(login), brief=True)

    async def installation_secret(self, name: str) -> bytes:
        """A random secret that all processes of this installation share, made when it is asked for first."""
        known = await self._database.read(secrets.of_installation(name))
        if known is None:
            known = await self._database.write(secrets.make_for_installation(name, os.urandom(32)))
        return known

    async def set_password(self, login: str, password_hash: str | None, *, scram: str | None = None) -> None:
        """Both are of one password, so keys of an old one never stay. Raises `NoSuchRecipient`."""
        await self._database.write(_set_password(login, password_hash, scram))

    async def renew_password(self, login: str, old: str, new: str, *, scram: str | None) -> None:
        """Another hash of the same password; nothing happens where it has been changed meanwhile."""
        statement = Sql(
            "UPDATE accounts SET password = $3, scram = $4 WHERE login = $1 AND password = $2 RETURNING id",
            login,
            old,
            new,
            scram,
        )
        await self._database.write(_done(statement))

    async def app_passwords(self, login: str) -> Sequence[AppPassword]:
        """By name. Raises `NoSuchRecipient`."""
        return await self._database.read(_of(login, secrets.app_passwords_of))

    async def add_app_password(self, login: str, name: str, digest: str) -> None:
        """Raises `NoSuchRecipient`, `MailboxExists` for a name that is taken, `TooMany`."""
        now = self._clock.now()
        await self._database.write(_of(login, lambda account: secrets.add_app_password(account, name, digest, now)))

    async def remove_app_password(self, login: str, name: str) -> None:
        """Raises `NoSuchRecipient`."""
        await self._database.write(_of(login, lambda account: secrets.remove_app_password(account, name)))

    async def record_login(
        self, who: Account | str, *, door: str, peer: Peer, ok: bool, mechanism: str = "PLAIN"
    ) -> None:
        """Note that somebody logged in as `who`, or tried to. Nobody waits for it: it is written a moment later."""
        login = who.login if isinstance(who, Account) else who
        self.history.note(login, door=door, host=peer.host, ok=ok, mechanism=mechanism)

    async def logins(self, login: str) -> Sequence[Login]:
        """Recent logins, the newest first. Raises `NoSuchRecipient`."""
        return await self._database.read(_of(login, logins.of))

    # -- domains

    async def domains(self) -> Sequence[str]:
        return [domain.name for domain in await self.domain_list()]

    async def domain_list(self) -> Sequence[Domain]:
        """All domains by name."""
        return await self._database.read(routes.domains())

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
        await self._database.write(_remove_domain(name))

    async def disable_domain(self, name: str, how: Disabled | None) -> None:
        """Let nobody of it log in and no mail for it in; None enables it again. Raises `NoSuchRecipient`."""
        await self._database.write(_disable_domain(name, how.value if how else None))

    async def set_catch_all(self, name: str, target: str | None) -> None:
        """Where mail goes that is for nobody else in the domain. Raises `NoSuchRecipient`."""
        await self._change_domain(name, "catch_all = $2", target)

    async def _change_domain(self, name: str, what: str, value: str | None) -> None:
        statement = Sql(f"UPDATE domains SET {what} WHERE name = $1 RETURNING name", name, value)  # noqa: S608
        await self._database.write(_must(statement, NoSuchRecipient("no such domain")))

    # -- addresses

    async def aliases(self) -> Sequence[Alias]:
        """All aliases by address."""
        return await self._database.read(routes.aliases())

    async def set_alias(self, address: str, targets: Sequence[str]) -> None:
        """Mail for `address` goes to exactly these from now on."""
        await self._database.write(routes.set_alias(address, targets))

    async def remove_alias(self, address: str) -> None:
        """Raises `NoSuchRecipient`."""
        statement = Sql("DELETE FROM aliases WHERE address = $1 RETURNING target", address)
        await self._database.write(_must(statement, NoSuchRecipient("no such alias")))

    async def addresses(self) -> dict[str, str]:
        """Every further address of anybody, and its owner's login."""
        return await self._database.read(routes.addresses())

    async def add_address(self, login: str, address: str) -> None:
        """A further address of their own. Raises `NoSuchRecipient`, and `MailboxExists` where it is somebody's already."""
        await self._database.write(_of(login, lambda account: routes.add_address(account, address)))

    async def remove_address(self, login: str, address: str) -> None:
        """Raises `NoSuchRecipient`."""
        await self._database.write(_of(login, lambda account: routes.remove_address(account, address)))

    async def route(self, address: str, domain: str, *, base: str | None = None, folder: str | None = None) -> Route:
        """What is known about an address, and about `base`, the same without its detail, where nobody has it.

        With `folder`, the mail goes into that mailbox of theirs, if there is one.
        """
        # For a folder, all the mailboxes of an account may have to be looked at.
        return await self._database.read(routes.find(address, domain, base, folder), brief=folder is None)


def _set_password(login: str, password_hash: str | None, scram: str | None) -> Unit[None]:
    changed = Sql(
        "UPDATE accounts SET password = $2, scram = $3 WHERE login = $1 RETURNING id", login, password_hash, scram
    )
    if not (yield changed):
        raise NoSuchRecipient("no such account")
    yield from access_tokens.forget_sessions(login)


def _must(statement: Sql, failure: Exception) -> Unit[None]:
    if not (yield statement):
        raise failure


def _done(statement: Sql) -> Unit[None]:
    yield statement


def _of(login: str, unit: Callable[[AccountId], Unit[T]]) -> Unit[T]:
    """A unit about the account of that login. Raises `NoSuchRecipient`."""
    account = yield from _known(login)
    return (yield from unit(account.id))


def _add(
    login: str,
    password_hash: str | None,
    scram: str | None,
    mailboxes: Sequence[tuple[str, str | None]],
    now: float,
    *,
    strict: bool,
) -> Unit[Account]:
    if strict and (yield Sql("SELECT 1 FROM addresses WHERE address = $1", login)):
        raise MailboxExists("address exists")
    rows = yield Sql(
        "INSERT INTO accounts (login, password, scram, created) VALUES ($1, $2, $3, $4)"
        " ON CONFLICT (login) DO NOTHING RETURNING id",
        login,
        password_hash,
        scram,
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


def within(space: str, login: str, now: float) -> Unit[Account]:
    """The account of that login in a space, made where it is not there."""
    account = yield from _find(login)
    if account is None:
        account = yield from _add(login, None, None, (), now, strict=False)
        yield Sql("UPDATE accounts SET space = $2 WHERE id = $1", account.id, space)
    return account


def _find(login: str) -> Unit[Account | None]:
    rows = yield Sql("SELECT id, login, capabilities_off FROM accounts WHERE login = $1", login)
    return account_of(*rows[0]) if rows else None


def _known(login: str) -> Unit[Account]:
    account = yield from _find(login)
    if account is None:
        raise NoSuchRecipient("no such account")
    return account


_SUMMARY: Final = (
    "SELECT id, login, capabilities_off, created, messages, octets, most_messages, most_octets, disabled, any_sender,"
    " space"
    " FROM accounts"
)


def _list() -> Unit[list[AccountSummary]]:
    rows = yield Sql(f"{_SUMMARY} ORDER BY login")
    return [_summary_of(row) for row in rows]


def _summary(login: str) -> Unit[AccountSummary]:
    rows = yield Sql(f"{_SUMMARY} WHERE login = $1", login)
    if not rows:
        raise NoSuchRecipient("no such account")
    return _summary_of(rows[0])


def _summary_of(row: Row) -> AccountSummary:
    id_, login, capabilities, created, messages, octets, most_messages, most_octets, disabled, any_sender, space = row
    return AccountSummary(
        account_of(id_, login, capabilities),
        created,
        messages,
        octets,
        Quota(most_messages, most_octets),
        Disabled(disabled) if disabled else None,
        bool(any_sender),
        space,
    )


def _disable(account: AccountId, how: str | None) -> Unit[None]:
    yield Sql("UPDATE accounts SET disabled = $2 WHERE id = $1", account, how)
    yield Ring((account, ITSELF))


def _remove_domain(name: str) -> Unit[None]:
    if not (yield Sql("DELETE FROM domains WHERE name = $1 RETURNING name", name)):
        raise NoSuchRecipient("no such domain")
    yield from signing_keys.remove_all(name)


def _disable_domain(name: str, how: str | None) -> Unit[None]:
    if not (yield Sql("UPDATE domains SET disabled = $2 WHERE name = $1 RETURNING name", name, how)):
        raise NoSuchRecipient("no such domain")
    ending = "@" + name
    rows = yield Sql("SELECT id FROM accounts WHERE substr(login, length(login) - $2 + 1) = $1", ending, len(ending))
    for [account] in rows:
        yield Ring((AccountId(account), ITSELF))


def removal(login: str, now: float) -> Unit[None]:
    """Drop an account with all its mail. Raises `NoSuchRecipient`."""
    account = yield from _known(login)
    yield Ring((account.id, ITSELF))
    yield from names.drop_all(account.id, now)
    yield from rights.forget(account.id)
    yield from access_tokens.forget(account.id)
    yield from webhooks.forget(account.id)
    for table in ("leases", "downloads", "addresses", "app_passwords", "logins", "correspondents", "sent", "retired"):
        yield Sql(f"DELETE FROM {table} WHERE account_id = $1", account.id)  # noqa: S608
    yield Sql("DELETE FROM accounts WHERE id = $1", account.id)
