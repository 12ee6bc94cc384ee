"""A running POP3 door for each test; `pop3_door.py` says what can be done with it."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from pop3_door import PASSWORD, Door, Opening, opened


@pytest.fixture
async def open_door(tmp_path: Path) -> AsyncIterator[Opening]:
    """`await open_door(idle_timeout=1, …)`: a door with arguments of your own; all of a test stand before one store."""
    doors: list[Door] = []
    async with AsyncExitStack() as stack:

        async def make(**options: Any) -> Door:
            doors.append(await stack.enter_async_context(opened(tmp_path / "store", **options)))
            return doors[-1]

        yield make
    for door in doors:
        assert PASSWORD not in repr(door.events)
        assert not door.told("bug"), door.told("bug")


@pytest.fixture
async def door(open_door: Opening) -> Door:
    """A door as it comes."""
    return await open_door()
