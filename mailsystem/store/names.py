"""The names of an account's mailboxes: the units that list, make, drop and rename them."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Final

from mailsystem.mail.errors import MailboxExists, NoSuchMailbox, NotPermitted, Rejected, SyntaxFault, TooMany
from mailsystem.mail.mailbox import (
    DELIMITER,
    INBOX,
    SPECIAL_USES,
    AccountId,
    ContentId,
    Mailbox,
    MailboxId,
    MessageSet,
)
from mailsystem.mail.rights import is_of_others
from mailsystem.store import contents, messages
from mailsystem.store.database import Many, Ring, Row, Sql, Unit
from mailsystem.store.rows import MAILBOX, Copied, mailbox_of

MOST_OCTETS: Final = 1000
MOST_LEVELS: Final = 50
MOST_MAILBOXES: Final = 10_000
MOST_SUBSCRIPTIONS: Final = 20_000
"""They may be to names that nobody has, and to other people's mailboxes."""

_USES: Final = {use.lower(): use for use in (*SPECIAL_USES.values(), "\\Important")}
"""What a mailbox can be for; `\\All` and `\\Flagged` would be views of others, which we have not."""


class BadUse(Rejected):
    """That special use is unknown, or another mailbox has it (RFC 6154 3)."""

    text = "no such special use"


def checked(name: str) -> str:
    """A name we would keep: INBOX in capitals, no empty level, no control characters, bounded. Raises `SyntaxFault`."""
    levels = name.split(DELIMITER)
    if levels[0].upper() == INBOX:
        levels[0] = INBOX
    if not all(levels):
        raise SyntaxFault("a mailbox name has an empty level")
    if len(levels) > MOST_LEVELS or len(name.encode("utf-8", "surrogatepass")) > MOST_OCTETS:
        raise SyntaxFault("mailbox name too long")
    if any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 or 0xD800 <= ord(c) < 0xE000 or c in "\u2028\u2029" for c in name):
        raise SyntaxFault("a mailbox name has a control character")
    return DELIMITER.join(levels)


def own(name: str) -> str:
    """`checked`, and not a name where the mailboxes of others are seen. Raises `SyntaxFault`, `NotPermitted`."""
    if is_of_others(name):
        raise NotPermitted("other people's mailboxes are seen there")
    return checked(name)


def all_of(account: AccountId) -> Unit[list[Mailbox]]:
    """Every mailbox by name, INBOX first."""
    rows = yield Sql(f"SELECT {MAILBOX} FROM mailboxes WHERE account_id = $1 ORDER BY name <> $2, name", account, INBOX)  # noqa: S608
    return [mailbox_of(row) for row in rows]


def named(account: AccountId, names: Sequence[str]) -> Unit[tuple[list[Mailbox], set[str]]]:
    """The mailboxes with one of these names, and those of the names that have others below them, whether they exist or not."""
    rows = yield Sql(
        f"SELECT {MAILBOX} FROM LIST $2 AS w CROSS JOIN mailboxes m WHERE m.account_id = $1 AND m.name = w.value",  # noqa: S608
        account,
        list(names),
    )
    # The names below one stand side by side in the key.
    above = yield Sql(
        "SELECT w.value FROM LIST $2 AS w WHERE EXISTS (SELECT 1 FROM mailboxes m"
        " WHERE m.account_id = $1 AND m.name > w.value || '/' AND m.name < w.value || '0')",
        account,
        list(names),
    )
    return [mailbox_of(row) for row in rows], {row[0] for row in above}


def beyond(account: AccountId, most: int) -> Sql:
    """A row if there are more mailboxes than that."""
    return Sql("SELECT 1 FROM mailboxes WHERE account_id = $1 LIMIT 1 OFFSET $2", account, most)


def find(account: AccountId, name: str) -> Unit[Mailbox]:
    """Raises `NoSuchMailbox`."""
    rows = yield from _rows(account, name)
    if not rows:
        raise NoSuchMailbox
    return mailbox_of(rows[0])


def _rows(account: AccountId, name: str) -> Unit[list[Row]]:
    return (yield Sql(f"SELECT {MAILBOX} FROM mailboxes WHERE account_id = $1 AND name = $2", account, name))  # noqa: S608


def create(account: AccountId, name: str, special_use: str | None, now: float) -> Unit[Mailbox]:
    """Make a mailbox and, where they are missing, those above it (RFC 9051 6.3.4).

    Raises `MailboxExists`, `TooMany`, and `BadUse`.
    """
    name = own(name)
    if (yield from _rows(account, name)):
        raise MailboxExists
    [[count]] = yield Sql("SELECT COUNT(*) FROM mailboxes WHERE account_id = $1", account)
    levels = name.split(DELIMITER)
    if count + len(levels) > MOST_MAILBOXES:
        raise TooMany("too many mailboxes")
    for depth in range(1, len(levels)):
        above = DELIMITER.join(levels[:depth])
        if not (yield from _rows(account, above)):
            yield from _insert(account, above, None, now)
    return (yield from _insert(account, name, (yield from _use(account, name, special_use)), now))


