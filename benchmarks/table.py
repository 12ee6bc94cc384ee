"""Results as tables: for a terminal by rich, for a page in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from benchmarks.results import Compared, Summary

BUSY = 0.85
"""From that load on the clients are the limit, not the server."""


def number(value: float) -> str:
    """Three or four figures, as people read them: 0.042, 3.14, 512, 12.3k, 1.27M."""
    for size, letter in ((1e6, "M"), (1e4, "k")):
        if abs(value) >= size:
            scaled = value / (1e6 if letter == "M" else 1e3)
            return f"{scaled:.3g}{letter}" if scaled < 1000 else f"{scaled:.0f}{letter}"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    if abs(value) >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if abs(value) >= 1 else f"{value:.2g}"


def times(ratio: float | None) -> str:
    """A ratio, as 0.31x, 4.20x, 120x."""
    return "" if ratio is None else f"{ratio:.2f}x" if 0.095 <= ratio < 10 else f"{number(ratio)}x"


def _milliseconds(value: float | None) -> str:
    return "" if value is None else number(value)


def _spread(each: Summary) -> str:
    return f"{number(each.least)} to {number(each.most)}" if each.repeats > 1 else ""


def compared_table(comparisons: Iterable[Compared], *, title: str) -> Table:
    """One line for each server in each scenario; ratios are coloured by who is ahead."""
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", header_style="bold")
    table.add_column("scenario", no_wrap=True)
    for name in ("server", "median", "unit"):
        table.add_column(name, no_wrap=True, justify="right" if name == "median" else "left")
    for name in ("least to most", "p50 ms", "p99 ms", "server CPU ms", "clients", "ratio"):
        table.add_column(name, no_wrap=True, justify="right")
    for comparison in comparisons:
        label = comparison.label
        for each in comparison.summaries.values():
            is_first = label != ""
            if not each.repeats:
                table.add_row(label, each.target, Text("failed", "red"), "", Text(each.error[:60], "red"), *[""] * 5)
            else:
                load = each.client_load
                table.add_row(
                    label,
                    each.target,
                    number(each.median),
                    each.unit,
                    _spread(each),
                    _milliseconds(each.p50_ms),
                    _milliseconds(each.p99_ms),
                    _milliseconds(each.server_ms),
                    "" if load is None else Text(f"{load:.0%}", "yellow" if load >= BUSY else ""),
                    _ratio(comparison) if is_first else "",
                )
                if each.errors:
                    table.add_row(
                        "", "", Text(f"{each.errors} errors", "red"), "", Text(each.error[:60], "red"), *[""] * 5
                    )
            label = ""
    return table


def _ratio(comparison: Compared) -> Text:
    if comparison.ratio is None:
        return Text("")
    colour = "green" if comparison.ratio >= 1 else "red"
    return Text(f"{times(comparison.ratio)} {comparison.against}", colour)


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]], *, right: Iterable[int] = ()) -> str:
    """A table; the columns of these numbers are set to the right."""
    right = set(right)
    lines = [f"| {' | '.join(head)} |"]
    lines.append("| " + " | ".join("---:" if column in right else "---" for column in range(len(head))) + " |")
    lines += [f"| {' | '.join(cells)} |" for cells in rows]
    return "\n".join(lines) + "\n"


def compared_markdown(comparisons: Sequence[Compared], *, targets: Sequence[str]) -> str:
    """One line for each scenario: of each server the median and its CPU milliseconds for one operation."""
    rows = []
    for comparison in comparisons:
        cells = [comparison.label]
        unit = next(iter(comparison.summaries.values())).unit
        cells.append(unit)
        for name in targets:
            each = comparison.summaries.get(name)
            if each is None:
                cells.append("")
            elif not each.repeats:
                cells.append("failed")
            else:
                cpu = f" · {number(each.server_ms)}" if each.server_ms is not None else ""
                cells.append(f"{number(each.median)} [{number(each.least)}–{number(each.most)}]{cpu}")
        cells.append(f"**{times(comparison.ratio)}**" if comparison.ratio is not None else "")
        rows.append(cells)
    return markdown(["scenario", "unit", *targets, "ratio"], rows, right=range(2, 3 + len(targets)))
