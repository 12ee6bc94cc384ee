"""The maildrop and its lock (RFC 1939 3 and 8): a lease with a fencing token, so that it works across processes, and a
session that died locks nobody out for longer than the lease."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Final

from mailsystem.mail.clock import Clock
from mailsystem.mail.errors import InUse
from mailsystem.mail.mailbox import INBOX, AccountId, Mailbox, MailboxId, Message, MessageSet
from mailsystem.store import listing, messages, names
from mailsystem.store.database import Database, Sql, Unit

LEASE: Final = 60.0
"""Seconds that a lease lives without being renewed."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to one account's maildrop for a while."""

    account: AccountId
    token: str
    expires: float


@dataclass(frozen=True, slots=True)
class Maildrop:
    """What a POP3 session sees, from beginning to end."""

    mailbox: Mailbox
    messages: list[Message]


class Maildrops:
    def __init__(self, database: Database, *, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def acquire(self, account: AccountId) -> Lease:
        """Raises `InUse` while somebody else's lease lives."""
        return await self._database.write(_acquire(account, self._clock.now()), durable=False)

    async def renew(self, lease: Lease) -> Lease:
        """Raises `InUse` if it was lost meanwhile."""
        return await self._database.write(_renew(lease, self._clock.now()), durable=False)

    async def release(self, lease: Lease) -> None:
        await self._database.write(_release(lease), durable=False)

    async def listing(self, account: AccountId) -> Maildrop:
        """INBOX as it is now. Raises `NoSuchMailbox`."""
        return await self._database.read(_listing(account))

    async def update(self, lease: Lease, mailbox: MailboxId, uids: MessageSet) -> None:
        """QUIT: remove these and give the lease back, in one transaction. Raises `InUse`, and removes nothing, if lost."""
        await self._database.write(_update(lease, mailbox, uids, self._clock.now()), durable=bool(uids))


def _acquire(account: AccountId, now: float) -> Unit[Lease]:
    lease = Lease(account, secrets.token_hex(16), now + LEASE)
    rows = yield Sql(
        "INSERT INTO leases (account_id, token, expires) VALUES ($1, $2, $3) ON CONFLICT (account_id) DO UPDATE"
        " SET token = excluded.token, expires = excluded.expires WHERE leases.expires < $4 RETURNING token",
        account,
        lease.token,
        lease.expires,
        now,
    )
    if not rows:
        raise InUse("maildrop already locked")
    return lease


def _renew(lease: Lease, now: float) -> Unit[Lease]:
    # An expired lease that nobody took may be renewed: it was ours all the time.
    rows = yield Sql(
        "UPDATE leases SET expires = $3 WHERE account_id = $1 AND token = $2 RETURNING token",
        lease.account,
        lease.token,
        now + LEASE,
    )
    if not rows:
        raise InUse("the maildrop lock was lost")
    return Lease(lease.account, lease.token, now + LEASE)


def _release(lease: Lease) -> Unit[None]:
    yield Sql("DELETE FROM leases WHERE account_id = $1 AND token = $2", lease.account, lease.token)


def _listing(account: AccountId) -> Unit[Maildrop]:
    mailbox = yield from names.find(account, INBOX)
    found = yield from listing.listing(account, mailbox.id, MessageSet(((1, 0xFFFFFFFF),)))
    return Maildrop(mailbox, found)


def _update(lease: Lease, mailbox: MailboxId, uids: MessageSet, now: float) -> Unit[None]:
    rows = yield Sql(
        "DELETE FROM leases WHERE account_id = $1 AND token = $2 RETURNING token", lease.account, lease.token
    )
    if not rows:
        raise InUse("the maildrop lock was lost")
    if uids:
        yield from messages.expunge(lease.account, mailbox, uids, now, marked=False)
