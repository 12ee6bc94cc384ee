"""The contract of the maildrop's lease."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from vault import TestClock, Vault, post

from mailsystem.mail.errors import InUse, NoSuchMailbox
from mailsystem.mail.mailbox import AccountId, MessageSet
from mailsystem.store import open_store
from mailsystem.store.database import Row, Sql, Unit


async def test_a_lease_shuts_out_everybody_else_in_any_process(vault: Vault) -> None:
    lease = await vault.here.maildrops.acquire(vault.ann.id)
    for store in (vault.here, vault.there):
        with pytest.raises(InUse):
            await store.maildrops.acquire(vault.ann.id)
    await vault.here.maildrops.release(lease)
    await vault.there.maildrops.acquire(vault.ann.id)


async def test_what_is_given_back_is_free_at_once_here_and_soon_everywhere(vault: Vault) -> None:
    here, there, ann = vault.here.maildrops, vault.there.maildrops, vault.ann.id
    here.give_back(await here.acquire(ann))
    here.give_back(await here.acquire(ann))
    for attempt in range(100):
        try:
            lease = await there.acquire(ann)
            break
        except InUse:
            assert attempt < 99
            await asyncio.sleep(0.01)
    with pytest.raises(InUse):
        await here.acquire(ann)
    await there.release(lease)


async def test_giving_back_goes_with_the_next_that_is_taken(vault: Vault) -> None:
    maildrops, database = vault.here.maildrops, vault.here.maildrops._database
    bob = await vault.here.accounts.add("bob@example.org", None)
    before = database._commits  # type: ignore[attr-defined]
    for _ in range(10):
        maildrops.give_back(await maildrops.acquire(vault.ann.id))
        maildrops.give_back(await maildrops.acquire(bob.id))
    await maildrops.settle()
    assert database._commits - before <= 23  # type: ignore[attr-defined]


async def test_what_was_given_back_stays_so_where_the_next_cannot_be_taken(vault: Vault) -> None:
    here, there = vault.here.maildrops, vault.there.maildrops
    bob = await vault.here.accounts.add("bob@example.org", None)
    held = await there.acquire(bob.id)
    here.give_back(await here.acquire(vault.ann.id))
    with pytest.raises(InUse):
        await here.acquire(bob.id)
    await here.settle()
    await there.acquire(vault.ann.id)
    await there.release(held)


async def test_what_was_given_back_last_is_free_when_the_store_is_closed(tmp_path: Path, clock: TestClock) -> None:
    async with open_store(tmp_path, clock=clock) as there:
        ann = await there.accounts.add("ann@example.org", None)
        async with open_store(tmp_path, clock=clock) as here:
            here.maildrops.give_back(await here.maildrops.acquire(ann.id))
        await there.maildrops.acquire(ann.id)


async def test_the_lease_and_a_short_listing_are_one_transaction(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    await post(vault, *"abcde")
    maildrops, ann = vault.here.maildrops, vault.ann.id
    lease, drop = await maildrops.open(ann)
    assert drop == await maildrops.listing(ann)
    with pytest.raises(InUse):
        await vault.there.maildrops.open(ann)
    await maildrops.release(lease)
    monkeypatch.setattr("mailsystem.store.maildrops._FEW", 3)
    lease, drop = await maildrops.open(ann)
    assert drop is None
    with pytest.raises(InUse):
        await vault.there.maildrops.acquire(ann)
    await maildrops.release(lease)
    with pytest.raises(NoSuchMailbox):
        await maildrops.open(AccountId(999))
    rows = await maildrops._database.read(_leases(999))
    assert rows == []


def _leases(account: int) -> Unit[list[Row]]:
    return (yield Sql("SELECT token FROM leases WHERE account_id = $1", account))


async def test_a_large_maildrop_is_listed_whole(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    await post(vault, *"abcde")
    for few in (1, 4, 5, 6):
        monkeypatch.setattr("mailsystem.store.maildrops._FEW", few)
        drop = await vault.here.maildrops.listing(vault.ann.id)
        assert [message.uid for message in drop.messages] == [1, 2, 3, 4, 5]


async def test_a_dead_sessions_lease_ends_by_itself(vault: Vault) -> None:
    await vault.here.maildrops.acquire(vault.ann.id)
    vault.clock.time += 61
    await vault.there.maildrops.acquire(vault.ann.id)


async def test_a_renewed_lease_lives_on(vault: Vault) -> None:
    lease = await vault.here.maildrops.acquire(vault.ann.id)
    for _ in range(5):
        vault.clock.time += 50
        lease = await vault.here.maildrops.renew(lease)
        with pytest.raises(InUse):
            await vault.there.maildrops.acquire(vault.ann.id)


async def test_who_lost_the_lease_deletes_nothing(vault: Vault) -> None:
    await post(vault, "one", "two")
    lost = await vault.here.maildrops.acquire(vault.ann.id)
    vault.clock.time += 61
    held = await vault.there.maildrops.acquire(vault.ann.id)
    drop = await vault.there.maildrops.listing(vault.ann.id)
    with pytest.raises(InUse):
        await vault.here.maildrops.renew(lost)
    with pytest.raises(InUse):
        await vault.here.maildrops.update(lost, drop.mailbox.id, MessageSet.of([1]))
    await vault.here.maildrops.release(lost)
    assert len((await vault.there.maildrops.listing(vault.ann.id)).messages) == 2
    await vault.there.maildrops.update(held, drop.mailbox.id, MessageSet.of([1]))
    assert [m.uid for m in (await vault.here.maildrops.listing(vault.ann.id)).messages] == [2]
    await vault.here.maildrops.acquire(vault.ann.id)
