"""Contents that share a file: brought to disk together, read from where they lie, moved when most of it is dead."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import random
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from vault import TestClock, letter, spooled

from mailsystem.mail.account import Account
from mailsystem.mail.errors import OverQuota, Unavailable
from mailsystem.mail.mailbox import DELETED, ContentId, MailboxId, MessageSet
from mailsystem.store import FlagOp, Quota, Store, open_store, sweeping
from mailsystem.store import store as store_module
from mailsystem.store.segments import Segments
from mailsystem.store.spool import Room, Spool
from mailsystem.telemetry import Event, Trace

ALL = MessageSet(((1, 0xFFFFFFFF),))
DAY = 86_400.0


class Place:
    """A store with one account, what it says, and its files."""

    def __init__(self, store: Store, ann: Account, directory: Path, clock: TestClock, events: list[Event]) -> None:
        self.store = store
        self.ann = ann
        self.directory = directory
        self.clock = clock
        self.events = events

    async def post(self, *messages: bytes) -> list[ContentId]:
        """Append them all at once."""
        spools = [spooled(self.store, raw) for raw in messages]
        done = await asyncio.gather(
            *(self.store.mailboxes.append(self.ann.id, "INBOX", spool, prefix=b"A: b\r\n") for spool in spools)
        )
        for spool in spools:
            spool.discard()
        return [each.content for each in done]

    async def expunge(self, *contents: ContentId) -> None:
        inbox = await self.inbox()
        gone = MessageSet.of(
            each.uid
            for each in await self.store.mailboxes.messages(self.ann.id, inbox, ALL)
            if each.content in contents
        )
        await self.store.mailboxes.set_flags(self.ann.id, inbox, gone, FlagOp.ADD, frozenset({DELETED}))
        await self.store.mailboxes.expunge(self.ann.id, inbox, gone)

    async def inbox(self) -> MailboxId:
        return (await self.store.mailboxes.find(self.ann.id, "INBOX")).id

    async def retire(self) -> None:
        """Let the current segment be one that nobody writes to any more."""
        await self.store.contents._segments.close()

    async def sweep_later(self) -> int:
        """The sweep of ten days later."""
        self.clock.time += 10 * DAY
        for path in self.paths():
            os.utime(path, (self.clock.time - 10 * DAY,) * 2)
        return await self.store.contents.sweep(grace=7 * DAY)

    def paths(self) -> list[Path]:
        return sorted((self.directory / "contents").glob("??/*"))

    def offset(self, content: ContentId) -> int:
        """Where it begins in its file."""
        with contextlib.closing(sqlite3.connect(self.directory / "mail.db")) as database:
            rows = database.execute("SELECT file_offset FROM contents WHERE id = ?", (content,))
            return int(rows.fetchone()[0])

    def told(self, name: str) -> list[dict[str, Any]]:
        return [dict(event.data) for event in self.events if event.name == name]


@pytest.fixture
async def place(tmp_path: Path, clock: TestClock) -> AsyncIterator[Place]:
    events: list[Event] = []
    async with open_store(
        tmp_path, clock=clock, inline_limit=4096, segment=1 << 20, indexed=False, trace=Trace([events.append])
    ) as store:
        yield Place(store, await store.accounts.add("ann@example.org", None), tmp_path, clock, events)


def large(number: int, size: int = 50_000) -> bytes:
    return letter(str(number)) + random.Random(number).randbytes(size)


async def test_those_who_come_together_share_a_file_and_a_wait_for_the_disk(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    fdatasync = os.fdatasync
    monkeypatch.setattr(os, "fdatasync", lambda fd: (synced.append(fd), fdatasync(fd)))
    messages = [large(n, size) for n, size in enumerate([5_000, 50_000, 180_000] * 4)]
    contents = await place.post(*messages)
    assert len(synced) < 8, "twelve came"
    [path] = [path for path in place.paths() if path.stat().st_size]
    for content, raw in zip(contents, messages, strict=True):
        assert await place.store.contents.read(content) == b"A: b\r\n" + raw
        assert await place.store.contents.read(content, 10, 3_000) == (b"A: b\r\n" + raw)[10:3_000]
        assert await place.store.contents.read(content, len(raw), None) == (b"A: b\r\n" + raw)[len(raw) :]
    await place.retire()
    assert path.stat().st_size == sum(map(len, messages)), "nothing but what came"


async def test_what_lies_side_by_side_is_written_with_one_call(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    pwritev = os.pwritev

    def counted(descriptor: int, octets: Sequence[memoryview], offset: int) -> int:
        calls.append(len(octets))
        return pwritev(descriptor, octets[:1], offset) if len(calls) % 2 else pwritev(descriptor, octets, offset)

    await place.post(large(0))
    monkeypatch.setattr(os, "pwritev", counted)
    messages = [large(n, 10_000) for n in range(1, 41)]
    contents = await place.post(*messages)
    assert len(calls) < 20, "some of which wrote less than they were asked to"
    for content, raw in zip(contents, messages, strict=True):
        assert (await place.store.contents.read(content)).endswith(raw)


async def test_a_full_segment_is_followed_by_another(place: Place) -> None:
    messages = [large(n, 400_000) for n in range(5)]
    contents = [content for raw in messages for content in await place.post(raw)]
    assert len(place.paths()) == 3
    for content, raw in zip(contents, messages, strict=True):
        assert (await place.store.contents.read(content)).endswith(raw)
    await place.retire()
    assert max(path.stat().st_size for path in place.paths()) <= 1 << 20


async def test_two_processes_never_write_to_one_file(place: Place) -> None:
    async with open_store(place.directory, inline_limit=4096, indexed=False) as other:
        await place.post(large(1))
        await other.mailboxes.append(place.ann.id, "INBOX", spooled(other, large(2)))
        assert len(place.paths()) == 2
        for path in place.paths():
            with path.open("rb") as file, pytest.raises(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


async def test_what_was_refused_leaves_its_place_to_the_next(place: Place) -> None:
    await place.store.accounts.set_quota("ann@example.org", Quota(octets=20_000))
    for _ in range(10):
        with pytest.raises(OverQuota):
            await place.post(large(1))
    await place.store.accounts.set_quota("ann@example.org", Quota())
    [content] = await place.post(large(2))
    assert (await place.store.contents.read(content)).endswith(large(2))
    await place.retire()
    assert [path.stat().st_size for path in place.paths()] == [len(large(2))]


async def test_a_file_that_lost_its_end_is_told_and_never_read_as_something_else(place: Place) -> None:
    [one], [two] = await place.post(large(1)), await place.post(large(2, 300_000))
    [path] = place.paths()
    os.truncate(path, 200_000)
    assert (await place.store.contents.read(one)).endswith(large(1))
    with pytest.raises(Unavailable):
        await place.store.contents.read(two)
    assert place.told("store failed") == [{"what": "content", "reason": "file is shorter than its record"}]


async def test_a_disk_that_fails_fails_those_alone_and_the_file_is_left(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    [before] = await place.post(large(1))
    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", broken)
        for size in (50_000, 300_000):
            with pytest.raises(Unavailable):
                await place.post(large(2, size))
    [after] = await place.post(large(3))
    assert len(place.paths()) == 3, "nothing more goes into a file of which the disk has lost something"
    for content, raw in ((before, large(1)), (after, large(3))):
        assert (await place.store.contents.read(content)).endswith(raw)


async def test_one_sweep_takes_all_that_is_dead(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeping, "_AT_ONCE", 3)
    contents = await place.post(*(large(number) for number in range(10)))
    await place.expunge(*contents[:8])
    place.clock.time += 10 * DAY
    assert await place.store.contents.sweep(grace=7 * DAY) == 8


async def test_messages_on_their_way_in_hold_little_each_where_they_hold_much_together(tmp_path: Path) -> None:
    room = Room(most=1 << 20)
    spools = [Spool(tmp_path, 128 << 10, room=room, small=1 << 10) for _ in range(20)]
    for _ in range(16):
        for spool in spools:
            spool.write(bytes(100 << 10))
            if spool.wants_flush:
                await spool.flush()
                await spool.settle()
    assert sum(spool.held for spool in spools) <= 2 << 20
    for spool in spools:
        spool.discard()


async def test_a_segment_without_anything_alive_goes_and_one_in_use_stays(place: Place) -> None:
    contents = await place.post(large(1), large(2))
    await place.expunge(*contents)
    [path] = place.paths()
    place.clock.time += 10 * DAY
    assert await place.store.contents.sweep(grace=7 * DAY) == 2
    assert path.exists(), "a commit may be about to name something in it"
    assert await place.sweep_later() == 0
    assert place.paths() == []
    [content] = await place.post(large(3))
    assert (await place.store.contents.read(content)).endswith(large(3))


async def test_a_process_that_does_not_sweep_holds_no_file_either_that_it_does_not_need(
    tmp_path: Path, clock: TestClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "SWEEP_EVERY", 0.01)

    def held() -> list[str]:
        names = []
        for each in Path("/proc/self/fd").iterdir():
            with suppress(OSError):
                names.append(os.readlink(each))
        return [name for name in names if name.startswith(f"{tmp_path}/contents/")]

    clock.time = 4e9  # long after anything has been written
    async with open_store(tmp_path, clock=clock, inline_limit=4096, housekeeping=False, indexed=False) as store:
        ann = await store.accounts.add("ann@example.org", None)
        spool = spooled(store, large(1))
        made = await store.mailboxes.append(ann.id, "INBOX", spool)
        spool.discard()
        assert await store.contents.read(made.content) == large(1)
        async with asyncio.timeout(20):
            while held():  # noqa: ASYNC110 - nothing tells of it
                await asyncio.sleep(0.01)
        # Whoever comes next opens what is needed.
        assert await store.contents.read(made.content) == large(1)


async def test_what_lives_is_moved_when_most_of_a_file_is_dead(place: Place) -> None:
    messages = [large(n) for n in range(10)]
    contents = await place.post(*messages)
    await place.expunge(*contents[1:7])
    await place.retire()
    [old] = place.paths()
    assert await place.sweep_later() == 6
    [new] = place.paths()
    assert new != old
    [told] = place.told("compacted")
    assert told == {
        "file": old.name,
        "octets": sum(map(len, messages)),
        "kept": sum(len(messages[n]) for n in (0, 7, 8, 9)),
    }
    for number in (0, 7, 8, 9):
        assert await place.store.contents.read(contents[number]) == b"A: b\r\n" + messages[number]
    assert await place.sweep_later() == 0
    assert len(place.told("compacted")) == 1, "once"


async def test_a_file_that_is_mostly_alive_stays_as_it_is(place: Place) -> None:
    contents = await place.post(*(large(n) for n in range(10)))
    await place.expunge(*contents[:4])
    await place.retire()
    paths = place.paths()
    assert await place.sweep_later() == 4
    assert place.paths() == paths


async def test_a_reader_goes_on_while_its_message_is_moved(place: Place) -> None:
    raw = large(1, 900_000)
    contents = await place.post(raw)
    await place.retire()
    contents += await place.post(large(2, 1_000_000))
    await place.retire()
    before = place.paths()
    reading = place.store.contents.stream(contents[0])
    got = await anext(reading) + await anext(reading)
    for path in before:  # as if each had once held twice as much
        with path.open("r+b") as file:
            file.truncate(path.stat().st_size * 2 + 100)
    assert await place.sweep_later() == 0
    assert len(place.told("compacted")) == 2
    assert not [path for path in before if path.exists()]
    got += b"".join([piece async for piece in reading])
    assert got == b"A: b\r\n" + raw
    assert await place.store.contents.read(contents[0]) == got


async def test_one_who_has_just_looked_where_to_read_looks_again(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    contents = await place.post(*(large(n) for n in range(3)))
    await place.expunge(*contents[:2])
    await place.retire()
    files = place.store.contents._files
    take = files.take

    async def late(name: str) -> Any:
        monkeypatch.setattr(files, "take", take)
        await place.sweep_later()
        return await take(name)

    monkeypatch.setattr(files, "take", late)
    assert (await place.store.contents.read(contents[2])).endswith(large(2))
    assert place.told("compacted")


async def test_what_the_disk_has_damaged_is_told_and_stays(place: Place) -> None:
    contents = await place.post(*(large(n) for n in range(5)))
    await place.expunge(*contents[1:4])
    await place.retire()
    [path] = place.paths()
    with path.open("r+b") as file:
        file.seek(place.offset(contents[0]) + 1000)
        file.write(b"damaged")
    await place.sweep_later()
    assert path.exists()
    assert [told["content"] for told in place.told("content damaged")] == [contents[0]]
    for number in (0, 4):
        assert len(await place.store.contents.read(contents[number])) == len(large(number)) + 6
    await place.sweep_later()
    assert len(place.told("content damaged")) == 1, "once, not with each sweep"


@pytest.mark.parametrize("failing", range(6))
async def test_a_compaction_that_dies_at_any_step_loses_nothing(
    place: Place, monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    messages = [large(n) for n in range(8)]
    contents = await place.post(*messages)
    await place.expunge(*contents[:6])
    await place.retire()
    sweep = place.store.contents._sweep
    steps = 0

    def dying(work: Callable[..., Any]) -> Callable[..., Any]:
        async def step(*args: Any, **options: Any) -> Any:
            nonlocal steps
            steps += 1
            if steps == failing + 1:
                raise OSError("killed")
            return await work(*args, **options)

        return step

    class Dying:
        write = staticmethod(dying(sweep._database.write))
        read = staticmethod(dying(sweep._database.read))

    with monkeypatch.context() as patch:
        patch.setattr(sweep, "_append", dying(sweep._append))
        patch.setattr(sweep, "_database", Dying())
        with suppress(OSError):
            await place.sweep_later()
    for number in (6, 7):
        assert (await place.store.contents.read(contents[number])).endswith(messages[number])
    await place.retire()
    await place.sweep_later()
    await place.sweep_later()
    assert len(place.paths()) == 1
    for number in (6, 7):
        assert (await place.store.contents.read(contents[number])).endswith(messages[number])


async def test_who_gives_up_waiting_disturbs_nobody(tmp_path: Path) -> None:
    segments = Segments(tmp_path)

    tasks = [
        asyncio.create_task(segments.append([bytes([n]) * size], bool)) for n, size in enumerate([10_000, 500_000] * 10)
    ]
    await asyncio.sleep(0.005)
    for task in tasks[::3]:
        task.cancel()
    done = await asyncio.gather(*tasks, return_exceptions=True)
    await segments.close()
    [path] = tmp_path.glob("??/*")
    octets = path.read_bytes()
    kept = [(n, one[0]) for n, one in enumerate(done) if not isinstance(one, BaseException)]
    assert len(kept) >= 13
    for n, where in kept:
        size = [10_000, 500_000][n % 2]
        assert octets[where.offset : where.offset + size] == bytes([n]) * size
    assert not [each for each in os.listdir("/proc/self/fd") if os.path.realpath(f"/proc/self/fd/{each}") == str(path)]
