"""What an admin sees of the queue and does with it, while it is worked at from another process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from vault import TestClock

from mailsystem.mail.address import Address
from mailsystem.mail.envelope import Notification
from mailsystem.mail.outgoing import Attempt, State
from mailsystem.store import QUEUE, Backlog, Changed, Job, Leaving, Selection, Settled, Store, open_store
from mailsystem.store.database import Sql, Unit
from mailsystem.store.outbound import LEASE

ANN = "ann@example.org"
EVERYTHING = Selection()


@pytest.fixture
def clock() -> TestClock:
    return TestClock()


@pytest.fixture
async def store(tmp_path: Path, clock: TestClock) -> AsyncIterator[Store]:
    async with open_store(tmp_path, clock=clock) as store:
        yield store


@pytest.fixture
async def server(tmp_path: Path, clock: TestClock, store: Store) -> AsyncIterator[Store]:
    """The same store as the process with the workers has it."""
    async with open_store(tmp_path, clock=clock) as server:
        yield server


async def leave(
    store: Store, *recipients: str, ident: str = "abc", sender: str = ANN, login: str = "", notify: str | None = None
) -> None:
    asked = Notification(None if notify is None else frozenset(notify.split(",")))
    spool = store.contents.spool()
    spool.write(b"Subject: hello\r\n\r\nworld\r\n")
    leaving = Leaving(
        ident,
        Address.parse(sender) if sender else Address.NULL,
        {Address.parse(each): asked for each in recipients},
        lifetime=86_400,
        login=login,
    )
    await store.mailboxes.deliver((), spool, prefix=b"", leaving=[leaving])


async def put_off(store: Store, job: Job, reply: str = "451 4.7.1 later", state: State = State.WAITING) -> None:
    settled = [
        Settled(Attempt(each.address, state, reply.split()[1], reply, "mx.example.net"), store.clock.now() + 600)
        for each in job.recipients
    ]
    await store.outbound.settle(job, settled)


async def waiting(store: Store, selection: Selection = EVERYTHING) -> dict[str, tuple[str, float]]:
    listed = await store.oversight.listing(selection)
    return {
        f"{one.message.ident} {to.address}": (to.state.value, to.due)
        for one in listed.messages
        for to in one.recipients
    }


async def test_what_waits_is_listed_the_oldest_first(store: Store, server: Store, clock: TestClock) -> None:
    for ident in ("first", "second", "third"):
        await leave(server, "bob@example.net", "eve@example.com", ident=ident)
        clock.time += 60
    listed = await store.oversight.listing(EVERYTHING)
    assert [one.message.ident for one in listed.messages] == ["first", "second", "third"]
    assert [str(to.address) for to in listed.messages[0].recipients] == ["bob@example.net", "eve@example.com"]
    some = await store.oversight.listing(EVERYTHING, most=2)
    assert ([one.message.ident for one in some.messages], some.total) == (["first", "second"], 3)


@pytest.mark.parametrize(
    ("selection", "found"),
    [
        (Selection(ident="one"), ["one Bob@example.net", "one eve@example.com"]),
        (Selection(ident="one", recipient=Address.parse("bob@example.net")), ["one Bob@example.net"]),
        (Selection(domain="example.net"), ["one Bob@example.net", "three dan@example.net"]),
        (Selection(sender="ANN@example.org"), ["one Bob@example.net", "one eve@example.com"]),
        (Selection(sender="carl@example.org"), ["two eve@example.com"]),
        (Selection(sender=""), ["three dan@example.net"]),
        (Selection(state=State.HELD), ["two eve@example.com"]),
        (Selection(ident="one", state=State.HELD), []),
        (Selection(ident="four"), []),
    ],
)
async def test_everything_that_was_asked_must_fit(store: Store, selection: Selection, found: list[str]) -> None:
    await leave(store, "Bob@example.net", "eve@example.com", ident="one")
    await leave(store, "eve@example.com", ident="two", sender="srs0=x@example.org", login="carl@example.org")
    await leave(store, "dan@example.net", ident="three", sender="")
    await store.oversight.hold(Selection(ident="two"))
    assert sorted(await waiting(store, selection)) == sorted(found)
    assert await store.oversight.count(selection) == Changed(len({each.split()[0] for each in found}), len(found))


async def test_a_message_is_shown_with_what_was_said_of_each_recipient(store: Store, server: Store) -> None:
    await leave(server, "bob@example.net", "eve@example.com")
    await leave(server, "dan@example.com", sender="other@example.org")
    [job] = await server.outbound.take("example.net")
    await put_off(server, job)
    first, second = await store.oversight.show("abc")
    assert [(str(one.address), one.attempts, one.reply) for one in first.recipients] == [
        ("bob@example.net", 1, "451 4.7.1 later"),
        ("eve@example.com", 0, ""),
    ]
    assert str(second.message.sender) == "other@example.org", "one id, two return paths"
    assert await store.oversight.show("abd") == []


async def test_the_backlog_tells_the_last_word_of_each_domain(store: Store, server: Store, clock: TestClock) -> None:
    began = clock.time
    await leave(server, "bob@example.net", "eve@example.net", "dan@example.com", ident="one")
    clock.time += 60
    await leave(server, "bob@example.net", ident="two")
    await store.oversight.hold(Selection(domain="example.com"))
    for reply in ("450 4.2.0 first word", "451 4.7.1 last word"):
        [job] = await server.outbound.take("example.net")
        await put_off(server, job, reply)
        clock.time += 60
    assert await store.oversight.backlog(EVERYTHING) == [
        Backlog("example.net", 2, 3, 0, began, began + 660, False, "mx.example.net", "4.7.1", "451 4.7.1 last word"),
        Backlog("example.com", 1, 0, 1, began, None, False, "", "", ""),
    ]


async def test_what_is_retried_is_due_at_once_and_wakes_the_workers(
    store: Store, server: Store, clock: TestClock
) -> None:
    await leave(server, "bob@example.net", "eve@example.com")
    for domain in ("example.net", "example.com"):
        [job] = await server.outbound.take(domain)
        await put_off(server, job)
    heard = server.bell.rung
    assert await store.oversight.retry(Selection(domain="example.net")) == Changed(1, 1)
    await server.bell.wait(heard, QUEUE)
    assert dict(await server.outbound.agenda()) == {"example.net": clock.time, "example.com": clock.time + 600}


async def test_what_is_held_waits_until_it_is_released(store: Store, server: Store, clock: TestClock) -> None:
    await leave(server, "bob@example.net", "eve@example.net")
    assert await store.oversight.hold(Selection(recipient=Address.parse("bob@example.net"))) == Changed(1, 1)
    [job] = await server.outbound.take("example.net")
    assert [str(to.address) for to in job.recipients] == ["eve@example.net"]
    assert await store.oversight.retry(EVERYTHING) == Changed(0, 0), "one is held, the other being tried"
    clock.time += 5
    assert await store.oversight.release(EVERYTHING) == Changed(1, 1)
    [job] = await server.outbound.take("example.net")
    assert [(str(to.address), to.due) for to in job.recipients] == [("bob@example.net", clock.time + LEASE)]


async def test_what_is_being_tried_is_held_afterwards_and_its_lease_is_left_alone(store: Store, server: Store) -> None:
    await leave(server, "bob@example.net")
    [job] = await server.outbound.take("example.net")
    assert await store.oversight.hold(EVERYTHING) == Changed(1, 1, taken=1)
    assert await store.oversight.release(EVERYTHING) == Changed(1, 1, taken=1)
    assert await server.outbound.take("example.net") == [], "nobody else begins it"
    await store.oversight.hold(EVERYTHING)
    await put_off(server, job)
    assert [state for state, _ in (await waiting(store)).values()] == ["held"]


async def test_what_is_dropped_is_gone_without_a_word(store: Store, server: Store) -> None:
    await leave(server, "bob@example.net", "eve@example.com")
    [job] = await server.outbound.take("example.net")
    bob = Selection(ident="abc", recipient=Address.parse("bob@example.net"))
    assert await store.oversight.drop(bob) == Changed(1, 1, taken=1)
    await put_off(server, job)
    assert list(await waiting(store)) == ["abc eve@example.com"], "what became of it changes nothing"
    assert await store.oversight.drop(EVERYTHING) == Changed(1, 1)
    assert await rows(store, "SELECT id FROM outbound") == []
    assert await rows(store, "SELECT recipient FROM outbound_recipients") == []
    assert len(await rows(store, "SELECT content_id FROM orphans")) == 1
    assert await server.outbound.to_report() == ([], None)


async def test_what_is_given_up_is_reported_to_whoever_wants_to_hear_it(
    store: Store, server: Store, clock: TestClock
) -> None:
    await leave(server, "bob@example.net", ident="told")
    await leave(server, "bob@example.net", ident="asked", notify="DELAY,FAILURE")
    await leave(server, "bob@example.net", ident="never", notify="NEVER")
    await leave(server, "bob@example.net", ident="success", notify="SUCCESS")
    await leave(server, "bob@example.net", ident="report", sender="")
    assert await store.oversight.give_up(EVERYTHING) == Changed(5, 5)
    ids, _ = await server.outbound.to_report()
    found = [await server.outbound.unreported(id_) for id_ in ids]
    assert [(one[0].ident, [to.state for to in one[1]]) for one in found if one] == [
        ("told", [State.FAILED]),
        ("asked", [State.FAILED]),
    ]
    assert found[0] is not None
    assert found[0][1][0].reply == "given up by the postmaster of this server"
    assert len(await rows(store, "SELECT id FROM outbound")) == 2, "of the others nothing is left to do"
    assert await store.oversight.count(EVERYTHING) == Changed(0, 0)


async def test_what_is_being_tried_is_not_given_up(store: Store, server: Store) -> None:
    await leave(server, "bob@example.net")
    await server.outbound.take("example.net")
    assert await store.oversight.give_up(EVERYTHING) == Changed(0, 0)
    assert len(await waiting(store)) == 1


@pytest.mark.parametrize("verb", ["retry", "hold", "release", "drop", "give_up"])
async def test_a_change_touches_nothing_that_was_not_selected(store: Store, verb: str) -> None:
    await leave(store, "bob@example.net", "eve@example.com", ident="one")
    await leave(store, "bob@example.net", ident="two")
    [job] = await store.outbound.take("example.com")
    await put_off(store, job)
    if verb == "release":
        await store.oversight.hold(EVERYTHING)
    before = await waiting(store)
    change: Callable[..., object] = getattr(store.oversight, verb)
    await change(Selection(ident="one", recipient=Address.parse("eve@example.com")))  # type: ignore[misc]
    after = await waiting(store)
    before.pop("one eve@example.com")
    after.pop("one eve@example.com", None)
    assert after == before


async def rows(store: Store, statement: str) -> list[tuple[object, ...]]:
    def unit() -> Unit[list[tuple[object, ...]]]:
        return (yield Sql(statement))

    return await store.oversight._database.read(unit())
