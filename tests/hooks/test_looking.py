"""What is new to a webhook is noted once, in its order, however much it is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mailsystem.finding.finder import Finder
from mailsystem.hooks import looking
from mailsystem.mail.mailbox import FLAGGED, INBOX, SEEN, MessageSet
from mailsystem.store import FlagOp, open_store, rolls


@pytest.mark.parametrize("few", [3, 200])
@pytest.mark.parametrize("portion", [1, 7, 500])
async def test_changes_are_noted_once_in_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, few: int, portion: int
) -> None:
    monkeypatch.setattr(rolls, "FEW", few)
    monkeypatch.setattr(looking, "PORTION", portion)
    async with open_store(tmp_path) as store:
        ann = await store.accounts.add("ann@a.test", None)
        for _ in range(20):
            spool = store.contents.spool()
            spool.write(b"Subject: x\r\n\r\nx\r\n")
            await store.mailboxes.append(ann.id, INBOX, spool)
        made = await store.webhooks.add("ann@a.test", "https://a.test/", ["flags", "gone"], secret="x", most=65_536)
        inbox = await store.mailboxes.find(ann.id, INBOX)
        finder = Finder(store)

        async def flag(first: int, last: int, name: str) -> None:
            among = MessageSet(((first, last),))
            flags = frozenset({FLAGGED if name == "flagged" else SEEN})
            await store.mailboxes.set_flags(ann.id, inbox.id, among, FlagOp.ADD, flags)

        await looking.note(store, finder, made, lifetime=100)
        await flag(11, 20, "seen")
        await flag(1, 3, "seen")
        await flag(2, 2, "flagged")
        await store.mailboxes.remove(ann.id, inbox.id, MessageSet(((5, 6), (12, 12))))
        await looking.note(store, finder, made, lifetime=100)
        await looking.note(store, finder, made, lifetime=100)
        noted = await store.webhooks.deliveries(made.id, failed=False, limit=500)
        flags = [one.uid for one in noted if one.kind == "flags"]
        assert flags == [11, *range(13, 21), 1, 3, 2]
        [gone] = [json.loads(one.detail)["uids"] for one in noted if one.kind == "gone"]
        assert gone == [5, 6, 12]
