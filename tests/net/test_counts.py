"""Counts that processes keep together: true whoever counts, and whoever dies over it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest

from mailsystem.net import counts
from mailsystem.net.counts import Common, Counts, Own


def common(processes: int = 2) -> Common:
    made = Common(processes, ["some", "others"])
    made.join(0)
    return made


def forked(common: Common, number: int, work: Callable[[], None]) -> int:
    """Let process `number` do some work; its pid."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            common.join(number)
            work()
            status = 0
        finally:
            os._exit(status)
    return pid


def ended(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.parametrize("made", [Own, lambda: common().counts("some")])
def test_levels_are_as_they_were_put_down(made: Callable[[], Counts]) -> None:
    some = made()
    assert some.levels("ann") is None
    some.put("ann", 5.0, [1.5, 2.0])
    some.put("bob", 6.0, [3.0, 4.0])
    assert some.levels("ann") == (5.0, (1.5, 2.0))
    some.put("ann", 7.0, [2.5, 3.0])
    assert some.levels("ann") == (7.0, (2.5, 3.0))
    assert some.levels("bob") == (6.0, (3.0, 4.0))
    some.drop("ann")
    assert some.levels("ann") is None
    some.drop("nobody")


@pytest.mark.parametrize("made", [Own, lambda: common().counts("some")])
def test_what_is_under_way_is_so_until_it_leaves(made: Callable[[], Counts]) -> None:
    some = made()
    some.enter("ann")
    some.enter("ann")
    some.put("ann", 5.0, [1.0])
    assert some.under_way("ann") == 2
    assert some.under_way("bob") == 0
    some.leave("ann")
    some.leave("ann")
    assert some.under_way("ann") == 0
    assert some.levels("ann") is not None


def test_every_name_counts_by_itself() -> None:
    both = common()
    both.counts("some").enter("ann")
    assert both.counts("others").under_way("ann") == 0


def test_processes_that_count_at_one_time_lose_nothing() -> None:
    together = common(3)
    some = together.counts("some")

    def work() -> None:
        for _ in range(2000):
            with some.locked():
                [level, *_] = (some.levels("ann") or (0, (0.0,)))[1]
                some.put("ann", 1.0, [level + 1])
            some.enter("ann")
            together.next_number()

    pids = [forked(together, number, work) for number in range(3)]
    assert [ended(pid) for pid in pids] == [0, 0, 0]
    assert some.levels("ann") == (1.0, (6000.0, 0.0))
    assert some.under_way("ann") == 6000
    assert together.next_number() == 6001


def test_who_dies_takes_along_what_was_under_way_and_no_lock() -> None:
    together = common()
    some = together.counts("some")

    def work() -> None:
        some.enter("ann")
        some.put("ann", 1.0, [7.0])
        some.enter("bob")
        with together.locked(), together.writing():
            os.kill(os.getpid(), signal.SIGKILL)

    some.enter("ann")
    assert ended(forked(together, 1, work)) == -signal.SIGKILL
    together.bury([1])
    assert some.under_way("ann") == 1
    assert some.under_way("bob") == 0
    assert some.levels("ann") == (1.0, (7.0, 0.0))
    with together.writing():
        some.enter("bob")


def test_all_that_died_at_once_are_buried_at_once() -> None:
    together = common(3)
    together.join(2)
    some = together.counts("some")

    def one() -> None:
        some.enter("ann")
        os.kill(os.getpid(), signal.SIGKILL)

    def other() -> None:
        some.enter("ann")
        with together.locked(), together.writing():
            os.kill(os.getpid(), signal.SIGKILL)

    assert ended(forked(together, 0, one)) == ended(forked(together, 1, other)) == -signal.SIGKILL
    # Not by and by: the second of them still holds the lock.
    assert not together.bury([0])
    together.join(-1)
    with together.writing():  # who watches over them waits for it no longer than a moment
        pass
    assert together.bury([0, 1])
    assert some.under_way("ann") == 0


def test_memory_is_bounded_and_who_was_put_down_longest_ago_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counts, "_BUCKETS", 1)
    some = common().counts("some")
    some.enter("busy")
    for number in range(1, 100):
        some.put(str(number), float(number), [1.0])
    kept = [number for number in range(1, 100) if some.levels(str(number)) is not None]
    assert kept == list(range(100 - len(kept), 100))
    assert len(kept) == 7
    assert some.under_way("busy") == 1


def test_where_there_is_room_for_nobody_more_nobody_is_kept_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counts, "_BUCKETS", 1)
    some = common().counts("some")
    for number in range(9):
        some.enter(str(number))
    assert [some.under_way(str(number)) for number in range(9)] == [*[1] * 8, 0]
    some.leave("8")
    for number in range(8):
        some.leave(str(number))
    some.enter("8")
    assert some.under_way("8") == 1
