"""The driver: units, groups, bells, what failure leaves behind, and the private seams that we stand on."""

from __future__ import annotations

import asyncio
import inspect
import os
import sqlite3
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import aiosqlite
import pytest
from vault import TestClock, Vault, letter, post, spooled

from mailsystem.mail.errors import Unavailable
from mailsystem.mail.mailbox import AccountId, MailboxId, MessageSet
from mailsystem.store import migrations, open_store, sqlite
from mailsystem.store.bell import Bell
from mailsystem.store.database import Many, Ring, Sql, Unit
from mailsystem.store.spelling import SPELLING, spelled
from mailsystem.store.sqlite import SqliteDatabase, open_sqlite
from mailsystem.telemetry import Event, Trace

TOPIC = (AccountId(1), MailboxId(1))


@asynccontextmanager
async def numbers(tmp_path: Path, trace: Trace | None = None) -> AsyncIterator[SqliteDatabase]:
    async with open_sqlite(tmp_path, trace or Trace()) as database:
        await database.write(make())
        yield database


def make() -> Unit[None]:
    yield Sql("CREATE TABLE IF NOT EXISTS numbers (n INTEGER PRIMARY KEY)")


def put(n: int) -> Unit[int]:
    yield Sql("INSERT INTO numbers (n) VALUES ($1)", n)
    return n


def put_and_fail(n: int) -> Unit[int]:
    yield Sql("INSERT INTO numbers (n) VALUES ($1)", n)
    raise Unavailable("on purpose")


def stumble() -> Unit[int]:
    yield Sql("SELECT 1")
    return 1 // 0


def everything() -> Unit[list[int]]:
    rows = yield Sql("SELECT n FROM numbers ORDER BY n")
    return [row[0] for row in rows]


def test_aiosqlite_still_runs_a_function_on_its_thread_in_one_hop() -> None:
    """We pass whole units to `Connection._execute`, and give the connection a connector of our own."""
    assert list(inspect.signature(aiosqlite.Connection._execute).parameters) == ["self", "fn", "args", "kwargs"]
    assert list(inspect.signature(aiosqlite.Connection.__init__).parameters)[:3] == [
        "self",
        "connector",
        "iter_chunk_size",
    ]
    assert isinstance(inspect.getattr_static(aiosqlite.Connection, "_conn"), property)


def test_statements_are_spelled_for_sqlite() -> None:
    assert spelled("SELECT $1, $12 FROM x WHERE n IN LIST $2") == (
        "SELECT ?1, ?12 FROM x WHERE n IN (SELECT value FROM json_each(?2))"
    )
    assert "json_each(?3)" in spelled("SELECT 1 FROM RANGES $3 WHERE r.lo = $1")


async def test_ranges_and_lists_reach_the_database(tmp_path: Path) -> None:
    async with numbers(tmp_path) as database:

        def fill() -> Unit[None]:
            yield Many("INSERT INTO numbers (n) VALUES ($1)", [(n,) for n in range(1, 11)])

        def pick() -> Unit[tuple[list[int], list[int]]]:
            ranged = yield Sql(
                "SELECT n FROM RANGES $1 JOIN numbers ON n BETWEEN r.lo AND r.hi ORDER BY n",
                MessageSet.parse("2:3,7,9:400"),
            )
            listed = yield Sql("SELECT n FROM numbers WHERE n IN LIST $1", [1, 5, 77])
            return [row[0] for row in ranged], [row[0] for row in listed]

        await database.write(fill())
        assert await database.read(pick()) == ([2, 3, 7, 9, 10], [1, 5])


async def test_a_unit_that_fails_leaves_nothing_and_its_neighbours_unhurt(tmp_path: Path) -> None:
    async with numbers(tmp_path) as database:
        outcomes = await asyncio.gather(
            *(database.write(put_and_fail(n) if n % 3 == 0 else put(n)) for n in range(1, 31)), return_exceptions=True
        )
        for n, outcome in enumerate(outcomes, 1):
            assert isinstance(outcome, Unavailable) if n % 3 == 0 else outcome == n
        assert await database.read(everything()) == [n for n in range(1, 31) if n % 3]


