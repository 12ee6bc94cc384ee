"""STORE asks the database as little as can be, and nobody hears less for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from imap_door import Door, Opening

from mailsystem.store import Store


@contextmanager
def transactions(store: Store) -> Iterator[list[str]]:
    """How each transaction begins, on whatever connection."""
    said: list[str] = []
    database = store.mailboxes._database
    connections = [database._brief, database._writer._conn, *(each._conn for each in database._readers)]  # type: ignore[attr-defined]
    for connection in connections:
        connection.set_trace_callback(said.append)
    try:
        yield said
    finally:
        for connection in connections:
            connection.set_trace_callback(None)
        said[:] = [each for each in said if each.startswith("BEGIN")]


async def _three(door: Door) -> None:
    for _ in range(3):
        await door.put(b"Subject: x\r\n\r\nhello\r\n")
    await (await door.client()).ok("SELECT INBOX")  # to whom alone they are recent


async def test_one_change_of_flags_after_another_is_one_transaction_each(open_door: Opening) -> None:
    door = await open_door(durable_flags=False, indexed=False)
    await _three(door)
    client = await door.client()
    await client.ok("SELECT INBOX")
    await client.ok("STORE 1 +FLAGS (\\Seen)")
    with transactions(door.store) as said:
        assert await client.ok("STORE 2 +FLAGS (\\Seen)") == [b"* 2 FETCH (FLAGS (\\Seen))"]
        assert await client.ok("UID STORE 2 -FLAGS.SILENT (\\Seen)") == []
        assert await client.ok("UID STORE 2:3 FLAGS (work)") == [
            b"* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft work)",
            b"* 2 FETCH (UID 2 FLAGS (work))",
            b"* 3 FETCH (UID 3 FLAGS (work))",
        ]
    assert said == ["BEGIN IMMEDIATE"] * 3


async def test_what_others_have_done_is_told_along_with_ones_own(open_door: Opening) -> None:
    for durable in True, False:
        door = await open_door(durable_flags=durable, indexed=False)
        await _three(door)
        client, other = await door.client(), await door.client()
        await client.ok("SELECT INBOX")
        await other.ok("SELECT INBOX")
        await client.ok("STORE 1 +FLAGS (\\Seen)")
        await other.ok("STORE 2 +FLAGS.SILENT (\\Answered)")
        assert await client.ok("STORE 1 +FLAGS (\\Flagged)") == [
            b"* 1 FETCH (FLAGS (\\Flagged \\Seen))",
            b"* 2 FETCH (FLAGS (\\Answered))",
        ]
        await other.ok("STORE 3 +FLAGS.SILENT (\\Answered)")
        # Of what was changed already, the flags are told, too.
        assert await client.ok("STORE 1:2 +FLAGS (\\Flagged)") == [
            b"* 1 FETCH (FLAGS (\\Flagged \\Seen))",
            b"* 2 FETCH (FLAGS (\\Answered \\Flagged))",
            b"* 3 FETCH (FLAGS (\\Answered))",
        ]
