"""Triplets that came before, shared by all processes."""

from __future__ import annotations

import pytest
from vault import Vault

from mailsystem.store.greylist import DELAY, REMEMBERED, WINDOW

TRIPLET = ("192.0.2.0/24", "sue@example.net", "ann@example.org")
DAY = 86_400.0


async def test_the_first_sight_waits_and_so_does_everybody_elses(vault: Vault) -> None:
    assert await vault.here.greylist.wait(*TRIPLET) == DELAY
    vault.clock.time += 100
    assert await vault.there.greylist.wait(*TRIPLET) == pytest.approx(DELAY - 100)
    for n in range(3):
        other = list(TRIPLET)
        other[n] = "other"
        assert await vault.here.greylist.wait(*other) == DELAY


async def test_it_passes_after_the_delay_in_every_process(vault: Vault) -> None:
    await vault.here.greylist.wait(*TRIPLET)
    vault.clock.time += DELAY
    assert await vault.there.greylist.wait(*TRIPLET) == 0
    assert await vault.here.greylist.wait(*TRIPLET) == 0


async def test_who_comes_again_too_late_begins_anew(vault: Vault) -> None:
    await vault.here.greylist.wait(*TRIPLET)
    vault.clock.time += WINDOW
    assert await vault.here.greylist.wait(*TRIPLET) == DELAY
    vault.clock.time += DELAY
    assert await vault.here.greylist.wait(*TRIPLET) == 0


async def test_who_passed_is_remembered_while_they_write(vault: Vault) -> None:
    await vault.here.greylist.wait(*TRIPLET)
    vault.clock.time += DELAY
    for _ in range(4):
        assert await vault.here.greylist.wait(*TRIPLET) == 0
        vault.clock.time += REMEMBERED - DAY
    vault.clock.time += DAY
    assert await vault.here.greylist.wait(*TRIPLET) == DELAY


async def test_the_old_is_swept_and_the_many_are_bounded(vault: Vault) -> None:
    greylist = vault.here.greylist
    await greylist.wait(*TRIPLET)
    vault.clock.time += DELAY
    assert await greylist.wait(*TRIPLET) == 0
    for n in range(10):
        await greylist.wait("198.51.100.0/24", f"spam{n}@example.net", "ann@example.org")
    await greylist.sweep(most=3)
    assert await greylist.wait(*TRIPLET) == 0, "those that passed are the last to go"
    vault.clock.time += WINDOW + 1
    assert await greylist.wait("198.51.100.0/24", "spam9@example.net", "ann@example.org") == DELAY
    assert await greylist.wait(*TRIPLET) == 0
