"""`mailsystem serve` with several workers: what the one process does that starts them, and what each of them does."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from mailsystem.app import Role, Share, StartupError, certificates, running
from mailsystem.app.listeners import doors_of, opened_doors
from mailsystem.app.startup import check_directory
from mailsystem.app.workers import Workers, bring_in
from mailsystem.cli import run
from mailsystem.net import Bound
from mailsystem.net.listening import place_of
from mailsystem.settings import Loaded
from mailsystem.telemetry import Trace
from mailsystem.telemetry.trace import number_sessions

_NOBODY_WATCHES: Final = 1


def serve(loaded: Loaded, roles: Sequence[Role], *, sink: bool, ready_file: Path | None, starting: ExitStack) -> None:
    """Serve until told to stop. Raises `StartupError`. `starting` is closed in each worker once it listens."""
    settings = loaded.settings
    doors = doors_of(roles, settings)
    log = run.log_of(loaded, sink=sink)
    trace = Trace([log.at_once])

    def work(share: Share) -> int:
        with asyncio.Runner(loop_factory=run.loop_factory()) as runner:
            return runner.run(_work(loaded, roles, share, sink=sink, starting=starting))

    with run.ready_teller(ready_file) as ready, opened_doors(doors, settings, run.movable(loaded)) as sockets:
        if sink:  # one certificate for all
            check_directory(settings.data_dir, parents=True)
            if (keys := certificates(settings, own=True)) is not None:
                keys.make()
        bring_in(doors)
        workers = Workers(settings.workers, sockets, work, trace.event)
        log.alone = workers.common.writing

        def stopping() -> None:
            trace.event("stopping")
            run.says_it_stops(quiet=settings.log.format == "json")

        workers.stopping = stopping
        try:
            if workers.start():
                bound: dict[str, Bound] = {name: place_of(each) for name, each in sockets.items()}
                trace.event(
                    "listening", **{name: str(place) for name, place in bound.items()}, workers=settings.workers
                )
                run.listens(bound, settings, ready, sink=sink)
        except BaseException:
            workers.stop()
            raise
        finally:
            workers.watch()
        trace.event("stopped")


async def _work(loaded: Loaded, roles: Sequence[Role], share: Share, *, sink: bool, starting: ExitStack) -> int:
    """Be one of the workers; returns the exit status."""
    loop, told = asyncio.get_running_loop(), asyncio.Event()
    # The last that was said is on disk, and nobody will start again who dies from now on.
    loop.add_reader(share.lifeline, os._exit, _NOBODY_WATCHES)
    loop.add_signal_handler(signal.SIGTERM, told.set)
    number_sessions(share.common.next_number)
    log = run.log_of(loaded, sink=sink)
    log.alone = share.common.writing
    try:
        with log:
            async with running(loaded.settings, roles, sink=sink, sinks=[log], share=share) as house:
                if not sink and not sys.stdin.isatty():
                    loop.add_signal_handler(signal.SIGHUP, house.reload)
                starting.close()
                share.common.begin()
                share.tell({"ready": True})
                if sink and sys.stdout.isatty():
                    house.visits.set()
                await told.wait()
    except StartupError as error:
        share.tell({"failed": str(error)})
        return 1
    return 0
