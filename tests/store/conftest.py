"""Two handles on one database stand for two processes; every driver gets the same tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from vault import TestClock, Vault

from mailsystem.store import open_store


@pytest.fixture
def clock() -> TestClock:
    return TestClock()


@pytest.fixture
def indexed() -> bool:
    """Whether the stores index by themselves what comes in."""
    return True


@pytest.fixture
async def vault(tmp_path: Path, clock: TestClock, indexed: bool) -> AsyncIterator[Vault]:
    async with (
        open_store(tmp_path, clock=clock, inline_limit=4096, spool_limit=8192, indexed=indexed) as here,
        open_store(tmp_path, clock=clock, inline_limit=4096, spool_limit=8192, indexed=indexed) as there,
    ):
        ann = await here.accounts.add("ann@example.org", None, mailboxes=[("Archive", "\\Archive")])
        yield Vault(here, there, ann, clock, tmp_path)
