"""The index: built behind the delivery, by any of several processes, and never wrong whatever it lacks."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from vault import Vault, letter, post, spooled

from mailsystem.mail.haystack import Words, fold
from mailsystem.mail.kept import Kept
from mailsystem.mail.mailbox import DELETED, MessageSet
from mailsystem.mail.terms import Probe, probe_words
from mailsystem.store import Drop, FlagOp, Store, open_store
from mailsystem.store.database import Unit
from mailsystem.store.index import _TOO_MANY
from mailsystem.store.shelves import FULL

ALL = MessageSet(((1, 0xFFFFFFFF),))


def probe(needle: str) -> Probe:
    found = probe_words(Words(fold(needle), headers=True))
    assert found is not None
    return found


async def look(
    vault: Vault, needle: str, *, mailbox: str = "INBOX", store: Store | None = None
) -> tuple[set[int], set[int]]:
    """UIDs in which it stands, and those of which nothing is known."""
    store = store or vault.here
    box = await store.mailboxes.find(vault.ann.id, mailbox)
    told = await store.index.look(vault.ann.id, box.id, [probe(needle)])
    return set(told.found[probe(needle)]), set(told.unknown)


def rows(vault: Vault, statement: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(vault.directory / "mail.db")) as connection:
        return connection.execute(statement).fetchall()


def terms(vault: Vault) -> bytes:
    places = ("terms FROM index_blocks", "words FROM index_shelves", "fields FROM index_shelves")
    return b"".join(row[0] for row in rows(vault, " UNION ALL ".join(f"SELECT {place}" for place in places)))  # type: ignore[misc]


@pytest.fixture
def indexed() -> bool:
    """No chore: each test says itself what is indexed when."""
    return False


async def test_what_is_not_indexed_yet_is_told_to_be_unknown(vault: Vault) -> None:
    await post(vault, "one", "two")
    assert await look(vault, "two") == (set(), {1, 2})
    assert await vault.here.index.catch_up() == 2
    assert await look(vault, "two") == ({2}, set())
    await post(vault, "three two")
    assert await look(vault, "two") == ({2}, {3})
    assert await vault.there.index.catch_up() == 1
    assert await look(vault, "wo") == ({2, 3}, set())
    assert await look(vault, "wo", store=vault.there) == ({2, 3}, set())


async def test_a_delivery_does_not_touch_the_index(vault: Vault) -> None:
    before = rows(vault, "SELECT done, next_shelf FROM index_state")
    await post(vault, "one")
    assert rows(vault, "SELECT done, next_shelf FROM index_state") == before
    assert rows(vault, "SELECT COUNT(*) FROM index_shelves") == [(0,)]


async def test_a_content_in_several_mailboxes_is_indexed_once(vault: Vault) -> None:
    await post(vault, "one")
    inbox = await vault.here.mailboxes.find(vault.ann.id, "INBOX")
    await vault.here.index.catch_up()
    await vault.here.mailboxes.copy(vault.ann.id, inbox.id, ALL, "Archive")
    assert await vault.here.index.catch_up() == 0
    assert await look(vault, "one", mailbox="Archive") == ({1}, set())
    assert rows(vault, "SELECT COUNT(*) FROM index_shelves") == [(1,)]


async def test_two_processes_at_once_index_everything_once(vault: Vault) -> None:
    for start in range(0, 60, 20):
        await post(vault, *(f"letter{number}" for number in range(start, start + 20)))
        await asyncio.gather(vault.here.index.catch_up(), vault.there.index.catch_up())
    assert (await vault.here.index.counted()).waiting == 0
    assert await look(vault, "letter") == (set(range(1, 61)), set())
    [[messages]] = rows(vault, "SELECT SUM(messages) FROM index_shelves")
    assert messages == 60


async def test_small_shelves_become_large_ones_and_say_the_same(vault: Vault) -> None:
    for number in range(70):
        await post(vault, f"letter{number}")
        await vault.here.index.catch_up()
    [[shelves]] = rows(vault, "SELECT COUNT(*) FROM index_shelves")
    assert int(str(shelves)) < 20
    for number in range(0, 70, 9):
        assert await look(vault, f"subject: letter{number}\n".strip()) == (
            {uid + 1 for uid in range(70) if f"letter{uid}".startswith(f"letter{number}")}, set(),
        )  # fmt: skip


async def test_a_few_messages_of_each_account_lie_in_a_pile_until_there_are_many(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("shelves", "merging"):
        monkeypatch.setattr(f"mailsystem.store.{module}.SORTED", 40)
    for number in range(39):
        await post(vault, f"letter{number}")
        await vault.here.index.catch_up()
    assert rows(vault, "SELECT COUNT(*) FROM index_blocks") == [(0,)]
    assert await look(vault, "letter7") == ({8}, set())
    for number in range(39, 60):
        await post(vault, f"letter{number}")
        await vault.here.index.catch_up()
    assert rows(vault, "SELECT COUNT(*) > 0 FROM index_blocks") == [(1,)]
    assert await look(vault, "letter7") == ({8}, set())
    assert await look(vault, "letter") == (set(range(1, 61)), set())


async def test_many_at_once_are_sorted_at_once(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailsystem.store.index.SORTED", 20)
    await post(vault, *(f"letter{number}" for number in range(10)))
    await vault.here.index.catch_up()
    assert rows(vault, "SELECT COUNT(*), SUM(LENGTH(words)) FROM index_shelves") == [(1, 0)]
    assert await look(vault, "letter7") == ({8}, set())


async def test_messages_that_came_in_another_order_than_their_contents_are_told_apart(vault: Vault) -> None:
    await post(vault, "one", "two", "three")
    await vault.here.index.catch_up()
    inbox = await vault.here.mailboxes.find(vault.ann.id, "INBOX")
    for uid in (3, 1):
        await vault.here.mailboxes.copy(vault.ann.id, inbox.id, MessageSet.of([uid]), "Archive")
    assert await look(vault, "three", mailbox="Archive") == ({1}, set())
    assert await look(vault, "one", mailbox="Archive") == ({2}, set())
    archive = await vault.here.mailboxes.find(vault.ann.id, "Archive")
    await vault.here.mailboxes.copy(vault.ann.id, archive.id, ALL, "Archive")
    assert await look(vault, "one", mailbox="Archive") == ({2, 4}, set())
    assert await look(vault, "one") == ({1}, set())


async def test_who_looks_again_waits_for_one_thread_only(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    await post(vault, *(f"letter{number}" for number in range(40)))
    await vault.here.index.catch_up()
    database, waits, read = vault.here.index._database, 0, vault.here.index._database.read

    async def counted(unit: Unit[object], *, brief: bool = False) -> object:
        nonlocal waits
        waits += not brief
        return await read(unit, brief=brief)

    monkeypatch.setattr(database, "read", counted)
    assert await look(vault, "letter7") == ({8}, set())
    waits = 0
    assert await look(vault, "letter9") == ({10}, set())
    assert await look(vault, "nowhere") == (set(), set())
    assert waits == 2
    await post(vault, "late")
    assert await look(vault, "letter9") == ({10}, {41})
    waits = 0
    await vault.here.index.catch_up()
    waits = 0
    assert await look(vault, "late") == ({41}, set())
    assert waits == 2  # what is on the shelf that is new is asked once


async def test_looking_while_shelves_are_merged_misses_nothing(vault: Vault) -> None:
    await post(vault, *(f"letter{number}" for number in range(40)))

    chance = random.Random(1)

    async def build() -> None:
        for _ in range(3):
            await vault.there.index.rebuild()
            while await vault.there.index.step():
                if chance.random() < 0.3:
                    await post(vault, "another")

    building = asyncio.create_task(build())
    looks = 0
    while not building.done() or not looks:
        found, unknown = await look(vault, "letter")
        assert set(range(1, 41)) <= found | unknown
        assert found <= set(range(1, 41))
        looks += 1
        await asyncio.sleep(0)  # to look takes no turn of the loop by itself
    await building


async def test_what_is_expunged_leaves_the_index(vault: Vault) -> None:
    await post(vault, "secret", "stays")
    await vault.here.index.catch_up()
    inbox = await vault.here.mailboxes.find(vault.ann.id, "INBOX")
    assert b"secret" in terms(vault)
    await vault.here.mailboxes.move(vault.ann.id, inbox.id, MessageSet.of([1]), "Archive")
    await vault.here.index.tidy()
    assert b"secret" in terms(vault)
    archive = await vault.here.mailboxes.find(vault.ann.id, "Archive")
    await vault.here.mailboxes.move(vault.ann.id, archive.id, ALL, "INBOX")
    changes = await vault.here.mailboxes.changes(vault.ann.id, inbox.id, inbox.modseq)
    await vault.here.mailboxes.set_flags(
        vault.ann.id, inbox.id, MessageSet.of([changes.messages[-1].uid]), FlagOp.ADD, frozenset([DELETED])
    )
    await vault.here.mailboxes.expunge(vault.ann.id, inbox.id)
    await vault.here.index.tidy()
    assert b"secret" not in terms(vault)
    assert b"stays" in terms(vault)
    assert await look(vault, "stays") == ({2}, set())
    vault.clock.time += 8 * 86_400
    assert await vault.here.contents.sweep(grace=7 * 86_400) == 1
    assert rows(vault, "SELECT content_id FROM previews") == [(2,)]


async def test_a_shelf_of_a_removed_account_goes(vault: Vault) -> None:
    await post(vault, "secret")
    await vault.here.index.catch_up()
    await vault.here.accounts.remove("ann@example.org")
    await vault.here.index.tidy()
    assert terms(vault) == b""


async def test_mail_that_was_not_new_when_it_came_is_indexed_when_it_is_tidied(vault: Vault) -> None:
    await post(vault, "one", "two")
    await vault.here.index.catch_up()
    with closing(sqlite3.connect(vault.directory / "mail.db")) as connection, connection:
        connection.execute("DELETE FROM index_shelves")
    assert await vault.here.index.catch_up() == 0
    assert await look(vault, "one") == (set(), {1, 2})
    await vault.here.index.tidy()
    assert await look(vault, "one") == ({1}, set())


async def test_what_many_people_got_is_looked_up_for_the_one_who_asks(vault: Vault) -> None:
    people = [vault.ann, *[await vault.here.accounts.ensure(f"p{number}@example.org") for number in range(30)]]
    for number in range(20):
        spool = spooled(vault.here, letter(f"all {number}"))
        await vault.here.mailboxes.deliver([Drop(person.id) for person in people], spool)
    inbox = await vault.here.mailboxes.find(vault.ann.id, "INBOX")
    for uid in (7, 3, 12, 3, 20):
        await vault.here.mailboxes.copy(vault.ann.id, inbox.id, MessageSet.of([uid]), "Archive")
    await vault.here.index.catch_up()
    statements: list[str] = []
    database = vault.here.index._database
    connections = [database._brief, *(each._conn for each in database._readers)]  # type: ignore[attr-defined]
    for connection in connections:
        connection.set_trace_callback(statements.append)
    assert await look(vault, "2", mailbox="Archive") == ({2, 4}, set())
    await vault.here.mailboxes.copy(vault.ann.id, inbox.id, MessageSet.of([3]), "Archive")
    await vault.here.mailboxes.copy(vault.ann.id, inbox.id, MessageSet.of([4]), "Archive")
    assert await look(vault, "2", mailbox="Archive") == ({2, 4, 6}, set())
    assert await look(vault, "all", mailbox="Archive") == (set(range(1, 8)), set())
    assert await look(vault, "2") == ({3, 13}, set())
    for connection in connections:
        connection.set_trace_callback(None)
    # Each message of the mailbox is read once, and none by what it says: that is the same for everybody.
    read = [each for each in statements if "FROM messages" in each or "JOIN messages" in each]
    assert len(read) == 4
    assert all(f"account_id = {vault.ann.id} " in each and "uid > " in each for each in read)


async def test_it_can_be_built_anew(vault: Vault) -> None:
    await post(vault, "one", "two")
    await vault.here.index.catch_up()
    before = await vault.here.index.counted()
    await vault.there.index.rebuild()
    assert (await vault.here.index.counted()).waiting == 2
    assert await look(vault, "one") == (set(), {1, 2})
    await vault.there.index.catch_up()
    assert await vault.here.index.counted() == before
    assert await look(vault, "one") == ({1}, set())


async def test_previews_are_kept_with_the_contents(vault: Vault) -> None:
    await post(vault, "one")
    await vault.here.mailboxes.append(vault.ann.id, "INBOX", spooled(vault.here, letter("two", "x" * 10_000)))
    inbox = await vault.here.mailboxes.find(vault.ann.id, "INBOX")

    async def previews(*things: Kept) -> list[str | None]:
        asked = (Kept.PREVIEW, *things)
        slices = vault.there.fetching.columns(vault.ann.id, inbox.id, ALL, asked)
        return [words async for columns in slices for words in columns[Kept.PREVIEW]]

    assert await previews() == [None, None]
    await vault.here.index.catch_up()
    for things in ((), (Kept.HEAD, Kept.REST), (Kept.FLAGS, Kept.PARTS)):
        assert await previews(*things) == ["hello", "x" * 200]


async def test_a_large_message_is_read_in_pieces_and_one_of_too_many_words_is_left_out(vault: Vault) -> None:
    # In a file, since the store of these tests keeps no more than 4 KiB in the database.
    body = "nothing to see in this line\r\n" * 100_000 + "albatross\r\n"
    await vault.here.mailboxes.append(vault.ann.id, "INBOX", spooled(vault.here, letter("large", body)))
    many = " ".join(map(str, range(60_000)))
    await vault.here.mailboxes.append(vault.ann.id, "INBOX", spooled(vault.here, letter("many", many)))
    await vault.here.index.catch_up()
    assert await look(vault, "albatross") == ({1}, {2})


async def test_a_file_that_is_gone_holds_nobody_up(vault: Vault) -> None:
    await vault.here.mailboxes.append(vault.ann.id, "INBOX", spooled(vault.here, letter("large", "x" * 9000)))
    await post(vault, "two")
    [file] = (vault.directory / "contents").glob("??/*")
    file.unlink()
    await vault.here.index.catch_up()
    assert await look(vault, "two") == ({2}, {1})
    await vault.here.index.tidy()


async def test_a_patient_write_lets_others_go_first(vault: Vault) -> None:
    done: list[str] = []
    database = vault.here.index._database

    async def write(name: str, *, patient: bool) -> None:
        await database.write(_nothing(), patient=patient)
        done.append(name)

    await asyncio.gather(
        write("patient", patient=True), *(write(f"other{number}", patient=False) for number in range(5))
    )
    assert done == [*(f"other{number}" for number in range(5)), "patient"]


def _nothing() -> Unit[None]:
    yield from ()


async def caught_up(store: Store) -> None:
    """Until the chore has done its work."""
    async with asyncio.timeout(20):
        while (await store.index.counted()).waiting:  # noqa: ASYNC110 - it rings no bell of its own
            await asyncio.sleep(0.01)


async def test_the_chore_follows_the_bell_and_one_process_does_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mailsystem.store.index._QUIET", 0.01)
    async with open_store(tmp_path) as here, open_store(tmp_path) as there:
        ann = await here.accounts.add("ann@example.org", None)
        for number in range(20):
            await (here, there)[number % 2].mailboxes.append(ann.id, "INBOX", spooled(here, letter(f"letter{number}")))
        await caught_up(here)
        assert sorted([here.index._held_until > 0, there.index._held_until > 0]) == [False, True]
    # Closed in good order, it lets the next one begin at once.
    async with open_store(tmp_path) as store:
        await store.mailboxes.append(ann.id, "INBOX", spooled(store, letter("late")))
        await caught_up(store)


async def settled() -> None:
    """Until the chores have seen what there is to do and sleep."""
    await asyncio.sleep(0.05)


@pytest.fixture
def never_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailsystem.store.index._QUIET", 3600.0)


@pytest.mark.parametrize("indexed", [True])
@pytest.mark.usefixtures("never_quiet")  # before the chore begins
async def test_what_somebody_searches_is_indexed_at_once(vault: Vault) -> None:
    await settled()
    await post(vault, *(f"letter{number}" for number in range(_TOO_MANY)))
    await settled()
    assert (await vault.here.index.counted()).waiting == _TOO_MANY
    assert (await look(vault, "letter7"))[1] == set(range(1, _TOO_MANY + 1))
    await caught_up(vault.here)
    async with asyncio.timeout(20):
        while vault.here.index._asked.is_set():  # noqa: ASYNC110 - as long as the chore goes on at once
            await asyncio.sleep(0.01)
    assert await look(vault, "letter77") == ({78}, set())
    await post(vault, "another")
    await look(vault, "letter77")
    await settled()
    assert (await vault.here.index.counted()).waiting == 1


KILLED = """
import asyncio, sys
from pathlib import Path
from mailsystem.store import open_store

