"""What came and was refused, as it is counted."""

from __future__ import annotations

import os
import time

from mailsystem.telemetry import Event
from mailsystem.telemetry.tally import Tally, shared


def said(name: str, **data: object) -> Event:
    return Event(time.time(), name, "smtp", 1, data)


def test_what_comes_and_what_is_refused_is_counted() -> None:
    tally = Tally()
    for event in (
        said("delivered", octets=100),
        said("delivered", octets=50),
        said("refused", command="RCPT"),
        said("refused", command="AUTH"),
        said("fault", command="DATA", fault="reply=451 x"),
        said("fault", command="DATA", fault="delay=1"),
    ):
        assert tally.wants(event.name)
        tally(event)
    assert (tally.accepted, tally.octets, tally.rejected) == (2, 150, 2)
    assert tally.gone_before == 0
    assert tally.pids == [os.getpid()]
    assert tally.seconds >= 0


def test_processes_count_together_and_one_that_died_is_remembered() -> None:
    memory = shared(3)

    def forked(number: int, octets: int) -> int:
        pid = os.fork()
        if pid == 0:
            tally = Tally(memory, number)
            tally.begin(octets)
            tally(said("delivered", octets=octets))
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        return pid

    first, _ = forked(0, 7), forked(1, 5)
    reading = Tally(memory, 2)
    assert (reading.accepted, reading.octets, reading.gone_before) == (2, 12, 5)
    began = reading.seconds
    again = forked(1, 100)
    assert (reading.accepted, reading.octets, reading.gone_before) == (3, 112, 5)
    assert reading.seconds > began
    assert reading.pids == [first, again, os.getpid()]
