"""The contract of accounts, domains and aliases."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from vault import Vault, post

from mailsystem.mail.envelope import Peer
from mailsystem.mail.errors import MailboxExists, NoSuchMailbox, NoSuchRecipient
from mailsystem.store import Alias, Disabled, Domain, Login, Quota, open_store
from mailsystem.store.logins import KEPT

PEER = Peer("192.0.2.7", 4711)


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


async def test_nobody_gets_the_number_of_somebody_who_left(vault: Vault) -> None:
    """A session of the one who left must not find itself in the mail of the one who came."""
    left = await vault.here.accounts.add("left@example.org", None)
    await vault.here.accounts.remove("left@example.org")
    came = await vault.there.accounts.add("came@example.org", None)
    assert came.id != left.id
    with pytest.raises(NoSuchMailbox):
        await vault.here.mailboxes.open(left.id, "INBOX", claim_recent=True)
    with pytest.raises(NoSuchMailbox):
        await vault.here.mailboxes.create(left.id, "Mine")
    with pytest.raises(NoSuchMailbox):
        await vault.here.mailboxes.subscribe(left.id, "Mine", True)
    assert list(await vault.here.mailboxes.subscriptions(came.id)) == ["INBOX"]


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


async def test_a_further_address_is_one_persons_alone(vault: Vault) -> None:
    accounts = vault.here.accounts
    await accounts.add("bob@example.org", None)
    await accounts.set_alias("info@example.org", ["ann@example.org"])
    await accounts.add_address("ann@example.org", "annie@example.org")
    for login, address in [
        ("bob@example.org", "annie@example.org"),
        ("bob@example.org", "ann@example.org"),
        ("bob@example.org", "info@example.org"),
    ]:
        with pytest.raises(MailboxExists):
            await vault.there.accounts.add_address(login, address)
    with pytest.raises(MailboxExists):
        await vault.there.accounts.add("annie@example.org", None)
    with pytest.raises(NoSuchRecipient):
        await vault.there.accounts.remove_address("bob@example.org", "annie@example.org")
    assert await vault.there.accounts.addresses() == {"annie@example.org": "ann@example.org"}
    await vault.there.accounts.remove_address("ann@example.org", "annie@example.org")
    assert await accounts.addresses() == {}


async def test_who_takes_the_place_of_a_removed_account_inherits_nothing(vault: Vault) -> None:
    accounts = vault.here.accounts
    await accounts.add_address("ann@example.org", "annie@example.org")
    await accounts.add_app_password("ann@example.org", "phone", "digest")
    await accounts.record_login(vault.ann, door="imap", peer=PEER, ok=True)
    await accounts.history.settle()
    await accounts.remove("ann@example.org")
    new = await accounts.add("eve@example.org", None)
    assert new.id != vault.ann.id, "no number is given twice"
    assert await accounts.addresses() == {}
    assert await accounts.app_passwords("eve@example.org") == []
    assert await accounts.logins("eve@example.org") == []


async def test_keys_of_an_old_password_never_stay(vault: Vault) -> None:
    accounts = vault.here.accounts
    await accounts.set_password("ann@example.org", "old", scram="keys")
    await accounts.renew_password("ann@example.org", "another", "wrong", scram="wrong")
    known = await accounts.secrets("ann@example.org")
    assert known is not None
    assert (known.password, known.scram) == ("old", "keys")
    await accounts.set_password("ann@example.org", "new")
    known = await accounts.secrets("ann@example.org")
    assert known is not None
    assert (known.password, known.scram) == ("new", None)
    assert "new" not in repr(known)


async def test_app_passwords_have_a_name_each_and_tell_when_they_were_used(vault: Vault) -> None:
    accounts = vault.here.accounts
    await accounts.add_app_password("ann@example.org", "phone", "digest")
    with pytest.raises(MailboxExists):
        await accounts.add_app_password("ann@example.org", "phone", "other")
    [phone] = await vault.there.accounts.app_passwords("ann@example.org")
    assert (phone.name, phone.created, phone.last_used) == ("phone", vault.clock.now(), None)
    vault.clock.time += 60
    accounts.history.used(vault.ann.id, "phone")
    await accounts.history.settle()
    [phone] = await vault.there.accounts.app_passwords("ann@example.org")
    assert phone.last_used == vault.clock.now()
    await vault.there.accounts.remove_app_password("ann@example.org", "phone")
    with pytest.raises(NoSuchRecipient):
        await vault.there.accounts.remove_app_password("ann@example.org", "phone")


async def test_logins_are_kept_newest_first_and_one_day_of_the_same_is_one_row(vault: Vault) -> None:
    accounts = vault.here.accounts
    began = vault.clock.now()
    for _ in range(3):
        await accounts.record_login(vault.ann, door="imap", peer=PEER, ok=True, mechanism="PLAIN")
        vault.clock.time += 1
    await accounts.history.settle()
    await accounts.record_login("ann@example.org", door="imap", peer=PEER, ok=True, mechanism="PLAIN")
    await accounts.record_login("ann@example.org", door="pop3", peer=PEER, ok=False, mechanism="USER")
    await accounts.record_login("nobody@example.org", door="pop3", peer=PEER, ok=False)
    await accounts.history.settle()
    told = {one.door: one for one in await vault.there.accounts.logins("ann@example.org")}
    assert told["imap"] == Login(True, "imap", PEER.host, "PLAIN", began, began + 3, 4)
    assert told["pop3"] == Login(False, "pop3", PEER.host, "USER", began + 3, began + 3, 1)
    with pytest.raises(NoSuchRecipient):
        await vault.there.accounts.logins("nobody@example.org")


async def test_however_many_fail_the_good_logins_stay(vault: Vault) -> None:
    accounts = vault.here.accounts
    await accounts.record_login(vault.ann, door="imap", peer=PEER, ok=True)
    for n in range(3 * KEPT):
        vault.clock.time += 1
        await accounts.record_login(vault.ann, door="smtp", peer=Peer(f"2001:db8::{n:x}", 1), ok=False)
        if n % 50 == 0:
            await accounts.history.settle()
    await accounts.history.settle()
    told = await vault.there.accounts.logins("ann@example.org")
    assert sum(not one.ok for one in told) == KEPT
    assert [one.door for one in told if one.ok] == ["imap"]
    assert told[0].host == f"2001:db8::{3 * KEPT - 1:x}"


async def test_a_login_is_written_soon_and_at_the_latest_when_the_store_is_closed(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        await store.accounts.add("ann@example.org", None)
        await store.accounts.record_login("ann@example.org", door="imap", peer=PEER, ok=True)
        assert await store.accounts.logins("ann@example.org") == []
    async with open_store(tmp_path) as store:
        assert len(await store.accounts.logins("ann@example.org")) == 1
        await store.accounts.record_login("ann@example.org", door="pop3", peer=PEER, ok=True)
        async with asyncio.timeout(10):
            while len(await store.accounts.logins("ann@example.org")) < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.05)


async def test_a_domain_is_disabled_and_has_a_catch_all(vault: Vault) -> None:
    await vault.here.accounts.add_domain("example.org")
    await vault.here.accounts.disable_domain("example.org", Disabled.DEFER)
    await vault.here.accounts.set_catch_all("example.org", "ann@example.org")
    [domain] = await vault.there.accounts.domain_list()
    assert domain == Domain("example.org", Disabled.DEFER, "ann@example.org")
    for change in (
        vault.here.accounts.disable_domain("example.net", None),
        vault.here.accounts.set_catch_all("example.net", None),
        vault.here.accounts.disable("nobody@example.org", None),
        vault.here.accounts.set_quota("nobody@example.org", Quota()),
    ):
        with pytest.raises(NoSuchRecipient):
            await change


async def test_capabilities_that_are_off_come_with_the_account(vault: Vault) -> None:
    await vault.here.accounts.set_capabilities_off("ann@example.org", ["uidonly", "NOTIFY"])
    assert (await vault.there.accounts.find("ann@example.org")).capabilities_off == {"UIDONLY", "NOTIFY"}
    assert (await vault.there.accounts.ensure("ann@example.org")).capabilities_off == {"UIDONLY", "NOTIFY"}
