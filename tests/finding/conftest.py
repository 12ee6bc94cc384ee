"""Ann and her mail in a store of their own."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from vault import TestClock, Vault

from mailsystem.store import open_store

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def clock() -> TestClock:
    return TestClock()


@pytest.fixture
async def vault(tmp_path: Path, clock: TestClock) -> AsyncIterator[Vault]:
    """Nothing is indexed by itself; messages above 4 KB lie in files."""
    async with (
        open_store(tmp_path, clock=clock, inline_limit=4096, spool_limit=8192, indexed=False) as here,
        open_store(tmp_path, clock=clock, inline_limit=4096, spool_limit=8192, indexed=False) as there,
    ):
        ann = await here.accounts.add("ann@example.org", None)
        yield Vault(here, there, ann, clock, tmp_path)