async def test_one_that_is_alone_takes_no_savepoint_and_leaves_nothing_where_it_fails(tmp_path: Path) -> None:
    async with numbers(tmp_path) as database:
        said: list[str] = []
        await database._writer._execute(lambda: database._writer._conn.set_trace_callback(said.append))
        for brief in True, False:
            with pytest.raises(Unavailable):
                await database.write(put_and_fail(1), durable=not brief, brief=brief)
            assert await database.write(put(2 + brief), durable=not brief, brief=brief) == 2 + brief
        assert not [each for each in said if "SAVEPOINT" in each]
        assert await database.read(everything()) == [2, 3]


async def test_a_broken_statement_is_unavailable_to_its_own_unit_only_and_leaks_nothing(tmp_path: Path) -> None:
    heard: list[Event] = []
    async with numbers(tmp_path, Trace([heard.append])) as database:
        outcomes = await asyncio.gather(
            database.write(put(1)), database.write(put(1)), database.write(put(2)), return_exceptions=True
        )
        assert outcomes[0] == 1
        assert isinstance(outcomes[1], Unavailable)
        assert "UNIQUE" not in str(outcomes[1])
        assert outcomes[2] == 2
    assert any("UNIQUE" in event.data["reason"] for event in heard if event.name == "store failed")


async def test_a_cancelled_writer_leaves_the_next_one_alone(tmp_path: Path) -> None:
    async with numbers(tmp_path) as database:
        tasks = [asyncio.create_task(database.write(put(n))) for n in range(50)]
        await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert outcomes[1::2] == list(range(1, 50, 2))
        assert set(range(1, 50, 2)) <= set(await database.read(everything()))
        assert await database.write(put(100)) == 100


async def test_writes_that_wait_are_committed_together(tmp_path: Path) -> None:
    async with numbers(tmp_path) as database:
        before = database._commits
        await asyncio.gather(*(database.write(put(n)) for n in range(100)))
        assert database._commits - before <= 3


async def test_a_commit_is_fully_synchronous_and_never_checkpoints_by_itself(tmp_path: Path) -> None:
    async with numbers(tmp_path) as database:

        def pragmas() -> Unit[list[object]]:
            names = ("journal_mode", "synchronous", "wal_autocheckpoint")
            found = []
            for name in names:
                [[value]] = yield Sql(f"PRAGMA {name}")
                found.append(value)
            return found

        [writer] = [database._writer]
        values = await writer._execute(
            lambda: [
                writer._conn.execute(f"PRAGMA {name}").fetchone()[0]
                for name in ("journal_mode", "synchronous", "wal_autocheckpoint")
            ]
        )
        assert values == ["wal", 2, 0]
        assert await database.read(pragmas()) == ["wal", 2, 0]


async def test_a_group_waits_for_the_disk_if_anybody_in_it_must(tmp_path: Path) -> None:
    async with numbers(tmp_path) as database:

        def how() -> Unit[int]:
            [[level]] = yield Sql("PRAGMA synchronous")
            return int(level)

        full, normal = 2, 1
        assert await database.write(how()) == full
        assert await database.write(how(), durable=False) == normal
        together = await asyncio.gather(database.write(how(), durable=False), database.write(how()))
        assert together == [full, full]
        assert await database.write(how()) == full


async def test_a_brief_read_takes_no_thread_and_sees_what_was_committed(tmp_path: Path) -> None:
    async with numbers(tmp_path) as here, numbers(tmp_path) as there:
        await here.write(put(1))
        threads: set[int] = set()

        def look() -> Unit[list[int]]:
            threads.add(threading.get_ident())
            return (yield from everything())

        assert await here.read(look(), brief=True) == await there.read(look(), brief=True) == [1]
        await there.write(put(2))
        assert await here.read(look(), brief=True) == [1, 2]
        assert threads == {threading.get_ident()}
        with pytest.raises(Unavailable):
            await here.read(put(3), brief=True)
        with pytest.raises(ZeroDivisionError):
            await here.read(stumble(), brief=True)
        assert await here.read(everything(), brief=True) == [1, 2]


