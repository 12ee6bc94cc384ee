"""What came after a ModSeq is told slice by slice; what was only flagged since then is none that came."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from vault import Vault

from mailsystem.mail.errors import NoSuchMailbox
from mailsystem.mail.mailbox import INBOX, SEEN, Mailbox, MailboxId, MessageSet, ModSeq, Uid
from mailsystem.store import FlagOp, Step, mailboxes


async def put(vault: Vault, count: int = 1, name: str = INBOX) -> Mailbox:
    for _ in range(count):
        spool = vault.here.contents.spool()
        spool.write(b"Subject: x\r\n\r\nx\r\n")
        await vault.here.mailboxes.append(vault.ann.id, name, spool)
    return await vault.here.mailboxes.find(vault.ann.id, name)


async def flag(vault: Vault, box: Mailbox, *uids: int) -> ModSeq:
    changes = await vault.here.mailboxes.set_flags(
        vault.ann.id, box.id, MessageSet.of(uids), FlagOp.ADD, frozenset({SEEN})
    )
    return changes.modseq


async def first_after(vault: Vault, box: Mailbox, since: int) -> int:
    found = await vault.there.mailboxes.first_after(vault.ann.id, [box.id], ModSeq(since))
    return found[box.id]


async def test_only_what_came_since_then_is_new(vault: Vault) -> None:
    box = await put(vault)
    since = box.modseq
    assert await first_after(vault, box, since) == 2
    # The only one there was is flagged: nothing that has not changed stands behind it.
    await flag(vault, box, 1)
    assert await first_after(vault, box, since) == 2
    box = await put(vault, 3)
    assert await first_after(vault, box, since) == 2
    await flag(vault, box, 2, 3, 4)
    assert await first_after(vault, box, since) == 2
    assert await first_after(vault, box, box.modseq) == 5
    assert await first_after(vault, box, 0) == 1
    # What has come and is flagged since then is told by what came behind it.
    box = await put(vault)
    since = box.modseq
    await flag(vault, box, 1, 2, 3)
    assert await first_after(vault, box, since) == 6


async def test_what_was_flagged_or_went_by_then_was_there(vault: Vault) -> None:
    box = await put(vault, 3)
    await vault.here.mailboxes.remove(vault.ann.id, box.id, MessageSet(((3, 3),)))
    since = (await vault.here.mailboxes.find(vault.ann.id, INBOX)).modseq
    other = await put(vault, 1, "Archive")  # a number that is not that of flags
    await flag(vault, box, 1, 2)
    assert await first_after(vault, box, since) == 4
    since = await flag(vault, other, 1)
    await put(vault, 1, "Archive")
    await put(vault, 1, INBOX)
    assert await first_after(vault, other, since) == 2
    assert await first_after(vault, box, since) == 4


async def steps(vault: Vault, upto: int, most: int) -> Sequence[tuple[int, int]]:
    step, found = Step(ModSeq(0), MailboxId(0), Uid(0)), []
    while some := await vault.there.mailboxes.behind(vault.ann.id, step, ModSeq(upto), most):
        assert len(some) <= most
        found += some
        step = some[-1]
    assert found == sorted(found)
    return [(each.mailbox, each.uid) for each in found]


@pytest.mark.parametrize("most", [1, 2, 3, 100])
async def test_changes_are_gone_through_in_their_order(vault: Vault, most: int) -> None:
    inbox = await put(vault, 4)
    other = await put(vault, 2, "Archive")
    upto = other.modseq
    now = await flag(vault, inbox, 1, 2, 3)
    everything = [(inbox.id, 4), (other.id, 1), (other.id, 2), (inbox.id, 1), (inbox.id, 2), (inbox.id, 3)]
    assert await steps(vault, now, most) == everything
    assert await steps(vault, upto, most) == everything[:3]


async def test_what_went_is_told_also_where_history_is_forgotten(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailboxes.replaying, "_SLICE", 3)
    box = await put(vault, 10)
    store, key = vault.here.mailboxes, (vault.ann.id, box.id)
    await store.remove(*key, MessageSet(((2, 3),)))
    since = (await store.find(vault.ann.id, INBOX)).modseq
    await store.remove(*key, MessageSet(((6, 6), (9, 10))))
    now = (await store.find(vault.ann.id, INBOX)).modseq
    assert str(await store.gone(*key, since, now)) == "6,9:10"
    assert str(await store.gone(*key, ModSeq(0), now)) == "2:3,6,9:10"
    assert str(await store.gone(*key, ModSeq(0), since)) == "2:3"
    await store.forget(1)
    assert str(await store.gone(*key, ModSeq(0), now)) == "2:3,6,9:10"
    with pytest.raises(NoSuchMailbox):
        await store.gone(vault.ann.id, MailboxId(99), since, now)


async def test_few_changes_are_told_at_once_and_many_are_not(vault: Vault) -> None:
    box = await put(vault, 210)
    few = await vault.here.mailboxes.few_changes(vault.ann.id, box.id, ModSeq(box.modseq - 10))
    assert few is not None
    assert len(few.messages) == 10
    assert await vault.here.mailboxes.few_changes(vault.ann.id, box.id, ModSeq(0)) is None
    assert len((await vault.here.mailboxes.changes(vault.ann.id, box.id, ModSeq(0))).messages) == 210
