"""docs/performance.md: its tables and charts are written from results that are kept, everything else in it by hand."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from benchmarks import chart, growth
from benchmarks.results import Compared, Results, compared
from benchmarks.table import compared_markdown, markdown, number, times
from benchmarks.targets import ROOT

KEPT: Final = Path(__file__).parent / "results"
COMPARISON, WORKERS, GROWTH = KEPT / "comparison.json", KEPT / "workers.json", KEPT / "growth.json"
PAGE: Final = ROOT / "docs" / "performance.md"
CHARTS: Final = ROOT / "docs" / "performance"
_REGION: Final = re.compile(
    r"(<!-- (?P<name>[a-z]+): written by `python -m benchmarks page` -->\n).*?(<!-- end -->)", re.DOTALL
)


def regions(results: Results, workers: Results | None, grown: Sequence[growth.Grown]) -> dict[str, str]:
    """What is written into the page, by the names of its places."""
    found = compared(results.rows, peers=results.peers)
    return {
        "machine": _machine(results),
        "comparison": compared_markdown(found, targets=list(results.targets)),
        "behind": _behind(found),
        "workers": _workers(workers),
        "growth": _grown(grown),
    }


def charts(results: Results, grown: Sequence[growth.Grown]) -> dict[str, str]:
    """By the names of their files."""
    until_seen = [
        each for each in compared(results.rows, peers=results.peers) if not each.label.endswith(", to the 250")
    ]
    drawn = {"ratios.svg": chart.ratios(until_seen, title=chart.title_of(results))}
    for kind in dict.fromkeys(each.kind for each in grown):
        drawn[f"growth-{kind}.svg"] = growth.chart(grown, kind)
    return drawn


def _machine(results: Results) -> str:
    lines = [f"Measured on {results.when}: {results.machine}."]
    lines += [f"- `{name}`: {about}" for name, about in results.targets.items()]
    options, counts = results.options, set(Counter((row.label, row.target) for row in results.rows).values())
    repeats = " to ".join(str(each) for each in sorted({min(counts), max(counts)})) if counts else "0"
    lines.append(
        f"- measured {repeats} times; {options['messages']:,} messages in the large mailbox,"
        f" {options['idlers']:,} idling clients; numbers of messages scaled by {options['scale']:g}"
    )
    return "\n\n".join((lines[0], "\n".join(lines[1:]))) + "\n"


def _behind(found: Sequence[Compared]) -> str:
    behind = sorted(
        (each for each in found if each.ratio is not None and each.ratio < 1), key=lambda each: each.ratio or 0
    )
    if not behind:
        return "In this run it was behind in nothing.\n"
    rows = []
    for each in behind:
        ours, theirs = next(iter(each.summaries.values())), each.summaries[each.against]
        cpu = [number(one.server_ms) if one.server_ms is not None else "" for one in (ours, theirs)]
        rows.append([each.label, times(each.ratio), each.against, *cpu])
    return markdown(["scenario", "ratio", "to", "our CPU ms", "its CPU ms"], rows, right=(1, 3, 4))


def _workers(workers: Results | None) -> str:
    if workers is None:
        return "Not measured yet.\n"
    found = compared(workers.rows)
    names = list(workers.targets)
    rows = []
    for each in found:
        known = [each.summaries.get(name) for name in names]
        if all(one is not None and one.repeats for one in known):
            medians = [one.median for one in known if one is not None]
            gain = medians[0] / medians[-1] if each.summaries[names[0]].less_is_better else medians[-1] / medians[0]
            rows.append([each.label, known[0].unit if known[0] else "", *map(number, medians), f"**{times(gain)}**"])
    return markdown(["scenario", "unit", *names, "gain"], rows, right=range(2, 3 + len(names)))


def _grown(grown: Sequence[growth.Grown]) -> str:
    parts = [
        f"![{growth.TITLES[kind]}](performance/growth-{kind}.svg)\n\n{growth.as_markdown(grown, kind)}"
        for kind in dict.fromkeys(each.kind for each in grown)
    ]
    return "\n".join(parts) if parts else "Not measured yet.\n"


def filled(text: str, parts: Mapping[str, str]) -> str:
    """The page with its places filled anew. Raises `ValueError` where it lacks one."""
    there = {match["name"] for match in _REGION.finditer(text)}
    if there != set(parts):
        raise ValueError(f"the page's places are {sorted(there)}, not {sorted(parts)}")
    return _REGION.sub(lambda match: f"{match[1]}\n{parts[match['name']]}\n{match[3]}", text)


def kept() -> tuple[Results, Results | None, list[growth.Grown]]:
    """What was measured for the page. Raises `OSError` and `ValueError`."""
    workers = Results.load(WORKERS) if WORKERS.exists() else None
    return Results.load(COMPARISON), workers, growth.load(GROWTH) if GROWTH.exists() else []


def files() -> dict[Path, str]:
    """The page and its charts as they must be."""
    results, workers, grown = kept()
    made = {CHARTS / name: drawn for name, drawn in charts(results, grown).items()}
    made[PAGE] = filled(PAGE.read_text(), regions(results, workers, grown))
    return made


def write() -> list[Path]:
    """Renew them; those that have changed."""
    changed = []
    for path, text in files().items():
        if not path.exists() or path.read_text() != text:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
            changed.append(path)
    return changed
