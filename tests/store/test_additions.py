"""What a client brings: several messages or none, one in the place of another; and what it asks: what has changed."""

from __future__ import annotations

import asyncio

import pytest
from vault import Vault, letter, post, spooled

from mailsystem.mail.errors import NoSuchMailbox, OverQuota, TooLarge
from mailsystem.mail.mailbox import DELETED, FLAGGED, SEEN, MessageSet, ModSeq, Uid
from mailsystem.store import FlagOp, New, Quota

ALL = MessageSet(((1, 0xFFFFFFFF),))
SMALL, LARGE = letter("small"), letter("large") + b"x" * 10_000


def files(vault: Vault) -> int:
    return len(list(vault.directory.glob("contents/??/*")))


async def test_several_messages_are_added_in_order_with_one_modseq(vault: Vault) -> None:
    news = [New(spooled(vault.here, raw), frozenset({SEEN})) for raw in (SMALL, LARGE, SMALL)]
    done = await vault.here.mailboxes.append_all(vault.ann.id, "INBOX", news)
    assert [each.uid for each in done] == [1, 2, 3]
    assert len({each.modseq for each in done}) == 1
    mailbox = await vault.there.mailboxes.find(vault.ann.id, "INBOX")
    assert (mailbox.uidnext, mailbox.modseq) == (4, done[0].modseq)
    kept = await vault.there.mailboxes.messages(vault.ann.id, mailbox.id, ALL)
    assert [await vault.there.contents.read(each.content) for each in kept] == [SMALL, LARGE, SMALL]
    assert all(each.flags == {SEEN} for each in kept)


async def test_what_is_refused_leaves_nothing_and_can_be_tried_again(vault: Vault) -> None:
    news = [New(spooled(vault.here, raw)) for raw in (SMALL, LARGE)]
    with pytest.raises(NoSuchMailbox):
        await vault.here.mailboxes.append_all(vault.ann.id, "nowhere", news)
    await vault.here.accounts.set_quota("ann@example.org", Quota(messages=1))
    with pytest.raises(OverQuota):
        await vault.here.mailboxes.append_all(vault.ann.id, "INBOX", news)
    assert files(vault) == 0
    await vault.here.accounts.set_quota("ann@example.org", Quota())
    await vault.here.mailboxes.append_all(vault.ann.id, "INBOX", news)
    assert files(vault) == 1


async def test_headers_too_large_for_memory_together_are_refused(vault: Vault) -> None:
    endless = b"X: " + b"x" * 300_000
    news = [New(spooled(vault.here, endless)) for _ in range(70)]
    with pytest.raises(TooLarge):
        await vault.here.mailboxes.append_all(vault.ann.id, "INBOX", news)
    assert files(vault) == 0


async def test_one_message_takes_the_place_of_another_and_both_are_told(vault: Vault) -> None:
    [old] = await post(vault, "old")
    inbox = await vault.here.mailboxes.find(vault.ann.id, "INBOX")
    replaced = await vault.here.mailboxes.replace(
        vault.ann.id, inbox.id, old.uid, "INBOX", New(spooled(vault.here, LARGE))
    )
    assert replaced is not None
    appended, modseq, gone = replaced
    assert gone == old.content
    changes = await vault.there.mailboxes.changes(vault.ann.id, inbox.id, old.modseq)
    assert [message.uid for message in changes.messages] == [appended.uid] == [2]
    assert changes.vanished == MessageSet.of([1])
    assert changes.modseq == modseq == appended.modseq
    again = await vault.here.mailboxes.replace(
        vault.ann.id, inbox.id, old.uid, "INBOX", New(spooled(vault.here, SMALL))
    )
    assert again is None
    assert [each.uid for each in await vault.there.mailboxes.messages(vault.ann.id, inbox.id, ALL)] == [2]


async def test_a_replacement_without_place_leaves_the_old_message(vault: Vault) -> None:
    [old] = await post(vault, "old")
    inbox = await vault.here.mailboxes.find(vault.ann.id, "INBOX")
    await vault.here.accounts.set_quota("ann@example.org", Quota(octets=5000))
    for name, error in (("INBOX", OverQuota), ("nowhere", NoSuchMailbox)):
        with pytest.raises(error):
            await vault.here.mailboxes.replace(
                vault.ann.id, inbox.id, old.uid, name, New(spooled(vault.here, LARGE if name == "INBOX" else SMALL))
            )
    changes = await vault.there.mailboxes.changes(vault.ann.id, inbox.id, ModSeq(0))
    assert [message.uid for message in changes.messages] == [1]
    assert not changes.vanished


async def test_of_two_who_replace_one_message_only_one_does(vault: Vault) -> None:
    [old] = await post(vault, "old")
    inbox = await vault.here.mailboxes.find(vault.ann.id, "INBOX")
    done = await asyncio.gather(
        *(
            store.mailboxes.replace(vault.ann.id, inbox.id, old.uid, "INBOX", New(spooled(store, SMALL)))
            for store in (vault.here, vault.there) * 3
        )
    )
    assert [each is None for each in done].count(False) == 1
    assert len(await vault.there.mailboxes.messages(vault.ann.id, inbox.id, ALL)) == 1


async def test_flags_change_only_where_nothing_has_changed_since(vault: Vault) -> None:
    posted = await post(vault, "one", "two", "three")
    inbox = await vault.here.mailboxes.find(vault.ann.id, "INBOX")
    since = posted[-1].modseq
    await vault.there.mailboxes.set_flags(vault.ann.id, inbox.id, MessageSet.of([2]), FlagOp.ADD, frozenset({SEEN}))
    changes = await vault.here.mailboxes.set_flags(
        vault.ann.id, inbox.id, ALL, FlagOp.ADD, frozenset({FLAGGED}), since=since
    )
    assert changes.unchanged == MessageSet.of([1, 3])
    assert [message.uid for message in changes.messages] == [1, 3]
    kept = await vault.here.mailboxes.messages(vault.ann.id, inbox.id, ALL)
    assert [FLAGGED in message.flags for message in kept] == [True, False, True]


async def test_what_has_changed_is_told_by_uid_and_what_has_vanished_if_asked(vault: Vault) -> None:
    posted = await post(vault, "one", "two", "three", "four")
    inbox = await vault.here.mailboxes.find(vault.ann.id, "INBOX")
    since = posted[-1].modseq
    boxes, ann = vault.here.mailboxes, vault.ann.id
    await boxes.set_flags(ann, inbox.id, MessageSet.of([1, 3]), FlagOp.ADD, frozenset({DELETED}))
    await boxes.expunge(ann, inbox.id, MessageSet.of([Uid(3)]))
    assert await boxes.changed(ann, inbox.id, since, vanished_too=True) == (MessageSet.of([1]), MessageSet.of([3]))
    assert await boxes.changed(ann, inbox.id, since, vanished_too=False) == (MessageSet.of([1]), MessageSet())
    assert await boxes.changed(ann, inbox.id, posted[1].modseq, vanished_too=False) == (
        MessageSet.of([1, 4]),
        MessageSet(),
    )
    now = (await boxes.find(ann, "INBOX")).modseq
    assert await boxes.changed(ann, inbox.id, now, vanished_too=True) == (MessageSet(), MessageSet())
    with pytest.raises(NoSuchMailbox):
        await boxes.changed(ann, type(inbox.id)(99), since, vanished_too=False)
