"""The ways that lead to people: domains, aliases, further addresses. All are kept in their normal spelling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from mailsystem.mail.errors import MailboxExists, NoSuchRecipient
from mailsystem.mail.mailbox import INBOX, AccountId
from mailsystem.store.database import Many, Sql, Unit


class Disabled(StrEnum):
    """What becomes of mail for an account or a domain that is disabled. Nobody logs in there either way."""

    REJECT = "reject"
    """Refused for good."""
    DEFER = "defer"
    """Refused for now: the sender tries again, for some days."""


@dataclass(frozen=True, slots=True)
class Domain:
    """A domain whose mail is accepted."""

    name: str
    disabled: Disabled | None
    catch_all: str | None
    """Where mail goes that is for nobody else in it."""


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
    mailbox: str = INBOX
    """The account's mailbox that the address names."""
    disabled: Disabled | None = None
    """The account, or the domain of the address."""
    full: bool = False
    """The account keeps as much as it may."""
    room: int | None = None
    """Octets that it may keep beside; None is any number."""
    caught: bool = False
    """Nobody has that address: `targets` is the domain's catch-all."""


def find(address: str, domain: str, base: str | None, folder: str | None) -> Unit[Route]:
    """The way of an address. `base` is asked where nobody has it; then `folder` may name a mailbox of who does."""
    ours = yield Sql("SELECT disabled, catch_all FROM domains WHERE name = $1", domain)
    closed, catch_all = ours[0] if ours else (None, None)
    accounts, targets = yield from _at(address)
    mailbox = INBOX
    if not accounts and not targets and base is not None:
        accounts, targets = yield from _at(base)
        if accounts and folder:
            mailbox = yield from _folder(accounts[0][0], folder)
    caught = not accounts and not targets and catch_all is not None
    account, disabled, full, room = accounts[0] if accounts else (None, None, False, None)
    disabled = disabled or closed
    return Route(
        account=AccountId(account) if account is not None else None,
        targets=(catch_all,) if caught else tuple(row[0] for row in targets),
        ours=bool(ours),
        mailbox=mailbox,
        disabled=Disabled(disabled) if disabled else None,
        full=bool(full),
        room=room,
        caught=caught,
    )


def _at(address: str) -> Unit[tuple[list[tuple[int, str | None, bool, int | None]], list[tuple[str]]]]:
    accounts = yield Sql(
        "SELECT id, disabled, messages >= most_messages OR octets >= most_octets, most_octets - octets FROM accounts"
        " WHERE id = COALESCE((SELECT id FROM accounts WHERE login = $1),"
        " (SELECT account_id FROM addresses WHERE address = $1))",
        address,
    )
    targets = yield Sql("SELECT target FROM aliases WHERE address = $1 ORDER BY target", address)
    return accounts, targets


def _folder(account: int, name: str) -> Unit[str]:
    # Never one with a special use: no stranger shall put mail among what somebody has sent, or straight into their trash.
    rows = yield Sql(
        "SELECT name FROM mailboxes WHERE account_id = $1 AND lower(name) = lower($2) AND special_use IS NULL"
        " ORDER BY name <> $2 LIMIT 1",
        account,
        name,
    )
    return str(rows[0][0]) if rows else INBOX


def domains() -> Unit[list[Domain]]:
    rows = yield Sql("SELECT name, disabled, catch_all FROM domains ORDER BY name")
    return [Domain(row[0], Disabled(row[1]) if row[1] else None, row[2]) for row in rows]


def aliases() -> Unit[list[Alias]]:
    rows = yield Sql("SELECT address, target FROM aliases ORDER BY address, target")
    by_address: dict[str, list[str]] = {}
    for address, target in rows:
        by_address.setdefault(address, []).append(target)
    return [Alias(address, tuple(targets)) for address, targets in by_address.items()]


def set_alias(address: str, targets: Sequence[str]) -> Unit[None]:
    yield Sql("DELETE FROM aliases WHERE address = $1", address)
    yield Many(
        "INSERT INTO aliases (address, target) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        [(address, target) for target in targets],
    )


def addresses() -> Unit[dict[str, str]]:
    """Every further address and whose it is, by login."""
    rows = yield Sql(
        "SELECT d.address, a.login FROM addresses d JOIN accounts a ON a.id = d.account_id ORDER BY d.address"
    )
    return dict(rows)


def add_address(account: AccountId, address: str) -> Unit[None]:
    """Raises `MailboxExists` where it is somebody's already, or an alias."""
    accounts, targets = yield from _at(address)
    if accounts or targets:
        raise MailboxExists("address exists")
    yield Sql("INSERT INTO addresses (address, account_id) VALUES ($1, $2)", address, account)


def remove_address(account: AccountId, address: str) -> Unit[None]:
    """Raises `NoSuchRecipient`."""
    rows = yield Sql("DELETE FROM addresses WHERE address = $1 AND account_id = $2 RETURNING address", address, account)
    if not rows:
        raise NoSuchRecipient("no such address")
