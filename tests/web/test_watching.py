"""What a stream tells, when more comes to pass while it looks."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import Any, cast

import pytest
from web_house import House, letter

from mailsystem.mail.mailbox import INBOX, SEEN, MessageSet
from mailsystem.store import FlagOp
from mailsystem.web.api.events import _Telling


async def _may() -> None:
    """Nobody is sent away."""


async def _heard(stream: _Telling) -> list[tuple[str, Any]]:
    """What one look tells: names and data."""
    events = [event.decode() async for event in stream._look()]
    return [(each.partition("event: ")[2].split("\n")[0], json.loads(each.partition("data: ")[2])) for each in events]


async def test_what_changes_while_one_looks_is_told_once_and_as_what_it_is(house: House) -> None:
    store = house.running.store
    await house.send(letter("before"))
    ann = await store.accounts.find("ann@shop.test")
    context = SimpleNamespace(store=store, stopping=asyncio.Event())
    stream = _Telling(cast("Any", context), ann, None, _may)
    await stream._begin()
    before = await store.mailboxes.find(ann.id, INBOX)
    await house.send(letter("one"), letter("two"))
    seen = await store.mailboxes.find(ann.id, INBOX)
    # The list was read; now the first of the two is changed, before the changes are read.
    first = MessageSet.of([before.uidnext])
    await store.mailboxes.set_flags(ann.id, seen.id, first, FlagOp.ADD, frozenset({SEEN}))
    changes = await store.mailboxes.few_changes(ann.id, seen.id, before.modseq)
    assert changes is not None
    told = await stream._news(seen, changes, seen.modseq)
    assert sorted((one.name, one.data["subject"]) for one in told) == [("arrived", "one"), ("arrived", "two")]
    assert max(one.number for one in told) == seen.modseq, "who comes again after that misses nothing"
    now = (await store.mailboxes.find(ann.id, INBOX)).modseq
    assert await _heard(stream) == [("seen", {"modseq": now})], "and nothing is told twice"
    assert await _heard(stream) == []

    await store.mailboxes.set_flags(ann.id, seen.id, first, FlagOp.REMOVE, frozenset({SEEN}))
    [(name, data)] = await _heard(stream)
    assert (name, data["uid"]) == ("flags", before.uidnext)


async def test_what_came_between_two_looks_at_one_change_has_a_number_in_the_end(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = house.running.store
    await house.send(letter("before"))
    ann = await store.accounts.find("ann@shop.test")
    stream = _Telling(cast("Any", SimpleNamespace(store=store, stopping=asyncio.Event())), ann, None, _may)
    await stream._begin()
    await house.send(letter("one"))
    few_changes, first = store.mailboxes.few_changes, True

    async def later(*args: Any) -> Any:
        nonlocal first
        if first:  # another comes when the mailboxes were read, and before their changes are
            first = False
            await house.send(letter("two"))
        return await few_changes(*args)

    monkeypatch.setattr(store.mailboxes, "few_changes", later)
    events = [event async for event in stream._look()]
    now = (await store.mailboxes.find(ann.id, INBOX)).modseq
    assert [event.count(b"event: arrived\n") for event in events] == [1, 1, 0]
    assert events[-1].startswith(b"id: %d\nevent: seen\n" % now), "or who waits for it would wait for the next message"
