"""The maildrop and its lock (RFC 1939 3 and 8): a lease with a fencing token, so that it works across processes, and a
session that died locks nobody out for longer than the lease; one that died with its process, not at all."""

from __future__ import annotations

import asyncio
import secrets
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Final, NamedTuple

from mailsystem.mail.account import TooSoon
from mailsystem.mail.clock import Clock
from mailsystem.mail.errors import InUse, MailError, NoSuchMailbox, Unavailable
from mailsystem.mail.mailbox import AccountId, ContentId, Mailbox, MailboxId, MessageSet, Uid
from mailsystem.store import brief, choices, downloads, listing
from mailsystem.store import names as mailbox_names
from mailsystem.store.choices import Announced, Choices
from mailsystem.store.database import Database, Sql, Unit
from mailsystem.store.downloads import Handled
from mailsystem.store.holder import is_gone, this_process
from mailsystem.store.rows import Want

LEASE: Final = 60.0
"""Seconds that a lease lives without being renewed."""
_SOON: Final = 0.005
"""Seconds in which a lease is given back. Whoever comes by another process before that tries again anyhow."""
_FEW: Final = 500
"""Messages that are listed where we stand."""
_ROWS: Final = 256
_OCTETS: Final = 256 * 1024
_LOCKED: Final = "maildrop already locked"
_LOST: Final = "the maildrop lock was lost"


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to one account's maildrop for a while."""

    account: AccountId
    token: str
    expires: float
    held: bool = True
    """Unset where the disk took no lease: nobody is shut out by it, and it has to be taken before anything is changed."""


class Listed(NamedTuple):
    """As much of a message as a POP client is told before it has it."""

    uid: Uid
    size: int
    content: ContentId
    internaldate: float


@dataclass(frozen=True, slots=True)
class Folder:
    """One mailbox of a maildrop, and what is in it."""

    mailbox: Mailbox
    messages: Sequence[Listed]


@dataclass(frozen=True, slots=True)
class Maildrop:
    """What a POP session sees, from beginning to end."""

    mailbox: Mailbox
    """The first that is shown: INBOX, unless something else was chosen."""
    messages: Sequence[Listed]
    others: tuple[Folder, ...] = ()
    """Further ones that are shown, in their order."""
    choices: Choices = field(default_factory=Choices)
    names: Mapping[tuple[MailboxId, Uid], str] = field(default_factory=dict)
    """The unique-ids of those that were downloaded in another mailbox and moved since: they keep them."""

    @property
    def folders(self) -> tuple[Folder, ...]:
        return (Folder(self.mailbox, self.messages), *self.others)


class _Locked(InUse):
    """Somebody's lease lives, and this is whose."""

    def __init__(self, token: str, holder: str) -> None:
        super().__init__(_LOCKED)
        self.token = token
        self.holder = holder


