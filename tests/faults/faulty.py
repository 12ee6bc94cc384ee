"""What the tests of faults do to a running sink, and how they look into it."""

from __future__ import annotations

import asyncio
from pathlib import Path

from program import Program
from wire import Pop3

from mailsystem.faults import Faults, Told, of_line
from mailsystem.store import open_store


class Rules:
    """The faults of a running sink, changed from outside as the command line does."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def add(self, *lines: str) -> list[int]:
        async def work() -> list[int]:
            async with open_store(self._directory, indexed=False, housekeeping=False) as store:
                return [await Faults(store).add(of_line(line)) for line in lines]

        return asyncio.run(work())

    def all(self) -> list[Told]:
        async def work() -> list[Told]:
            async with open_store(self._directory, indexed=False, housekeeping=False) as store:
                return await Faults(store).all()

        return asyncio.run(work())

    def refused(self) -> list[str]:
        """What was said in the last session in which something was refused; nothing before that is written down."""

        async def work() -> list[str]:
            async with open_store(self._directory, indexed=False, housekeeping=False) as store:
                sessions = await store.journal.sessions(1, only="refused")
                return [f"{line.who}: {line.text}" for session in sessions for line in session.lines]

        return asyncio.run(work())

    def clear(self) -> None:
        async def work() -> None:
            async with open_store(self._directory, indexed=False, housekeeping=False) as store:
                await Faults(store).clear()

        asyncio.run(work())


def held(sink: Program, address: str) -> int:
    """How many messages there are for an address."""
    with Pop3(sink.pop3, address) as pop3:
        return int(pop3.say(b"STAT").split()[1])
