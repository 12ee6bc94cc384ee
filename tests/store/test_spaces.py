"""Spaces: who is in them, and how they end."""

from __future__ import annotations

import asyncio

import pytest
from vault import Vault, letter, spooled

from mailsystem.mail.errors import MailboxExists, NoSuchMailbox, NoSuchRecipient, SyntaxFault, TooMany
from mailsystem.mail.keeping import Keep
from mailsystem.mail.space import login_of, login_within, parted, space_name, space_of
from mailsystem.store import ITSELF, SPACES, Space
from mailsystem.store import spaces as module
from mailsystem.telemetry import Event, Trace

HOUR = 3600.0


async def post(vault: Vault, space: Space, *subjects: str) -> None:
    for subject in subjects:
        await vault.there.mailboxes.append(space.account.id, "INBOX", spooled(vault.there, letter(subject)))


def test_no_address_is_spelled_as_an_account_of_a_space() -> None:
    from mailsystem.mail.address import Address

    for spelled in ('"space:ci-1"@a.test', '"ann@shop.test/ci-1"@a.test', '"x/ci-1"@shop.test', "ann/ci-1@shop.test"):
        key = Address.parse(spelled).key
        assert space_of(key) == ""
        assert key not in (login_of("ci-1"), login_within("ci-1", "ann@shop.test"))
    assert space_of(login_of("ci-1")) == space_of(login_within("ci-1", "ann@shop.test")) == "ci-1"
    assert space_of("sink") == space_of("ann@shop.test") == ""
    assert parted("Ann@shop.test/ci-1") == ("Ann@shop.test", "ci-1")
    assert parted("ann/ci-1@shop.test") is None


@pytest.mark.parametrize("name", ["", "-a", "a-", "a b", "a.b", "ä", "a" * 64, "a/b", "a+b"])
def test_what_a_space_cannot_be_called(name: str) -> None:
    with pytest.raises(SyntaxFault):
        space_name(name)


async def test_a_space_is_found_by_every_process(vault: Vault) -> None:
    heard = vault.there.bell.rung
    made = await vault.here.spaces.add("ci-1", ttl=HOUR, domains=["a.test", "*.b.test"], keep=Keep(messages=5))
    async with asyncio.timeout(30):
        await vault.there.bell.wait(heard, SPACES)
    found = await vault.there.spaces.find("ci-1")
    assert found == made
    assert (found.domains, found.keep, found.expires) == (
        ("*.b.test", "a.test"),
        Keep(messages=5),
        vault.clock.now() + HOUR,
    )
    assert dict(await vault.there.spaces.all()) == {"ci-1": made}
    summary = await vault.there.accounts.summary("space:ci-1")
    assert summary.space == "ci-1"


async def test_names_and_domains_belong_to_one_space_and_nothing_is_done_by_halves(vault: Vault) -> None:
    await vault.here.spaces.add("ci-1", ttl=HOUR, domains=["a.test"])
    with pytest.raises(MailboxExists):
        await vault.there.spaces.add("ci-1", ttl=HOUR)
    with pytest.raises(MailboxExists):
        await vault.there.spaces.add("ci-2", ttl=HOUR, domains=["b.test", "a.test"])
    assert list(await vault.here.spaces.all()) == ["ci-1"]
    with pytest.raises(NoSuchRecipient):
        await vault.here.accounts.find("space:ci-2")


async def test_there_is_an_end_to_how_many(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 2)
    for name in ("a", "b"):
        await vault.here.spaces.add(name, ttl=HOUR)
    with pytest.raises(TooMany):
        await vault.here.spaces.add("c", ttl=HOUR)


async def test_an_address_within_it_is_an_account_of_its_own(vault: Vault) -> None:
    await vault.here.spaces.add("ci-1", ttl=HOUR)
    own = await vault.here.spaces.account("ci-1", "ann@example.org")
    assert own.id != vault.ann.id
    assert await vault.there.spaces.account("ci-1", "ann@example.org") == own
    [summary] = await vault.there.spaces.list()
    assert summary.accounts == 2
    with pytest.raises(NoSuchRecipient):
        await vault.here.spaces.account("ci-2", "ann@example.org")


async def test_a_space_goes_when_nobody_has_used_it_for_its_time_with_all_its_mail(vault: Vault) -> None:
    events: list[Event] = []
    space = await vault.here.spaces.add("ci-1", ttl=HOUR, domains=["a.test"])
    within = await vault.here.spaces.account("ci-1", "ann@a.test")
    await post(vault, space, "one", "two")
    vault.clock.time += HOUR - 1
    assert await vault.there.spaces.expire(Trace([events.append])) == 0
    vault.clock.time += 1
    assert await vault.there.spaces.expire(Trace([events.append])) == 1
    assert [(event.name, event.data["space"]) for event in events] == [("space gone", "ci-1")]
    assert await vault.here.spaces.list() == []
    assert [each.account.login for each in await vault.here.accounts.list()] == [vault.ann.login]
    for login in (space.account.login, within.login):
        with pytest.raises(NoSuchRecipient):
            await vault.here.accounts.find(login)
    # Its mail is nobody's any more, and neither are its domains.
    assert await vault.here.contents.sweep(grace=0) == 2
    await vault.here.spaces.add("ci-2", ttl=HOUR, domains=["a.test"])