class Maildrops:
    def __init__(self, database: Database, *, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._process = this_process()
        self._tokens = map(f"{secrets.token_hex(12)}.{{}}".format, count())
        """Nobody has to guess them, but no two sessions anywhere may have the same."""
        self._given_back: list[Lease] = []
        self._timer: asyncio.TimerHandle | None = None
        self._settling: asyncio.Task[None] | None = None

    async def acquire(self, account: AccountId, *, login_delay: int | None = 0) -> Lease:
        """Raises `InUse` while somebody else's lease lives, and `TooSoon` within `login_delay` seconds of the last time.

        What the account has chosen beats `login_delay`; but None is for a session that had the lease before, and never waits.
        """
        lease, _ = await self._open(account, login_delay, look=False)
        return lease

    async def open(self, account: AccountId, *, login_delay: int | None = 0) -> tuple[Lease, Maildrop | None]:
        """`acquire`, and the `listing` from the same transaction where it is short. Raises `NoSuchMailbox`, too."""
        return await self._open(account, login_delay, look=True)

    async def _open(self, account: AccountId, login_delay: int | None, *, look: bool) -> tuple[Lease, Maildrop | None]:
        try:
            return await self._acquire(account, login_delay, None, look)
        except _Locked as locked:
            if not await asyncio.to_thread(is_gone, locked.holder):
                raise InUse(_LOCKED) from None
            # Only from the dead: whoever was quicker than we are has another token.
            return await self._acquire(account, login_delay, locked.token, look)

    async def _acquire(
        self, account: AccountId, login_delay: int | None, dead: str | None, look: bool
    ) -> tuple[Lease, Maildrop | None]:
        now = self._clock.now()
        lease = Lease(account, next(self._tokens), now + LEASE)
        given_back, self._given_back = self._given_back, []

        def unit() -> Unit[Maildrop | None]:
            yield from _release_all(given_back)
            yield from _acquire(lease, self._process, login_delay, dead, now)
            try:
                return (yield from _listing(account, None, most=_FEW)) if look else None
            except brief.NotBrief:
                return None

        try:
            found = await self._database.write(unit(), durable=False, brief=True)
        except MailError as error:
            self._give_back(given_back)
            if not isinstance(error, Unavailable):
                raise
            # A full disk keeps nobody from reading. Two who read at once do no harm: nothing is deleted without the lease.
            await self._database.read(_free(account, dead, now), brief=True)
            return Lease(account, lease.token, lease.expires, held=False), None
        return lease, found

    async def renew(self, lease: Lease) -> Lease:
        """Raises `InUse` if it was lost meanwhile."""
        now = self._clock.now()
        later = Lease(lease.account, lease.token, now + LEASE)
        taking = _renew(later) if lease.held else _acquire(later, self._process, None, None, now)
        await self._database.write(taking, durable=False, brief=True)
        return later

    def give_back(self, lease: Lease) -> None:
        """`release` it, but in a moment, or together with the next that is taken here: nobody has to wait for it."""
        if lease.held:
            self._give_back([lease])

    def _give_back(self, leases: Sequence[Lease]) -> None:
        self._given_back += leases
        if leases and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_SOON, self._settle_soon)

    def _settle_soon(self) -> None:
        self._timer = None
        if self._given_back:
            self._settling = asyncio.get_running_loop().create_task(self._settle_if_possible())

    async def _settle_if_possible(self) -> None:
        with suppress(Unavailable):  # a full disk: they end by themselves
            await self.settle()

    async def settle(self) -> None:
        """Write down what was given back. Raises `Unavailable`."""
        given_back, self._given_back = self._given_back, []
        if given_back:
            await self._database.write(_release_all(given_back), durable=False, brief=True)

    async def release(self, lease: Lease, *, undone: bool = False) -> None:
        """Give it back; with `undone` nobody did log in, and the next login need not wait because of it."""
        if lease.held:
            await self._database.write(_release(lease, undone), durable=False, brief=True)

    async def listing(self, account: AccountId) -> Maildrop:
        """The mailboxes that are shown as they are now, from one snapshot. Raises `NoSuchMailbox`."""
        return await self._listing(account)

    async def listing_of(self, account: AccountId, name: str) -> Maildrop:
        """The same of one mailbox, whatever is shown. Raises `NoSuchMailbox`."""
        return await self._listing(account, name)

    async def _listing(self, account: AccountId, name: str | None = None) -> Maildrop:
        return await brief.read(self._database, lambda few: _listing(account, name, most=_FEW if few else sys.maxsize))

    async def read(
        self, account: AccountId, mailbox: MailboxId, uids: MessageSet, *, small: bool = False
    ) -> Sequence[tuple[Uid, bytes]]:
        """Messages whole, as far as they are kept in the database: those that are there, up to about 256 KiB together.

        If they are few and `small`, that is done at once.
        """
        unit = listing.fetched(account, mailbox, uids, Want.RAW, _ROWS, _OCTETS)
        found, _ = await self._database.read(unit, brief=small)
        return [(one.message.uid, one.raw) for one in found if one.raw is not None]

    async def update(self, lease: Lease, mailbox: MailboxId, uids: MessageSet) -> int:
        """`finish`, where one mailbox is all there is; returns how many messages went."""
        return len(await self.finish(lease, [Handled(mailbox, uids)]))

    async def finish(self, lease: Lease, handled: Sequence[Handled]) -> Sequence[ContentId]:
        """QUIT: do with what was deleted and downloaded as the account has chosen, and give the lease back, in one
        transaction; returns the messages that went. Raises `InUse`, and changes nothing, if the lease was lost.

        Where there is nothing to do, it is given back and no more.
        """
        if not any(one.deleted or one.downloaded for one in handled):
            await self.release(lease)
            return []
        return await self._database.write(_finish(lease, handled, self._clock.now()))

    async def expire(self) -> Sequence[tuple[AccountId, ContentId]]:
        """Remove what was downloaded and has stayed as long as its account keeps it; returns whose messages went, and which."""
        gone: list[tuple[AccountId, ContentId]] = []
        while True:
            some, more = await self._database.write(downloads.expire(self._clock.now()))
            gone += some
            if not more:
                return gone

    # What an account has chosen

    async def choices(self, account: AccountId) -> Choices:
        """Raises `NoSuchMailbox`."""
        return (await self._database.read(choices.shown(account)))[0]

    async def choose(self, account: AccountId, wanted: Choices) -> None:
        """It counts from the next login on. Raises `NoSuchMailbox`."""
        await self._database.write(choices.choose(account, wanted))

    async def everybodys_choices(self) -> dict[AccountId, Choices]:
        """Of those who made any."""
        return await self._database.read(choices.everybody())

    async def announced(self) -> Announced:
        """What may be said to somebody who has not logged in."""
        return await self._database.read(choices.announced())


