"""What a stream tells, when more comes to pass while it looks."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import Any, cast

from web_house import House, letter

from mailsystem.mail.mailbox import INBOX, SEEN, MessageSet
from mailsystem.store import FlagOp
from mailsystem.web.api.events import _Telling


async def _may() -> None:
    """Nobody is sent away."""


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
    assert [event async for event in stream._look()] == [], "and nothing is told twice"

    await store.mailboxes.set_flags(ann.id, seen.id, first, FlagOp.REMOVE, frozenset({SEEN}))
    [event] = [event async for event in stream._look()]
    assert b"event: flags\n" in event
    assert json.loads(event.partition(b"data: ")[2])["uid"] == before.uidnext
