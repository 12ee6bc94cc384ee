"""Faults in one store, as several processes see them: two handles on it stand for two processes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from vault import TestClock

from mailsystem.faults import Faults, Rule, Scene, of_line
from mailsystem.mail.address import Address
from mailsystem.mail.envelope import Peer
from mailsystem.mail.errors import TooMany
from mailsystem.store import Store, open_store
from mailsystem.store.faults import MOST, REMEMBERED
from mailsystem.telemetry import Event, Trace

ANN = Address("ann", "example.org")
RCPT = Scene("smtp", "RCPT", Peer("127.0.0.1", 1), recipients=[ANN])
SILENT = Trace()


@pytest.fixture
def clock() -> TestClock:
    return TestClock()


@pytest.fixture
async def stores(tmp_path: Path, clock: TestClock) -> AsyncIterator[tuple[Store, Store]]:
    async with open_store(tmp_path, clock=clock) as here, open_store(tmp_path, clock=clock) as there:
        yield here, there


Both = tuple[Faults, Faults]


@pytest.fixture
def both(stores: tuple[Store, Store]) -> Both:
    return Faults(stores[0]), Faults(stores[1])


async def strikes(faults: Faults, times: int, scene: Scene = RCPT) -> int:
    """How many of so many matches at once are struck."""
    met = await asyncio.gather(*(faults.strike(scene, SILENT) for _ in range(times)))
    return sum(one is not None for one in met)


async def test_both_together_strike_exactly_so_often(both: Both) -> None:
    here, there = both
    await here.add(of_line("smtp RCPT reply=451 times=7 after=3"))
    await there.look()
    assert sum(await asyncio.gather(strikes(here, 20), strikes(there, 20))) == 7
    assert await strikes(here, 5) + await strikes(there, 5) == 0
    [told] = await there.all()
    assert (told.hits, told.is_spent) == (7, True)


async def test_chance_falls_the_same_for_both_as_for_one(both: Both) -> None:
    here, there = both
    await here.add(of_line("smtp RCPT reply=451 probability=0.5 seed=3"))
    await there.look()
    together = sum(await asyncio.gather(strikes(here, 20), strikes(there, 20)))
    await here.reset()
    assert await strikes(there, 40) == together


async def test_whoever_comes_anew_knows_all(both: Both) -> None:
    here, there = both
    assert await there.strike(RCPT, SILENT) is None
    number = await here.add(of_line("smtp RCPT reply=451"))
    await there.look()
    assert await there.strike(RCPT, SILENT) == of_line("smtp RCPT reply=451")
    assert await here.remove(number)
    assert not await here.remove(number)
    await there.look()
    assert await there.strike(RCPT, SILENT) is None
    assert there.quiet


async def test_the_others_hear_of_it_by_the_bell(stores: tuple[Store, Store], both: Both) -> None:
    here, there = both
    assert await there.strike(RCPT, SILENT) is None
    assert there.quiet
    await here.add(of_line("smtp RCPT reply=451"))
    async with asyncio.timeout(20):
        while there.quiet:  # noqa: ASYNC110 - what is waited for is what it says
            await asyncio.sleep(0.001)
    assert await there.strike(RCPT, SILENT) is not None


async def test_without_rules_nothing_is_asked(stores: tuple[Store, Store], monkeypatch: pytest.MonkeyPatch) -> None:
    faults = Faults(stores[0])
    await faults.look()

    async def never(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr(type(stores[0].faults.database), "read", never)
    assert faults.quiet
    assert await faults.strike(RCPT, SILENT) is None


async def test_the_oldest_that_strikes_is_met_and_the_others_are_not_counted(both: Both) -> None:
    here, _ = both
    for line in ("smtp RCPT reply=450 to=bob@*", "smtp RCPT reply=451 times=1", "smtp * reply=452"):
        await here.add(of_line(line))
    met = [await here.strike(RCPT, SILENT) for _ in range(3)]
    assert [rule.reply for rule in met if rule] == ["451", "452", "452"]
    assert [(told.seen, told.hits) for told in await here.all()] == [(0, 0), (1, 1), (2, 2)]


async def test_any_command_is_neither_the_connection_nor_the_message(both: Both) -> None:
    here, _ = both
    await here.add(of_line("smtp * reply=452"))
    for stage, expected in (("CONNECT", 0), ("BODY", 0), ("NOOP", 1)):
        assert await strikes(here, 1, Scene("smtp", stage, RCPT.peer)) == expected


async def test_namespaces_are_apart(stores: tuple[Store, Store]) -> None:
    whose = {"ann": "a", "bob": "b"}

    async def namespace_of(scene: Scene) -> str:
        return whose.get(scene.login, "")

    faults = Faults(stores[0], namespace_of=namespace_of)
    for name in "ab":
        await faults.add(of_line(f"smtp NOOP reply=45{'ab'.index(name)} namespace={name}"))

    async def met(login: str) -> str | None:
        rule: Rule | None = await faults.strike(Scene("smtp", "NOOP", RCPT.peer, login), SILENT)
        return rule.reply if rule else None

    assert [await met(login) for login in ("ann", "bob", "eve")] == ["450", "451", None]
    assert [told.rule.namespace for told in await faults.all("a")] == ["a"]
    assert await faults.reset(namespace="a") == 1
    assert [told.hits for told in await faults.all()] == [0, 1]
    assert await faults.clear("a") == 1
    assert [await met(login) for login in ("ann", "bob")] == [None, "451"]


async def test_what_is_spent_begins_anew(both: Both) -> None:
    here, there = both
    number = await here.add(of_line("smtp RCPT reply=451 times=1"))
    await there.look()
    assert await strikes(there, 3) == 1
    assert await here.reset(number) == 1
    assert await here.reset(number + 1) == 0
    await there.look()
    assert await strikes(there, 3) == 1
    assert await here.clear() == 1
    assert await here.all() == []


async def test_there_may_not_be_too_many(both: Both) -> None:
    here, _ = both
    rule = of_line("smtp RCPT reply=451")
    await asyncio.gather(*(here.add(rule) for _ in range(MOST)))
    with pytest.raises(TooMany):
        await here.add(rule)


async def test_an_address_is_counted_by_both(both: Both, clock: TestClock) -> None:
    here, there = both
    scene = Scene("smtp", "RCPT", RCPT.peer, recipients=[Address("451-twice+x", "example.org")])
    met = [await faults.strike_magic(scene, SILENT) for faults in (here, there, here, there)]
    assert [rule is not None for rule in met] == [True, True, False, False]
    clock.time += REMEMBERED + 1
    assert await here.strike_magic(scene, SILENT) is not None
    await here.clear()
    assert await there.strike_magic(scene, SILENT) is not None


async def test_magic_can_be_off(stores: tuple[Store, Store]) -> None:
    faults = Faults(stores[0], magic=False)
    scene = Scene("smtp", "RCPT", RCPT.peer, recipients=[Address("451+x", "example.org")])
    assert await faults.strike_magic(scene, SILENT) is None
    assert faults.writing(Address("bounce+x", "example.org")) is None


async def test_it_is_told_to_the_trace_and_to_programs(both: Both) -> None:
    here, _ = both
    events: list[Event] = []
    number = await here.add(of_line("smtp RCPT reply=451 times=1"))
    await here.strike(RCPT, Trace([events.append]))
    [event] = events
    assert (event.name, dict(event.data)) == (
        "fault",
        {"command": "RCPT", "rule": number, "fault": "smtp RCPT reply=451 times=1"},
    )
    [told] = await here.all()
    assert told.as_json() == {
        "id": number,
        "door": "smtp",
        "stage": "RCPT",
        "reply": "451",
        "times": 1,
        "seen": 1,
        "hits": 1,
        "spent": True,
        "line": "smtp RCPT reply=451 times=1",
    }


async def test_many_rules_for_many_recipients_hold_nobody_up(both: Both) -> None:
    here, _ = both
    for number in range(50):
        await here.add(of_line(f"smtp BODY to=nobody{number}@shop.test reply=451"))
    scene = Scene(
        "smtp", "BODY", Peer("127.0.0.1", 1), recipients=[Address(f"u{n}", "example.org") for n in range(400)]
    )
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    beside = asyncio.create_task(others())
    await asyncio.sleep(0)
    before = turns
    assert await here.strike(scene, SILENT) is None
    beside.cancel()
    assert turns - before > 20