async def test_mail_that_comes_keeps_it_and_so_does_whoever_asks(vault: Vault) -> None:
    trace = Trace()
    space = await vault.here.spaces.add("ci-1", ttl=HOUR)
    vault.clock.time += HOUR - 1
    await post(vault, space, "one")
    vault.clock.time += HOUR - 1
    assert await vault.here.spaces.expire(trace) == 0
    await vault.there.spaces.use(await vault.there.spaces.find("ci-1"))
    vault.clock.time += HOUR - 1
    assert await vault.here.spaces.expire(trace) == 0
    vault.clock.time += 1
    assert await vault.here.spaces.expire(trace) == 1


async def test_who_is_in_it_hears_that_it_goes_and_the_name_is_free_at_once(vault: Vault) -> None:
    space = await vault.here.spaces.add("ci-1", ttl=HOUR)
    await post(vault, space, "one")
    heard = vault.there.bell.rung
    await vault.here.spaces.remove("ci-1")
    async with asyncio.timeout(30):
        await vault.there.bell.wait(heard, (space.account.id, ITSELF))
    with pytest.raises(NoSuchRecipient):
        await vault.here.spaces.remove("ci-1")
    again = await vault.here.spaces.add("ci-1", ttl=HOUR)
    assert again.account.id != space.account.id
    await post(vault, again, "two")
    # What another process has left half done is ended by the next one.
    await vault.there.spaces.clear()
    assert sorted(each.account.login for each in await vault.there.accounts.list()) == [vault.ann.login, "space:ci-1"]
    [summary] = await vault.there.spaces.list()
    assert (summary.accounts, summary.messages, summary.octets) == (1, 1, len(letter("two")))


async def test_a_large_space_goes_a_little_at_a_time(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_AT_ONCE", 3)
    space = await vault.here.spaces.add("ci-1", ttl=HOUR)
    await post(vault, space, *map(str, range(10)))
    for n in range(60):
        await vault.here.spaces.account("ci-1", f"{n}@a.test")
    await vault.here.spaces.remove("ci-1")
    await vault.here.spaces.clear()
    assert [each.account.login for each in await vault.there.accounts.list()] == [vault.ann.login]
    assert await vault.here.contents.sweep(grace=0) == 10


async def test_mail_that_is_on_its_way_to_a_space_that_goes_is_not_taken(vault: Vault) -> None:
    space = await vault.here.spaces.add("ci-1", ttl=HOUR)
    await vault.here.spaces.remove("ci-1")
    # Its mail is taken away a little later: what came now would go with it.
    with pytest.raises(NoSuchMailbox):
        await post(vault, space, "late")
    await vault.here.spaces.clear()


async def test_its_tokens_end_with_it_and_are_none_of_the_next_one(vault: Vault) -> None:
    space = await vault.here.spaces.add("ci-1", ttl=HOUR)
    secret = await vault.here.access_tokens.add(space.account.login, "first", ["read"])
    access = await vault.there.access_tokens.find(secret)
    assert access is not None
    assert access.account.login == "space:ci-1"
    await vault.there.spaces.remove("ci-1")
    assert await vault.here.access_tokens.find(secret) is None
    again = await vault.here.spaces.add("ci-1", ttl=HOUR)
    assert await vault.here.access_tokens.find(secret) is None
    assert await vault.here.access_tokens.of(again.account.login) == []
    await vault.here.access_tokens.add(again.account.login, "first", ["read"])


async def test_how_long_it_lasts_and_what_it_keeps_can_be_changed_apart(vault: Vault) -> None:
    await vault.here.spaces.add("a", ttl=HOUR, keep=Keep(messages=5))
    await vault.there.spaces.change("a", ttl=60.0)
    found = await vault.here.spaces.find("a")
    assert (found.ttl, found.keep) == (60.0, Keep(messages=5))
    await vault.there.spaces.change("a", keep=Keep(age=9))
    found = await vault.here.spaces.find("a")
    assert (found.ttl, found.keep) == (60.0, Keep(age=9))
    with pytest.raises(NoSuchRecipient):
        await vault.here.spaces.change("b", ttl=1.0)


async def test_addresses_that_ask_for_a_fault_are_counted_in_each_for_itself(vault: Vault) -> None:
    def once(seen: int, hits: int) -> bool:
        return hits < 1

    for name in ("a", "b", "ba"):
        await vault.here.spaces.add(name, ttl=HOUR)
    each = ("", "a", "b", "ba")
    faults = vault.here.faults
    assert [await faults.match_address("x@a.test", once, namespace=name) for name in each] == [True] * 4
    assert [await faults.match_address("x@a.test", once, namespace=name) for name in each] == [False] * 4
    await vault.there.spaces.remove("a")
    assert [await faults.match_address("x@a.test", once, namespace=name) for name in each] == [
        False,
        True,
        False,
        False,
    ]
    await vault.there.faults.reset(namespace="ba")
    assert [await faults.match_address("x@a.test", once, namespace=name) for name in each] == [False] * 3 + [True]
