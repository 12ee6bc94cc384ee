"""The SQLite driver, on aiosqlite: one writer, a few readers, group commit, doorbells between processes.

- One hop per unit: a whole unit (or a whole group of them) runs on the connection's own thread at once. A brief one goes
  without: a few rows out of memory cost some microseconds, the way to a thread and back costs eighty.
- Processes queue at an advisory file lock, not in SQLite's busy handler. Checkpoints, opening and closing happen only under
  that lock: SQLite before 3.51.3 can corrupt a WAL database when two connections checkpoint and write at one moment.
- `synchronous=FULL`: a write is on disk when its caller hears of it. Only a group in which nobody asked for that (the
  leases of maildrops, which end by themselves) goes without.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import sqlite3
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar, cast

import aiosqlite

from mailsystem.mail.errors import Unavailable
from mailsystem.store.bell import Bell, Topic
from mailsystem.store.database import Unit
from mailsystem.store.doorbell import Doorbell
from mailsystem.store.owner import make_file
from mailsystem.store.spelling import look, run
from mailsystem.telemetry import Trace

T = TypeVar("T")

_READERS: Final = 3
_GROUP_UNITS: Final = 256
_GROUP_OCTETS: Final = 8 << 20
_CHECKPOINT_OCTETS: Final = 16 << 20
"""How much goes into the log between two checkpoints, as far as can be told from what was written."""
_COMMIT_OCTETS: Final = 24 << 10
_ROW_OCTETS: Final = 256
"""A commit writes whole pages: so much at least, and so much more for each row, since not every row has a page of its own."""
_STATEMENTS: Final = 256
_PATIENCE: Final = 1.0
_LOOK_EVERY: Final = 1.0
_LOOK_ANYHOW: Final = 10


class _Waiting(NamedTuple):
    """A unit in the queue to the writer."""

    unit: Unit[Any]
    weight: int
    durable: bool
    answer: asyncio.Future[Any]
    since: float = 0.0


_Outcome: TypeAlias = tuple[Any] | BaseException
"""What a unit gave, or what it raised."""


class SqliteDatabase:
    """One database file, `mail.db` in `directory`. Make it with `open_sqlite`."""

    def __init__(self, directory: Path, lock: int, trace: Trace, *, lasting: bool = True) -> None:
        self._lock = lock
        self._lasting = lasting
        self._trace = trace
        self._bell = Bell()
        self._doorbell = Doorbell(directory / "bells", self._bell.ring)
        self._waiting: deque[_Waiting] = deque()
        self._patient: deque[_Waiting] = deque()
        self._worker: asyncio.Task[None] | None = None
        self._writer: aiosqlite.Connection
        self._readers: list[aiosqlite.Connection] = []
        self._brief: sqlite3.Connection
        self._next_reader = 0
        self._commits = 0
        self._durable = True
        """Whether the writer's commits wait for the disk just now."""
        self._logged = 0
        """About how many octets went into the log since the last checkpoint."""

    @property
    def bell(self) -> Bell:
        return self._bell

    async def write(
        self, unit: Unit[T], *, weight: int = 0, durable: bool = True, patient: bool = False, brief: bool = False
    ) -> T:
        if brief and not durable and (done := self.write_at_once(unit)) is not None:
            return done[0]
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()
        if patient:
            self._patient.append(_Waiting(unit, weight, durable, answer, loop.time()))
        else:
            self._waiting.append(_Waiting(unit, weight, durable, answer))
        if self._worker is None:
            self._worker = asyncio.create_task(self._work())
        return await answer

    def write_at_once(self, unit: Unit[T]) -> tuple[T] | None:
        """On the loop's thread, as a transaction of its own."""
        if self._worker is not None or not _flock_at_once(self._lock):
            return None
        try:
            [outcome], topics = self._transact([unit], durable=False)
        except sqlite3.Error as error:
            raise self._failed("write", error) from error
        finally:
            fcntl.flock(self._lock, fcntl.LOCK_UN)
        self._tell(topics)
        if self._logged > _CHECKPOINT_OCTETS:
            self._worker = asyncio.create_task(self._work())
        if isinstance(outcome, BaseException):
            raise outcome
        return cast("tuple[T]", outcome)

    async def read(self, unit: Unit[T], *, brief: bool = False) -> T:
        try:
            if brief:
                return look(self._brief, unit)
            # Round robin: each connection is a thread with a queue of its own, so there is nothing to hand back.
            self._next_reader = (self._next_reader + 1) % len(self._readers)
            reader = self._readers[self._next_reader]
            return await _hop(reader, lambda: look(reader._conn, unit))
        except sqlite3.Error as error:
            raise self._failed("read", error) from error

    async def _work(self) -> None:
        """Commit what waits, group after group, until nothing does."""
        try:
            while True:
                if self._logged > _CHECKPOINT_OCTETS:
                    self._logged = 0
                    await _hop(self._writer, self._checkpoint)
                if not (self._waiting or self._patient):
                    return
                group = self._take()
                if not group:
                    continue
                units, durable = [one.unit for one in group], any(one.durable for one in group)
                try:
                    outcomes, topics = await _hop(self._writer, partial(self._commit, units, durable))
                except sqlite3.Error as error:
                    failure = self._failed("write", error)
                    outcomes, topics = [failure] * len(group), set()
                self._tell(topics)
                for one, outcome in zip(group, outcomes, strict=True):
                    if one.answer.done():
                        continue
                    if isinstance(outcome, BaseException):
                        one.answer.set_exception(outcome)
                    else:
                        one.answer.set_result(outcome[0])
        finally:
            self._worker = None

    def _tell(self, topics: set[Topic]) -> None:
        """There was a commit: ring, here and at the other processes."""
        self._commits += 1
        if topics:
            self._bell.ring(topics)
            self._doorbell.ring(topics)

    def _take(self) -> list[_Waiting]:
        group: list[_Waiting] = []
        octets = 0
        if self._patient:
            first = self._patient[0]
            late = asyncio.get_running_loop().time() - first.since > _PATIENCE
            if late or not self._waiting or first.answer.cancelled():
                self._patient.popleft()
                if first.answer.cancelled():
                    first.unit.close()
                    return []
                return [first]
        while self._waiting and len(group) < _GROUP_UNITS and octets < _GROUP_OCTETS:
            one = self._waiting.popleft()
            if one.answer.cancelled():
                one.unit.close()
                continue
            group.append(one)
            octets += one.weight
        return group

    def _commit(self, units: list[Unit[Any]], durable: bool) -> tuple[list[_Outcome], set[Topic]]:
        """On the writer's thread: all units in one transaction. Raises only `sqlite3.Error`."""
        with flocked(self._lock):
            return self._transact(units, durable=durable)

    def _transact(self, units: list[Unit[Any]], *, durable: bool) -> tuple[list[_Outcome], set[Topic]]:
        """All units in one transaction, under the file lock. Raises only `sqlite3.Error`."""
        connection = self._writer._conn
        execute = connection.execute
        outcomes: list[_Outcome] = []
        topics: set[Topic] = set()
        before = connection.total_changes
        durable &= self._lasting
        if durable is not self._durable:
            execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            self._durable = durable
        # One that is alone needs no savepoint, for which SQLite would keep a copy of each page that it changes.
        alone = len(units) == 1
        execute("BEGIN IMMEDIATE")
        try:
            for unit in units:
                if not alone:
                    execute("SAVEPOINT unit")
                rings: set[Topic] = set()
                try:
                    outcomes.append((run(connection, unit, rings),))
                except Exception as error:
                    if isinstance(error, sqlite3.Error):
                        if not connection.in_transaction:
                            raise  # SQLite gave up the whole transaction (a full disk, say), the neighbours too
                        error = self._failed("write", error)
                    outcomes.append(error)
                    execute("ROLLBACK" if alone else "ROLLBACK TO unit")
                else:
                    topics |= rings
                if not alone:
                    execute("RELEASE unit")
            if connection.in_transaction:
                execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.rollback()
            raise
        self._logged += _COMMIT_OCTETS + _ROW_OCTETS * (connection.total_changes - before)
        return outcomes, topics

    def _checkpoint(self) -> None:
        """On the writer's thread: move the log into the database. Never fatal."""
        with flocked(self._lock):
            self._move_log()

    def _move_log(self) -> None:
        """Only ever under the file lock.

        The log's file stays as large as it once was, and is written anew from its beginning: its size tells nothing.
        """
        try:
            self._writer._conn.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        except sqlite3.Error as error:
            self._trace.event("checkpoint failed", reason=str(error))

    def _failed(self, what: str, error: sqlite3.Error) -> Unavailable:
        self._trace.event("store failed", what=what, reason=f"{type(error).__name__}: {error}")
        return Unavailable()

    async def _watch(self) -> None:
        """The safety net: look at `PRAGMA data_version` once a second, in case a ring got lost with its process."""
        reader = self._readers[0]
        seen, rung, commits, masked = await self._data_version(reader), 0, 0, 0
        while True:
            await asyncio.sleep(_LOOK_EVERY)
            version = await self._data_version(reader)
            if version == seen and not masked:
                continue
            quiet = self._bell.rung == rung and self._commits == commits
            masked = 0 if quiet else masked + 1
            if quiet or masked >= _LOOK_ANYHOW:
                self._bell.ring(None)
                masked = 0
            seen, rung, commits = version, self._bell.rung, self._commits

    async def _data_version(self, reader: aiosqlite.Connection) -> int:
        def look() -> int:
            return int(reader._conn.execute("PRAGMA data_version").fetchone()[0])

        return await _hop(reader, look)