async def test_a_brief_write_that_waits_for_no_disk_takes_no_thread_and_rings(tmp_path: Path) -> None:
    def ring(n: int) -> Unit[int]:
        yield Ring(TOPIC)
        yield from put(n)
        return threading.get_ident()

    async with numbers(tmp_path) as here, numbers(tmp_path) as there:
        heard, there_heard = here.bell.rung, there.bell.rung
        assert await here.write(ring(1), durable=False, brief=True) == threading.get_ident()
        assert here.bell.sounded(heard, TOPIC)
        await asyncio.wait_for(there.bell.wait(there_heard, TOPIC), 5)
        assert await there.read(everything()) == [1]
        # What must be on disk goes by the thread, and so does what is not brief.
        assert await here.write(ring(2), brief=True) != threading.get_ident()
        assert await here.write(ring(3), durable=False) != threading.get_ident()
        for unit in (put_and_fail(4), put(1)):
            with pytest.raises(Unavailable):
                await here.write(unit, durable=False, brief=True)
        assert await here.write(ring(5), durable=False, brief=True) == threading.get_ident()
        assert await here.read(everything()) == [1, 2, 3, 5]


async def test_a_brief_write_waits_its_turn_where_somebody_writes(tmp_path: Path) -> None:
    async with numbers(tmp_path) as here, numbers(tmp_path) as there:
        entered, leave = threading.Event(), threading.Event()

        def long(n: int) -> Unit[None]:
            yield from put(n)
            entered.set()
            leave.wait(10)

        def brief(n: int) -> Unit[int]:
            yield from put(n)
            return threading.get_ident()

        for n, writer in enumerate((here, there)):
            entered.clear()
            leave.clear()
            writing = asyncio.create_task(writer.write(long(n)))
            await asyncio.to_thread(entered.wait, 10)
            waiting = asyncio.create_task(here.write(brief(n + 10), durable=False, brief=True))
            await asyncio.sleep(0.01)
            assert not waiting.done()
            leave.set()
            await writing
            assert await waiting != threading.get_ident()


async def test_the_log_is_moved_after_so_much_was_written_and_not_after_each_commit(tmp_path: Path) -> None:
    """Its file never shrinks: whoever went by its size would move it again and again from then on."""
    async with numbers(tmp_path) as database:
        said: list[str] = []
        database._writer._conn.set_trace_callback(said.append)

        def large(n: int) -> Unit[None]:
            yield Many("INSERT INTO numbers (n) VALUES ($1)", [(n * 100_000 + k,) for k in range(20_000)])

        def moves() -> int:
            return sum("wal_checkpoint" in statement for statement in said)

        for n in range(1, 5):
            await database.write(large(n))
        await database.write(put(8_999_999))  # what moves the log has not kept the last one from its answer
        assert moves() == 1
        assert os.stat(tmp_path / "mail.db-wal").st_size > 100_000
        said.clear()
        for n in range(200):
            await database.write(put(n), durable=False, brief=n % 2 == 0)
        assert moves() == 0
        for n in range(4):
            await database.write(large(n + 10), durable=False, brief=n % 2 == 0)
        await database.write(put(9_000_000))
        assert moves() == 1


async def test_readers_cannot_write(tmp_path: Path) -> None:
    async with numbers(tmp_path) as database:
        with pytest.raises(Unavailable):
            await database.read(put(1))


async def test_a_read_is_one_snapshot(tmp_path: Path) -> None:
    async with numbers(tmp_path) as here, numbers(tmp_path) as there:
        await here.write(put(1))

        def twice() -> Unit[tuple[int, int]]:
            [[first]] = yield Sql("SELECT COUNT(*) FROM numbers")
            asyncio.run_coroutine_threadsafe(there.write(put(2)), loop).result(10)
            [[second]] = yield Sql("SELECT COUNT(*) FROM numbers")
            return first, second

        loop = asyncio.get_running_loop()
        assert await here.read(twice()) == (1, 1)
        assert await here.read(everything()) == [1, 2]


