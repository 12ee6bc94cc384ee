"""How much of their mail people have not read: for many accounts at once, and counted anew only where something has changed."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from mailsystem.mail.mailbox import AccountId, MailboxId
from mailsystem.store.database import Database, Sql, Unit
from mailsystem.store.rows import SEEN_BIT

_REMEMBERED: Final = 20_000
_ASIDE: Final = frozenset({"\\Trash", "\\Junk"})
"""Special uses of mailboxes whose mail nobody means to read."""


class _Counted(NamedTuple):
    modseq: int
    """The account's, which every change takes forward."""
    by_mailbox: Mapping[MailboxId, int]


class Unread:
    """Counts messages without `\\Seen`, and remembers what still holds."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: OrderedDict[AccountId, _Counted] = OrderedDict()

    async def of(self, accounts: Sequence[AccountId]) -> Mapping[AccountId, int]:
        """How many messages each of these has that are not read, leaving out what is in Trash and in Junk. Three statements at
        most, from one snapshot; an account that is gone is left out."""
        if not accounts:
            return {}
        known = {account: self._known[account] for account in accounts if account in self._known}
        found, aside = await self._database.read(_counted(accounts, known))
        for account, counted in found.items():
            self._known[account] = counted
            self._known.move_to_end(account)
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return {
            account: sum(n for mailbox, n in counted.by_mailbox.items() if (account, mailbox) not in aside)
            for account, counted in found.items()
        }


def _counted(
    accounts: Sequence[AccountId], known: Mapping[AccountId, _Counted]
) -> Unit[tuple[dict[AccountId, _Counted], set[tuple[AccountId, MailboxId]]]]:
    """What each account has, and the mailboxes that do not count."""
    found: dict[AccountId, _Counted] = {}
    changed: dict[AccountId, int] = {}
    for account, modseq in (yield Sql("SELECT id, modseq FROM accounts WHERE id IN LIST $1", list(accounts))):
        before = known.get(account)
        if before is not None and before.modseq == modseq:
            found[account] = before
        else:
            changed[account] = modseq
    if changed:
        counts: defaultdict[AccountId, dict[MailboxId, int]] = defaultdict(dict)
        for account, mailbox, number in (
            yield Sql(
                "SELECT account_id, mailbox_id, COUNT(*) FROM messages WHERE account_id IN LIST $1 AND flags & $2 = 0"
                " GROUP BY account_id, mailbox_id",
                list(changed),
                SEEN_BIT,
            )
        ):
            counts[account][mailbox] = number
        found |= {account: _Counted(modseq, counts[account]) for account, modseq in changed.items()}
    # A mailbox is given a use without a ModSeq, so this is looked up each time.
    rows = yield Sql(
        "SELECT account_id, id, special_use FROM mailboxes WHERE account_id IN LIST $1 AND special_use IS NOT NULL",
        list(found),
    )
    return found, {(account, mailbox) for account, mailbox, uses in rows if not _ASIDE.isdisjoint(uses.split())}
