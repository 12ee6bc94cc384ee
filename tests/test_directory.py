"""Who may log in, and whose mail it is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest

from mailsystem.directory import AccountsDirectory, Away, Remembered, SinkDirectory, Target, hash_password, login_name
from mailsystem.mail.address import Address
from mailsystem.mail.clock import SystemClock
from mailsystem.mail.envelope import Peer
from mailsystem.mail.errors import AuthFailed, NoSuchRecipient, NotPermitted, SyntaxFault
from mailsystem.mail.sasl import Credentials
from mailsystem.store import Store, open_store

T = TypeVar("T")

PEER = Peer("127.0.0.1", 4711)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(tmp_path) as opened:
        await opened.accounts.add_domain("example.org")
        yield opened


@pytest.fixture
def directory(store: Store) -> AccountsDirectory:
    return AccountsDirectory(store, default_domain="home.test")


async def test_the_right_password_logs_in_under_any_spelling_of_the_name(
    store: Store, directory: AccountsDirectory
) -> None:
    ann = await store.accounts.add("ann@home.test", await hash_password("pässword"))
    for login in ("ann@home.test", "Ann@HOME.test", "ann"):
        assert await directory.login(Credentials(login, "pässword"), PEER) == ann


@pytest.mark.parametrize(
    ("login", "password"),
    [("ann", "wrong"), ("ann", ""), ("bob", "pw"), ("", "pw"), ("a b@c", "pw"), ("ann@x@y", "pw"), ("ann", "p" * 5000)],
)
async def test_whatever_is_wrong_it_fails_alike(
    store: Store, directory: AccountsDirectory, login: str, password: str
) -> None:
    await store.accounts.add("ann@home.test", await hash_password("pw"))
    with pytest.raises(AuthFailed) as failure:
        await directory.login(Credentials(login, password), PEER)
    assert str(failure.value) == "authentication failed"


async def test_an_account_without_a_password_cannot_log_in(store: Store, directory: AccountsDirectory) -> None:
    await store.accounts.add("ann@home.test", None)
    with pytest.raises(AuthFailed):
        await directory.login(Credentials("ann", ""), PEER)
    with pytest.raises(AuthFailed):
        await directory.login(Credentials("ann", "None"), PEER)


async def test_a_changed_password_counts_at_once_though_the_old_was_proven(
    store: Store, directory: AccountsDirectory
) -> None:
    await store.accounts.add("ann@home.test", await hash_password("old"))
    await directory.login(Credentials("ann", "old"), PEER)
    await store.accounts.set_password("ann@home.test", await hash_password("new"))
    with pytest.raises(AuthFailed):
        await directory.login(Credentials("ann", "old"), PEER)
    await directory.login(Credentials("ann", "new"), PEER)


async def test_nothing_that_is_remembered_holds_a_password(store: Store, directory: AccountsDirectory) -> None:
    await store.accounts.add("ann@home.test", await hash_password("tell-nobody"))
    await directory.login(Credentials("ann", "tell-nobody"), PEER)
    assert "tell-nobody" not in repr(vars(directory)) + repr(directory._proven._entries)
    assert "tell-nobody" not in repr(Credentials("ann", "tell-nobody"))


async def test_addresses_resolve_through_aliases_and_details(store: Store, directory: AccountsDirectory) -> None:
    ann = await store.accounts.add("ann@example.org", None)
    bob = await store.accounts.add("bob@example.org", None)
    await store.accounts.set_alias("info@example.org", ["ann@example.org", "all@example.org"])
    await store.accounts.set_alias("all@example.org", ["bob@example.org", "info@example.org"])

    async def resolve(text: str) -> set[int]:
        return {target.account for target in await directory.resolve(Address.parse(text))}

    assert await resolve("ANN@Example.Org") == {ann.id}
    assert await resolve("ann+shop@example.org") == {ann.id}
    assert await resolve("info@example.org") == {ann.id, bob.id}, "a circle of aliases ends"
    assert await resolve("info+x@example.org") == {ann.id, bob.id}


def at_once(asked: Coroutine[Any, Any, T]) -> T:
    """The answer of what does not wait for another thread."""
    try:
        asked.send(None)
    except StopIteration as done:
        answer: T = done.value
        return answer
    raise AssertionError("it waits")


async def test_what_a_recipient_leads_to_is_looked_up_where_we_stand(
    store: Store, directory: AccountsDirectory
) -> None:
    ann = await store.accounts.add("ann@example.org", None)
    await store.accounts.set_alias("info@example.org", ["ann+x@example.org"])
    assert at_once(directory.resolve(Address.parse("info@example.org"))) == (Target(ann.id),)
    assert at_once(directory.may_send(ann, Address.parse("info@example.org")))
    await store.greylist.wait("192.0.2.0/24", "bob", "ann@example.org")
    assert at_once(store.greylist.wait("192.0.2.0/24", "bob", "ann@example.org")) > 0
    assert at_once(store.suppression.of(["ann@example.org"])) == []


async def test_a_long_way_lets_others_have_their_turn(store: Store, directory: AccountsDirectory) -> None:
    people = [f"p{number}@example.org" for number in range(100)]
    for name in people:
        await store.accounts.add(name, None)
    await store.accounts.set_alias("all@example.org", people)
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    others = asyncio.create_task(other())
    assert len(await directory.resolve(Address.parse("all@example.org"))) == 100
    others.cancel()
    assert turns >= 2


async def test_unknown_people_and_foreign_domains_are_told_apart(store: Store, directory: AccountsDirectory) -> None:
    with pytest.raises(NoSuchRecipient):
        await directory.resolve(Address.parse("nobody@example.org"))
    with pytest.raises(NoSuchRecipient):
        await directory.resolve(Address.parse("nobody@home.test"))
    with pytest.raises(NotPermitted, match="relaying denied"):
        await directory.resolve(Address.parse("ann@elsewhere.test"))


async def test_postmaster_without_a_domain_is_ours(store: Store, directory: AccountsDirectory) -> None:
    made = await store.accounts.add("postmaster@home.test", None)
    assert await directory.resolve(Address("Postmaster", "")) == (Target(made.id),)


async def test_postmaster_without_a_domain_is_somebody_without_a_default_domain_too(store: Store) -> None:
    """RFC 5321 4.5.1 makes no exception."""
    directory = AccountsDirectory(store, default_domain="")
    with pytest.raises(NoSuchRecipient):
        await directory.resolve(Address("Postmaster", ""))
    made = await store.accounts.add("postmaster@example.org", None)
    assert await directory.resolve(Address("Postmaster", "")) == (Target(made.id),)


async def test_a_new_account_receives_within_moments_and_forgetting_makes_it_at_once(
    store: Store, directory: AccountsDirectory
) -> None:
    old = await store.accounts.add("ann@example.org", None)
    assert await directory.resolve(Address.parse("ann@example.org")) == (Target(old.id),)
    await store.accounts.remove("ann@example.org")
    new = await store.accounts.add("ann@example.org", None)
    directory.forget()
    assert await directory.resolve(Address.parse("ann@example.org")) == (Target(new.id),)


async def test_a_name_without_a_domain_gets_the_default_one(store: Store, directory: AccountsDirectory) -> None:
    """`RCPT TO:<root>`, as a machine's own programs say it."""
    root = await store.accounts.add("root@home.test", None)
    assert [target.account for target in await directory.resolve(Address("root", ""))] == [root.id]
    with pytest.raises(NoSuchRecipient):
        await directory.resolve(Address("nobody", ""))