@pytest.fixture
def no_safety_net(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "_LOOK_EVERY", 3600.0)


@pytest.mark.usefixtures("no_safety_net")
async def test_the_bell_rings_in_both_processes_without_the_safety_net(tmp_path: Path) -> None:
    async with open_store(tmp_path) as here, open_store(tmp_path) as there:
        ann = await here.accounts.add("ann@example.org", None)
        inbox = await here.mailboxes.find(ann.id, "INBOX")
        for store in (here, there):
            heard = store.bell.rung
            await here.mailboxes.append(ann.id, "INBOX", spooled(here, letter("ding")))
            await asyncio.wait_for(store.bell.wait(heard, (ann.id, inbox.id)), 60)


async def test_the_bell_leaves_those_asleep_who_watch_another_mailbox(vault: Vault) -> None:
    archive = await vault.there.mailboxes.find(vault.ann.id, "Archive")
    heard = vault.there.bell.rung
    sleeper = asyncio.create_task(vault.there.bell.wait(heard, (vault.ann.id, archive.id)))
    watcher = asyncio.create_task(vault.there.bell.wait(heard))
    await asyncio.sleep(0)
    await post(vault, "ding")
    await asyncio.wait_for(watcher, 5)
    assert not sleeper.done()
    await post(vault, "dong", mailbox="Archive")
    await asyncio.wait_for(sleeper, 5)


async def test_a_ring_lost_with_its_process_is_made_good_by_the_safety_net(vault: Vault) -> None:
    inbox = await vault.here.mailboxes.find(vault.ann.id, "INBOX")
    heard = vault.there.bell.rung
    for bell in (vault.directory / "bells").iterdir():
        bell.unlink()
    await post(vault, "silence")
    await asyncio.wait_for(vault.there.bell.wait(heard, (vault.ann.id, inbox.id)), 5)


async def test_a_dead_neighbours_bell_is_taken_down(vault: Vault) -> None:
    import socket

    dead = vault.directory / "bells" / "1-dead"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bell:
        bell.bind(str(dead))
    await post(vault, "anybody there?")
    assert not dead.exists()


