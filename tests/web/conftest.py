from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from web_house import House, sink


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """A sink with its web door."""
    async with sink(tmp_path) as opened:
        yield opened
