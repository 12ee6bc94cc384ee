"""How many messages are not read, for many accounts at once, whoever changes them in whatever process."""

from __future__ import annotations

import random

from vault import Vault, letter, post, spooled

from mailsystem.mail.mailbox import DELETED, SEEN, MessageSet
from mailsystem.store import FlagOp

ALL = MessageSet(((1, 0xFFFFFFFF),))


async def test_the_counts_equal_a_recount_after_whatever_another_process_did(vault: Vault) -> None:
    chance, here, there = random.Random(5), vault.here.mailboxes, vault.there.mailboxes
    ben = await vault.here.accounts.add("ben@example.org", None, mailboxes=[("Trash", "\\Trash"), ("Spam", "\\Junk")])
    people, seen = [vault.ann.id, ben.id], set()
    for _ in range(60):
        account = chance.choice(people)
        box = chance.choice(await here.list(account))
        low = chance.randint(1, 8)
        some = MessageSet(((low, low + 2),))
        match chance.randrange(5):
            case 0 | 1:
                await there.append(account, box.name, spooled(vault.there, letter("x")))
            case 2 | 3:
                op = chance.choice([FlagOp.ADD, FlagOp.REMOVE])
                await there.set_flags(account, box.id, some, op, frozenset({SEEN}))
            case _:
                await there.set_flags(account, box.id, some, FlagOp.ADD, frozenset({DELETED}))
                await there.expunge(account, box.id, None)
        wanted = {}
        for one in people:
            statuses = await here.statuses(await here.list(one))
            wanted[one] = sum(each.unseen for each in statuses if each.mailbox.special_use not in ("\\Trash", "\\Junk"))
        assert await vault.here.unread.of(people) == wanted
        seen.add(tuple(wanted.values()))
    assert len(seen) > 10


async def test_whoever_is_gone_is_left_out(vault: Vault) -> None:
    await post(vault, "one")
    assert await vault.there.unread.of([vault.ann.id]) == {vault.ann.id: 1}
    assert await vault.there.unread.of([]) == {}
    await vault.here.accounts.remove("ann@example.org")
    assert await vault.there.unread.of([vault.ann.id]) == {}
