"""A running IMAP door for each test; `imap_door.py` says what can be done with it."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from mailsystem.directory import AccountsDirectory
from mailsystem.imap.server import serving
from mailsystem.store import open_store
from mailsystem.telemetry import Event, Trace

sys.path.insert(0, str(Path(__file__).parent))

from imap_door import PASSWORD, PASSWORD_HASH, SPECIAL, Door, Opening


@pytest.fixture
async def open_door(tmp_path: Path) -> AsyncIterator[Opening]:
    """`await open_door(keepalive=1, …)`: a door with arguments of your own."""
    async with AsyncExitStack() as stack:
        opened: list[Door] = []

        async def make(**options: Any) -> Door:
            events: list[Event] = []
            trace = Trace([events.append], lines=True)
            store = await stack.enter_async_context(
                open_store(
                    tmp_path / f"store{len(opened)}",
                    trace=trace,
                    indexed=options.pop("indexed", False),  # what is read shall be what clients make it read
                    spool_limit=128 << 10,
                    durable_flags=options.pop("durable_flags", True),
                )
            )
            directory = AccountsDirectory(store, default_domain="example.org")
            directory._dummy = PASSWORD_HASH  # the cost of a real one is not what is tested here
            directory._renewing = False
            ann = await store.accounts.add("ann@example.org", PASSWORD_HASH, mailboxes=SPECIAL)
            bob = await store.accounts.add("bob@example.org", PASSWORD_HASH, mailboxes=())
            options = {"host": "127.0.0.1", "port": 0, "grace": 1.0, **options}
            served = await stack.enter_async_context(AsyncExitStack())
            bound = await served.enter_async_context(serving(store, directory, trace, **options))
            clients = await stack.enter_async_context(AsyncExitStack())
            door = Door(store, bound, {"ann": ann, "bob": bob}, events, clients, served)
            opened.append(door)
            return door

        yield make
    for door in opened:
        said = repr([event.data for event in door.events])
        assert PASSWORD not in said
        assert not door.named("bug"), door.named("bug")


@pytest.fixture
async def door(open_door: Opening) -> Door:
    """A door as it comes."""
    return await open_door()