def _use(account: AccountId, name: str, wanted: str | None) -> Unit[str | None]:
    """The special use of a new mailbox; one of the usual names that is made anew has its usual one again."""
    rows = yield Sql("SELECT special_use FROM mailboxes WHERE account_id = $1 AND special_use IS NOT NULL", account)
    taken = {use for row in rows for use in row[0].split()}
    if wanted is None:
        usual = next((use for known, use in SPECIAL_USES.items() if known.lower() == name.lower()), None)
        return None if usual in taken else usual
    uses = _uses(wanted)
    if not taken.isdisjoint(uses):
        raise BadUse("another mailbox has that special use")
    return " ".join(uses) or None


def _uses(wanted: str) -> list[str]:
    uses = [_USES.get(use.lower()) for use in wanted.split()]
    if None in uses:
        raise BadUse
    return [use for use in dict.fromkeys(uses) if use]


def set_use(account: AccountId, mailbox: MailboxId, wanted: str | None) -> Unit[list[str]]:
    """Say what a mailbox is for; what another was for until now goes over to it. Returns the names of such others.

    Raises `NoSuchMailbox`, `BadUse`, and `NotPermitted` for INBOX, which is for all.
    """
    uses = _uses(wanted or "")
    rows = yield Sql("SELECT id, name, special_use FROM mailboxes WHERE account_id = $1", account)
    before = {number: (name, (held or "").split()) for number, name, held in rows}
    if mailbox not in before:
        raise NoSuchMailbox
    if uses and before[mailbox][0] == INBOX:
        raise NotPermitted("INBOX has no special use")
    after = {number: [use for use in held if use not in uses] for number, (_, held) in before.items()}
    after[mailbox] = uses
    changed = [number for number, (_, held) in before.items() if held != after[number]]
    yield Many(
        "UPDATE mailboxes SET special_use = $3 WHERE account_id = $1 AND id = $2",
        [(account, number, " ".join(after[number]) or None) for number in changed],
    )
    yield Ring((account, MailboxId(0)))
    return [before[number][0] for number in changed if number != mailbox]


def _insert(account: AccountId, name: str, special_use: str | None, now: float) -> Unit[Mailbox]:
    # UIDVALIDITY ascends with every mailbox made, so a name that is made anew never has an old one (RFC 9051 2.3.1.1).
    rows = yield Sql(
        "UPDATE accounts SET modseq = modseq + 1, next_mailbox = next_mailbox + 1,"
        " uidvalidity = CASE WHEN uidvalidity >= $2 THEN uidvalidity + 1 ELSE $2 END"
        " WHERE id = $1 RETURNING next_mailbox - 1, uidvalidity, modseq",
        account,
        int(now),
    )
    if not rows:
        raise NoSuchMailbox("no such account")
    [[number, uidvalidity, modseq]] = rows
    yield Ring((account, MailboxId(0)))
    [row] = yield Sql(
        "INSERT INTO mailboxes (account_id, id, name, objectid, uidvalidity, modseq, special_use)"  # noqa: S608
        f" VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING {MAILBOX}",
        account,
        number,
        name,
        secrets.token_hex(8),
        uidvalidity,
        modseq,
        special_use,
    )
    if above := name.rpartition(DELIMITER)[0]:
        # RFC 4314 4: a new mailbox inherits the rights on the one above it.
        yield Sql(
            "INSERT INTO rights (account_id, mailbox_id, grantee, negative, letters)"
            " SELECT r.account_id, $3, r.grantee, r.negative, r.letters FROM mailboxes m"
            " JOIN rights r ON r.account_id = m.account_id AND r.mailbox_id = m.id WHERE m.account_id = $1 AND m.name = $2",
            account,
            above,
            number,
        )
    return mailbox_of(row)


def delete(account: AccountId, name: str, now: float) -> Unit[list[ContentId]]:
    """Drop a mailbox and its messages, and tell their contents; those below it stay.

    Raises `NoSuchMailbox`, and `NotPermitted` for INBOX.
    """
    if name == INBOX:
        raise NotPermitted("INBOX stays")
    mailbox = yield from find(account, name)
    yield from messages.next_modseq(account)
    return (yield from _drop(account, mailbox.id, now))


def _drop(account: AccountId, mailbox: MailboxId, now: float) -> Unit[list[ContentId]]:
    rows = yield Sql(
        "DELETE FROM messages WHERE account_id = $1 AND mailbox_id = $2 RETURNING content_id, size", account, mailbox
    )
    if rows:
        yield from messages.count(account, -len(rows), -sum(row[1] for row in rows))
    was = [ContentId(row[0]) for row in rows]
    yield from contents.orphan(set(was), now)
    yield Sql("DELETE FROM vanished WHERE account_id = $1 AND mailbox_id = $2", account, mailbox)
    yield Sql("DELETE FROM flagged WHERE account_id = $1 AND mailbox_id = $2", account, mailbox)
    yield Sql("DELETE FROM rights WHERE account_id = $1 AND mailbox_id = $2", account, mailbox)
    yield Sql("DELETE FROM annotations WHERE account_id = $1 AND mailbox_id = $2", account, mailbox)
    yield Sql("DELETE FROM mailboxes WHERE account_id = $1 AND id = $2", account, mailbox)
    yield Ring((account, mailbox))
    return was


