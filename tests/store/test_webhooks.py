"""What is kept of webhooks: two handles on one database stand for two processes."""

from __future__ import annotations

import dataclasses

import pytest
from vault import Vault

from mailsystem.mail.errors import NoSuchRecipient, TooMany
from mailsystem.mail.mailbox import ContentId, ModSeq, Uid
from mailsystem.mail.webhook import BODY
from mailsystem.store import Mark, News, Webhook
from mailsystem.store.webhooks import MOST

ANN = "ann@example.org"


async def made(vault: Vault) -> Webhook:
    return await vault.here.webhooks.add(ANN, "https://a.test/", ["arrived"], secret="whsec_secret", most=BODY)


async def test_a_secret_is_in_no_repr(vault: Vault) -> None:
    assert "whsec_secret" not in repr(await made(vault))


async def test_one_at_a_time_has_it(vault: Vault) -> None:
    hook = await made(vault)
    here, there = vault.here.webhooks, vault.there.webhooks
    assert await here.claim(hook.number, 60)
    assert await here.claim(hook.number, 60), "whoever has it may go on"
    assert not await there.claim(hook.number, 60)
    vault.clock.time += 61
    assert await there.claim(hook.number, 60)
    assert not await here.claim(hook.number, 60)
    await here.release(hook.number)
    assert not await here.claim(hook.number, 60), "only its own does one give back"
    await there.release(hook.number)
    assert await here.claim(hook.number, 60)


async def test_what_was_noted_by_one_is_not_noted_by_the_other(vault: Vault) -> None:
    hook = await made(vault)
    box = await vault.here.mailboxes.find(vault.ann.id, "INBOX")
    before = (await vault.here.webhooks.marks(hook.number))[box.id]
    after = Mark(ModSeq(before.modseq + 1), Uid(before.uid + 1))
    news = [News("arrived", box, after.modseq, after.uid, ContentId(1), "{}")]
    assert await vault.here.webhooks.note(hook.number, box.id, before, after, news, lifetime=60)
    assert not await vault.there.webhooks.note(hook.number, box.id, before, after, news, lifetime=60)
    assert await vault.there.webhooks.waiting(hook.number) == 1


async def test_what_is_too_old_is_given_up_together_and_comes_back(vault: Vault) -> None:
    hook = await made(vault)
    store = vault.here.webhooks
    box = await vault.here.mailboxes.find(vault.ann.id, "INBOX")
    mark: Mark | None = (await store.marks(hook.number))[box.id]
    for number in range(1, 4):
        after = Mark(ModSeq(100 + number), Uid(number))
        await store.note(
            hook.number, box.id, mark, after, [News("arrived", box, *after, ContentId(number), "{}")], lifetime=60
        )
        mark = after
        vault.clock.time += 10
    first = await store.next(hook.number)
    assert first is not None
    assert await store.not_told(hook.number, first.number, 500, "x" * 1000, due=0) == 0
    vault.clock.time += 40
    assert await store.not_told(hook.number, first.number, 500, "no", due=0) == 2
    told = await store.find(hook.id)
    assert (told.waiting, told.failed, told.failures, told.said) == (1, 2, 2, "no")
    assert [one.attempts for one in await store.deliveries(hook.id, failed=True, limit=9)] == [2, 0]
    assert await store.retry(hook.id, lifetime=60) == 2
    assert await store.next(hook.number) == dataclasses.replace(
        first, attempts=2, status=500, said="no", expires=vault.clock.now() + 60
    )


async def test_there_is_an_end_to_how_many_there_are(vault: Vault) -> None:
    for _ in range(MOST):
        await made(vault)
    with pytest.raises(TooMany):
        await made(vault)


async def test_they_go_with_their_account(vault: Vault) -> None:
    hook = await made(vault)
    await vault.here.accounts.remove(ANN)
    assert await vault.there.webhooks.all() == []
    with pytest.raises(NoSuchRecipient):
        await vault.there.webhooks.find(hook.id)


async def test_they_go_with_their_space(vault: Vault) -> None:
    space = await vault.here.spaces.add("ci-1", ttl=60)
    await vault.here.webhooks.add(space.account.login, "https://a.test/", ["arrived"], secret="x", most=BODY)
    kept = await made(vault)
    await vault.here.spaces.remove("ci-1")
    assert [hook.id for hook in await vault.there.webhooks.all()] == [kept.id]
