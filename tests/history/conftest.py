"""The three generations for each test; `generations.py` says what can be done with them."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from generations import PASSWORD, QUOTED, House, Opening, opened


@pytest.fixture
async def open_house(tmp_path: Path) -> AsyncIterator[Opening]:
    """`await open_house(idle_timeout=1, …)`: doors with arguments of your own; all of a test stand before one store."""
    houses: list[House] = []
    async with AsyncExitStack() as stack:

        async def make(**options: object) -> House:
            houses.append(await stack.enter_async_context(opened(tmp_path / "store", **options)))
            return houses[-1]

        yield make
    for house in houses:
        assert PASSWORD not in "".join(map(str, house.events))
        assert QUOTED not in "".join(map(str, house.events))
        assert not house.told("bug"), house.told("bug")


@pytest.fixture
async def house(open_house: Opening) -> House:
    """Doors as they come."""
    return await open_house()
