"""A store, its people, and SMTP doors before it."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from smtp_door import House, housed


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """Ann, Bob and the postmaster of example.org, and no door yet: `house.door(…)` opens one."""
    async with housed(tmp_path) as house:
        yield house
