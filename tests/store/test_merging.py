"""Shelves on disk become one: a block at a time, and whoever looks misses nothing, whatever comes in between."""

from __future__ import annotations

import sqlite3
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, TypeVar, cast

import pytest
from vault import TestClock, letter, spooled

from mailsystem.mail.haystack import Words, fold
from mailsystem.mail.mailbox import AccountId
from mailsystem.mail.terms import probe_words
from mailsystem.store import Store, indexing, looking, merging, open_store
from mailsystem.store.database import Unit
from mailsystem.store.indexing import Overtaken
from mailsystem.store.merging import Merging, Wanted, renew
from mailsystem.store.shelves import BLOCK, Block, Stored, shelve, union

EACH = 6
T = TypeVar("T")


@pytest.fixture
async def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Store]:
    """With some messages on each of several sorted shelves."""
    monkeypatch.setattr("mailsystem.store.index.SORTED", 1)
    async with open_store(tmp_path, clock=TestClock(), indexed=False) as store:
        ann = await store.accounts.add("ann@example.org", None)
        for shelf in range(3):
            for number in range(EACH):
                await store.mailboxes.append(ann.id, "INBOX", spooled(store, letter(f"letter{shelf}{number} common")))
            await store.index.catch_up()
        yield store


async def whose(store: Store) -> AccountId:
    return (await store.accounts.find("ann@example.org")).id


async def found(store: Store, needle: str) -> int:
    account = await whose(store)
    inbox = await store.mailboxes.find(account, "INBOX")
    probe = probe_words(Words(fold(needle), headers=True))
    assert probe is not None
    told = await store.index.look(account, inbox.id, [probe])
    assert not told.unknown
    return len(told.found[probe])


def rows(tmp_path: Path, statement: str) -> list[tuple[int, ...]]:
    with closing(sqlite3.connect(tmp_path / "mail.db")) as connection:
        return connection.execute(statement).fetchall()


