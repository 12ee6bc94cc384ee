"""The server of a test run: how long it takes to be imported, to start and to stop; by the clock and by the processor."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from contextlib import closing

IMPORTS = 5
STARTS = 30
IMPORT = """import time
began = time.perf_counter(), time.process_time()
import {module}
print(time.perf_counter() - began[0], time.process_time() - began[1])
"""
MODULES = (
    "mailsystem.testing.plugin",
    "mailsystem.testing.server",
    "mailsystem.testing.server, mailsystem.smtp.server, mailsystem.pop3.server, mailsystem.imap.server",
)


def line(name: str, rows: list[tuple[float, float]]) -> None:
    wall, cpu = zip(*rows, strict=True)
    told = [
        f"{1e3 * statistics.median(each):9.1f} ({1e3 * min(each):.1f} to {1e3 * max(each):.1f})" for each in (wall, cpu)
    ]
    print(f"{name:34}{told[0]:>28}{told[1]:>28}")


def imported(module: str) -> tuple[float, float]:
    """In a process that has imported nothing else."""
    said = subprocess.run(
        [sys.executable, "-c", IMPORT.format(module=module)], capture_output=True, text=True, check=True
    )
    wall, cpu = map(float, said.stdout.split())
    return wall, cpu


def measured() -> tuple[tuple[float, float], tuple[float, float]]:
    from mailsystem.testing.server import LocalServer

    began = time.perf_counter(), time.process_time()
    with closing(LocalServer()):
        there = time.perf_counter(), time.process_time()
    over = time.perf_counter(), time.process_time()
    return (there[0] - began[0], there[1] - began[1]), (over[0] - there[0], over[1] - there[1])


def main() -> None:
    print(f"{'milliseconds, median (range)':34}{'clock':>28}{'processor':>28}")
    for module in MODULES:
        line(
            f"import {module.partition(',')[0].removeprefix('mailsystem.')}{' and the doors' if ',' in module else ''}",
            [imported(module) for _ in range(IMPORTS)],
        )
    first, _ = measured()
    line("first start, with imports", [first])
    starts, stops = zip(*(measured() for _ in range(STARTS)), strict=True)
    line("start", list(starts))
    line("stop", list(stops))


if __name__ == "__main__":
    main()