async def main():
    async with open_store(Path(sys.argv[1]), indexed=False) as store:
        print("up", flush=True)
        while True:
            await store.index.rebuild()
            await store.index.catch_up()

asyncio.run(main())
"""


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
async def test_a_kill_while_it_is_built_loses_nothing(tmp_path: Path, seed: int) -> None:
    count = 300
    async with open_store(tmp_path, indexed=False) as store:
        ann = await store.accounts.add("ann@example.org", None)
        await asyncio.gather(
            *(
                store.mailboxes.append(ann.id, "INBOX", spooled(store, letter(f"letter{number}", f"w{number} " * 200)))
                for number in range(count)
            )
        )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, env=environment
    ) as process:
        assert process.stdout is not None
        await asyncio.to_thread(process.stdout.readline)
        await asyncio.sleep(0.05 + random.Random(seed).random())
        process.send_signal(signal.SIGKILL)
    async with open_store(tmp_path, indexed=False) as store:
        inbox = await store.mailboxes.find(ann.id, "INBOX")
        told = await store.index.look(ann.id, inbox.id, [probe("letter")])
        assert set(told.found[probe("letter")]) | set(told.unknown) == set(range(1, count + 1))
        await store.index.catch_up()
        told = await store.index.look(ann.id, inbox.id, [probe("letter"), probe("w77")])
        assert (len(told.found[probe("letter")]), told.unknown) == (count, frozenset())
        assert told.found[probe("w77")] == {78}


@pytest.mark.slow
async def test_fifty_megabytes_of_text_are_indexed_in_little_memory(tmp_path: Path) -> None:
    program = """
import asyncio, resource, sys
from pathlib import Path
from mailsystem.store import open_store

async def main():
    async with open_store(Path(sys.argv[1]), indexed=False) as store:
        ann = await store.accounts.add("ann@example.org", None)
        spool = store.contents.spool()
        spool.write(b"Subject: large\\r\\n\\r\\n")
        for number in range(850_000):
            spool.write(b"line %d of a log that somebody sent, and so on, %d words of it\\r\\n" % (number, number % 97))
            if spool.wants_flush:
                await spool.flush()
        print(spool.size)
        await store.mailboxes.append(ann.id, "INBOX", spool)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        await store.index.catch_up()
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)

asyncio.run(main())
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", program, str(tmp_path)], capture_output=True, env=environment, check=True
    )
    size, grown = map(int, done.stdout.split())
    assert size > 50 << 20
    assert grown < 40 << 10


def test_a_shelf_has_room_for_what_is_merged() -> None:
    # Places are numbers of 16 bits; two shelves that are not full yet may become one.
    assert 2 * FULL < 1 << 16
