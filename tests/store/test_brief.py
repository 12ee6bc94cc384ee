"""What is looked up with every command costs no way to a thread; what is large goes there all the same."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from vault import Vault, post

from mailsystem.mail.mailbox import MessageSet
from mailsystem.store import naming, sqlite


class Hops:
    """Counts the ways to a thread that the test's own task takes: there are chores beside it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._count = 0
        self._mine = asyncio.current_task()
        hop = sqlite._hop

        async def counted(connection: Any, work: Any) -> Any:
            self._count += asyncio.current_task() is self._mine
            return await hop(connection, work)

        monkeypatch.setattr(sqlite, "_hop", counted)

    def since(self) -> int:
        """How many there were since this was asked last."""
        count, self._count = self._count, 0
        return count


async def test_counts_that_are_known_are_told_where_we_stand(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    hops, mailboxes = Hops(monkeypatch), vault.here.mailboxes
    await post(vault, "one")
    hops.since()
    for messages in (1, 2, 3):
        assert (await mailboxes.status(vault.ann.id, "INBOX")).messages == messages
        assert hops.since() == 1
        assert (await mailboxes.status(vault.ann.id, "INBOX")).messages == messages
        assert (await mailboxes.statuses(await mailboxes.list(vault.ann.id)))[0].messages == messages
        hops.since()
        await mailboxes.statuses([await mailboxes.find(vault.ann.id, "INBOX")])
        assert hops.since() == 0
        await post(vault, "another")
        hops.since()


async def test_few_mailboxes_are_listed_where_we_stand(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    hops, mailboxes = Hops(monkeypatch), vault.here.mailboxes
    visible = await mailboxes.visible(vault.ann.id)
    assert [mailbox.name for mailbox, _ in visible] == ["INBOX", "Archive"]
    assert hops.since() == 0
    monkeypatch.setattr(naming, "_FEW", 1)
    assert await mailboxes.visible(vault.ann.id) == visible
    assert hops.since() == 1


async def test_a_small_maildrop_is_opened_read_and_left_where_we_stand(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    await post(vault, *"abcde")
    hops, maildrops, ann = Hops(monkeypatch), vault.here.maildrops, vault.ann.id
    for _ in range(5):
        drop = await maildrops.listing(ann)
        assert [message.uid for message in drop.messages] == [1, 2, 3, 4, 5]
        found = await maildrops.read(ann, drop.mailbox.id, MessageSet(((2, 4),)), small=True)
        assert [uid for uid, _ in found] == [2, 3, 4]
    assert hops.since() == 0
    monkeypatch.setattr("mailsystem.store.maildrops._FEW", 5)
    assert (await maildrops.listing(ann)).messages == drop.messages
    assert hops.since() == 1
