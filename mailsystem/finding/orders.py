"""The messages of a mailbox by the time at which they came."""

from __future__ import annotations

from array import array
from collections import OrderedDict
from collections.abc import Sequence
from itertools import islice
from operator import le
from typing import Final, NamedTuple, TypeAlias

from mailsystem.finding.apart import apart
from mailsystem.mail.mailbox import AccountId, MailboxId

_REMEMBERED: Final = 32
"""Mailboxes; some hundred kilobytes each where there are a hundred thousand messages that came in another order."""

Order: TypeAlias = Sequence[int]
"""Places in a roll, the oldest message first; of those of one moment the one with the lowest UID."""


class _Known(NamedTuple):
    messages: int
    last: int
    """The highest UID."""
    order: Order


class Orders:
    """Orders, remembered as long as the same messages are there.

    A message never changes its date, and UIDs only ever ascend: as many messages up to the same UID are the same ones.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[AccountId, MailboxId], _Known] = OrderedDict()

    async def of(self, account: AccountId, mailbox: MailboxId, uids: array[int], dates: array[float]) -> Order:
        """The order of these messages, which are all of the mailbox and nobody's to change."""
        known = self._known.get((account, mailbox))
        if known is None or known[:2] != (len(uids), uids[-1] if uids else 0):
            order = await apart(len(uids), lambda: _in_order(dates))
            known = self._known[account, mailbox] = _Known(len(uids), uids[-1] if uids else 0, order)
        self._known.move_to_end((account, mailbox))
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return known.order


def _in_order(dates: array[float]) -> Order:
    if all(map(le, dates, islice(dates, 1, None))):
        return range(len(dates))  # as mail comes
    return array("I", sorted(range(len(dates)), key=dates.__getitem__))