@pytest.mark.usefixtures("no_safety_net")
async def test_bells_hang_however_deep_the_directory_lies(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    async with open_store(deep) as here, open_store(deep) as there:
        ann = await here.accounts.add("ann@example.org", None)
        inbox = await here.mailboxes.find(ann.id, "INBOX")
        heard = there.bell.rung
        await here.mailboxes.append(ann.id, "INBOX", spooled(here, letter("x")))
        await asyncio.wait_for(there.bell.wait(heard, (ann.id, inbox.id)), 60)


async def test_a_bell_wakes_nobody_for_what_they_have_heard() -> None:
    bell = Bell()
    bell.ring([TOPIC])
    heard = bell.rung
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(bell.wait(heard, TOPIC), 0.02)
    bell.ring(None)
    await asyncio.wait_for(bell.wait(heard, TOPIC), 1)
    assert bell._sleepers == {}


def test_a_hearer_is_told_of_its_topics_until_it_is_spared() -> None:
    bell, told, other = Bell(), [0], (TOPIC[0], MailboxId(TOPIC[1] + 1))

    def hearer() -> None:
        told[0] += 1

    bell.ring([TOPIC])
    bell.tell(hearer, [TOPIC, other])
    bell.ring([(AccountId(77), TOPIC[1])])
    assert told == [0]
    bell.ring([TOPIC])
    bell.ring([other])
    assert told == [2]
    bell.ring(None)
    assert told[0] > 2
    before = told[0]
    bell.spare(hearer, [TOPIC])
    bell.ring([TOPIC])
    assert told == [before]
    bell.spare(hearer, [other, TOPIC])
    bell.ring(None)
    assert told == [before]
    assert bell._hearers == {}


async def test_only_a_committed_unit_rings(tmp_path: Path) -> None:
    def ring_and_fail() -> Unit[None]:
        yield Ring(TOPIC)
        raise Unavailable

    async with numbers(tmp_path) as database:
        heard = database.bell.rung
        with pytest.raises(Unavailable):
            await database.write(ring_and_fail())
        assert database.bell.rung == heard


async def test_a_store_that_was_closed_opens_again_with_everything_in_it(tmp_path: Path, clock: TestClock) -> None:
    async with open_store(tmp_path, clock=clock) as store:
        ann = await store.accounts.add("ann@example.org", None)
        await store.mailboxes.append(ann.id, "INBOX", spooled(store, letter("kept")))
    assert not (tmp_path / "mail.db-wal").exists() or os.stat(tmp_path / "mail.db-wal").st_size == 0
    async with open_store(tmp_path, clock=clock) as store:
        assert (await store.mailboxes.status(ann.id, "INBOX")).messages == 1
    with sqlite3.connect(tmp_path / "mail.db") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()


@pytest.mark.parametrize("table", ["letters (x)", "migrations (id, migration, batch)"])
async def test_the_database_of_another_program_is_left_as_it_is(tmp_path: Path, table: str) -> None:
    path = tmp_path / "mail.db"
    with closing(sqlite3.connect(path)) as other:
        other.execute(f"CREATE TABLE {table}")
    path.chmod(0o644)
    before = path.read_bytes()
    with pytest.raises(Unavailable, match="another program"):
        async with open_store(tmp_path):
            pass
    assert path.read_bytes() == before
    assert path.stat().st_mode & 0o777 == 0o644
    assert {each.name for each in tmp_path.iterdir()} == {"mail.db", "mail.lock"}


async def test_data_from_a_newer_program_are_left_alone(tmp_path: Path) -> None:
    async with open_store(tmp_path):
        pass
    connection = sqlite3.connect(tmp_path / "mail.db")
    with connection:
        connection.execute("INSERT INTO migrations (number, title) VALUES (9999, 'the future')")
    connection.close()
    with pytest.raises(Unavailable, match="newer version"):
        async with open_store(tmp_path):
            pass


async def test_a_file_that_is_no_database_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "mail.db").write_bytes(b"these are not the bytes you are looking for" * 100)
    with pytest.raises(Unavailable, match=r"mail\.db cannot be used"):
        async with open_store(tmp_path):
            pass


def test_migrations_are_numbered_without_holes() -> None:
    assert [step.number for step in migrations.MIGRATIONS] == list(range(1, len(migrations.MIGRATIONS) + 1))


async def test_nobody_else_may_read_the_mail(tmp_path: Path) -> None:
    place = tmp_path / "data"
    async with open_store(place) as store:
        ann = await store.accounts.add("ann@example.org", None)
        spool = spooled(store, b"\r\n" + b"x" * 200_000)
        await store.mailboxes.append(ann.id, "INBOX", spool)
        assert place.stat().st_mode & 0o077 == 0
        assert (place / "mail.db").stat().st_mode & 0o077 == 0
        [file] = (place / "contents").glob("??/*")
        assert file.stat().st_mode & 0o077 == 0
        assert all(path.stat().st_mode & 0o077 == 0 for path in place.rglob("*") if path.is_dir())


