"""Addresses to which nothing is sent any more."""

from __future__ import annotations

from pathlib import Path

import pytest
from vault import TestClock, Vault

from mailsystem.store import open_store
from mailsystem.store.database import Sql, Statement
from mailsystem.store.suppression import COUNTED, REMEMBERED, failed, succeeded

BOB = "bob@example.net"
DAY = 86_400.0


async def fail(vault: Vault, times: int, status: str = "5.1.1", address: str = BOB) -> None:
    for _ in range(times):
        await vault.here.suppression.note_failure(address, status)
        vault.clock.time += DAY


async def test_three_failures_in_a_row_suppress_an_address_in_every_process(vault: Vault) -> None:
    await fail(vault, 2)
    assert await vault.there.suppression.is_suppressed([BOB]) == set()
    await fail(vault, 1, "5.2.1")
    assert await vault.there.suppression.is_suppressed([BOB, "eve@example.net"]) == {BOB}
    [one] = await vault.there.suppression.of([BOB])
    assert (one.failures, one.status, one.added) == (3, "5.2.1", False)
    assert one.since == one.last - 2 * DAY
    assert one.told == (
        "nothing is sent there any more: suppressed since its server refused it 3 times in a row, last with 5.2.1"
    )


async def test_mail_that_arrives_begins_the_count_anew(vault: Vault) -> None:
    await fail(vault, 2)
    await vault.here.suppression.note_success(BOB)
    await fail(vault, 2)
    assert await vault.here.suppression.all() == []


@pytest.mark.parametrize("status", ["5.7.1", "5.2.2", "5.1.2", "5.0.0", "5.4.7", "4.1.1", ""])
async def test_only_a_mailbox_that_is_not_there_counts(vault: Vault, status: str) -> None:
    await fail(vault, 2)
    await fail(vault, 5, status)
    assert await vault.here.suppression.all() == []
    await fail(vault, 1)
    assert await vault.here.suppression.is_suppressed([BOB]) == {BOB}, "what says nothing about it leaves the count"


@pytest.mark.parametrize("status", sorted(COUNTED))
async def test_each_word_for_a_mailbox_that_is_not_there_counts(vault: Vault, status: str) -> None:
    await fail(vault, 3, status)
    assert await vault.here.suppression.is_suppressed([BOB]) == {BOB}


async def test_what_failed_long_ago_is_forgotten(vault: Vault) -> None:
    await fail(vault, 3)
    vault.clock.time += REMEMBERED - DAY - 1
    assert await vault.here.suppression.is_suppressed([BOB]) == {BOB}
    vault.clock.time += 1
    assert await vault.here.suppression.is_suppressed([BOB]) == set()
    await fail(vault, 1, address="eve@example.net")
    await fail(vault, 2)
    assert await vault.here.suppression.is_suppressed([BOB]) == set(), "and is not counted any more"


async def test_what_an_admin_adds_stays_until_it_is_removed(vault: Vault) -> None:
    await vault.here.suppression.add(BOB, "asked us to stop")
    vault.clock.time += 10 * REMEMBERED
    await vault.here.suppression.note_success(BOB)
    await fail(vault, 1, address="eve@example.net")
    [one] = await vault.there.suppression.all()
    assert (one.address, one.added, one.reason) == (BOB, True, "asked us to stop")
    assert "asked us to stop" not in one.told, "an admin's words are for admins"
    assert await vault.here.suppression.remove(BOB)
    assert not await vault.here.suppression.remove(BOB)
    assert await vault.there.suppression.is_suppressed([BOB]) == set()


async def test_who_is_removed_gets_all_their_chances_again(vault: Vault) -> None:
    await fail(vault, 3)
    assert await vault.here.suppression.remove(BOB)
    await fail(vault, 2)
    assert not await vault.here.suppression.remove(BOB), "it was only counted"
    assert await vault.here.suppression.all() == []


async def test_all_are_told_by_domain(vault: Vault) -> None:
    for address in ("zoe@example.com", "bob@example.net", "ann@example.com"):
        await vault.here.suppression.add(address)
    assert [one.address for one in await vault.here.suppression.all()] == [
        "ann@example.com",
        "zoe@example.com",
        "bob@example.net",
    ]


@pytest.mark.parametrize(("after", "failures", "suppressed"), [(1, 1, True), (0, 50, False)])
async def test_how_many_failures_it_takes_is_a_setting(
    tmp_path: Path, clock: TestClock, after: int, failures: int, suppressed: bool
) -> None:
    async with open_store(tmp_path, clock=clock, suppress_after=after) as store:
        for _ in range(failures):
            await store.suppression.note_failure(BOB, "5.1.1")
        assert bool(await store.suppression.is_suppressed([BOB])) is suppressed
        await store.suppression.add(BOB)
        assert await store.suppression.is_suppressed([BOB]) == {BOB}


def test_many_addresses_take_as_few_statements_as_one() -> None:
    def statements(count: int) -> int:
        addresses = [f"p{n}@example.net" for n in range(count)]
        said: list[Statement] = [*failed([(each, "5.1.1") for each in addresses], 1.0), *succeeded(addresses)]
        assert any(isinstance(one, Sql) for one in said)
        return len(said)

    assert statements(1) == statements(500) == 3