async def test_a_sink_whose_account_was_removed_makes_it_anew_at_login(store: Store) -> None:
    sink = SinkDirectory(store, default_domain="localhost")
    old = await sink.login(Credentials("ann@example.org", "x"), PEER)
    await store.accounts.remove("ann@example.org")
    new = await sink.login(Credentials("ann@example.org", "x"), PEER)
    assert new.id != old.id
    assert (await store.mailboxes.status(new.id, "INBOX")).messages == 0


async def test_in_the_sink_everybody_exists_and_sink_gets_a_copy(store: Store) -> None:
    sink = SinkDirectory(store, default_domain="localhost")
    everything = await sink.login(Credentials("sink", "anything"), PEER)
    resolved = await sink.resolve(Address.parse("who@ever.example"))
    assert Target(everything.id, gathers=True) in resolved
    reader = await sink.login(Credentials("Who@Ever.example", ""), PEER)
    assert {Target(reader.id), Target(everything.id, gathers=True)} == set(resolved)
    assert (await sink.login(Credentials("bare", "x"), PEER)).login == "bare@localhost"
    with pytest.raises(AuthFailed):
        await sink.login(Credentials("not an address", "x"), PEER)


async def test_the_sink_looks_up_each_address_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    sink = SinkDirectory(store, default_domain="localhost", sent_on=["*@away.example"])
    first = [
        await sink.resolve(Address.parse(text)) for text in ("ann@here.example", "Ann@away.example", "ann@away.example")
    ]
    assert [place.address.local for places in first for place in places if isinstance(place, Away)] == ["Ann", "ann"]
    asked: list[str] = []
    monkeypatch.setattr(type(store.accounts), "ensure", lambda _, login: asked.append(login))
    again = [
        await sink.resolve(Address.parse(text)) for text in ("ann@here.example", "Ann@away.example", "ann@away.example")
    ]
    assert (again, asked) == (first, [])
    sink.forget()
    with pytest.raises(TypeError):
        await sink.resolve(Address.parse("ann@here.example"))
    assert asked


def test_a_login_is_a_full_folded_address() -> None:
    assert login_name("Ann", "Home.test".lower()) == "ann@home.test"
    assert login_name("Ann@BÜCHER.example", "home.test") == "ann@xn--bcher-kva.example"
    with pytest.raises(SyntaxFault):
        login_name("a b", "home.test")


def test_what_is_remembered_is_bounded_and_grows_old() -> None:
    class Clock(SystemClock):
        time = 0.0

        def now(self) -> float:
            return self.time

    clock = Clock()
    kept: Remembered[int] = Remembered(clock, 10, most=3)
    for n in range(5):
        kept.put(str(n), n)
    assert [kept.get(str(n)) for n in range(5)] == [None, None, 2, 3, 4]
    clock.time = 10
    assert kept.get("4") is None