@asynccontextmanager
async def open_sqlite(
    directory: Path, trace: Trace, *, lasting: bool = True, is_foreign: Callable[[], Unit[bool]] | None = None
) -> AsyncIterator[SqliteDatabase]:
    """Open `mail.db` in `directory`, made where it is missing; the schema is the caller's matter. What `is_foreign` is left
    untouched. Raises `OSError` and `Unavailable`.

    What is not `lasting` is thrown away soon: no commit waits for the disk.
    """
    path = directory / "mail.db"
    make_file(directory / "mail.lock")
    lock = os.open(directory / "mail.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        database = SqliteDatabase(directory, lock, trace, lasting=lasting)
        await asyncio.to_thread(_prepare, path, lock, is_foreign)
        database._writer = await _connect(path, lock, read_only=False)
        try:
            database._brief = await asyncio.to_thread(_connection, path, lock, read_only=True)
            for _ in range(_READERS):
                database._readers.append(await _connect(path, lock, read_only=True))
            async with database._doorbell.hung():
                watch = asyncio.create_task(database._watch())
                try:
                    yield database
                finally:
                    watch.cancel()
                    await asyncio.wait([watch])
                    while database._worker is not None:
                        await asyncio.wait([database._worker])
        finally:
            for reader in database._readers:
                await reader.close()
            if hasattr(database, "_brief"):
                database._brief.close()
            await _close_writer(database)
    finally:
        os.close(lock)


def _prepare(path: Path, lock: int, is_foreign: Callable[[], Unit[bool]] | None) -> None:
    """Set what belongs to the file and not to a connection, before anybody else opens it. Raises `Unavailable`."""
    with flocked(lock):
        # SQLite would make it as the umask has it; whoever opens it then could read for ever. One that is there is not
        # touched: to close it would drop the locks that this process may have on it.
        make_file(path)
        connection = sqlite3.connect(path, isolation_level=None)
        try:
            if is_foreign is not None and look(connection, is_foreign()):
                raise Unavailable(f"{path} is the database of another program; choose another directory")
            connection.execute("PRAGMA page_size = 4096")
            connection.execute("PRAGMA journal_mode = WAL").fetchall()
        except sqlite3.Error as error:
            raise Unavailable(f"{path} cannot be used: {error}") from error
        finally:
            connection.close()
        os.chmod(path, 0o600)


def _connection(path: Path, lock: int, *, read_only: bool) -> sqlite3.Connection:
    with flocked(lock):
        connection = sqlite3.connect(
            path, isolation_level=None, cached_statements=_STATEMENTS, check_same_thread=False, timeout=30
        )
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute("PRAGMA cache_size = -8000")
        if read_only:
            connection.execute("PRAGMA query_only = ON")
        # The first look reads the schema and, after a crash, recovers the log: under the lock, too.
        connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchall()
        return connection


async def _connect(path: Path, lock: int, *, read_only: bool) -> aiosqlite.Connection:
    connection = aiosqlite.Connection(partial(_connection, path, lock, read_only=read_only), 64)
    # A program that ends without closing (a crash of the loop) must not hang on our threads.
    thread: Any = getattr(connection, "_thread", connection)
    thread.daemon = True
    return await connection


async def _close_writer(database: SqliteDatabase) -> None:
    lock = database._lock

    # Closing the last connection checkpoints too: hold the lock from here until it is closed.
    await asyncio.to_thread(fcntl.flock, lock, fcntl.LOCK_EX)
    try:
        await _hop(database._writer, database._move_log)
        await database._writer.close()
    finally:
        fcntl.flock(lock, fcntl.LOCK_UN)


async def _hop(connection: aiosqlite.Connection, work: Callable[[], T]) -> T:
    """Run `work` on the connection's own thread: one hop for a whole unit, where aiosqlite's own calls take one each."""
    return cast(T, await connection._execute(work))  # type: ignore[no-untyped-call]


@contextmanager
def flocked(lock: int) -> Iterator[None]:
    """Hold the advisory lock that all processes on this store queue at."""
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(lock, fcntl.LOCK_UN)


def _flock_at_once(lock: int) -> bool:
    """Take the lock if nobody has it."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
