"""What was measured: a row for each repeat of a scenario, their medians, and how servers compare."""

from __future__ import annotations

import dataclasses
import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

PERCENTILES: Final = (50, 99)


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement."""

    label: str
    """What was done, as tables show it."""
    target: str
    value: float
    unit: str
    less_is_better: bool = False
    operations: int = 0
    seconds: float = 0.0
    server_ms: float | None = None
    """CPU milliseconds of the server for one operation; None where its processes are not known."""
    client_load: float | None = None
    """Of all that the clients' processes could have done, the part that they did: near 1 they are what is measured."""
    p50_ms: float | None = None
    p99_ms: float | None = None
    """Of the time that one operation took."""
    errors: int = 0
    error: str = ""
    extra: Mapping[str, float] = field(default_factory=dict)
    is_bound: bool = False
    """It is to be small, and how small says nothing: no ratio is made of it."""


@dataclass(frozen=True, slots=True)
class Summary:
    """All repeats of a scenario with one server."""

    label: str
    target: str
    unit: str
    less_is_better: bool
    repeats: int
    median: float
    least: float
    most: float
    server_ms: float | None
    """The least of all repeats: whatever disturbs it adds to it."""
    client_load: float | None
    p50_ms: float | None
    p99_ms: float | None
    errors: int
    error: str
    extra: Mapping[str, float]
    is_bound: bool


def percentile(values: Sequence[float], percent: float) -> float:
    """The least value that so many percent do not exceed. Raises `ValueError` for none."""
    if not values:
        raise ValueError("no values")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -int(-len(ordered) * percent // 100) - 1))]


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def summaries(rows: Iterable[Row]) -> list[Summary]:
    """In the order in which scenarios and servers first come. A repeat with errors counts only its errors."""
    grouped: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        grouped.setdefault((row.label, row.target), []).append(row)
    labels = {label: number for number, label in enumerate(dict.fromkeys(label for label, _ in grouped))}
    found = []
    for (label, target), group in sorted(grouped.items(), key=lambda item: labels[item[0][0]]):
        good = [row for row in group if not row.errors]
        values = [row.value for row in good] or [0.0]
        extra = {key: _median(row.extra.get(key) for row in good) for row in good for key in row.extra}
        found.append(
            Summary(
                label,
                target,
                group[0].unit,
                group[0].less_is_better,
                len(good),
                statistics.median(values),
                min(values),
                max(values),
                min((row.server_ms for row in good if row.server_ms is not None), default=None),
                _median(row.client_load for row in good),
                _median(row.p50_ms for row in good),
                _median(row.p99_ms for row in good),
                sum(row.errors for row in group),
                next((row.error for row in group if row.error), ""),
                {key: value for key, value in extra.items() if value is not None},
                group[0].is_bound,
            )
        )
    return found


def ratio(one: Summary, other: Summary) -> float | None:
    """How many times better `one` is; None where one of them has nothing to compare."""
    if one.is_bound or not one.repeats or not other.repeats or one.median <= 0 or other.median <= 0:
        return None
    return other.median / one.median if one.less_is_better else one.median / other.median


def best(candidates: Iterable[Summary]) -> Summary | None:
    """The best of those that worked."""
    working = [each for each in candidates if each.repeats and each.median > 0]
    if not working:
        return None
    return min(working, key=lambda each: each.median if each.less_is_better else -each.median)


@dataclass(frozen=True, slots=True)
class Compared:
    """One scenario, all servers."""

    label: str
    summaries: Mapping[str, Summary]
    """By the server's name."""
    ratio: float | None
    """Of the first server to the best peer, or where there is none, to the second server."""
    against: str = ""
    """That other one."""


def compared(rows: Iterable[Row], *, peers: Iterable[str] = ()) -> list[Compared]:
    """Scenario by scenario; the first server that any row has is the one whose ratio is told."""
    rows = list(rows)
    order = list(dict.fromkeys(row.target for row in rows))
    judged = [name for name in order[1:] if name in set(peers)] or order[1:2]
    by_label: dict[str, dict[str, Summary]] = {}
    for each in summaries(rows):
        by_label.setdefault(each.label, {})[each.target] = each
    found = []
    for label, known in by_label.items():
        first = known.get(order[0])
        other = best(known[name] for name in judged if name in known)
        told = ratio(first, other) if first is not None and other is not None else None
        found.append(Compared(label, known, told, other.target if told is not None and other is not None else ""))
    return found


@dataclass(frozen=True, slots=True)
class Results:
    """A whole run, as it is kept in a file."""

    machine: str
    when: str
    """The day, as 2026-01-31."""
    options: Mapping[str, Any]
    targets: Mapping[str, str]
    """What each of them is, by its name; the first is the one that ratios are of."""
    peers: Sequence[str]
    rows: Sequence[Row]

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(dataclasses.asdict(self), indent=1, default=dict) + "\n")

    @classmethod
    def load(cls, path: Path) -> Results:
        """Raises `OSError`, `ValueError` and `TypeError` for what is no such file."""
        read = json.loads(path.read_text())
        return cls(**{**read, "rows": [Row(**row) for row in read["rows"]]})
