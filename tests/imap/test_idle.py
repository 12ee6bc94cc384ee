"""IDLE: news come by themselves and at once, and the client's next line ends it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from imap_door import Door, Opening

from mailsystem.store import Mailboxes, sqlite


async def test_what_comes_is_pushed_at_once(open_door: Opening, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "_LOOK_EVERY", 3600.0)  # the bell alone tells of it
    door = await open_door()
    client = await door.client(mailbox="INBOX")
    await client.send(b"a IDLE\r\n")
    assert await client.line() == b"+ idling"
    for number in (1, 2, 3):
        await door.put()
        assert await client.line() == b"* %d EXISTS" % number
        assert await client.line() == b"* %d RECENT" % number
    await client.send(b"done\r\n")
    assert await client.line() == b"a OK IDLE completed"


async def test_what_came_just_before_idle_is_told(door: Door) -> None:
    client = await door.client(mailbox="INBOX")
    await door.put()
    await client.send(b"a IDLE\r\n")
    assert [await client.line() for _ in range(3)] == [b"+ idling", b"* 1 EXISTS", b"* 1 RECENT"]


async def test_idle_and_done_may_come_together(door: Door) -> None:
    client = await door.client(mailbox="INBOX")
    await door.put()
    await client.send(b"a IDLE\r\nDONE\r\nb NOOP\r\n")
    heard = [await client.line() for _ in range(5)]
    assert heard == [b"+ idling", b"* 1 EXISTS", b"* 1 RECENT", b"a OK IDLE completed", b"b OK NOOP completed"]


async def test_anything_but_done_is_an_error_that_ends_idle(door: Door) -> None:
    client = await door.client(mailbox="INBOX")
    await client.send(b"a IDLE\r\n")
    assert await client.line() == b"+ idling"
    await client.send(b"b NOOP\r\n")
    assert (await client.line()).startswith(b"a BAD ")
    await client.send(b"c IDLE\r\n" + b"x" * 70_000 + b"\r\nd NOOP\r\n")
    assert await client.line() == b"+ idling"
    assert (await client.line()).startswith(b"c BAD ")
    assert await client.line() == b"d OK NOOP completed"


async def test_one_may_idle_outside_of_any_mailbox(door: Door) -> None:
    client = await door.client()
    await client.send(b"a IDLE\r\n")
    assert await client.line() == b"+ idling"
    await door.put()
    await client.send(b"DONE\r\n")
    assert await client.line() == b"a OK IDLE completed"


async def test_what_was_held_back_is_told_by_idle(door: Door) -> None:
    for _ in range(3):
        await door.put(b"x", "\\Seen")
    one, two = await door.client(mailbox="INBOX"), await door.client(mailbox="INBOX")
    await two.ok("STORE 1 +FLAGS.SILENT \\Deleted")
    await two.ok("EXPUNGE")
    assert await one.ok("STORE 2 +FLAGS \\Flagged") == [b"* 2 FETCH (FLAGS (\\Flagged \\Seen \\Recent))"]
    await one.send(b"a IDLE\r\n")
    assert [await one.line() for _ in range(2)] == [b"+ idling", b"* 1 EXPUNGE"]


async def test_a_mailbox_one_does_not_watch_wakes_nobody(door: Door) -> None:
    client = await door.client(mailbox="INBOX")
    await client.send(b"a IDLE\r\n")
    await client.line()
    await door.put(mailbox="Junk")
    await asyncio.sleep(0.05)
    await client.send(b"DONE\r\n")
    assert await client.line() == b"a OK IDLE completed"


async def test_an_idling_client_hears_that_the_server_is_still_there(open_door: Opening) -> None:
    door = await open_door(keepalive=0.05)
    client = await door.client(mailbox="INBOX")
    await client.send(b"a IDLE\r\n")
    assert [await client.line() for _ in range(3)] == [b"+ idling", b"* OK still here", b"* OK still here"]


async def test_an_idling_client_that_is_silent_for_too_long_is_sent_away(open_door: Opening) -> None:
    door = await open_door(idle_timeout=0.2)
    client = await door.client(mailbox="INBOX")
    await client.send(b"a IDLE\r\n")
    assert await client.rest() == b"+ idling\r\n* BYE too long without a command\r\n"


async def test_many_idling_clients_hear_the_same(door: Door) -> None:
    clients = [await door.client(mailbox="INBOX") for _ in range(20)]
    for client in clients:
        await client.send(b"a IDLE\r\n")
        assert await client.line() == b"+ idling"
    await door.put()
    assert [await client.line() for client in clients] == [b"* 1 EXISTS"] * 20
    await clients[0].close()
    await door.put()
    assert [(await client.line(), await client.line())[1] for client in clients[1:]] == [b"* 2 EXISTS"] * 19


async def test_a_change_wakes_only_those_who_watch_it(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[tuple[int, int]] = []
    changes = Mailboxes.changes

    async def looked(self: Mailboxes, account: Any, mailbox: Any, since: Any, **options: Any) -> Any:
        looks.append((account, mailbox))
        return await changes(self, account, mailbox, since, **options)

    monkeypatch.setattr(Mailboxes, "changes", looked)
    watching = {name: [await door.client(mailbox=name) for _ in range(5)] for name in ("INBOX", "Junk", "Trash")}
    others = [await door.client("bob", mailbox="INBOX") for _ in range(5)]
    for client in [*others, *(client for clients in watching.values() for client in clients)]:
        await client.send(b"a IDLE\r\n")
        assert await client.line() == b"+ idling"
    await asyncio.sleep(0.1)
    looks.clear()
    done = await door.put(mailbox="Junk")
    for client in watching["Junk"]:
        assert await client.line() == b"* 1 EXISTS"
    await asyncio.sleep(0.1)
    assert looks == [(door.account.id, done.mailbox.id)] * 5


async def test_who_idles_has_no_task_for_it(door: Door) -> None:
    clients = [await door.client(mailbox="INBOX") for _ in range(5)]
    before = len(asyncio.all_tasks())
    for client in clients:
        await client.send(b"a IDLE\r\n")
        assert await client.line() == b"+ idling"
    await asyncio.sleep(0.05)
    assert len(asyncio.all_tasks()) <= before
    await door.put()
    for client in clients:
        assert await client.line() == b"* 1 EXISTS"
    assert len(asyncio.all_tasks()) <= before


async def test_nobody_is_told_any_more_who_has_stopped_to_idle(door: Door) -> None:
    client = await door.client(mailbox="INBOX")
    await client.send(b"a IDLE\r\n")
    assert await client.line() == b"+ idling"
    hearers = door.store.bell._hearers
    assert sum(map(len, hearers.values())) == 2
    await client.send(b"DONE\r\n")
    assert await client.line() == b"a OK IDLE completed"
    assert not hearers
    await client.send(b"b IDLE\r\n")
    assert await client.line() == b"+ idling"
    await client.close()
    await door.put()
    await asyncio.sleep(0.05)
    assert not hearers


async def test_a_command_looks_only_where_its_own_mailbox_was_rung(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []
    changes = Mailboxes.changes

    async def looked(self: Mailboxes, account: Any, mailbox: Any, since: Any, **options: Any) -> Any:
        looks.append(mailbox)
        return await changes(self, account, mailbox, since, **options)

    monkeypatch.setattr(Mailboxes, "changes", looked)
    client = await door.client(mailbox="INBOX")
    await door.put(mailbox="Junk")
    looks.clear()
    await client.ok('LIST "" INBOX')
    assert looks == []
    await door.put()
    assert b"* 1 EXISTS" in await client.ok('LIST "" INBOX')
