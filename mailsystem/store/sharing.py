"""Sharing: who may do what with a mailbox. Names are those that the account knows which acts.

Each call is one unit, so that a right which is taken away meanwhile is not there for the act (RFC 4314).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from mailsystem.mail.errors import NotPermitted
from mailsystem.mail.mailbox import DELIMITER, INBOX, AccountId, ContentId, Mailbox
from mailsystem.mail.rights import EVERY, Entry, Identifier, Rights, is_of_others, parted, seen_as
from mailsystem.store import names, rights
from mailsystem.store.database import Database, Sql, Unit
from mailsystem.store.rows import Copied

Sign = Literal["", "+", "-"]


class Sharing:
    """The access control lists of all mailboxes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def rights(self, actor: AccountId, name: str) -> tuple[Mailbox, Rights]:
        """What `actor` may do there (MYRIGHTS). Raises `NoSuchMailbox`."""
        return await self._database.read(rights.found(actor, name))

    async def entries(self, actor: AccountId, name: str) -> tuple[Mailbox, Sequence[Entry]]:
        """The whole list, its owner first (GETACL). Raises `NoSuchMailbox`, and `NotPermitted` without `a`."""

        def unit() -> Unit[tuple[Mailbox, list[Entry]]]:
            mailbox, _ = yield from rights.found(actor, name, "a")
            return mailbox, (yield from rights.entries_of(mailbox))

        return await self._database.read(unit())

    async def given(self, owner: AccountId) -> Sequence[tuple[str, Entry]]:
        """Everything that an account's own lists say of others, by mailbox."""
        return await self._database.read(rights.given(owner))

    async def grantable(self, actor: AccountId, name: str, who: Identifier) -> tuple[Mailbox, Rights]:
        """The rights that somebody always has there; all others can be granted to them, each alone (LISTRIGHTS).

        Raises `NoSuchMailbox`, and `NotPermitted` without `a` or where nobody has that login.
        """

        def unit() -> Unit[tuple[Mailbox, Rights]]:
            mailbox, _ = yield from rights.found(actor, name, "a")
            number = yield from rights.grantee(mailbox, who.who)
            return mailbox, EVERY if number is None and not who.negative else frozenset()

        return await self._database.read(unit())

    async def change(self, actor: AccountId, name: str, who: Identifier, letters: Rights, sign: Sign = "") -> Mailbox:
        """Let somebody have exactly these rights, these too (`+`), or no longer these (`-`); SETACL.

        Raises `NoSuchMailbox`, `TooMany`, and `NotPermitted` without `a`, for the owner, or where nobody has that login.
        """

        def unit() -> Unit[Mailbox]:
            mailbox, _ = yield from rights.found(actor, name, "a")
            yield from rights.change(mailbox, who, letters, sign)
            return mailbox

        return await self._database.write(unit())

    async def drop(self, actor: AccountId, name: str, who: Identifier) -> Mailbox:
        """Drop an entry, be it there or not (DELETEACL). Raises as `change` does."""

        def unit() -> Unit[Mailbox]:
            mailbox, _ = yield from rights.found(actor, name, "a")
            yield from rights.drop(mailbox, who)
            return mailbox

        return await self._database.write(unit())


def create(actor: AccountId, name: str, special_use: str | None, now: float) -> Unit[Mailbox]:
    """`names.create`, for others where they have `k` on the nearest mailbox above it (RFC 4314 4).

    Without it the answer is the same, whether the name, those above it or their owner exist.
    """
    if not is_of_others(name):
        return (yield from names.create(actor, name, special_use, now))
    login, owner, own = yield from _below(actor, name)
    if special_use is not None:
        raise NotPermitted("only the owner gives a mailbox its use")
    made = yield from names.create(owner, own, None, now)
    return replace(made, seen_as=seen_as(login, made.name))


def delete(actor: AccountId, name: str, now: float) -> Unit[list[ContentId]]:
    """`names.delete`, for others where they have `x`."""
    account, own, _ = yield from rights.place(actor, name, "x")
    return (yield from names.delete(account, own, now))


def rename(actor: AccountId, old: str, new: str, now: float) -> Unit[Copied | None]:
    """`names.rename`, for others where they have `x` on it and `k` on the nearest above the new name (RFC 4314 4).

    A mailbox stays with its owner, and so does INBOX with what is in it.
    """
    if not is_of_others(old):
        return (yield from names.rename(actor, old, new, now))
    mailbox, _ = yield from rights.found(actor, old, "x")
    if mailbox.name == INBOX:
        raise NotPermitted("INBOX stays")
    if not is_of_others(new):
        raise NotPermitted("a mailbox stays with its owner")
    _, owner, own = yield from _below(actor, new)
    if owner != mailbox.account:
        raise NotPermitted("a mailbox stays with its owner")
    return (yield from names.rename(owner, mailbox.name, own, now))


def _below(actor: AccountId, name: str) -> Unit[tuple[str, AccountId, str]]:
    """Login and number of the owner, and their own name for a mailbox that `actor` may make. Raises `NotPermitted`."""
    parts = parted(name)
    if parts is None:
        raise NotPermitted
    login, own = parts[0], names.checked(parts[1])
    levels = own.split(DELIMITER)
    rows = yield Sql(
        "SELECT m.account_id, m.name, r.negative, r.letters FROM accounts a JOIN mailboxes m ON m.account_id = a.id"  # noqa: S608
        " LEFT JOIN rights r ON r.account_id = m.account_id AND r.mailbox_id = m.id"
        f" AND r.grantee IN ($3, {rights.EVERYBODY}) WHERE a.login = $1 AND a.id <> $3 AND m.name IN LIST $2",
        login,
        [DELIMITER.join(levels[:depth]) for depth in range(1, len(levels))],
        actor,
    )
    nearest = max((row[1] for row in rows), key=len, default=None)
    have = rights.combined_rows(row[2:] for row in rows if row[1] == nearest and row[3] is not None)
    if "k" not in have:
        raise NotPermitted
    return login, AccountId(rows[0][0]), own
