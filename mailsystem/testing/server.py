"""The whole house inside a test run: on a thread and a loop of its own, on free ports, its data in a temporary directory."""

from __future__ import annotations

import asyncio
import os
import shutil
import ssl
import tempfile
import threading
from collections import deque
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from mailsystem.app import Role, running
from mailsystem.directory.sink import SINK_LOGIN
from mailsystem.faults import from_json
from mailsystem.mail.errors import SyntaxFault
from mailsystem.mail.mailbox import DELETED, INBOX, STAR, ContentId, MessageSet
from mailsystem.mail.objectid import emailid
from mailsystem.net import Certificates, Pair
from mailsystem.settings import Settings, sink_defaults
from mailsystem.store import FlagOp
from mailsystem.testing import authority
from mailsystem.testing.alone import OURS
from mailsystem.testing.arrival import Parcel
from mailsystem.testing.arrivals import Arrivals, Claims
from mailsystem.testing.driving import clock
from mailsystem.testing.failing import Row
from mailsystem.testing.hearing import Delivered, Hearing
from mailsystem.testing.place import Where
from mailsystem.testing.postbox import stray

T = TypeVar("T")

HOST: Final = "127.0.0.1"
_STARTING: Final = 30.0
"""Seconds."""
_PATIENCE: Final = 30.0
"""Seconds that it may take to change what goes wrong."""
_MOST_STRAYS: Final = 30
_ROUNDS: Final = 4
_LOOK: Final = 0.001
"""Seconds between two looks whether somebody is connected still: it is never long."""


class _Loop(asyncio.SelectorEventLoop):
    """Its time goes on where a test has stopped the clocks, so that what is to come later does come."""

    def time(self) -> float:
        return clock()


