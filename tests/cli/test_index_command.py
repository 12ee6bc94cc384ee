"""`mailsystem index`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from mailsystem.app import opened
from mailsystem.settings import Settings

if TYPE_CHECKING:
    from conftest import Cli


def filled(cli: Cli, count: int) -> None:
    async def fill() -> None:
        async with opened(Settings(data_dir=cli.data_dir)) as store:
            ann = await store.accounts.add("ann@example.org", None)
            for number in range(count):
                spool = store.contents.spool()
                spool.write(b"Subject: letter %d\r\n\r\nhello\r\n" % number)
                await store.mailboxes.append(ann.id, "INBOX", spool)

    asyncio.run(fill())


def test_the_index_is_built_anew_and_says_how_far_it_is(cli: Cli) -> None:
    filled(cli, 5)
    # Commands leave the work to the servers.
    assert cli("index", "status").out == "0 of 5 messages are indexed, in 0 B\n"
    told = cli("index", "rebuild")
    assert told.out.startswith("5 of 5 messages are indexed, in ")
    status = cli("index", "status", "--json").json
    assert (status["messages"], status["indexed"]) == (5, 5)
    assert status["octets"] > 0
    assert cli("index", "status").out == told.out


def test_an_empty_store_has_an_empty_index(cli: Cli) -> None:
    cli("domain", "add", "example.org", "--no-dkim")
    assert cli("index", "status").out == "0 of 0 messages are indexed, in 0 B\n"
    assert cli("index", "rebuild", "--json").json == {"messages": 0, "indexed": 0, "octets": 0}
