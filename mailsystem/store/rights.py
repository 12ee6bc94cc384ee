"""Rights on mailboxes: the units that ask, before an act and in its own transaction, whether somebody may.

A right belongs to the mailbox's number, so it outlives renaming and goes with the mailbox; it is held by an account's
number, so nobody inherits it by a login. The owner of a mailbox holds every right and costs no statement.

- Who lacks the right that an act needs is told `NotPermitted` where they may look the mailbox up (`l`), and
  `NoSuchMailbox` otherwise, exactly as for a name that nobody has (RFC 4314 6).
- Who works within a mailbox has selected it. Once they may not read it any more, it is gone for them, as if it were deleted.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import Any, Final, TypeVar

from mailsystem.mail.errors import NoSuchMailbox, NotPermitted, TooMany
from mailsystem.mail.mailbox import AccountId, Mailbox, MailboxId
from mailsystem.mail.rights import (
    ANYONE,
    EVERY,
    KNOWN,
    Entry,
    Identifier,
    Rights,
    combined,
    is_of_others,
    parted,
    seen_as,
    spelled,
)
from mailsystem.store import names
from mailsystem.store.database import Ring, Row, Sql, Unit
from mailsystem.store.rows import MAILBOX, mailbox_of

T = TypeVar("T")

EVERYBODY: Final = 0
"""The number that stands for `anyone`; accounts are numbered from 1."""
MOST_ENTRIES: Final = 1000
"""Entries on one mailbox."""

_THEIRS: Final = ", ".join(f"m.{column.strip()}" for column in MAILBOX.split(","))


def within(actor: AccountId | None, account: AccountId, mailbox: MailboxId, letters: str, unit: Unit[T]) -> Unit[T]:
    """Run the unit if `actor`, who is in that mailbox of `account`, may still read it and has all of these rights.

    None stands for the owner. Raises `NoSuchMailbox` and `NotPermitted`.
    """
    yield from held(actor, account, mailbox, letters)
    return (yield from unit)


def held(actor: AccountId | None, account: AccountId, mailbox: MailboxId, letters: str = "") -> Unit[Rights]:
    """All rights of `actor`, who is in that mailbox. Raises as `within` does."""
    if actor is None or actor == account:
        return EVERY
    rights = yield from _on(actor, account, mailbox)
    if "r" not in rights:
        raise NoSuchMailbox
    if not rights.issuperset(letters):
        raise NotPermitted
    return rights


def need(actor: AccountId, account: AccountId, mailbox: MailboxId, letters: str) -> Unit[None]:
    """`actor`, who is not in that mailbox, must have these rights on it. Raises `NoSuchMailbox` and `NotPermitted`."""
    if actor != account:
        rights = yield from _on(actor, account, mailbox)
        if not rights.issuperset(letters):
            raise NotPermitted if "l" in rights else NoSuchMailbox


def _on(actor: AccountId, account: AccountId, mailbox: MailboxId) -> Unit[Rights]:
    rows = yield Sql(
        f"SELECT negative, letters FROM rights WHERE account_id = $1 AND mailbox_id = $2 AND grantee IN ($3, {EVERYBODY})",  # noqa: S608
        account,
        mailbox,
        actor,
    )
    return combined_rows(rows)


def combined_rows(rows: Iterable[Row]) -> Rights:
    """What rows of (negative, letters) leave to whom all of them are about."""
    return combined((bool(negative), frozenset(letters)) for negative, letters in rows)


def found(actor: AccountId, name: str, letters: str = "") -> Unit[tuple[Mailbox, Rights]]:
    """The mailbox that `actor` calls so, and their rights on it, if they have all of these.

    Without `letters`, whoever may know of it finds it. Raises `NoSuchMailbox` and `NotPermitted`.
    """
    if not is_of_others(name):
        return (yield from names.find(actor, name)), EVERY
    parts = parted(name)
    if parts is None:
        raise NoSuchMailbox
    # One statement, whether there is such a mailbox or not: time tells nothing either.
    rows = yield Sql(
        f"SELECT {_THEIRS}, r.negative, r.letters FROM accounts a JOIN mailboxes m ON m.account_id = a.id"  # noqa: S608
        " JOIN rights r ON r.account_id = m.account_id AND r.mailbox_id = m.id"
        f" WHERE a.login = $1 AND m.name = $2 AND r.grantee IN ($3, {EVERYBODY}) AND a.id <> $3",
        *parts,
        actor,
    )
    rights = combined_rows(row[-2:] for row in rows)
    if not (rights.issuperset(letters) if letters else rights & KNOWN):
        raise NotPermitted if "l" in rights else NoSuchMailbox
    [*columns, _, _] = rows[0]
    return _seen(columns, parts[0]), rights


def _seen(columns: Sequence[Any], owner: str) -> Mailbox:
    mailbox = mailbox_of(tuple(columns))
    # What the owner uses it for is not what it is for others: nobody's client shall put its own mail there.
    return replace(mailbox, special_use=None, seen_as=seen_as(owner, mailbox.name))


def place(actor: AccountId, name: str, letters: str) -> Unit[tuple[AccountId, str, Rights]]:
    """Whose mailbox it is that `actor` calls so, and its owner's name for it; for one's own, nothing is looked up."""
    if not is_of_others(name):
        return actor, name, EVERY
    mailbox, rights = yield from found(actor, name, letters)
    return mailbox.account, mailbox.name, rights


def beyond(actor: AccountId, most: int) -> Sql:
    """A row if there are more entries for `actor` than that."""
    return Sql(f"SELECT 1 FROM rights WHERE grantee IN ($1, {EVERYBODY}) LIMIT 1 OFFSET $2", actor, most)  # noqa: S608


def shared_with(actor: AccountId) -> Unit[list[tuple[Mailbox, Rights]]]:
    """The mailboxes of others that `actor` may look up, and what they may do there: by owner and name, INBOX first."""
    rows = yield Sql(
        f"SELECT {_THEIRS}, a.login, r.negative, r.letters FROM rights r"  # noqa: S608
        " JOIN mailboxes m ON m.account_id = r.account_id AND m.id = r.mailbox_id JOIN accounts a ON a.id = r.account_id"
        f" WHERE r.grantee IN ($1, {EVERYBODY}) AND r.account_id <> $1 ORDER BY a.login, m.name <> 'INBOX', m.name",
        actor,
    )
    entries: dict[tuple[int, int], list[Row]] = {}
    for row in rows:
        entries.setdefault((row[0], row[1]), []).append(row)
    listed = []
    for same in entries.values():
        rights = combined_rows(row[-2:] for row in same)
        if "l" in rights:
            [*columns, login, _, _] = same[0]
            listed.append((_seen(columns, login), rights))
    return listed


def readable(actor: AccountId | None, mailboxes: Sequence[Mailbox]) -> Unit[Sequence[Mailbox]]:
    """Those that `actor` may read: one's own cost no statement, and all others one together."""
    if actor is None:
        return mailboxes
    there = yield from open_to(actor, [(mailbox.account, mailbox.id) for mailbox in mailboxes])
    return [mailbox for mailbox in mailboxes if (mailbox.account, mailbox.id) in there]