class LocalServer:
    """A sink in this process. Every method may be called in any thread."""

    is_shared = False

    def __init__(self, *, page: bool = False) -> None:
        """Started when this returns; with a `page` to look at the mail. Raises `StartupError`."""
        self._process = os.getpid()
        self._directory = Path(tempfile.mkdtemp(prefix="mailsystem-"))
        self._page = page
        self._lock = threading.Lock()
        self._watching: list[Arrivals] = []
        self._strays: deque[Row] = deque(maxlen=_MOST_STRAYS)
        self._uids: dict[str, int] = {}
        """Of each message, in the mailbox of whoever has a copy of all mail."""
        self._sent_to: dict[ContentId, tuple[str, ...]] = {}
        self._ready: Future[Where] = Future()
        self._thread = threading.Thread(target=self._run, name=OURS, daemon=True)
        self._thread.start()
        try:
            self.where = self._ready.result(_STARTING)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Stop it and remove all its mail. In a child process of this one it does nothing: the server is the parent's."""
        if os.getpid() != self._process:
            return
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(_STARTING)
        shutil.rmtree(self._directory, ignore_errors=True)

    # In the server's thread

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=_Loop) as runner:
                runner.run(self._serve())
        except BaseException as error:
            if not self._ready.done():
                self._ready.set_exception(error)
            else:
                raise

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self._heard: asyncio.Queue[Delivered] = asyncio.Queue()
        roles: list[Role] = ["smtp", "pop3", "imap"]
        if self._page:
            roles.append("web")
        self._hearing = Hearing(self._heard.put_nowait)
        self._loop.set_default_executor(ThreadPoolExecutor(thread_name_prefix=OURS))
        async with running(
            self._settings(), roles, sink=True, sinks=[self._hearing], keys=self._keys(), lasting=False
        ) as house:
            self._house = house
            self._everybody = await house.store.accounts.ensure(SINK_LOGIN)
            reading = asyncio.create_task(self._hand_over())
            ports = {name: bound.port for name, bound in house.bound.items()}
            url = f"http://{HOST}:{ports['web']}/" if self._page else None
            self._ready.set_result(Where(HOST, ports, url))
            await self._stop.wait()
            reading.cancel()

    def _settings(self) -> Settings:
        tree: dict[str, Any] = {}
        for name, value in sink_defaults({}).items():
            group, _, leaf = name.rpartition(".")
            (tree.setdefault(group, {}) if group else tree)[leaf] = value
        for door in ("smtp", "submissions", "pop3", "pop3s", "imap", "imaps"):
            tree[door] = {"port": 0}
        tree["data_dir"], tree["host"], tree["grace"] = self._directory / "data", HOST, 0
        # Who looks at the page wants to see how mail came; tests are told by `Hearing`, without a journal.
        tree["log"], tree["journal"] = {"lines": True}, {"days": 1 if self._page else 0}
        tree["web"] = {"port": 0 if self._page else None}
        return Settings(**tree)

    def _keys(self) -> Certificates:
        served = self._directory / "served.pem"
        return Certificates(
            Pair(served, served), make=partial(authority.make, self._directory / "authority.pem", served)
        )

    async def _hand_over(self) -> None:
        while True:
            delivered = await self._heard.get()
            id_ = emailid(ContentId(delivered.content))
            self._sent_to[ContentId(delivered.content)] = delivered.envelope.rcpt
            self._uids.update((id_, uid) for owner, _, uid in delivered.places if owner == self._everybody.id)
            try:
                # What a client has expunged meanwhile is read all the same: contents stay for days.
                stored = await self._house.store.contents.read(ContentId(delivered.content))
                self._tell(
                    Parcel(
                        id=id_,
                        stored=stored,
                        prefix=len(stored) - delivered.octets,
                        envelope=delivered.envelope,
                        at=datetime.fromtimestamp(delivered.at, UTC),
                        session=delivered.session,
                    )
                )
            finally:
                self._heard.task_done()

    def _tell(self, parcel: Parcel) -> None:
        with self._lock:
            watching = [*self._watching]
        if not [arrivals for arrivals in watching if arrivals.takes(parcel)]:
            row = stray(parcel)
            with self._lock:
                self._strays.append(row)

    # In any thread

    def _do(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    @contextmanager
    def watch(self, claims: Claims) -> Iterator[Arrivals]:
        arrivals = Arrivals(claims)
        with self._lock:
            self._watching.append(arrivals)
        try:
            yield arrivals
        finally:
            with self._lock:
                self._watching.remove(arrivals)

    def settled(self) -> Future[None]:
        return self._do(self._heard.join())

    def still(self) -> Future[None]:
        return self._do(self._still())

    async def _still(self) -> None:
        # Who has connected just now is let in when the loop comes round.
        for _ in range(_ROUNDS):
            await asyncio.sleep(0)
        while self._house.limits.open > self._hearing.readers:  # noqa: ASYNC110 - nobody rings when a connection is gone
            await asyncio.sleep(_LOOK)

    def strays(self) -> list[Row]:
        with self._lock:
            return list(self._strays)

    def forget(self, logins: list[str], ids: frozenset[str]) -> Future[None]:
        return self._do(self._forget(logins, ids))

    async def _forget(self, logins: list[str], ids: frozenset[str]) -> None:
        mailboxes = self._house.store.mailboxes
        for login in logins:
            account = await self._house.store.accounts.ensure(login)
            for box in await mailboxes.list(account.id):
                every = await mailboxes.messages(account.id, box.id, MessageSet(((1, STAR),)))
                theirs = MessageSet.of(each.uid for each in every if emailid(each.content) in ids)
                if theirs:
                    await mailboxes.set_flags(account.id, box.id, theirs, FlagOp.ADD, frozenset({DELETED}))
                    await mailboxes.expunge(account.id, box.id, theirs)

    def found(self, query: str, ids: frozenset[str]) -> Future[frozenset[str]]:
        return self._do(self._find(query, ids))

    async def _find(self, query: str, ids: frozenset[str]) -> frozenset[str]:
        from mailsystem.finding.finder import Finder
        from mailsystem.mail.query import parse

        store = self._house.store
        try:
            wanted = parse(query, now=store.clock.now())
        except SyntaxFault as error:
            raise ValueError(f"query: {error}") from None
        everything = await store.mailboxes.find(self._everybody.id, INBOX)
        uids = MessageSet.of(self._uids[each] for each in ids if each in self._uids)
        found = await Finder(store, self._recipients).matching(self._everybody.id, everything.id, wanted, uids)
        return frozenset(emailid(each.content) for each in found)

    async def _recipients(self, contents: Sequence[ContentId]) -> Mapping[ContentId, Sequence[str]]:
        return {each: self._sent_to[each] for each in contents if each in self._sent_to}

    @contextmanager
    def faults(self, rules: list[dict[str, Any]]) -> Iterator[None]:
        numbers: list[int] = []
        try:
            for rule in rules:
                numbers.append(self._do(self._begin(rule)).result(_PATIENCE))  # noqa: PERF401 - each is to be ended
            yield
        finally:
            for number in numbers:
                self._do(self._end(number)).result(_PATIENCE)

    async def _begin(self, rule: dict[str, Any]) -> int:
        if self._house.faults is None:
            raise ValueError("this server has no faults")
        try:
            return await self._house.faults.add(from_json(rule))
        except SyntaxFault as error:
            raise ValueError(str(error)) from None

    async def _end(self, number: int) -> None:
        if self._house.faults is not None:
            await self._house.faults.remove(number)

    def trusted(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.authority())

    def authority(self) -> Path:
        keys = self._house.certificates
        if keys is not None:
            keys.make()
        return self._directory / "authority.pem"
