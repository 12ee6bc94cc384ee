"""Annotations of shared mailboxes: who may read and set them, asked in the same transaction."""

from __future__ import annotations

import pytest
from vault import Vault

from mailsystem.mail.account import Account
from mailsystem.mail.errors import NoSuchMailbox, NotPermitted
from mailsystem.mail.mailbox import ModSeq
from mailsystem.mail.rights import Identifier, rights_of
from mailsystem.store.metadata import SPECIAL_USE, Place

SHARED, PRIVATE = "/shared/comment", "/private/comment"


@pytest.fixture
async def bob(vault: Vault) -> Account:
    return await vault.here.accounts.add("bob@example.org", None)


async def archive(vault: Vault) -> Place:
    """Ann's, with a comment for all and one of her own."""
    mailbox = await vault.here.mailboxes.find(vault.ann.id, "Archive")
    place = (mailbox.account, mailbox.id)
    await vault.here.metadata.write(vault.ann.id, place, {SHARED: b"for all", PRIVATE: b"for me"})
    return place


async def give(vault: Vault, letters: str) -> None:
    await vault.here.sharing.change(vault.ann.id, "Archive", Identifier("bob@example.org"), rights_of(letters))


async def test_they_are_read_by_who_may_read_the_mailbox(vault: Vault, bob: Account) -> None:
    place = await archive(vault)
    there = vault.there.metadata
    for letters in ("", "lswite"):
        await give(vault, letters)
        assert await there.read(bob.id, [place]) == {place: {}}
        assert (await there.changes(bob.id, vault.ann.id, ModSeq(0)))[1] == {}
    await give(vault, "lr")
    assert await there.read(bob.id, [place]) == {place: {SHARED: b"for all"}}
    assert (await there.changes(bob.id, vault.ann.id, ModSeq(0)))[1] == {place: [SHARED]}
    assert await there.read(vault.ann.id, [place]) == {place: {SHARED: b"for all", PRIVATE: b"for me"}}


async def test_ones_own_take_the_right_to_read_and_those_for_all_the_right_to_write(vault: Vault, bob: Account) -> None:
    place = await archive(vault)
    there = vault.there.metadata
    for letters, entry, failure in [
        ("", PRIVATE, NoSuchMailbox),
        ("wi", SHARED, NoSuchMailbox),
        ("lw", PRIVATE, NotPermitted),
        ("lrsite", SHARED, NotPermitted),
        ("lrswipkxtea", SPECIAL_USE, NotPermitted),
    ]:
        await give(vault, letters)
        with pytest.raises(failure):
            await there.write(bob.id, place, {entry: b"\\Sent"})
    await give(vault, "lr")
    await there.write(bob.id, place, {PRIVATE: b"bob's"})
    await give(vault, "lrw")
    await there.write(bob.id, place, {SHARED: b"changed"})
    assert await there.read(vault.ann.id, [place]) == {place: {SHARED: b"changed", PRIVATE: b"for me"}}
    assert await there.read(bob.id, [place]) == {place: {SHARED: b"changed", PRIVATE: b"bob's"}}