def open_to(
    actor: AccountId, places: Collection[tuple[AccountId, MailboxId]]
) -> Unit[set[tuple[AccountId, MailboxId]]]:
    """As `readable`, for mailboxes by account and number."""
    own = {place for place in places if place[0] == actor}
    if len(own) == len(places):
        return own
    rows = yield Sql(
        f"SELECT account_id, mailbox_id, negative, letters FROM rights WHERE grantee IN ($1, {EVERYBODY})",  # noqa: S608
        actor,
    )
    entries: dict[tuple[int, int], list[Row]] = {}
    for row in rows:
        entries.setdefault((row[0], row[1]), []).append(row[2:])
    return own | {place for place in places if "r" in combined_rows(entries.get(place, ()))}


def entries_of(mailbox: Mailbox) -> Unit[list[Entry]]:
    """The access control list: the owner, then everybody else by login, `anyone` last."""
    rows = yield Sql(
        "SELECT COALESCE(a.login, $3), r.negative, r.letters FROM rights r LEFT JOIN accounts a ON a.id = r.grantee"
        " WHERE r.account_id = $1 AND r.mailbox_id = $2 ORDER BY r.grantee = 0, a.login, r.negative",
        mailbox.account,
        mailbox.id,
        ANYONE,
    )
    [[owner]] = yield Sql("SELECT login FROM accounts WHERE id = $1", mailbox.account)
    entries = [Entry(Identifier(who, bool(negative)), frozenset(letters)) for who, negative, letters in rows]
    return [Entry(Identifier(owner), EVERY), *entries]


