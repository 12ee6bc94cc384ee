"""The contract of accounts, domains and aliases."""

from __future__ import annotations

import pytest
from vault import Vault, post

from mailsystem.mail.errors import MailboxExists, NoSuchMailbox, NoSuchRecipient
from mailsystem.store import Alias


async def test_an_account_is_made_once_and_found_by_its_login(vault: Vault) -> None:
    assert await vault.there.accounts.find("ann@example.org") == vault.ann
    with pytest.raises(MailboxExists):
        await vault.there.accounts.add("ann@example.org", None)
    with pytest.raises(NoSuchRecipient):
        await vault.there.accounts.find("bob@example.org")


async def test_ensure_makes_an_account_only_where_it_is_missing(vault: Vault) -> None:
    assert await vault.there.accounts.ensure("ann@example.org") == vault.ann
    made = await vault.there.accounts.ensure("new@example.org")
    assert await vault.here.accounts.ensure("new@example.org") == made
    assert (await vault.here.mailboxes.status(made.id, "INBOX")).messages == 0


async def test_passwords_are_kept_as_given_and_replaced(vault: Vault) -> None:
    await vault.here.accounts.set_password("ann@example.org", "hash")
    assert await vault.there.accounts.password("ann@example.org") == (vault.ann, "hash")
    assert await vault.there.accounts.password("nobody@example.org") is None
    with pytest.raises(NoSuchRecipient):
        await vault.here.accounts.set_password("nobody@example.org", "hash")


async def test_a_removed_account_is_gone_with_its_mail(vault: Vault) -> None:
    await post(vault, "one")
    [summary] = await vault.there.accounts.list()
    assert (summary.account, summary.messages) == (vault.ann, 1)
    await vault.here.accounts.remove("ann@example.org")
    assert await vault.there.accounts.list() == []
    with pytest.raises(NoSuchMailbox):
        await vault.there.mailboxes.find(vault.ann.id, "INBOX")
    with pytest.raises(NoSuchRecipient):
        await vault.here.accounts.remove("ann@example.org")


async def test_domains_are_listed_and_removed(vault: Vault) -> None:
    await vault.here.accounts.add_domain("example.org")
    with pytest.raises(MailboxExists):
        await vault.there.accounts.add_domain("example.org")
    assert list(await vault.there.accounts.domains()) == ["example.org"]
    await vault.there.accounts.remove_domain("example.org")
    with pytest.raises(NoSuchRecipient):
        await vault.here.accounts.remove_domain("example.org")


async def test_an_alias_has_exactly_the_targets_last_set(vault: Vault) -> None:
    await vault.here.accounts.set_alias("info@example.org", ["ann@example.org", "bob@example.org"])
    await vault.here.accounts.set_alias("info@example.org", ["ann@example.org", "cid@example.org"])
    assert list(await vault.there.accounts.aliases()) == [
        Alias("info@example.org", ("ann@example.org", "cid@example.org"))
    ]
    await vault.there.accounts.remove_alias("info@example.org")
    with pytest.raises(NoSuchRecipient):
        await vault.there.accounts.remove_alias("info@example.org")
