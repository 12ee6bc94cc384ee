"""Annotations (RFC 5464): what clients note on mailboxes, and on the server for themselves. Names of entries are in lower case.

What was deleted leaves a trace behind for a while, so that others can be told that it is gone.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final, TypeAlias

from mailsystem.mail.errors import NotPermitted, TooLarge, TooMany
from mailsystem.mail.mailbox import AccountId, Mailbox, MailboxId, ModSeq
from mailsystem.store import messages, names, rights
from mailsystem.store.database import Database, Many, Ring, Sql, Unit

Place: TypeAlias = tuple[AccountId, MailboxId]
"""A mailbox, or with the number 0 the server as one account sees it."""

SPECIAL_USE: Final = "/private/specialuse"
"""Kept with the mailbox itself."""
LONGEST_VALUE: Final = 65_536
MOST_ENTRIES: Final = 200
"""For each mailbox and reader."""
MOST_OCTETS: Final = 16 << 20
"""What one reader may keep in the mailboxes of one account."""

_SHARED: Final = AccountId(0)


class ValueTooLong(TooLarge):
    """An annotation of more than `LONGEST_VALUE` octets."""

    text = "value too long"


class TooManyEntries(TooMany):
    """More annotations than may be kept."""

    text = "too many annotations"


def server(account: AccountId) -> Place:
    """Where the annotations are that an account makes on the server."""
    return account, MailboxId(0)


class Metadata:
    """Those below `/private` are seen by the `reader` alone who made them, those below `/shared` by all who see the mailbox."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read(
        self, reader: AccountId, places: Sequence[Place], entries: Collection[str] | None = None
    ) -> dict[Place, dict[str, bytes]]:
        """The annotations of all these places, of those names if they are given; none where `reader` may not read."""
        return await self._database.read(_read(reader, places, entries))

    async def readable(self, reader: AccountId, mailboxes: Sequence[Mailbox]) -> Sequence[Mailbox]:
        """Those whose annotations `reader` may read."""
        return await self._database.read(rights.readable(reader, mailboxes))

    async def write(self, reader: AccountId, place: Place, values: Mapping[str, bytes | None]) -> list[str]:
        """Set annotations, or delete those that are None: all or none of them.

        `SPECIAL_USE` says what a mailbox is for (RFC 6154 4): another one that was for that is not any more. Returns the names
        of those others. Raises `NoSuchMailbox`, `NotPermitted`, `ValueTooLong`,
        `TooManyEntries`, `BadUse`.
        """
        if any(len(value) > LONGEST_VALUE for value in values.values() if value is not None):
            raise ValueTooLong
        weight = sum(len(value) for value in values.values() if value is not None)
        return await self._database.write(_write(reader, place, values), weight=weight)

    async def changes(
        self, reader: AccountId, account: AccountId, since: ModSeq | None
    ) -> tuple[ModSeq, dict[Place, list[str]]]:
        """Which entries in one account were set or deleted after `since` (None: none), and from where to ask again.

        What `reader` may not read is left out.
        """
        return await self._database.read(_changes(reader, account, since))


def _reader(entry: str, reader: AccountId) -> AccountId:
    return reader if entry.startswith("/private") else _SHARED


def _read(
    reader: AccountId, places: Sequence[Place], entries: Collection[str] | None
) -> Unit[dict[Place, dict[str, bytes]]]:
    found: dict[Place, dict[str, bytes]] = {place: {} for place in places}
    places = list((yield from rights.open_to(reader, found)))
    for account in dict.fromkeys(account for account, _ in places):
        numbers = [number for owner, number in places if owner == account]
        if entries is None:
            rows = yield Sql(
                "SELECT mailbox_id, entry, value FROM annotations WHERE account_id = $1 AND mailbox_id IN LIST $2"
                " AND reader_id IN (0, $3) AND value IS NOT NULL ORDER BY mailbox_id, entry",
                account,
                numbers,
                reader,
            )
        else:
            rows = yield Sql(
                "SELECT mailbox_id, entry, value FROM annotations WHERE account_id = $1 AND mailbox_id IN LIST $2"
                " AND reader_id IN (0, $3) AND entry IN LIST $4 AND value IS NOT NULL ORDER BY mailbox_id, entry",
                account,
                numbers,
                reader,
                list(entries),
            )
        for number, entry, value in rows:
            found[account, number][entry] = value
    return found


def _write(reader: AccountId, place: Place, values: Mapping[str, bytes | None]) -> Unit[list[str]]:
    account, mailbox = place
    others: list[str] = []
    if mailbox and SPECIAL_USE in values:
        if reader != account:
            raise NotPermitted("it is for its owner to say what it is for")
        use = values[SPECIAL_USE]
        others = yield from names.set_use(account, mailbox, None if use is None else use.decode("utf-8", "replace"))
        values = {entry: value for entry, value in values.items() if entry != SPECIAL_USE}
    if mailbox:
        shared = any(_reader(entry, reader) == _SHARED for entry in values)
        yield from rights.need(reader, account, mailbox, "rw" if shared else "r")  # RFC 5464 3.3
    modseq = yield from messages.next_modseq(account)
    if mailbox:
        yield from messages.touch(account, mailbox, modseq)  # RFC 7162 3.2: an annotation is a change of its mailbox
    yield Many(
        "INSERT INTO annotations (account_id, mailbox_id, reader_id, entry, value, modseq) VALUES ($1, $2, $3, $4, $5, $6)"
        " ON CONFLICT (account_id, mailbox_id, reader_id, entry) DO UPDATE SET value = $5, modseq = $6",
        [(account, mailbox, _reader(entry, reader), entry, value, modseq) for entry, value in values.items()],
    )
    for whose in {_reader(entry, reader) for entry in values}:
        [[kept, traces]] = yield Sql(
            "SELECT COUNT(value), COUNT(*) - COUNT(value) FROM annotations"
            " WHERE account_id = $1 AND mailbox_id = $2 AND reader_id = $3",
            account,
            mailbox,
            whose,
        )
        [[octets]] = yield Sql(
            "SELECT COALESCE(SUM(LENGTH(value)), 0) FROM annotations WHERE account_id = $1 AND reader_id = $2",
            account,
            whose,
        )
        if any(values.values()) and (kept > MOST_ENTRIES or octets > MOST_OCTETS):
            raise TooManyEntries
        if traces > MOST_ENTRIES:
            # Who has not looked since then will not hear that these are gone.
            yield Sql(
                "DELETE FROM annotations WHERE account_id = $1 AND mailbox_id = $2 AND reader_id = $3"
                " AND value IS NULL AND modseq < $4",
                account,
                mailbox,
                whose,
                modseq,
            )
    yield Ring((account, MailboxId(0)))
    return others


def _changes(
    reader: AccountId, account: AccountId, since: ModSeq | None
) -> Unit[tuple[ModSeq, dict[Place, list[str]]]]:
    [[now]] = yield Sql(
        "SELECT COALESCE(MAX(modseq), 0) FROM annotations WHERE account_id = $1 AND reader_id IN (0, $2)",
        account,
        reader,
    )
    changed: dict[Place, list[str]] = {}
    if since is not None and now > since:
        rows = yield Sql(
            "SELECT mailbox_id, entry FROM annotations WHERE account_id = $1 AND reader_id IN (0, $2) AND modseq > $3"
            " ORDER BY mailbox_id, entry",
            account,
            reader,
            since,
        )
        for mailbox, entry in rows:
            changed.setdefault((account, mailbox), []).append(entry)
    readable = yield from rights.open_to(reader, changed)
    return ModSeq(max(now, since or 0)), {place: entries for place, entries in changed.items() if place in readable}