def _acquire(lease: Lease, holder: str, delay: int | None, dead: str | None, now: float) -> Unit[None]:
    """Take the lease, unless it lives (and is not that of the dead) or the last login is too recent.

    The row stays behind when the lease is given back, and knows when that was. No delay is for who has logged in already.
    """
    rows = yield Sql(
        "INSERT INTO leases (account_id, token, expires, holder, acquired) VALUES ($1, $2, $3, $4, $5)"
        " ON CONFLICT (account_id) DO UPDATE SET token = excluded.token, expires = excluded.expires,"
        " holder = excluded.holder, acquired = excluded.acquired WHERE (leases.expires < $5 OR leases.token = $6)"
        " AND ($7 < 0 OR leases.acquired > $5 OR"
        " leases.acquired + COALESCE((SELECT pop_login_delay FROM accounts WHERE id = $1), $7) <= $5) RETURNING token",
        lease.account,
        lease.token,
        lease.expires,
        holder,
        now,
        dead or "",
        -1 if delay is None else delay,
    )
    if not rows:
        yield from _free(lease.account, dead, now)
        raise TooSoon("this maildrop was opened a moment ago, come again later")


def _free(account: AccountId, dead: str | None, now: float) -> Unit[None]:
    """Raises `InUse` while the lease lives."""
    rows = yield Sql(
        "SELECT token, holder FROM leases WHERE account_id = $1 AND expires >= $2 AND token <> $3",
        account,
        now,
        dead or "",
    )
    for token, holder in rows:
        raise _Locked(token, holder)


def _renew(later: Lease) -> Unit[None]:
    # An expired lease that nobody took may be renewed: it was ours all the time.
    rows = yield Sql(
        "UPDATE leases SET expires = $3 WHERE account_id = $1 AND token = $2 RETURNING token",
        later.account,
        later.token,
        later.expires,
    )
    if not rows:
        raise InUse(_LOST)


def _release(lease: Lease, undone: bool) -> Unit[bool]:
    """Whether it was ours to give."""
    rows = yield Sql(
        f"UPDATE leases SET token = '', expires = 0, holder = ''{', acquired = 0' if undone else ''}"  # noqa: S608
        " WHERE account_id = $1 AND token = $2 RETURNING account_id",
        lease.account,
        lease.token,
    )
    return bool(rows)


def _release_all(leases: Sequence[Lease]) -> Unit[None]:
    for lease in leases:
        yield from _release(lease, False)


def _listing(account: AccountId, name: str | None, *, most: int) -> Unit[Maildrop]:
    """Raises `NotBrief` where there are not fewer messages than `most`."""
    chosen, mailboxes = yield from choices.shown(account)
    if name is not None:
        mailboxes = [(yield from mailbox_names.find(account, name))]
    folders = []
    for mailbox in mailboxes:
        rows = yield Sql(
            "SELECT uid, size, content_id, internaldate FROM messages WHERE account_id = $1 AND mailbox_id = $2"
            " ORDER BY uid LIMIT $3",
            account,
            mailbox.id,
            most,
        )
        most -= len(rows)
        if most <= 0:
            raise brief.NotBrief
        folders.append(Folder(mailbox, [*map(Listed._make, rows)]))
    names = (yield from _names(account, folders)) if chosen.notes_downloads else {}
    first, *others = folders
    return Maildrop(first.mailbox, first.messages, tuple(others), chosen, names)


def _names(account: AccountId, folders: Sequence[Folder]) -> Unit[dict[tuple[MailboxId, Uid], str]]:
    left = yield from downloads.inherited(account)
    names: dict[tuple[MailboxId, Uid], str] = {}
    for folder in folders if left else ():
        for message in folder.messages:
            if heritage := left.get(message.content):
                names[folder.mailbox.id, message.uid] = heritage.pop()
    return names


def _finish(lease: Lease, handled: Sequence[Handled], now: float) -> Unit[list[ContentId]]:
    if not lease.held:
        yield from _acquire(lease, "", None, None, now)
    if not (yield from _release(lease, False)):
        raise InUse(_LOST)
    try:
        chosen, _ = yield from choices.shown(lease.account)
    except NoSuchMailbox:
        raise InUse(_LOST) from None  # the account is gone, and its maildrop with it
    return (yield from downloads.settle(lease.account, chosen, handled, now))
