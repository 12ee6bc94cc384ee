"""The lock on the maildrop: one session at a time, in any process, and none that outlives its session for long."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from pop3_door import PASSWORD, Door, Opening

from mailsystem.directory import AccountsDirectory
from mailsystem.mail.errors import InUse, Unavailable
from mailsystem.maildrop import lock
from mailsystem.pop3 import serving
from mailsystem.telemetry import Trace

MESSAGE = b"Subject: one\r\n\r\nbody\r\n"
IN_USE = b"-ERR [IN-USE] maildrop already locked"


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "_ACQUIRE_PAUSES", (0.01, 0.05))


async def refused(door: Door) -> bytes:
    """What a second session hears."""
    client = await door.connect()
    await client.ok(b"USER ann")
    answer = await client.say(b"PASS " + PASSWORD.encode())
    await client.ok(b"QUIT")
    return answer


async def free(door: Door) -> None:
    """Wait until the maildrop can be locked, and lock it for a moment."""
    async with asyncio.timeout(5):
        while True:
            with contextlib.suppress(InUse):
                await door.store.maildrops.release(await door.store.maildrops.acquire(door.ann.id))
                return
            await asyncio.sleep(0.01)


async def test_a_second_session_is_refused_until_the_first_has_quit(open_door: Opening) -> None:
    """Two doors with a store each stand for two processes."""
    here, there = await open_door(), await open_door()
    first = await here.client()
    assert await refused(here) == IN_USE
    assert await refused(there) == IN_USE
    await first.ok(b"QUIT")
    second = await there.client()
    assert await refused(here) == IN_USE
    await second.ok(b"QUIT")


async def test_a_refused_session_may_try_again(door: Door) -> None:
    first, second = await door.client(), await door.connect()
    await second.ok(b"USER ann")
    assert await second.say(b"PASS " + PASSWORD.encode()) == IN_USE
    await first.ok(b"QUIT")
    await second.log_in()


async def test_a_client_that_comes_back_at_once_finds_its_maildrop_free(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "_ACQUIRE_PAUSES", (0.05, 0.2, 0.5))
    for _ in range(5):
        (await door.client()).vanish()
    await door.client()


async def test_whoever_vanishes_gives_the_lock_back_and_deletes_nothing(door: Door) -> None:
    await door.post(MESSAGE, MESSAGE)
    client = await door.client()
    await client.ok(b"DELE 1")
    client.vanish()
    await free(door)
    assert len(await door.kept()) == 2


async def test_a_closed_connection_is_no_quit(door: Door) -> None:
    await door.post(MESSAGE)
    client = await door.client()
    await client.send(b"DELE 1\r\n")
    client.writer.write_eof()
    assert await client.rest() == b"+OK message 1 deleted\r\n"
    await free(door)
    assert len(await door.kept()) == 1


async def test_half_a_quit_is_none(door: Door) -> None:
    await door.post(MESSAGE)
    client = await door.client()
    await client.send(b"DELE 1\r\nQUIT")
    client.writer.write_eof()
    assert await client.rest() == b"+OK message 1 deleted\r\n"
    await free(door)
    assert len(await door.kept()) == 1


async def test_a_quit_counts_even_if_nobody_waits_for_its_answer(door: Door) -> None:
    await door.post(MESSAGE)
    client = await door.client()
    await client.send(b"DELE 1\r\nQUIT\r\n")
    client.writer.close()
    async with asyncio.timeout(5):
        while await door.kept():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    await free(door)


async def test_a_living_session_keeps_its_lock(open_door: Opening, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "_RENEW_EVERY", 0.02)
    door = await open_door()
    client = await door.client()
    renewed = []
    renew = door.store.maildrops.renew

    async def counting(lease: object) -> object:
        renewed.append(lease)
        return await renew(lease)  # type: ignore[arg-type]

    monkeypatch.setattr(door.store.maildrops, "renew", counting)
    async with asyncio.timeout(5):
        while len(renewed) < 3:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    await client.ok(b"QUIT")
    await door.until_told("disconnected")
    seen = len(renewed)
    await asyncio.sleep(0.1)
    assert len(renewed) == seen, "nobody renews for the dead"


async def test_who_lost_the_lock_is_told_and_deletes_nothing(
    open_door: Opening, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "_RENEW_EVERY", 0.02)
    door = await open_door()
    await door.post(MESSAGE)
    client = await door.client()
    await client.ok(b"DELE 1")
    clock = door.store.maildrops._clock
    monkeypatch.setattr(door.store.maildrops, "_clock", Later(clock.now() + 1000))
    # In one breath with the theft no renewal gets in between: the lease is out of date only for the thief.
    await door.store.maildrops.acquire(door.ann.id)
    await door.until_told("lease lost")
    assert await client.say(b"STAT") == b"-ERR [IN-USE] the maildrop lock was lost"
    assert await client.rest() == b""
    assert len(await door.kept()) == 1


async def test_a_quit_without_the_lock_deletes_nothing(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    await door.post(MESSAGE)
    client = await door.client()
    await client.ok(b"DELE 1")
    monkeypatch.setattr(door.store.maildrops, "_clock", Later(door.store.clock.now() + 1000))
    await door.store.maildrops.acquire(door.ann.id)
    assert await client.say(b"QUIT") == b"-ERR [IN-USE] the maildrop lock was lost"
    assert await client.rest() == b""
    assert len(await door.kept()) == 1


class Later:
    """Another machine's clock."""

    def __init__(self, time: float) -> None:
        self.time = time

    def now(self) -> float:
        return self.time


async def test_the_end_of_the_program_is_told_and_is_no_update(open_door: Opening) -> None:
    door = await open_door()
    await door.post(MESSAGE)
    people = AccountsDirectory(door.store, default_domain="example.org")
    async with serving(door.store, people, Trace([door.events.append]), host="127.0.0.1", port=0) as bound:
        door.bound = bound
        client, waiting = await door.client(), await door.connect()
        await client.ok(b"DELE 1")
    for one in (client, waiting):
        assert await one.rest() == b"-ERR [SYS/TEMP] server is shutting down\r\n"
    assert len(await door.kept()) == 1
    await free(door)


async def test_a_session_whose_task_is_killed_gives_the_lock_back(open_door: Opening) -> None:
    door = await open_door()
    before = asyncio.all_tasks()
    client = await door.client()
    [task] = [task for task in asyncio.all_tasks() - before if "_run" in repr(task.get_coro())]
    await client.ok(b"NOOP")
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    with contextlib.suppress(ConnectionError):
        assert await client.rest() == b""
    await free(door)
    assert (await door.until_told("disconnected"))[0]["reason"] == "cancelled"


async def test_a_maildrop_that_cannot_be_listed_is_not_locked(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(account: object) -> None:
        raise Unavailable

    client = await door.connect()
    await client.ok(b"USER ann")
    with monkeypatch.context() as patch:
        # It is not so short that it is looked into where it is locked.
        patch.setattr("mailsystem.store.maildrops._FEW", 0)
        patch.setattr(door.store.maildrops, "listing", broken)
        assert await client.say(b"PASS " + PASSWORD.encode()) == b"-ERR [SYS/TEMP] temporarily unavailable"
    await client.log_in()
