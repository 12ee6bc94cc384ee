"""Flags that need not be on disk when they are answered, and what a start of the machine has to do with that."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from vault import letter, spooled

from mailsystem.mail.mailbox import SEEN, MessageSet
from mailsystem.store import FlagOp, boots, open_store
from mailsystem.store.sqlite import SqliteDatabase

if TYPE_CHECKING:
    from vault import TestClock

    from mailsystem.store.database import Unit


@pytest.mark.parametrize("durable", [True, False])
async def test_flags_wait_for_the_disk_where_that_is_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, durable: bool
) -> None:
    asked: list[bool] = []
    write = SqliteDatabase.write

    async def watched(self: SqliteDatabase, unit: object, *, durable: bool = True, **kind: object) -> object:
        asked.append(durable)
        return await write(self, unit, durable=durable, **kind)  # type: ignore[arg-type]

    write_at_once = SqliteDatabase.write_at_once

    def watched_at_once(self: SqliteDatabase, unit: Unit[object]) -> tuple[object] | None:
        asked.append(False)
        return write_at_once(self, unit)

    async with open_store(tmp_path, durable_flags=durable, indexed=False) as store:
        ann = await store.accounts.add("ann@example.org", None)
        inbox = await store.mailboxes.find(ann.id, "INBOX")
        await store.mailboxes.append(ann.id, "INBOX", spooled(store, letter("x")))
        monkeypatch.setattr(SqliteDatabase, "write", watched)
        monkeypatch.setattr(SqliteDatabase, "write_at_once", watched_at_once)
        for op in (FlagOp.ADD, FlagOp.REMOVE):
            changes = await store.mailboxes.set_flags(ann.id, inbox.id, MessageSet.parse("1"), op, frozenset({SEEN}))
            assert [message.uid for message in changes.messages] == [1]
        assert asked == [durable, durable]
        asked.clear()
        # Messages are on disk, whatever flags are.
        await store.mailboxes.append(ann.id, "INBOX", spooled(store, letter("y")))
        assert asked == [True]


async def test_a_start_of_the_machine_leaves_a_gap_so_that_no_modseq_is_given_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: TestClock
) -> None:
    async def flagged(boot: str, op: FlagOp) -> int:
        monkeypatch.setattr(boots, "current", lambda: boot)
        async with open_store(tmp_path, clock=clock, durable_flags=False) as store:
            ann = await store.accounts.find("ann@example.org")
            inbox = await store.mailboxes.find(ann.id, "INBOX")
            one = MessageSet.parse("1")
            changes = await store.mailboxes.set_flags(ann.id, inbox.id, one, op, frozenset({SEEN}))
            return changes.modseq

    monkeypatch.setattr(boots, "current", lambda: "monday")
    async with open_store(tmp_path, clock=clock) as store:
        ann = await store.accounts.add("ann@example.org", None)
        await store.mailboxes.append(ann.id, "INBOX", spooled(store, letter("x")))
    first = await flagged("monday", FlagOp.ADD)
    assert await flagged("monday", FlagOp.REMOVE) == first + 1
    assert await flagged("tuesday", FlagOp.ADD) == first + 2 + boots.GAP
    assert await flagged("tuesday", FlagOp.REMOVE) == first + 3 + boots.GAP


def test_a_machine_that_cannot_tell_its_starts_apart_takes_each_for_a_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert boots.current() == boots.current()
    monkeypatch.setattr(boots, "_IDENTITY", tmp_path / "nothing")
    assert boots.current() != boots.current()
