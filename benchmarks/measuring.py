"""Measures all that stands in docs/performance.md, one thing after the other, so that none disturbs another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from benchmarks import growth, page, scenarios
from benchmarks.bench import Options
from benchmarks.compare import Wanted, console, run

WITH_WORKERS: Final = ("smtp-10k", "smtp-new", "pop3-eight", "imap-append", "logins", "mixed", "memory")
"""What several processes can do more of."""
QUICK: Final = Options(scale=0.1, messages=2_000, idlers=200, seconds=2.0, large=64 << 20)


def measure_all(*, quick: bool) -> None:
    """Keeps the results of all servers, of one worker and of two, and of growth."""
    out, options, repeats = console(), QUICK if quick else Options(scale=0.4), 2 if quick else 3
    page.KEPT.mkdir(exist_ok=True)
    out.rule("beside other servers")
    run(list(scenarios.ALL.values()), Wanted(), options, repeats, out, page.COMPARISON)
    out.rule("one worker, and two")
    run(scenarios.chosen(list(WITH_WORKERS)), Wanted(workers=(1, 2), peers=()), options, repeats, out, page.WORKERS)
    out.rule("growth")

    def keep(grown: Sequence[growth.Grown]) -> None:
        growth.save(page.GROWTH, grown)

    up_to = 10_000 if quick else 100_000
    growth.run(out, kinds=list(growth.LINES), up_to=up_to, mailboxes_up_to=up_to // 10, told=keep)
