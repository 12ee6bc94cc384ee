"""The contract of mailbox names."""

from __future__ import annotations

import pytest
from vault import Vault, letter, post, spooled

from mailsystem.mail.errors import MailboxExists, NoSuchMailbox, NotPermitted, SyntaxFault, TooMany
from mailsystem.store.names import MOST_SUBSCRIPTIONS, subscribe


async def names(vault: Vault) -> list[str]:
    return [mailbox.name for mailbox in await vault.there.mailboxes.list(vault.ann.id)]


async def test_a_new_account_has_its_mailboxes_subscribed_and_inbox_first(vault: Vault) -> None:
    assert await names(vault) == ["INBOX", "Archive"]
    assert list(await vault.there.mailboxes.subscriptions(vault.ann.id)) == ["Archive", "INBOX"]
    assert (await vault.there.mailboxes.find(vault.ann.id, "Archive")).special_use == "\\Archive"


async def test_creating_makes_what_lies_above(vault: Vault) -> None:
    await vault.here.mailboxes.create(vault.ann.id, "a/b/c")
    assert await names(vault) == ["INBOX", "Archive", "a", "a/b", "a/b/c"]


@pytest.mark.parametrize("name", ["", "/a", "a//b", "a/", "a\nb", "a\x7fb", "x" * 1001, "/".join("a" * 51), "\ud800"])
async def test_names_that_nobody_wants_are_refused(vault: Vault, name: str) -> None:
    with pytest.raises(SyntaxFault):
        await vault.here.mailboxes.create(vault.ann.id, name)


async def test_inbox_has_one_spelling(vault: Vault) -> None:
    with pytest.raises(MailboxExists):
        await vault.here.mailboxes.create(vault.ann.id, "inbox")
    await vault.here.mailboxes.create(vault.ann.id, "inBox/bills")
    assert "INBOX/bills" in await names(vault)


async def test_deleting_leaves_what_lies_below(vault: Vault) -> None:
    await vault.here.mailboxes.create(vault.ann.id, "a/b")
    await vault.here.mailboxes.delete(vault.ann.id, "a")
    assert await names(vault) == ["INBOX", "Archive", "a/b"]
    with pytest.raises(NoSuchMailbox):
        await vault.here.mailboxes.delete(vault.ann.id, "a")
    with pytest.raises(NotPermitted):
        await vault.here.mailboxes.delete(vault.ann.id, "INBOX")


async def test_a_name_made_anew_has_another_uidvalidity_and_objectid(vault: Vault) -> None:
    old = await vault.here.mailboxes.create(vault.ann.id, "a")
    await vault.here.mailboxes.delete(vault.ann.id, "a")
    new = await vault.here.mailboxes.create(vault.ann.id, "a")
    assert new.uidvalidity > old.uidvalidity
    assert new.objectid != old.objectid


async def test_renaming_takes_all_below_along(vault: Vault) -> None:
    made = await vault.here.mailboxes.create(vault.ann.id, "a/b")
    await vault.here.mailboxes.create(vault.ann.id, "ab")
    await vault.here.mailboxes.append(vault.ann.id, "a/b", spooled(vault.here, letter("x")))
    await vault.here.mailboxes.rename(vault.ann.id, "a", "x/y")
    assert await names(vault) == ["INBOX", "Archive", "ab", "x", "x/y", "x/y/b"]
    renamed = await vault.there.mailboxes.find(vault.ann.id, "x/y/b")
    assert (renamed.id, renamed.objectid, renamed.uidvalidity) == (made.id, made.objectid, made.uidvalidity)
    assert (await vault.there.mailboxes.status(vault.ann.id, "x/y/b")).messages == 1


async def test_renaming_onto_or_into_something_is_refused(vault: Vault) -> None:
    await vault.here.mailboxes.create(vault.ann.id, "a/b")
    with pytest.raises(MailboxExists):
        await vault.here.mailboxes.rename(vault.ann.id, "a", "Archive")
    with pytest.raises(NotPermitted):
        await vault.here.mailboxes.rename(vault.ann.id, "a", "a/c")
    with pytest.raises(NoSuchMailbox):
        await vault.here.mailboxes.rename(vault.ann.id, "nowhere", "b")
    assert await names(vault) == ["INBOX", "Archive", "a", "a/b"]


async def test_a_name_that_is_only_a_level_is_renamed_onto_nothing_that_exists(vault: Vault) -> None:
    await vault.here.mailboxes.create(vault.ann.id, "a/b")
    await vault.here.mailboxes.delete(vault.ann.id, "a")
    with pytest.raises(MailboxExists):
        await vault.here.mailboxes.rename(vault.ann.id, "a", "Archive")
    assert await names(vault) == ["INBOX", "Archive", "a/b"]


async def test_renaming_inbox_moves_its_messages_and_keeps_it(vault: Vault) -> None:
    await post(vault, "one", "two")
    await vault.here.mailboxes.create(vault.ann.id, "INBOX/below")
    await vault.here.mailboxes.rename(vault.ann.id, "INBOX", "Old")
    assert await names(vault) == ["INBOX", "Archive", "INBOX/below", "Old"]
    assert (await vault.there.mailboxes.status(vault.ann.id, "INBOX")).messages == 0
    assert (await vault.there.mailboxes.status(vault.ann.id, "Old")).messages == 2


async def test_subscriptions_outlive_their_mailbox(vault: Vault) -> None:
    await vault.here.mailboxes.subscribe(vault.ann.id, "Later", True)
    await vault.here.mailboxes.delete(vault.ann.id, "Archive")
    assert list(await vault.there.mailboxes.subscriptions(vault.ann.id)) == ["Archive", "INBOX", "Later"]
    await vault.here.mailboxes.subscribe(vault.ann.id, "Archive", False)
    assert list(await vault.there.mailboxes.subscriptions(vault.ann.id)) == ["INBOX", "Later"]


async def test_nobody_subscribes_to_names_without_end(vault: Vault) -> None:
    await vault.here.mailboxes._database.write(
        subscribe(vault.ann.id, [f"n{n}" for n in range(MOST_SUBSCRIPTIONS - 2)])
    )
    with pytest.raises(TooMany):
        await vault.here.mailboxes.subscribe(vault.ann.id, "one more", True)
    await vault.here.mailboxes.subscribe(vault.ann.id, "n1", False)
    await vault.here.mailboxes.subscribe(vault.ann.id, "one more", True)
