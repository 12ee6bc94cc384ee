"""The clients' own processes: they get ready together, go together, and tell how it went and what CPU they took."""

from __future__ import annotations

import array
import asyncio
import multiprocessing
import signal
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import Any, Final

from benchmarks.clients import Refused

_GO, _READY = "go", "ready"
_MOST_ERRORS: Final = 20
"""After that many a client gives up: it measures nothing."""


@dataclass(slots=True)
class Outcome:
    """How one task went."""

    began: float = 0.0
    """By `time.monotonic`."""
    ended: float = 0.0
    operations: int = 0
    octets: int = 0
    waits: array.array[float] = field(default_factory=lambda: array.array("d"))
    """Seconds that single operations took."""
    errors: int = 0
    error: str = ""
    """The first."""
    cpu: float = 0.0
    """Seconds that the client itself took."""
    found: Any = None
    """What a task tells besides."""

    def failed(self, reason: BaseException | str) -> bool:
        """Note an error; whether there were too many to go on."""
        self.errors += 1
        self.error = self.error or (reason if isinstance(reason, str) else f"{type(reason).__name__}: {reason}")
        return self.errors >= _MOST_ERRORS

    async def all_of(self, works: Sequence[Awaitable[object]]) -> None:
        """Do them at once; what fails is noted."""
        for each in await asyncio.gather(*works, return_exceptions=True):
            if isinstance(each, BaseException):
                self.failed(each)


Ready = Callable[[], Awaitable[None]]
"""Await it when all is prepared: it returns when the clock runs."""


@dataclass(frozen=True, slots=True)
class Task:
    """`work(ready, outcome, **arguments)` is to be done in a client's process."""

    work: Callable[..., Awaitable[None]]
    arguments: dict[str, Any]


class Crew:
    """Processes that live for a whole run; one that does not answer in time is replaced."""

    def __init__(self) -> None:
        self._context = multiprocessing.get_context("spawn")
        self._idle: list[tuple[multiprocessing.process.BaseProcess, Connection]] = []

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *_: object) -> None:
        for process, pipe in self._idle:
            pipe.close()
            process.join(5)
            process.kill()

    def _one(self) -> tuple[multiprocessing.process.BaseProcess, Connection]:
        if self._idle:
            return self._idle.pop()
        here, there = self._context.Pipe()
        process = self._context.Process(target=_serve, args=(there,), daemon=True)
        process.start()
        there.close()
        return process, here

    def run(
        self, tasks: Sequence[Task], *, patience: float, when_ready: Callable[[], None] = lambda: None
    ) -> list[Outcome]:
        """Each in a process of its own. `when_ready` is called before the clock starts. Raises `Refused`."""
        hands = [self._one() for _ in tasks]
        until = time.monotonic() + patience
        try:
            for (_, pipe), task in zip(hands, tasks, strict=True):
                pipe.send(task)
            self._gather(hands, until, _READY)
            when_ready()
            for _, pipe in hands:
                pipe.send(_GO)
            outcomes = self._gather(hands, until, None)
        except BaseException:
            for process, pipe in hands:
                process.kill()
                pipe.close()
            raise
        self._idle += hands
        return outcomes

    @staticmethod
    def _gather(hands: Sequence[tuple[Any, Connection]], until: float, awaited: str | None) -> list[Any]:
        """One answer of each, in their order."""
        answers: dict[int, Any] = {}
        pipes = {pipe: number for number, (_, pipe) in enumerate(hands)}
        while pipes:
            spoke = wait(list(pipes), timeout=max(0.0, until - time.monotonic()))
            if not spoke:
                raise Refused("the clients did not finish in time")
            for pipe in spoke:
                assert isinstance(pipe, Connection)
                try:
                    answer = pipe.recv()
                except EOFError:
                    raise Refused("a client's process has ended") from None
                if isinstance(answer, str) and answer != awaited:
                    raise Refused(answer)
                answers[pipes.pop(pipe)] = answer
        return [answers[number] for number in range(len(hands))]


def _loop() -> asyncio.AbstractEventLoop:
    try:
        from uvloop import new_event_loop
    except ImportError:
        return asyncio.new_event_loop()
    return new_event_loop()


def _serve(pipe: Connection) -> None:
    """In the process of a client: one task after the other."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started us ends us
    while True:
        try:
            task = pipe.recv()
            with asyncio.Runner(loop_factory=_loop) as runner:
                answer: Outcome | str = runner.run(_do(task, pipe))
        except (EOFError, BrokenPipeError):
            return
        except BaseException as failure:
            answer = f"{type(failure).__name__}: {failure}"
        pipe.send(answer)


async def _do(task: Task, pipe: Connection) -> Outcome:
    outcome = Outcome()
    cpu = time.process_time()

    async def ready() -> None:
        nonlocal cpu
        pipe.send(_READY)
        await asyncio.get_running_loop().run_in_executor(None, pipe.recv)
        cpu = time.process_time()
        outcome.began = time.monotonic()

    await task.work(ready, outcome, **task.arguments)
    outcome.cpu = time.process_time() - cpu
    outcome.ended = outcome.ended or time.monotonic()
    return outcome