def drop_all(account: AccountId, now: float) -> Unit[None]:
    """Drop every mailbox of an account."""
    for mailbox in (yield from all_of(account)):
        yield from _drop(account, mailbox.id, now)
    yield Sql("DELETE FROM subscriptions WHERE account_id = $1", account)
    yield Sql("DELETE FROM annotations WHERE account_id = $1 OR reader_id = $1", account)


def rename(account: AccountId, old: str, new: str, now: float) -> Unit[Copied | None]:
    """Give a mailbox and all below it another name; renaming INBOX moves its messages away (RFC 9051 6.3.6), which are told.

    Raises `NoSuchMailbox`, `MailboxExists`, `NotPermitted` for a name within itself, and `Rejected` where one below it would
    have a name that cannot be kept.
    """
    new = own(new)
    if old == INBOX:
        yield from find(account, INBOX)
        created = yield from create(account, new, None, now)
        inbox = yield from find(account, INBOX)
        # RFC 5464 4.1: what was noted on INBOX holds for what was in it, and for INBOX too.
        yield Sql(
            "INSERT INTO annotations (account_id, mailbox_id, reader_id, entry, value, modseq)"
            " SELECT account_id, $3, reader_id, entry, value, $4 FROM annotations"
            " WHERE account_id = $1 AND mailbox_id = $2 AND value IS NOT NULL",
            account,
            inbox.id,
            created.id,
            created.modseq,
        )
        return (yield from _move_all(account, inbox, created, now))
    below = yield Sql(
        "SELECT id, name FROM mailboxes WHERE account_id = $1 AND (name = $2 OR substr(name, 1, $4) = $3)",
        account,
        old,
        old + DELIMITER,
        len(old) + 1,
    )
    if not below:
        raise NoSuchMailbox
    if (new + DELIMITER).startswith(old + DELIMITER):
        raise MailboxExists if new == old else NotPermitted("cannot move a mailbox into itself")
    taken = yield Sql("SELECT name FROM mailboxes WHERE account_id = $1", account)
    names = {row[0] for row in taken}
    try:
        renamed = [(number, checked(new + name[len(old) :])) for number, name in below]
    except SyntaxFault as error:
        raise Rejected(f"below it, {error}") from None  # nothing is wrong with the name that was said
    if new in names or any(name in names for _, name in renamed):
        raise MailboxExists
    modseq = yield from messages.next_modseq(account)
    levels = new.split(DELIMITER)
    for depth in range(1, len(levels)):
        above = DELIMITER.join(levels[:depth])
        if above not in names:
            yield from _insert(account, above, None, now)
    yield Many(
        "UPDATE mailboxes SET name = $3, modseq = $4 WHERE account_id = $1 AND id = $2",
        [(account, number, name, modseq) for number, name in renamed],
    )
    for number, _ in renamed:
        yield Ring((account, number))
    return None


def _move_all(account: AccountId, source: Mailbox, target: Mailbox, now: float) -> Unit[Copied | None]:
    rows = yield Sql(
        "SELECT uid FROM messages WHERE account_id = $1 AND mailbox_id = $2 ORDER BY uid", account, source.id
    )
    if not rows:
        return None
    whole = MessageSet(((1, 0xFFFFFFFF),))
    return (yield from messages.copy(account, source.id, whole, target.name, now, leave=False))


def subscriptions(account: AccountId) -> Unit[list[str]]:
    rows = yield Sql("SELECT name FROM subscriptions WHERE account_id = $1 ORDER BY name", account)
    return [row[0] for row in rows]


def subscribe(account: AccountId, names: Sequence[str]) -> Unit[None]:
    if not (yield Sql("SELECT 1 FROM accounts WHERE id = $1", account)):
        raise NoSuchMailbox("no such account")
    [[count]] = yield Sql("SELECT COUNT(*) FROM subscriptions WHERE account_id = $1", account)
    if count + len(names) > MOST_SUBSCRIPTIONS:
        raise TooMany("too many subscriptions")
    yield Many(
        "INSERT INTO subscriptions (account_id, name) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        [(account, checked(name)) for name in names],
    )
    yield Ring((account, MailboxId(0)))


def unsubscribe(account: AccountId, name: str) -> Unit[None]:
    yield Sql("DELETE FROM subscriptions WHERE account_id = $1 AND name = $2", account, name)
    yield Ring((account, MailboxId(0)))
