"""What an account is proven with: its password, the keys derived from it, its app passwords."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from mailsystem.mail.account import Account
from mailsystem.mail.errors import MailboxExists, NoSuchRecipient, TooMany
from mailsystem.mail.mailbox import AccountId
from mailsystem.store.database import Sql, Unit

_MOST_APP_PASSWORDS = 100


@dataclass(frozen=True, slots=True)
class AppPassword:
    """A further password, for one program on one device."""

    name: str
    digest: str = field(repr=False)
    created: float
    last_used: float | None


@dataclass(frozen=True, slots=True)
class Secrets:
    """All that can prove a login."""

    account: Account
    password: str | None = field(repr=False)
    """An argon2id hash in PHC form; None where nobody can log in by a password of their own."""
    scram: str | None = field(repr=False)
    """What SCRAM verifies with; None where the password was never seen since that is kept."""
    app_passwords: Sequence[AppPassword]
    disabled: bool
    """The account is, or its domain: however good the proof, it fails."""


def of_installation(name: str) -> Unit[bytes | None]:
    """A secret that all processes of this installation share."""
    rows = yield Sql("SELECT octets FROM installation_secrets WHERE name = $1", name)
    return bytes(rows[0][0]) if rows else None


def make_for_installation(name: str, octets: bytes) -> Unit[bytes]:
    """The same, made of `octets` where nobody was quicker."""
    yield Sql("INSERT INTO installation_secrets (name, octets) VALUES ($1, $2) ON CONFLICT DO NOTHING", name, octets)
    return (yield from of_installation(name)) or octets


def account_of(id_: int, login: str, capabilities_off: str) -> Account:
    return Account(AccountId(id_), login, frozenset(capabilities_off.split()))


def find(login: str) -> Unit[Secrets | None]:
    """Everything for one login in one look; None where nobody has it."""
    rows = yield Sql(
        "SELECT id, login, capabilities_off, password, scram, disabled,"
        " (SELECT disabled FROM domains WHERE name = $2) FROM accounts WHERE login = $1",
        login,
        login.rpartition("@")[2],
    )
    if not rows:
        return None
    [(id_, name, capabilities, password, scram, disabled, closed)] = rows
    app_passwords = yield from app_passwords_of(AccountId(id_))
    account = account_of(id_, name, capabilities)
    return Secrets(account, password, scram, app_passwords, disabled is not None or closed is not None)


def app_passwords_of(account: AccountId) -> Unit[list[AppPassword]]:
    """By name."""
    rows = yield Sql(
        "SELECT name, digest, created, last_used FROM app_passwords WHERE account_id = $1 ORDER BY name", account
    )
    return [AppPassword(*row) for row in rows]


def add_app_password(account: AccountId, name: str, digest: str, now: float) -> Unit[None]:
    """Raises `MailboxExists` for a name that is taken, and `TooMany`."""
    [[count]] = yield Sql("SELECT COUNT(*) FROM app_passwords WHERE account_id = $1", account)
    if count >= _MOST_APP_PASSWORDS:
        raise TooMany("too many app passwords")
    rows = yield Sql(
        "INSERT INTO app_passwords (account_id, name, digest, created) VALUES ($1, $2, $3, $4)"
        " ON CONFLICT DO NOTHING RETURNING name",
        account,
        name,
        digest,
        now,
    )
    if not rows:
        raise MailboxExists("app password exists")


def remove_app_password(account: AccountId, name: str) -> Unit[None]:
    """Raises `NoSuchRecipient`."""
    rows = yield Sql("DELETE FROM app_passwords WHERE account_id = $1 AND name = $2 RETURNING name", account, name)
    if not rows:
        raise NoSuchRecipient("no such app password")
