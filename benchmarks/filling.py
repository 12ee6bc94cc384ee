"""Fills a store of ours faster than any protocol could: many messages in one transaction, by the store's own door."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final

from benchmarks.letters import Letters
from mailsystem.store import New, Store, open_store

SIZE: Final = 1024
"""Octets of each letter."""
_BATCH: Final = 500
_AT_ONCE: Final = 50
_OTHERS: Final = 2
"""Mailboxes that are there besides: INBOX, and one for copies."""


async def _letters(store: Store, user: str, first: int, count: int, told: Callable[[int], None]) -> None:
    account = await store.accounts.ensure(user)
    letters = Letters(SIZE)
    for start in range(first, count, _BATCH):
        spools = []
        try:
            for number in range(start, min(start + _BATCH, count)):
                spool = store.contents.spool()
                spools.append(New(spool, internaldate=letters.arrived(number)))
                spool.write(letters.letter(number, user))
            await store.mailboxes.append_all(account.id, "INBOX", spools)
        finally:
            for each in spools:
                each.spool.discard()
        told(len(spools))


async def _mailboxes(store: Store, user: str, first: int, count: int, told: Callable[[int], None]) -> None:
    account = await store.accounts.ensure(user)
    first, count = max(0, first - _OTHERS), count - _OTHERS
    for start in range(first, count, _AT_ONCE):
        names = [f"Folder {number:06}" for number in range(start, min(start + _AT_ONCE, count))]
        await asyncio.gather(*(store.mailboxes.create(account.id, name) for name in names))
        told(len(names))


async def _accounts(store: Store, user: str, first: int, count: int, told: Callable[[int], None]) -> None:
    for start in range(first, count, _AT_ONCE):
        logins = [user.replace("@", f"-{number}@") for number in range(start, min(start + _AT_ONCE, count))]
        await asyncio.gather(*(store.accounts.ensure(login) for login in logins))
        told(len(logins))


_OF = {"messages": _letters, "mailboxes": _mailboxes, "accounts": _accounts}


def fill(
    data: Path, kind: str, user: str, first: int, count: int, told: Callable[[int], None] = lambda _: None
) -> None:
    """So many messages in INBOX, mailboxes beside it or other accounts, where there are `first` already; all are indexed."""

    async def work() -> None:
        async with open_store(data, indexed=False) as store:
            await _OF[kind](store, user, first, count, told)
            if kind == "messages":
                await store.index.catch_up()

    asyncio.run(work())
