"""How much each account sends to other servers."""

from __future__ import annotations

import pytest
from vault import Vault

from mailsystem.mail.errors import NoSuchRecipient, TooMany
from mailsystem.mail.mailbox import AccountId
from mailsystem.store import Caps, Standing
from mailsystem.store.database import Row, Sql, Statement, Unit
from mailsystem.store.sending import KEPT, count

DAY = 86_400


def people(number: int, first: int = 0) -> list[str]:
    return [f"p{n}@example.net" for n in range(first, first + number)]


async def test_recipients_of_a_day_are_capped_all_or_none(vault: Vault) -> None:
    caps = Caps(recipients=5)
    sending, ann = vault.here.sending, vault.ann.id
    await sending.count(ann, people(3), caps)
    with pytest.raises(TooMany, match="you may write to 5 people on other servers in a day; try again tomorrow"):
        await vault.there.sending.count(ann, people(3), caps)
    assert await sending.standing(ann) == Standing(3, 3)
    await vault.there.sending.count(ann, people(2), caps)
    assert await sending.standing(ann) == Standing(5, 3)
    with pytest.raises(TooMany):
        await sending.count(ann, people(1), caps)
    vault.clock.time += DAY
    assert await sending.standing(ann) == Standing(0, 0)
    await sending.count(ann, people(5), caps)


async def test_strangers_of_a_day_are_capped_and_friends_are_not(vault: Vault) -> None:
    caps = Caps(strangers=2)
    sending, ann = vault.here.sending, vault.ann.id
    await sending.count(ann, people(2), caps)
    for _ in range(10):
        await sending.count(ann, people(2), caps)
    with pytest.raises(TooMany, match="you may write to 2 people in a day to whom you have never written"):
        await sending.count(ann, [*people(2), "eve@example.com"], caps)
    assert await sending.standing(ann) == Standing(22, 2)
    vault.clock.time += DAY
    await sending.count(ann, [*people(2), "eve@example.com", "ivy@example.com"], caps)
    assert await sending.standing(ann) == Standing(4, 2)


async def test_each_account_has_caps_and_friends_of_its_own(vault: Vault) -> None:
    bob = await vault.here.accounts.add("bob@example.org", None)
    caps = Caps(strangers=1)
    await vault.here.sending.count(vault.ann.id, people(1), caps)
    await vault.here.sending.count(bob.id, people(1), caps)
    with pytest.raises(TooMany):
        await vault.here.sending.count(bob.id, people(1, 1), caps)


async def test_no_cap_counts_too_so_that_friends_are_known_later(vault: Vault) -> None:
    await vault.here.sending.count(vault.ann.id, people(50), Caps())
    assert await vault.here.sending.standing(vault.ann.id) == Standing(50, 50)
    vault.clock.time += DAY
    await vault.here.sending.count(vault.ann.id, people(50), Caps(strangers=1))


async def test_somebody_who_is_named_twice_counts_once(vault: Vault) -> None:
    await vault.here.sending.count(vault.ann.id, people(1) * 2, Caps(recipients=1, strangers=1))
    assert await vault.here.sending.standing(vault.ann.id) == Standing(1, 1)


async def test_room_is_told_before_anything_is_counted(vault: Vault) -> None:
    sending, ann = vault.here.sending, vault.ann.id
    caps = Caps(recipients=4, strangers=2)
    await sending.count(ann, people(2), caps)
    await sending.room(ann, people(2), caps)
    assert await sending.standing(ann) == Standing(2, 2)
    with pytest.raises(TooMany, match="never written"):
        await sending.room(ann, people(1, 2), caps)
    with pytest.raises(TooMany, match="4 people"):
        await sending.room(ann, people(3), caps)
    vault.clock.time += DAY
    await sending.room(ann, [*people(2), *people(2, 2)], caps)


async def test_an_account_may_have_other_caps_than_everybody(vault: Vault) -> None:
    sending, ann = vault.here.sending, vault.ann.id
    caps = Caps(recipients=2, strangers=2)
    await sending.set_caps(ann, recipients=0, strangers=5)
    assert (await sending.standing(ann)).caps(caps) == Caps(0, 5)
    await sending.count(ann, people(5), caps)
    await sending.count(ann, people(5), caps)
    with pytest.raises(TooMany, match="5 people"):
        await sending.count(ann, people(1, 5), caps)
    await sending.set_caps(ann, recipients=None, strangers=None)
    with pytest.raises(TooMany, match="2 people"):
        await sending.count(ann, people(1), caps)


async def test_what_an_account_sent_goes_with_it(vault: Vault) -> None:
    await vault.here.sending.count(vault.ann.id, people(2), Caps())
    await vault.here.accounts.remove(vault.ann.login)
    with pytest.raises(NoSuchRecipient):
        await vault.here.sending.standing(vault.ann.id)
    assert await read(vault, "SELECT account_id FROM correspondents UNION ALL SELECT account_id FROM sent") == []


async def test_the_counts_of_a_month_are_kept(vault: Vault) -> None:
    for _ in range(KEPT + 5):
        await vault.here.sending.count(vault.ann.id, people(1), Caps())
        vault.clock.time += DAY
    assert len(await read(vault, "SELECT day FROM sent")) == KEPT


def test_many_recipients_take_as_few_statements_as_one() -> None:
    def statements(number: int) -> int:
        unit = count(AccountId(1), people(number), 0.0, Caps(1000, 1000))
        said: list[Statement] = [next(unit)]
        try:
            said.append(unit.send([(0, 0, None, None)]))
            while True:
                said.append(unit.send([]))
        except StopIteration:
            return len(said)

    assert statements(1) == statements(500) == 5
    assert list(count(AccountId(1), [], 0.0, Caps(1, 1))) == []


async def read(vault: Vault, statement: str) -> list[Row]:
    def unit() -> Unit[list[Row]]:
        return (yield Sql(statement))

    return await vault.here.sending._database.read(unit())
