"""How much each account sends to other servers: caps that contain what a stolen password can do.

A day is one of UTC. A stranger is somebody to whom the account has never written: its owner has few of them on any day, and
who sends spam in its name has nothing else.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from mailsystem.mail.clock import Clock
from mailsystem.mail.errors import NoSuchRecipient, TooMany
from mailsystem.mail.mailbox import AccountId
from mailsystem.store.database import Database, Many, Sql, Unit

KEPT: Final = 31
"""Days of which the counts are kept."""
_DAY: Final = 86_400


@dataclass(frozen=True, slots=True)
class Caps:
    """Per account and day; 0 is no limit."""

    recipients: int = 0
    strangers: int = 0
    """Those to whom it has never written before."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What an account has sent today, and what is set for it."""

    recipients: int
    strangers: int
    own_recipients: int | None = None
    """A cap of its own, in the place of everybody's; 0 is no limit, None is none of its own."""
    own_strangers: int | None = None

    def caps(self, common: Caps) -> Caps:
        """Those that count for this account."""
        return Caps(
            common.recipients if self.own_recipients is None else self.own_recipients,
            common.strangers if self.own_strangers is None else self.own_strangers,
        )


class Sending:
    def __init__(self, database: Database, *, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def room(self, account: AccountId, addresses: Collection[str], caps: Caps) -> None:
        """Raises `TooMany` where a message to all of these (`Address.key`) would be refused; nothing is counted."""
        await self._database.read(_room(account, addresses, self._clock.now(), caps))

    async def count(self, account: AccountId, addresses: Collection[str], caps: Caps) -> None:
        """The unit of that name alone. Raises `TooMany`."""
        await self._database.write(count(account, addresses, self._clock.now(), caps))

    async def standing(self, account: AccountId) -> Standing:
        """Raises `NoSuchRecipient`."""
        return await self._database.read(_standing(account, self._clock.now()))

    async def set_caps(self, account: AccountId, *, recipients: int | None, strangers: int | None) -> None:
        """Caps of this account's own; 0 is no limit, None counts as for everybody."""
        await self._database.write(_set_caps(account, recipients, strangers))


def count(account: AccountId, addresses: Collection[str], now: float, caps: Caps) -> Unit[None]:
    """These addresses are written to. Raises `TooMany`.

    They are counted where there is no cap, too: whoever sets one later shall not find everybody a stranger.
    """
    if not addresses:
        return
    standing, strangers = yield from _room(account, addresses, now, caps, exactly=True)
    day = int(now // _DAY)
    yield Many(
        "INSERT INTO correspondents (account_id, address, first) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        [(account, address, now) for address in sorted(strangers)],
    )
    if not standing.recipients:
        yield Sql("DELETE FROM sent WHERE account_id = $1 AND day <= $2", account, day - KEPT)
    yield Sql(
        "INSERT INTO sent (account_id, day, recipients, strangers) VALUES ($1, $2, $3, $4)"
        " ON CONFLICT (account_id, day) DO UPDATE SET recipients = sent.recipients + excluded.recipients,"
        " strangers = sent.strangers + excluded.strangers",
        account,
        day,
        len(set(addresses)),
        len(strangers),
    )


def _room(
    account: AccountId, addresses: Collection[str], now: float, caps: Caps, *, exactly: bool = False
) -> Unit[tuple[Standing, set[str]]]:
    """What has been sent today, and which of these are strangers: for certain, if that shall be `exactly` so."""
    standing = yield from _standing(account, now)
    most = standing.caps(caps)
    strangers = set(addresses)
    if most.recipients and standing.recipients + len(strangers) > most.recipients:
        raise TooMany(
            f"you may write to {_people(most.recipients)} on other servers in a day; try again tomorrow (UTC)"
        )
    # Where there would be room were they all strangers, nobody needs to know who is.
    full = bool(most.strangers) and standing.strangers + len(strangers) > most.strangers
    if exactly or full:
        known = yield Sql(
            "SELECT address FROM correspondents WHERE account_id = $1 AND address IN LIST $2",
            account,
            sorted(strangers),
        )
        strangers.difference_update(row[0] for row in known)
    if most.strangers and strangers and standing.strangers + len(strangers) > most.strangers:
        raise TooMany(
            f"you may write to {_people(most.strangers)} in a day to whom you have never written;"
            " try again tomorrow (UTC)"
        )
    return standing, strangers


def _standing(account: AccountId, now: float) -> Unit[Standing]:
    rows = yield Sql(
        "SELECT COALESCE(s.recipients, 0), COALESCE(s.strangers, 0), a.recipients_per_day, a.strangers_per_day"
        " FROM accounts a LEFT JOIN sent s ON s.account_id = a.id AND s.day = $2 WHERE a.id = $1",
        account,
        int(now // _DAY),
    )
    if not rows:
        raise NoSuchRecipient("no such account")
    return Standing(*rows[0])


def _set_caps(account: AccountId, recipients: int | None, strangers: int | None) -> Unit[None]:
    yield Sql(
        "UPDATE accounts SET recipients_per_day = $2, strangers_per_day = $3 WHERE id = $1",
        account,
        recipients,
        strangers,
    )


def _people(number: int) -> str:
    return "1 person" if number == 1 else f"{number} people"
