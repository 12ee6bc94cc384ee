"""What an administrator sets counts at once: who gets mail, where it goes, who may send in whose name, who may log in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from mailsystem.directory import (
    AccountsDirectory,
    SinkDirectory,
    Target,
    app_password_digest,
    derive_keys,
    hash_password,
    new_app_password,
)
from mailsystem.mail.account import Account
from mailsystem.mail.address import Address
from mailsystem.mail.envelope import Peer
from mailsystem.mail.errors import AuthFailed, InUse, NoSuchRecipient, NotPermitted, OverQuota
from mailsystem.mail.sasl import Credentials
from mailsystem.store import Disabled, Quota, Store, open_store

PEER = Peer("192.0.2.1", 4711)
ANN, BOB = "ann@example.org", "bob@example.org"
CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash("secret")


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(tmp_path) as opened:
        await opened.accounts.add_domain("example.org")
        await opened.accounts.add_domain("example.net")
        yield opened


@pytest.fixture
async def ann(store: Store) -> Account:
    return await store.accounts.add(ANN, CHEAP, scram="keys", mailboxes=[("Sent", "\\Sent")])


@pytest.fixture
async def bob(store: Store) -> Account:
    return await store.accounts.add(BOB, None)


@pytest.fixture
def directory(store: Store) -> AccountsDirectory:
    made = AccountsDirectory(store, default_domain="home.test")
    made._dummy = CHEAP
    made._renewing = False
    return made


async def resolved(directory: AccountsDirectory, text: str) -> tuple[Target, ...]:
    directory.forget()
    return await directory.resolve(Address.parse(text))


async def may_log_in(directory: AccountsDirectory, password: str = "secret") -> bool:
    try:
        await directory.login(Credentials(ANN, password), PEER)
    except AuthFailed:
        return False
    return True


async def test_a_further_address_leads_to_its_person(store: Store, directory: AccountsDirectory, ann: Account) -> None:
    await store.accounts.add_address(ANN, "annie@example.net")
    for text in ("annie@example.net", "Annie+shop@example.net"):
        assert await resolved(directory, text) == (Target(ann.id),)
    await store.accounts.set_alias("info@example.org", ["annie@example.net"])
    assert await resolved(directory, "info@example.org") == (Target(ann.id),)


async def test_who_is_full_gets_nothing_new_for_now(store: Store, directory: AccountsDirectory, ann: Account) -> None:
    await store.accounts.set_alias("info@example.org", [ANN])
    for quota in (Quota(messages=0), Quota(octets=0)):
        await store.accounts.set_quota(ANN, quota)
        for text in (ANN, "info@example.org"):
            with pytest.raises(OverQuota, match="mailbox full"):
                await resolved(directory, text)
    await store.accounts.set_quota(ANN, Quota(messages=1, octets=1))
    assert await resolved(directory, ANN) == (Target(ann.id),)


async def test_mail_for_a_disabled_account_is_refused_or_deferred(
    store: Store, directory: AccountsDirectory, ann: Account, bob: Account
) -> None:
    await store.accounts.set_alias("both@example.org", [ANN, BOB])
    await store.accounts.disable(ANN, Disabled.REJECT)
    with pytest.raises(NoSuchRecipient, match="mailbox disabled"):
        await resolved(directory, ANN)
    assert await resolved(directory, "both@example.org") == (Target(bob.id),)
    await store.accounts.disable(ANN, Disabled.DEFER)
    for text in (ANN, "both@example.org"):
        with pytest.raises(InUse, match="mailbox disabled for now"):
            await resolved(directory, text)
    await store.accounts.disable(ANN, None)
    assert set(await resolved(directory, "both@example.org")) == {Target(ann.id), Target(bob.id)}


async def test_mail_for_a_disabled_domain_is_refused_or_deferred(
    store: Store, directory: AccountsDirectory, ann: Account
) -> None:
    await store.accounts.set_alias("ann@example.net", [ANN])
    await store.accounts.disable_domain("example.net", Disabled.REJECT)
    for text in ("ann@example.net", "nobody@example.net"):
        with pytest.raises(NoSuchRecipient):
            await resolved(directory, text)
    await store.accounts.disable_domain("example.net", Disabled.DEFER)
    for text in ("ann@example.net", "nobody@example.net"):
        with pytest.raises(InUse):
            await resolved(directory, text)
    assert await resolved(directory, ANN) == (Target(ann.id),), "the domain of the account itself is not disabled"


@pytest.mark.parametrize("how", Disabled)
async def test_who_is_disabled_fails_to_log_in_like_with_a_wrong_password(
    store: Store, directory: AccountsDirectory, ann: Account, how: Disabled
) -> None:
    await store.accounts.add_app_password(ANN, "phone", app_password_digest("app"))
    assert await may_log_in(directory)
    for disabling, enabling in (
        (store.accounts.disable(ANN, how), store.accounts.disable(ANN, None)),
        (store.accounts.disable_domain("example.org", how), store.accounts.disable_domain("example.org", None)),
    ):
        await disabling
        for password in ("secret", "app", "wrong"):
            with pytest.raises(AuthFailed) as failure:
                await directory.login(Credentials(ANN, password), PEER)
            assert str(failure.value) == "authentication failed"
        with pytest.raises(AuthFailed):
            await directory.vouched(ANN)
        assert await directory.keys(ANN) is None
        await enabling
        assert await may_log_in(directory)


async def test_a_catch_all_gets_what_is_for_nobody_else(
    store: Store, directory: AccountsDirectory, ann: Account, bob: Account
) -> None:
    await store.accounts.set_catch_all("example.org", ANN)
    assert await resolved(directory, "whoever@example.org") == (Target(ann.id),)
    assert await resolved(directory, BOB) == (Target(bob.id),)
    assert await resolved(directory, "bob+shop@example.org") == (Target(bob.id),)
    with pytest.raises(NoSuchRecipient):
        await resolved(directory, "whoever@example.net")
    with pytest.raises(NotPermitted):
        await resolved(directory, "whoever@elsewhere.test")


async def test_a_catch_all_that_leads_nowhere_ends(store: Store, directory: AccountsDirectory) -> None:
    await store.accounts.set_catch_all("example.org", "gone@example.org")
    with pytest.raises(NoSuchRecipient):
        await resolved(directory, "whoever@example.org")


@pytest.mark.parametrize(
    ("separator", "good", "bad"),
    [("-", "ann-shop", "ann+shop"), ("--", "ann--shop", "ann-shop"), ("", "ann", "ann+shop")],
)
async def test_the_separator_is_a_matter_of_choice(
    store: Store, ann: Account, separator: str, good: str, bad: str
) -> None:
    directory = AccountsDirectory(store, default_domain="home.test", separator=separator)
    assert await resolved(directory, f"{good}@example.org") == (Target(ann.id),)
    with pytest.raises(NoSuchRecipient):
        await resolved(directory, f"{bad}@example.org")


async def test_a_detail_names_a_folder_where_there_is_one_and_that_is_wanted(
    store: Store, directory: AccountsDirectory, ann: Account
) -> None:
    await store.mailboxes.create(ann.id, "Shop")
    folders = AccountsDirectory(store, default_domain="home.test", detail_folder=True)
    assert await resolved(folders, "ann+shop@example.org") == (Target(ann.id, "Shop"),)
    await store.mailboxes.create(ann.id, "shop")
    assert await resolved(folders, "ann+shop@example.org") == (Target(ann.id, "shop"),)
    for text in ("ann+other@example.org", "ann+@example.org", ANN):
        assert await resolved(folders, text) == (Target(ann.id, "INBOX"),)
    assert await resolved(directory, "ann+shop@example.org") == (Target(ann.id, "INBOX"),)


async def test_no_stranger_puts_mail_among_what_somebody_has_sent(store: Store, ann: Account) -> None:
    folders = AccountsDirectory(store, default_domain="home.test", detail_folder=True)
    assert await resolved(folders, "ann+Sent@example.org") == (Target(ann.id, "INBOX"),)


async def test_one_sends_in_ones_own_name_only(
    store: Store, directory: AccountsDirectory, ann: Account, bob: Account
) -> None:
    await store.accounts.add_address(ANN, "annie@example.net")
    await store.accounts.set_alias("info@example.org", ["team@example.org"])
    await store.accounts.set_alias("team@example.org", [ANN, BOB])
    await store.accounts.set_catch_all("example.org", ANN)

    async def may(account: Account, text: str) -> bool:
        return await directory.may_send(account, Address.parse(text))

    for own in (ANN, "Ann+shop@Example.org", "annie@example.net", "annie+x@example.net", "info@example.org"):
        assert await may(ann, own), own
    for other in (BOB, "bob+ann@example.org", "whoever@example.org", "ann@example.net", "ann@elsewhere.test"):
        assert not await may(ann, other), other
    assert await may(bob, "info@example.org")
    assert not await may(bob, "annie@example.net")
    assert await directory.may_send(bob, Address.NULL), "a notification has no sender"
    await store.accounts.set_any_sender(BOB, True)
    assert await may(bob, "ann@elsewhere.test")
    await store.accounts.remove(BOB)
    assert not await may(bob, ANN)


async def test_in_the_sink_anybody_sends_as_anybody(store: Store) -> None:
    sink = SinkDirectory(store, default_domain="localhost")
    someone = await sink.login(Credentials("someone", "x"), PEER)
    assert await sink.may_send(someone, Address.parse("who@ever.example"))


async def test_a_session_of_one_who_was_disabled_or_removed_sends_nothing_more(
    store: Store, directory: AccountsDirectory
) -> None:
    eve = await store.accounts.add("eve@example.org", None)
    own = Address.parse("eve@example.org")
    assert await directory.may_send(eve, own)
    await store.accounts.disable("eve@example.org", Disabled.REJECT)
    assert not await directory.may_send(eve, own)
    assert not await directory.may_send(eve, Address.NULL)
    await store.accounts.disable("eve@example.org", None)
    assert await directory.may_send(eve, own)
    await store.accounts.remove("eve@example.org")
    assert not await directory.may_send(eve, own)
    await store.accounts.add("eve@example.org", None)
    assert not await directory.may_send(eve, own), "she is somebody else now"


async def test_an_app_password_works_beside_the_own_one_and_without_it(
    store: Store, directory: AccountsDirectory, ann: Account
) -> None:
    phone, laptop = new_app_password(), new_app_password()
    for name, password in (("phone", phone), ("laptop", laptop)):
        await store.accounts.add_app_password(ANN, name, app_password_digest(password))
    await store.accounts.set_password(ANN, None)
    assert await may_log_in(directory, laptop)
    assert await may_log_in(directory, f" {laptop.upper().replace('-', ' ')}")
    await store.accounts.history.settle()
    used = {one.name: one.last_used for one in await store.accounts.app_passwords(ANN)}
    assert used["phone"] is None
    assert used["laptop"] is not None
    await store.accounts.remove_app_password(ANN, "laptop")
    assert not await may_log_in(directory, laptop), "what was right a moment ago is not remembered"
    assert await may_log_in(directory, phone)
    assert not await may_log_in(directory, "")
    assert not await may_log_in(directory, app_password_digest(phone))


async def test_a_hash_of_old_parameters_is_made_anew_at_the_next_login(
    store: Store, directory: AccountsDirectory, ann: Account
) -> None:
    await store.accounts.set_password(ANN, CHEAP)
    directory._renewing = True
    assert not await may_log_in(directory, "wrong")
    assert await store.accounts.password(ANN) == (ann, CHEAP)
    assert await may_log_in(directory)
    known = await store.accounts.secrets(ANN)
    assert known is not None
    assert known.password is not None
    assert PasswordHasher().check_needs_rehash(known.password) is False
    assert known.scram is not None
    assert await directory.keys(ANN) is not None
    assert await may_log_in(directory)
    assert await store.accounts.secrets(ANN) == known, "it is done once"


async def test_a_password_that_changed_while_it_was_hashed_anew_stays_changed(
    store: Store, directory: AccountsDirectory, ann: Account
) -> None:
    known = await store.accounts.secrets(ANN)
    assert known is not None
    new = await hash_password("new")
    await store.accounts.set_password(ANN, new, scram=await derive_keys("new"))
    directory._renewing = True
    await directory._renew("secret", known)
    assert await store.accounts.password(ANN) == (ann, new)


async def test_logins_are_recorded_under_any_spelling_of_the_name(
    store: Store, directory: AccountsDirectory, ann: Account
) -> None:
    for who in ("Ann@Example.ORG", ann, "a b@c", "nobody@example.org"):
        await directory.record_login(who, door="imap", peer=PEER, ok=False, mechanism="PLAIN")
    await store.accounts.history.settle()
    [row] = await store.accounts.logins(ANN)
    assert (row.times, row.host, row.ok) == (2, "192.0.2.1", False)