def given(owner: AccountId) -> Unit[list[tuple[str, Entry]]]:
    """All that the lists of an account's mailboxes say of others, by name and login, `anyone` last."""
    rows = yield Sql(
        "SELECT m.name, COALESCE(a.login, $2), r.negative, r.letters FROM rights r"
        " JOIN mailboxes m ON m.account_id = r.account_id AND m.id = r.mailbox_id LEFT JOIN accounts a ON a.id = r.grantee"
        " WHERE r.account_id = $1 ORDER BY m.name, r.grantee = 0, a.login, r.negative",
        owner,
        ANYONE,
    )
    return [(name, Entry(Identifier(who, bool(negative)), frozenset(letters))) for name, who, negative, letters in rows]


def grantee(mailbox: Mailbox, who: str) -> Unit[int | None]:
    """The number of whom an entry is about; None for the owner. Raises `NotPermitted` where nobody has that login."""
    if who == ANYONE:
        return EVERYBODY
    rows = yield Sql("SELECT id FROM accounts WHERE login = $1", who)
    if not rows:
        raise NotPermitted("nobody here has that login")
    [[number]] = rows
    return None if number == mailbox.account else int(number)


def change(mailbox: Mailbox, identifier: Identifier, rights: Rights, sign: str) -> Unit[None]:
    """Let an entry hold exactly these rights, these too (`+`) or no longer these (`-`); one without any is dropped.

    Raises `NotPermitted` where it is about the owner, who holds every right, or about nobody; `TooMany`.
    """
    number = yield from grantee(mailbox, identifier.who)
    if number is None:
        if identifier.negative or sign == "-" or (not sign and rights != EVERY):
            raise NotPermitted("the owner has every right")
        return
    rows = yield Sql(
        "SELECT letters FROM rights WHERE account_id = $1 AND mailbox_id = $2 AND grantee = $3 AND negative = $4",
        mailbox.account,
        mailbox.id,
        number,
        int(identifier.negative),
    )
    old: Rights = frozenset(rows[0][0]) if rows else frozenset()
    new = old | rights if sign == "+" else old - rights if sign == "-" else rights
    if not rows and new:
        [[count]] = yield Sql(
            "SELECT COUNT(*) FROM rights WHERE account_id = $1 AND mailbox_id = $2", mailbox.account, mailbox.id
        )
        if count >= MOST_ENTRIES:
            raise TooMany("too many entries")
    yield from _put(mailbox, number, identifier.negative, new)


def drop(mailbox: Mailbox, identifier: Identifier) -> Unit[None]:
    """Drop an entry, if it is there (RFC 4314 3.2). Raises `NotPermitted` where it is about the owner or about nobody."""
    number = yield from grantee(mailbox, identifier.who)
    if number is None:
        if identifier.negative:
            return
        raise NotPermitted("the owner has every right")
    yield from _put(mailbox, number, identifier.negative, frozenset())


def _put(mailbox: Mailbox, grantee: int, negative: bool, rights: Rights) -> Unit[None]:
    key = (mailbox.account, mailbox.id, grantee, int(negative))
    yield Sql("DELETE FROM rights WHERE account_id = $1 AND mailbox_id = $2 AND grantee = $3 AND negative = $4", *key)
    if rights:
        yield Sql(
            "INSERT INTO rights (account_id, mailbox_id, grantee, negative, letters) VALUES ($1, $2, $3, $4, $5)",
            *key,
            spelled(rights),
        )
    # Whoever is in it looks, and learns whether it is still there for them.
    yield Ring((mailbox.account, mailbox.id))
    if grantee != EVERYBODY:
        yield Ring((AccountId(grantee), MailboxId(0)))


def forget(account: AccountId) -> Unit[None]:
    """Drop all entries about an account that goes."""
    yield Sql("DELETE FROM rights WHERE grantee = $1", account)
