"""What is remembered of addresses that ask for faults."""

from __future__ import annotations

import pytest
from vault import Vault

from mailsystem.store import faults


async def test_of_addresses_that_were_struck_those_tried_last_are_known(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(faults, "MOST_ADDRESSES", 5)

    async def strikes(number: int) -> bool:
        vault.clock.time += 1
        return await vault.here.faults.match_address(f"451-once+{number}@a.test", lambda seen, hits: hits < 1)

    assert [await strikes(number) for number in range(8)] == [True] * 8
    assert [await strikes(number) for number in (7, 6, 5)] == [False] * 3
    assert await strikes(0), "it was forgotten"
