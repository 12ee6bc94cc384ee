"""The contract of quotas: what an account keeps is counted exactly, and never grows past what it may."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from vault import Vault, as_schema_1, drop_for, letter, post, spooled

from mailsystem.mail.errors import NoSuchMailbox, OverQuota
from mailsystem.mail.mailbox import DELETED, MessageSet
from mailsystem.store import FlagOp, Quota, open_store

ANN = "ann@example.org"
ALL = MessageSet(((1, 0xFFFFFFFF),))


async def counted(vault: Vault) -> tuple[int, int]:
    summary = await vault.there.accounts.summary(ANN)
    return summary.messages, summary.size


async def recounted(vault: Vault) -> tuple[int, int]:
    statuses = [
        await vault.there.mailboxes.status(vault.ann.id, mailbox.name)
        for mailbox in await vault.there.mailboxes.list(vault.ann.id)
    ]
    return sum(one.messages for one in statuses), sum(one.size for one in statuses)


@pytest.mark.parametrize("seed", range(4))
async def test_the_counters_equal_a_recount_after_whatever_was_done(vault: Vault, seed: int) -> None:
    chance = random.Random(seed)
    mailboxes, ann = vault.here.mailboxes, vault.ann.id
    await vault.here.accounts.set_quota(ANN, Quota(messages=25, octets=2500))
    refused = 0
    for turn in range(60):
        names = [mailbox.name for mailbox in await mailboxes.list(ann)]
        there = await mailboxes.find(ann, chance.choice(names))
        low = chance.randint(1, 12)
        some = MessageSet(((low, low + chance.randint(0, 6)),))
        try:
            match chance.choice(["append", "append", "deliver", "copy", "move", "expunge", "delete", "rename", "quit"]):
                case "append":
                    octets = letter("s", "x" * chance.randint(0, 200))
                    await mailboxes.append(ann, there.name, spooled(vault.here, octets))
                case "deliver":
                    await mailboxes.deliver(drop_for(vault.ann), spooled(vault.here, letter("d")), prefix=b"A: b\r\n")
                case "copy":
                    await mailboxes.copy(ann, there.id, some, chance.choice(names))
                case "move":
                    await mailboxes.move(ann, there.id, some, chance.choice(names))
                case "expunge":
                    await mailboxes.set_flags(ann, there.id, some, FlagOp.ADD, frozenset({DELETED}))
                    await mailboxes.expunge(ann, there.id, chance.choice([None, some]))
                case "delete" if there.name != "INBOX":
                    await mailboxes.delete(ann, there.name)
                case "rename":
                    await mailboxes.rename(ann, there.name, f"new {turn}")
                case "quit":
                    lease = await vault.here.maildrops.acquire(ann)
                    inbox = await mailboxes.find(ann, "INBOX")
                    await vault.here.maildrops.update(lease, inbox.id, some)
        except OverQuota:
            refused += 1
        assert await counted(vault) == await recounted(vault)
        messages, octets = await counted(vault)
        assert messages <= 25
        assert octets <= 2500
    assert refused or (await counted(vault))[0]


async def test_an_account_takes_exactly_as_many_messages_as_it_may(vault: Vault) -> None:
    await vault.there.accounts.set_quota(ANN, Quota(messages=2))
    await post(vault, "one", "two")
    with pytest.raises(OverQuota):
        await post(vault, "three")
    assert (await vault.there.mailboxes.status(vault.ann.id, "INBOX")).messages == 2
    await vault.there.accounts.set_quota(ANN, Quota())
    await post(vault, "three")


async def test_an_account_takes_exactly_as_many_octets_as_it_may(vault: Vault) -> None:
    size = len(letter("one"))
    await vault.there.accounts.set_quota(ANN, Quota(octets=2 * size))
    await post(vault, "one", "two")
    with pytest.raises(OverQuota):
        await vault.here.mailboxes.append(vault.ann.id, "INBOX", spooled(vault.here, b"x"))


async def test_the_prefix_of_a_delivery_counts_too(vault: Vault) -> None:
    await vault.here.accounts.set_quota(ANN, Quota(octets=len(letter("one"))))
    with pytest.raises(OverQuota):
        await vault.here.mailboxes.append(vault.ann.id, "INBOX", spooled(vault.here, letter("one")), prefix=b"A: b\r\n")
    await post(vault, "one")


async def test_who_is_full_can_move_and_expunge_but_not_copy(vault: Vault) -> None:
    await post(vault, "one", "two")
    await vault.here.accounts.set_quota(ANN, Quota(messages=1))
    inbox = await vault.here.mailboxes.find(vault.ann.id, "INBOX")
    with pytest.raises(OverQuota):
        await vault.here.mailboxes.copy(vault.ann.id, inbox.id, ALL, "Archive")
    assert (await vault.here.mailboxes.status(vault.ann.id, "Archive")).messages == 0
    assert len((await vault.here.mailboxes.move(vault.ann.id, inbox.id, ALL, "Archive")).target) == 2
    await vault.here.mailboxes.delete(vault.ann.id, "Archive")
    assert await counted(vault) == (0, 0)
    await post(vault, "fits again")


async def test_one_who_is_full_keeps_a_delivery_from_all_and_leaves_no_file(vault: Vault) -> None:
    bob = await vault.here.accounts.add("bob@example.org", None)
    await vault.here.accounts.set_quota(ANN, Quota(messages=0))
    large = letter("large", "x" * 10_000 + "\r\n")
    spool = spooled(vault.here, large)
    with pytest.raises(OverQuota):
        await vault.here.mailboxes.deliver(drop_for(vault.ann, bob), spool)
    spool.discard()
    assert (await vault.here.mailboxes.status(bob.id, "INBOX")).messages == 0
    assert (await vault.here.accounts.summary("bob@example.org")).messages == 0
    assert [path for path in (vault.directory / "contents").rglob("*") if path.is_file()] == []


async def test_a_copy_into_a_missing_mailbox_counts_nothing(vault: Vault) -> None:
    await post(vault, "one")
    inbox = await vault.here.mailboxes.find(vault.ann.id, "INBOX")
    with pytest.raises(NoSuchMailbox):
        await vault.here.mailboxes.copy(vault.ann.id, inbox.id, ALL, "nowhere")
    assert await counted(vault) == await recounted(vault)


async def test_mail_that_was_there_before_quotas_were_is_counted(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        ann = await store.accounts.add(ANN, "hash")
        for subject in ("one", "two"):
            await store.mailboxes.append(ann.id, "INBOX", spooled(store, letter(subject)))
    as_schema_1(tmp_path)
    async with open_store(tmp_path) as store:
        summary = await store.accounts.summary(ANN)
        assert (summary.messages, summary.size) == (2, 2 * len(letter("one")))
        assert await store.accounts.password(ANN) == (ann, "hash")
