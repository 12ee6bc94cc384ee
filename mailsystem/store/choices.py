"""What each account wants its maildrop to be: what a download does, what DELE does, which mailboxes it shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from mailsystem.mail.errors import NoSuchMailbox
from mailsystem.mail.mailbox import INBOX, AccountId, Mailbox
from mailsystem.store import names
from mailsystem.store.database import Row, Sql, Unit
from mailsystem.store.rows import MAILBOX, mailbox_of

MOST_DAYS: Final = 36_500
MOST_DELAY: Final = 86_400
MOST_MAILBOXES: Final = 100

_COLUMNS: Final = "pop_keep_days, pop_trash, pop_login_delay, pop_mailboxes"
_CHOSEN: Final = "pop_keep_days IS NOT NULL OR pop_trash <> 0 OR pop_mailboxes <> '' OR pop_login_delay IS NOT NULL"


@dataclass(frozen=True, slots=True)
class Choices:
    """One account's choices; as they are here if it made none."""

    keep_days: int | None = None
    """Days that a message stays after it was downloaded: None for ever, 0 until that session's QUIT."""
    trash: bool = False
    """What is deleted goes to Trash."""
    login_delay: int | None = None
    """Seconds between two logins; None for what the door says."""
    mailboxes: tuple[str, ...] = (INBOX,)
    """What the maildrop shows, in this order."""

    @property
    def notes_downloads(self) -> bool:
        """Whether it matters what was downloaded: to remove it, or to know it again in another mailbox."""
        return self.keep_days is not None or len(self.mailboxes) > 1


@dataclass(frozen=True, slots=True)
class Announced:
    """What may be said to somebody who has not logged in (RFC 2449 6.5 and 6.7): the extremes of all accounts."""

    shortest_keep_days: int | None
    """None where everybody keeps mail for ever."""
    longest_login_delay: int | None
    """Of the accounts that have one of their own; None where nobody has."""


def announced() -> Unit[Announced]:
    """Two looks into small indexes."""
    [[days]] = yield Sql("SELECT MIN(pop_keep_days) FROM accounts WHERE pop_keep_days IS NOT NULL")
    [[delay]] = yield Sql("SELECT MAX(pop_login_delay) FROM accounts WHERE pop_login_delay IS NOT NULL")
    return Announced(days, delay)


def shown(account: AccountId) -> Unit[tuple[Choices, list[Mailbox]]]:
    """The choices, and the mailboxes that are shown: those chosen that are still there, or else INBOX.

    Raises `NoSuchMailbox`.
    """
    rows = yield Sql(f"SELECT {_COLUMNS} FROM accounts WHERE id = $1", account)  # noqa: S608
    if not rows:
        raise NoSuchMailbox("no such account")
    order = [int(number) for number in rows[0][3].split()]
    found: list[Row] = []
    if order:
        found = yield Sql(f"SELECT {MAILBOX} FROM mailboxes WHERE account_id = $1 AND id IN LIST $2", account, order)  # noqa: S608
    mailboxes = sorted(map(mailbox_of, found), key=lambda mailbox: order.index(mailbox.id))
    if not mailboxes:
        mailboxes = [(yield from names.find(account, INBOX))]
    return _choices(rows[0], [mailbox.name for mailbox in mailboxes]), mailboxes


def everybody() -> Unit[dict[AccountId, Choices]]:
    """The choices of those who made any."""
    rows = yield Sql(f"SELECT {_COLUMNS}, id FROM accounts WHERE {_CHOSEN}")  # noqa: S608
    accounts = [row[4] for row in rows if row[3]]
    named = yield Sql("SELECT account_id, id, name FROM mailboxes WHERE account_id IN LIST $1", accounts)
    names_ = {(account, number): name for account, number, name in named}
    return {
        AccountId(row[4]): _choices(row, [name for one in row[3].split() if (name := names_.get((row[4], int(one))))])
        for row in rows
    }


def _choices(row: Row, mailboxes: list[str]) -> Choices:
    keep_days, trash, delay, _ = row[:4]
    return Choices(keep_days, bool(trash), delay, tuple(mailboxes) or (INBOX,))


def choose(account: AccountId, wanted: Choices) -> Unit[None]:
    """Raises `NoSuchMailbox` for a mailbox that is not there, and names it."""
    numbers = []
    for name in dict.fromkeys(wanted.mailboxes):
        try:
            mailbox = yield from names.find(account, name)
        except NoSuchMailbox:
            raise NoSuchMailbox(f"no mailbox {name}") from None
        numbers.append(str(mailbox.id))
    rows = yield Sql(
        "UPDATE accounts SET pop_keep_days = $2, pop_trash = $3, pop_login_delay = $4, pop_mailboxes = $5"
        " WHERE id = $1 RETURNING id",
        account,
        wanted.keep_days,
        int(wanted.trash),
        wanted.login_delay,
        "" if wanted.mailboxes == (INBOX,) else " ".join(numbers),
    )
    if not rows:
        raise NoSuchMailbox("no such account")
