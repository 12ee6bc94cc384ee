"""The contract of the maildrop's lease."""

from __future__ import annotations

import pytest
from vault import Vault, post

from mailsystem.mail.errors import InUse
from mailsystem.mail.mailbox import MessageSet


async def test_a_lease_shuts_out_everybody_else_in_any_process(vault: Vault) -> None:
    lease = await vault.here.maildrops.acquire(vault.ann.id)
    for store in (vault.here, vault.there):
        with pytest.raises(InUse):
            await store.maildrops.acquire(vault.ann.id)
    await vault.here.maildrops.release(lease)
    await vault.there.maildrops.acquire(vault.ann.id)


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
