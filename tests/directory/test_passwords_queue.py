"""The queue before the slow functions has an end."""

from __future__ import annotations

import asyncio
import threading

import pytest

from mailsystem.directory.passwords import Hashing
from mailsystem.mail.errors import Unavailable


async def test_who_would_wait_behind_too_many_is_turned_away_and_the_others_are_served() -> None:
    hashing, gate = Hashing(most=5), threading.Event()
    waiting = [asyncio.create_task(hashing.run(gate.wait, 10)) for _ in range(5)]
    await asyncio.sleep(0)
    with pytest.raises(Unavailable):
        await hashing.run(gate.wait, 10)
    waiting[4].cancel()
    await asyncio.wait([waiting[4]])
    latecomer = asyncio.create_task(hashing.run(gate.wait, 10))
    await asyncio.sleep(0)
    gate.set()
    assert await asyncio.gather(*waiting[:4], latecomer) == [True] * 5
