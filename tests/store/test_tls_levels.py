"""How well mail to a domain was protected: never less than it once was, until that is long ago."""

from __future__ import annotations

from pathlib import Path

import pytest
from vault import TestClock, Vault

from mailsystem.store import Level, TlsLevel, open_store

NONE, ENCRYPTED, VERIFIED = Level.NONE, Level.ENCRYPTED, Level.VERIFIED
DAY = 86_400.0


async def test_a_domain_that_nobody_has_seen_has_no_level(vault: Vault) -> None:
    assert await vault.here.tls_levels.level("a.test") is NONE
    assert await vault.here.tls_levels.all() == []


async def test_a_level_is_raised_at_once_and_never_lowered(vault: Vault) -> None:
    levels = vault.here.tls_levels
    for seen, holds in ((NONE, NONE), (ENCRYPTED, ENCRYPTED), (NONE, ENCRYPTED), (VERIFIED, VERIFIED)):
        await levels.seen("a.test", seen)
        assert await levels.level("a.test") is holds
    for seen in (ENCRYPTED, NONE):
        await levels.seen("a.test", seen)
        assert await levels.level("a.test") is VERIFIED
    assert await levels.level("b.test") is NONE


async def test_another_process_knows_it_within_a_minute(vault: Vault) -> None:
    assert await vault.there.tls_levels.level("a.test") is NONE
    await vault.here.tls_levels.seen("a.test", ENCRYPTED)
    vault.clock.time += 60
    assert await vault.there.tls_levels.level("a.test") is ENCRYPTED
    assert await vault.here.tls_levels.forget("a.test")
    assert await vault.here.tls_levels.level("a.test") is NONE
    vault.clock.time += 60
    assert await vault.there.tls_levels.level("a.test") is NONE
    assert not await vault.there.tls_levels.forget("a.test")


async def test_it_is_remembered_for_thirty_days_since_it_was_last_seen(vault: Vault) -> None:
    levels = vault.here.tls_levels
    await levels.seen("a.test", ENCRYPTED)
    for _ in range(3):
        vault.clock.time += 29 * DAY
        assert await levels.level("a.test") is ENCRYPTED
        await levels.seen("a.test", ENCRYPTED)
    vault.clock.time += 30 * DAY - 1
    assert await levels.level("a.test") is ENCRYPTED
    vault.clock.time += 1
    assert await levels.level("a.test") is NONE
    assert await levels.all() == []


async def test_what_was_remembered_outlives_a_restart(tmp_path: Path) -> None:
    clock = TestClock()
    async with open_store(tmp_path, clock=clock) as store:
        await store.tls_levels.seen("a.test", VERIFIED)
    async with open_store(tmp_path, clock=clock, tls_memory_days=7) as store:
        assert await store.tls_levels.level("a.test") is VERIFIED
        clock.time += 7 * DAY
        assert await store.tls_levels.level("a.test") is NONE


async def test_with_no_days_nothing_is_remembered(tmp_path: Path) -> None:
    async with open_store(tmp_path, clock=TestClock(), tls_memory_days=0) as store:
        await store.tls_levels.seen("a.test", VERIFIED)
        assert await store.tls_levels.level("a.test") is NONE
        assert await store.tls_levels.all() == []


async def test_where_the_best_is_forgotten_the_lesser_that_is_still_seen_holds(vault: Vault) -> None:
    levels = vault.here.tls_levels
    await levels.seen("a.test", VERIFIED)
    vault.clock.time += 20 * DAY
    await levels.seen("a.test", ENCRYPTED)
    assert await levels.level("a.test") is VERIFIED, "seeing less does not make it last longer, nor end earlier"
    vault.clock.time += 10 * DAY
    assert await levels.level("a.test") is ENCRYPTED
    vault.clock.time += 20 * DAY
    assert await levels.level("a.test") is NONE


async def test_all_tells_the_best_of_each_domain_and_since_when(vault: Vault) -> None:
    levels, start = vault.here.tls_levels, vault.clock.time
    await levels.seen("b.test", ENCRYPTED)
    vault.clock.time += 2 * DAY
    await levels.seen("b.test", ENCRYPTED)
    await levels.seen("a.test", ENCRYPTED)
    await levels.seen("a.test", VERIFIED)
    now = vault.clock.time
    assert await levels.all() == [
        TlsLevel("a.test", VERIFIED, now, now),
        TlsLevel("b.test", ENCRYPTED, start, now),
    ]
    vault.clock.time += 40 * DAY
    await levels.seen("b.test", ENCRYPTED)
    now = vault.clock.time
    assert await levels.all() == [TlsLevel("b.test", ENCRYPTED, now, now)], "what was forgotten begins anew"


async def test_a_thousand_messages_a_day_are_one_write(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    levels = vault.here.tls_levels
    database = levels._database
    written = 0
    write = database.write

    async def counted(*args: object, **options: object) -> object:
        nonlocal written
        written += 1
        return await write(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(database, "write", counted)
    for _ in range(1000):
        await levels.seen("a.test", ENCRYPTED)
        vault.clock.time += 86
    assert written == 1
    vault.clock.time += DAY
    await levels.seen("a.test", ENCRYPTED)
    assert written <= 3, "once for the day, and once to sweep"
