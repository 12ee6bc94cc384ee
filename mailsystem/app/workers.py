"""Several processes that are one server: they are forked from one that does none of the work, but starts them, starts those
again that die, and ends them all.

That one opens the doors before, so that a port may be a free one or a privileged one, and nobody who connects while a worker
is away is lost. It has no threads and no database, nor has it a loop: it can fork at any time.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final

from mailsystem.app.listeners import HISTORIC, LISTENERS, Listener
from mailsystem.app.startup import StartupError
from mailsystem.net.counts import Common
from mailsystem.policy import gate, guard
from mailsystem.telemetry import neighbours, tally

SHARED: Final = ("connections", *guard.SHARED, *gate.SHARED)
"""What all workers count together."""
SAME_WISH: Final = 0.3
"""Seconds within which a second signal says no more than the first."""
FIRST_REST: Final = 0.1
"""Seconds before a worker that died is started again; twice as many each time, until one lasts."""
LONGEST_REST: Final = 30.0
LASTING: Final = 30.0
"""Seconds after which a worker counts as one that works."""
ENDED_AT_ONCE: Final = 130
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD)


@dataclass(frozen=True, slots=True)
class Share:
    """What a worker has in common with the others, and what is its own part."""

    number: int
    common: Common
    sockets: Mapping[Listener, Sequence[socket.socket]]
    tell: Callable[[Mapping[str, object]], None]
    """Say something to the one who watches: `ready`, or `failed` and why."""
    lifeline: int
    """A file that comes to its end when nobody watches any more."""
    lines: Sequence[neighbours.Line] = ()
    """By which the workers tell each other what is said at their doors."""
    counted: memoryview | None = None
    """Where each of them counts what comes in."""

    @property
    def keeps_house(self) -> bool:
        """Whether it does what one of all has to do: the queue, and what falls due by the hour."""
        return self.number == 0

    @property
    def indexes(self) -> bool:
        """Whether it keeps the index of what is said in messages: not the one that has enough to do."""
        return self.number == self.common.processes - 1


@dataclass(slots=True)
class _Worker:
    number: int
    pid: int
    ear: int
    """Where it is heard; -1 once it has nothing more to say."""
    since: float
    ready: bool = False
    heard: bytes = b""


class Workers:
    """Starts `count` processes that each do `work`, and watches them."""

    def __init__(
        self,
        count: int,
        sockets: Mapping[Listener, Sequence[socket.socket]],
        work: Callable[[Share], int],
        say: Callable[..., None],
    ) -> None:
        """`work` returns the exit status of the worker; `say` takes events, as a `Trace` does."""
        self.common = Common(count, SHARED)
        self._sockets = sockets
        self._lines = neighbours.lines(count)
        self._counted = tally.shared(count)
        self._work = work
        self._say = say
        self._workers: dict[int, _Worker] = {}
        self._due: dict[int, float] = {}
        self._rests = [FIRST_REST] * count
        self._lifeline, self._life = os.pipe()
        self._bell, self._clapper = socket.socketpair()
        self._failed: str | None = None
        self._asked: float | None = None
        self.stopping: Callable[[], None] = lambda: None
        """Called when the end has been asked for."""

    # From start to end

    def start(self) -> bool:
        """Start all of them. Returns when each is at work; False if the end was asked for before. Raises `StartupError`."""
        for end in (self._bell, self._clapper):
            end.setblocking(False)
        signal.set_wakeup_fd(self._clapper.fileno(), warn_on_full_buffer=False)
        for one in _SIGNALS:
            signal.signal(one, _heard)
        if sys.stdin.isatty():
            # A terminal that is closed says so with this signal, and means the end.
            signal.signal(signal.SIGHUP, signal.SIG_DFL)
        gc.collect()
        gc.freeze()  # what is there now stays there: the search for garbage would copy it into every worker
        for number in range(self.common.processes):
            self._fork(number)
        while self._asked is None and not all(worker.ready for worker in self._workers.values()):
            self._step()
            if self._failed is not None:
                self.stop()
                self._until_gone()
                raise StartupError(self._failed)
        return self._asked is None

    def watch(self) -> None:
        """Keep them at work until the end is asked for, and then until the last has ended."""
        while self._asked is None:
            self._step()
        self._until_gone()

    def stop(self) -> None:
        """Ask all of them for a graceful end."""
        self._asked = time.monotonic()
        self._due.clear()
        for sockets in self._sockets.values():
            for sock in sockets:
                sock.close()
        for pid in self._workers:
            _kill(pid, signal.SIGTERM)

    def _until_gone(self) -> None:
        while self._workers:
            self._step()

    # What comes to pass

    def _step(self) -> None:
        """Wait until something comes to pass, and see to it."""
        ears = {worker.ear: worker for worker in self._workers.values() if worker.ear >= 0}
        bell = self._bell.fileno()
        wait = min(self._due.values(), default=None)
        rest = None if wait is None else max(0.0, wait - time.monotonic())
        poll = select.poll()  # there may be more files than `select` can take
        for file in (bell, *ears):
            poll.register(file, select.POLLIN)
        there = {file for file, _ in poll.poll(None if rest is None else 1000 * rest)}
        for ear in there:
            if ear != bell:
                self._hear(ears[ear])
        if bell in there:
            self._on_signals()
        for number, when in list(self._due.items()):
            if when <= time.monotonic():
                del self._due[number]
                self._fork(number)

    def _on_signals(self) -> None:
        rung = set(self._bell.recv(4096))
        if signal.SIGCHLD in rung:
            self._bury()  # before anything is said: the dead may hold the log
        if rung & {signal.SIGINT, signal.SIGTERM}:
            self._on_wish()
        if signal.SIGHUP in rung:
            for pid in self._workers:
                _kill(pid, signal.SIGHUP)

    def _on_wish(self) -> None:
        """The first asks for a graceful end, the second gets its way at once: what was answered is on disk."""
        if self._asked is None:
            self.stopping()
            self.stop()
        # One wish may come as two signals: `timeout`, for one, tells the process and then its group.
        elif time.monotonic() - self._asked > SAME_WISH:
            for pid in self._workers:
                _kill(pid, signal.SIGKILL)
            os._exit(ENDED_AT_ONCE)

    def _hear(self, worker: _Worker) -> None:
        heard = os.read(worker.ear, 65536)
        worker.heard += heard
        if not heard:
            os.close(worker.ear)
            worker.ear = -1
        *lines, worker.heard = worker.heard.split(b"\n")
        for line in lines:
            told = json.loads(line)
            if told.get("ready"):
                worker.ready = True
            elif self._failed is None:
                self._failed = str(told.get("failed"))

    def _bury(self) -> None:
        dead: list[tuple[_Worker, int]] = []
        while True:
            for worker in list(self._workers.values()):
                pid, status = os.waitpid(worker.pid, os.WNOHANG)
                if pid:
                    dead.append((worker, status))
                    del self._workers[pid]
            if not dead or self.common.bury([worker.number for worker, _ in dead]):
                break
            time.sleep(0.002)
        for worker, status in dead:
            while worker.ear >= 0:  # its last words
                self._hear(worker)
            if self._asked is None:
                self._replace(worker, os.waitstatus_to_exitcode(status))

    def _replace(self, worker: _Worker, status: int) -> None:
        how = f"signal {-status}" if status < 0 else f"status {status}"
        if not worker.ready and self._failed is None and not self._is_known(worker.number):
            self._failed = f"a worker ended before it listened ({how})"
            return
        now, number = time.monotonic(), worker.number
        if worker.ready and now - worker.since >= LASTING:
            self._rests[number] = FIRST_REST
        rest = self._rests[number]
        self._rests[number] = min(LONGEST_REST, 2 * rest)
        self._due[number] = now + rest
        reason = {} if self._failed is None else {"reason": self._failed}
        self._failed = None
        self._say("worker ended", worker=number + 1, pid=worker.pid, how=how, **reason, again_in=rest)

    def _is_known(self, number: int) -> bool:
        """Whether there was a worker of that number that did listen."""
        return self._rests[number] > FIRST_REST

    def _fork(self, number: int) -> None:
        ear, mouth = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        # No signal may find a worker with our handlers.
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        pid = os.fork()
        if pid == 0:
            _be(self, number, ear, mouth)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        os.close(mouth)
        self._workers[pid] = _Worker(number, pid, ear, time.monotonic())

    # In a worker

    def become(self, number: int, ear: int, mouth: int) -> int:
        """Be worker `number` from here on; returns the exit status."""
        signal.set_wakeup_fd(-1)
        for one in _SIGNALS:
            signal.signal(one, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is told to all; who watches says what is to be done
        if not sys.stdin.isatty():
            signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until there is something to read again
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        for other in [ear, self._life, *(worker.ear for worker in self._workers.values() if worker.ear >= 0)]:
            os.close(other)
        self._bell.close()
        self._clapper.close()
        self.common.join(number)

        def tell(told: Mapping[str, object]) -> None:
            with suppress(BrokenPipeError):
                os.write(mouth, json.dumps(told).encode() + b"\n")

        return self._work(Share(number, self.common, self._sockets, tell, self._lifeline, self._lines, self._counted))


def _be(workers: Workers, number: int, ear: int, mouth: int) -> None:
    """The life of a worker: nothing of what the process did before is done in it."""
    status = 1
    try:
        status = workers.become(number, ear, mouth)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        with suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def bring_in(doors: Sequence[Listener]) -> None:
    """Import what those doors need, once for all workers."""
    for role in dict.fromkeys(LISTENERS.get(name) or HISTORIC[name] for name in doors):
        import_module(f"mailsystem.{role}.server")


def _heard(number: int, frame: Any) -> None:
    """The number of the signal is in the socket by now."""


def _kill(pid: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)