async def test_shelves_with_little_on_them_are_looked_through_together(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    database, asked = store.index._database, 0

    def counted(unit: Unit[T]) -> Unit[T]:
        nonlocal asked
        answer: Any = None
        try:
            while True:
                step = unit.send(answer)
                asked += 1
                answer = yield step
        except StopIteration as done:
            return cast("T", done.value)

    read = database.read
    monkeypatch.setattr(database, "read", lambda unit, **options: read(counted(unit), **options))
    assert await found(store, "letter1") == EACH, "from here on it is known which messages there are"
    asked = 0
    assert await found(store, "common") == 3 * EACH
    together = asked
    monkeypatch.setattr(looking, "_AT_ONCE", 0)
    for needle, many in (("common", 3 * EACH), ("letter1", EACH), ("nowhere", 0)):
        assert await found(store, needle) == many
    asked = 0
    assert await found(store, "common") == 3 * EACH
    assert asked == together + 2 * 3, "terms, places and contents of two shelves more"


SHELVES = "SELECT id FROM index_shelves ORDER BY id"
REMNANTS = "SELECT COUNT(*) FROM index_blocks WHERE shelf_id NOT IN (SELECT id FROM index_shelves)"


async def test_one_shelf_takes_the_place_of_many_and_nothing_is_left_of_them(store: Store, tmp_path: Path) -> None:
    ids = [shelf for [shelf] in rows(tmp_path, SHELVES)]
    assert len(ids) == 3
    await renew(store.index._database, await whose(store), ids)
    [[new]] = rows(tmp_path, SHELVES)
    assert new not in ids
    assert rows(tmp_path, REMNANTS) == [(0,)]
    assert await found(store, "common") == 3 * EACH
    assert await found(store, "letter2") == EACH
    assert await found(store, "letter11") == 1


async def test_who_is_overtaken_leaves_nothing_behind(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database, account = store.index._database, await whose(store)
    ids = [shelf for [shelf] in rows(tmp_path, SHELVES)]
    put_away = merging._put_away

    async def overtaken(*arguments: object) -> int:
        count = await put_away(*arguments)  # type: ignore[arg-type]
        monkeypatch.undo()
        await renew(database, account, ids)
        return count

    monkeypatch.setattr(merging, "_put_away", overtaken)
    with pytest.raises(Overtaken):
        await renew(database, account, ids)
    assert len(rows(tmp_path, SHELVES)) == 1
    assert rows(tmp_path, REMNANTS) == [(0,)]
    assert await found(store, "common") == 3 * EACH


async def test_a_shelf_of_which_blocks_were_swept_by_another_is_never_put_up(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database, account = store.index._database, await whose(store)
    before = rows(tmp_path, SHELVES)
    put_away = merging._put_away

    async def swept(*arguments: object) -> int:
        count = await put_away(*arguments)  # type: ignore[arg-type]
        await store.index.tidy()
        return count

    monkeypatch.setattr(merging, "_put_away", swept)
    with pytest.raises(Overtaken):
        await renew(database, account, [shelf for [shelf] in before])
    assert rows(tmp_path, SHELVES) == before
    assert await found(store, "common") == 3 * EACH


async def test_what_a_process_left_that_died_is_swept(store: Store, tmp_path: Path) -> None:
    database, account = store.index._database, await whose(store)
    before = rows(tmp_path, SHELVES)
    number = await database.write(indexing.number())
    for _ in range(20):
        await database.write(indexing.put(account, number, Block(0, b"\ncommon\n", b"")))
    assert await found(store, "common") == 3 * EACH
    assert rows(tmp_path, REMNANTS) == [(20,)]
    await store.index.tidy()
    assert rows(tmp_path, REMNANTS) == [(0,)]
    assert rows(tmp_path, SHELVES) == before
    assert await found(store, "letter2") == EACH


def test_of_each_shelf_one_block_is_in_memory_at_a_time() -> None:
    shelves = [
        shelve([(10 * n + k, [{b"%06d" % word for word in range(k, 6 * BLOCK, 2)}]) for k in (0, 1)]) for n in range(4)
    ]
    blocks = [block for shelf in shelves for block in shelf.blocks]
    each = len(shelves[0].blocks)
    assert each == 6
    stored = [
        Stored(shelf.contents, shelf.unread, None, [(each * n + at, 0) for at in range(each)])
        for n, shelf in enumerate(shelves)
    ]
    read = made = most_ahead = 0
    steps = Merging(stored, {content for shelf in shelves for content in shelf.contents}).steps()
    answer = None
    try:
        while True:
            step = steps.send(answer)
            answer = blocks[step.id] if isinstance(step, Wanted) else None
            read += isinstance(step, Wanted)
            made += isinstance(step, Block)
            most_ahead = max(most_ahead, read - len(shelves) * made)
    except StopIteration:
        pass
    assert (read, made) == (len(shelves) * each, each)
    assert most_ahead <= 2 * len(shelves)


@pytest.mark.parametrize("gone", [0, 1])
def test_many_messages_that_say_the_same_are_merged_in_little_memory(gone: int) -> None:
    same, each = [{b"%06d" % word for word in range(500)}], 2000
    shelves = [shelve([(each * n + at + 1, same) for at in range(each)]) for n in range(4)]
    blocks = [block for shelf in shelves for block in shelf.blocks]
    assert len(blocks) == len(shelves)
    stored = [Stored(shelf.contents, shelf.unread, None, [(n, 0)]) for n, shelf in enumerate(shelves)]
    made, answer = list[Block](), None
    tracemalloc.start()
    try:
        steps = Merging(stored, set(range(1 + gone, 4 * each + 1))).steps()
        with suppress(StopIteration):
            while True:
                step = steps.send(answer)
                answer = blocks[step.id] if isinstance(step, Wanted) else None
                made += [step] if isinstance(step, Block) else []
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    count = 4 * each - gone
    assert [union(block.places, 500, range(500), count) for block in made] == [(1 << count) - 1]
    assert peak < 8 << 20  # as lists of places they take four times as much