async def test_nobody_else_may_read_the_mail_from_the_first_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever opened the file before its mode was set could read it for ever."""
    made: list[int] = []
    connect = sqlite3.connect

    def noting(path: object, *args: object, **options: object) -> sqlite3.Connection:
        made.append(os.stat(str(path)).st_mode & 0o777)
        return connect(path, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(sqlite3, "connect", noting)
    async with open_sqlite(tmp_path, Trace()):
        assert set(made) == {0o600}


async def test_the_bell_tells_of_an_account_as_a_whole_and_of_several_things_at_once(vault: Vault) -> None:
    """What is about an account and no mailbox wakes nobody who watches a mailbox."""
    inbox = await vault.there.mailboxes.find(vault.ann.id, "INBOX")
    bell, whole = vault.there.bell, (vault.ann.id, MailboxId(0))
    for act in (
        lambda: post(vault, "ding"),
        lambda: vault.here.mailboxes.create(vault.ann.id, "new"),
        lambda: vault.here.mailboxes.rename(vault.ann.id, "new", "newer"),
        lambda: vault.here.mailboxes.subscribe(vault.ann.id, "newer", True),
        lambda: vault.here.mailboxes.subscribe(vault.ann.id, "newer", False),
        lambda: vault.here.metadata.write(vault.ann.id, (vault.ann.id, inbox.id), {"/private/comment": b"x"}),
        lambda: vault.here.mailboxes.delete(vault.ann.id, "newer"),
    ):
        heard = bell.rung
        one = asyncio.create_task(bell.wait(heard, whole))
        either = asyncio.create_task(bell.wait(heard, (vault.ann.id, MailboxId(99)), whole))
        bobs = asyncio.create_task(bell.wait(heard, (AccountId(99), MailboxId(0))))
        await act()
        await asyncio.wait_for(asyncio.gather(one, either), 5)
        assert not bobs.done()
        assert bell.sounded(heard, whole)
        assert not bell.sounded(heard, (AccountId(99), MailboxId(0)))
        bobs.cancel()
    heard = bell.rung
    sleeper = asyncio.create_task(bell.wait(heard, (vault.ann.id, inbox.id)))
    await vault.here.mailboxes.subscribe(vault.ann.id, "x", True)
    await asyncio.wait_for(bell.wait(heard, whole), 5)
    assert not sleeper.done()
    sleeper.cancel()
    await asyncio.gather(sleeper, return_exceptions=True)
    assert not bell._sleepers


async def test_a_new_database_is_made_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = migrations.Migration(1_000_000, "no step at all", ("THIS IS NOT SQL",))
    with monkeypatch.context() as patched:
        patched.setattr(migrations, "MIGRATIONS", (*migrations.MIGRATIONS, broken))
        with pytest.raises(Unavailable):
            async with open_store(tmp_path):
                raise AssertionError
    with sqlite3.connect(tmp_path / "mail.db") as connection:
        assert connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall() == [("migrations",)]
    async with open_store(tmp_path) as store:
        assert await store.accounts.list() == []


async def test_a_new_database_is_what_all_steps_make_of_an_old_one(tmp_path: Path) -> None:
    for name in ("whole", "steps"):
        (tmp_path / name).mkdir()
        async with open_sqlite(tmp_path / name, Trace()) as database:
            await database.write(migrations.applied())
            if name == "whole":
                await database.write(migrations.apply_all(SPELLING))
            else:
                await database.write(migrations.apply(migrations.MIGRATIONS[0], SPELLING))
                # Another process was quicker with one of them.
                await database.write(migrations.apply_all(SPELLING))
    found = []
    for name in ("whole", "steps"):
        with closing(sqlite3.connect(tmp_path / name / "mail.db")) as connection:
            schema = connection.execute(
                "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY type, name"
            ).fetchall()
            tables = [each[1] for each in schema if each[0] == "table"]
            found.append((schema, [connection.execute(f"SELECT * FROM {each}").fetchall() for each in tables]))
    assert found[0] == found[1]


@pytest.mark.parametrize("lasting", [True, False])
async def test_what_does_not_last_waits_for_no_disk(tmp_path: Path, lasting: bool) -> None:
    async with open_sqlite(tmp_path, Trace(), lasting=lasting) as database:
        await database.write(make(), durable=True)
        [[synchronous]] = database._writer._conn.execute("PRAGMA synchronous").fetchall()
        assert (synchronous == 2) is lasting, "FULL is 2, and with that each commit waits"
