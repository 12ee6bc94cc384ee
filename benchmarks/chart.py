"""Charts as SVG, made here: ratios as bars on a logarithmic scale, and growth as lines; light or dark as the reader has it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final
from xml.sax.saxutils import escape

from benchmarks.results import Compared, Results
from benchmarks.table import number, times

_SANS: Final = "Inter, ui-sans-serif, system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"
_STYLE: Final = f"""
svg {{ --sheet: #ffffff; --line: #e4e0d8; --ink: #1d1b18; --ink-2: #57524a; --ink-3: #7a746a;
  --ahead: #1f5fbf; --behind: #b3362b; --ok: #2b7a3d; }}
@media (prefers-color-scheme: dark) {{
  svg {{ --sheet: #1c1b18; --line: #2d2a25; --ink: #ece8e1; --ink-2: #b4aea3; --ink-3: #8b8579;
    --ahead: #7fb0ff; --behind: #ff8f80; --ok: #7fd18f; }}
}}
.sheet {{ fill: var(--sheet); }} .grid {{ stroke: var(--line); }} .one {{ stroke: var(--ink-3); }}
text {{ fill: var(--ink-2); font: 13px {_SANS}; font-variant-numeric: tabular-nums; }}
.title {{ fill: var(--ink); font-size: 16px; font-weight: 600; }} .note, .tick {{ fill: var(--ink-3); font-size: 11px; }}
.label {{ fill: var(--ink); }} .end {{ text-anchor: end; }} .middle {{ text-anchor: middle; }} .strong {{ font-weight: 600; }}
.ahead {{ fill: var(--ahead); }} .behind {{ fill: var(--behind); }} .fine {{ fill: var(--ok); }}
.curve {{ fill: none; stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; }}
.curve.ahead {{ stroke: var(--ahead); fill: none; }} .curve.behind {{ stroke: var(--behind); fill: none; }}
.guide {{ stroke: var(--ink-3); stroke-dasharray: 3 4; }}
"""


def title_of(results: Results) -> str:
    first = next(iter(results.targets))
    others = ", ".join(results.peers) or ", ".join(list(results.targets)[1:])
    return f"{first} against {'the best of ' if len(results.peers) > 1 else ''}{others}" if others else first


def _document(width: float, height: float, title: str, body: Iterable[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}"'
        f' height="{height:.0f}" role="img" aria-label="{escape(title, {chr(34): "&quot;"})}">\n<style>{_STYLE}</style>\n'
        f'<rect class="sheet" width="{width:.0f}" height="{height:.0f}" rx="10"/>\n' + "\n".join(body) + "\n</svg>\n"
    )


def _text(x: float, y: float, words: str, kind: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}">{escape(words)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


# Ratios

_WIDTH, _LEFT, _RIGHT, _ROW, _TOP = 880, 276, 150, 24, 72


def ratios(comparisons: Sequence[Compared], *, title: str) -> str:
    """One bar for each scenario that has a ratio: to the right of 1x we are ahead, to the left behind."""
    shown = [each for each in comparisons if each.ratio is not None]
    values = [each.ratio for each in shown if each.ratio is not None]
    low = min([0.5, *(value / 1.3 for value in values)])
    high = max([4.0, *(value * 1.3 for value in values)])
    plot = _WIDTH - _LEFT - _RIGHT
    height = _TOP + _ROW * max(1, len(shown)) + 40

    def place(value: float) -> float:
        return _LEFT + plot * (math.log(value) - math.log(low)) / (math.log(high) - math.log(low))

    body = [
        _text(24, 32, title, "title"),
        _text(
            24,
            52,
            "how many times as fast, or as little (logarithmic): right of the line ahead, left of it behind",
            "note",
        ),
    ]
    bottom = _TOP + _ROW * max(1, len(shown))
    for mark in _marks(low, high):
        body.append(_line(place(mark), _TOP - 6, place(mark), bottom + 4, "one" if mark == 1 else "grid"))
        body.append(_text(place(mark), bottom + 20, f"{mark:g}x", "tick middle"))
    for at, each in enumerate(shown):
        assert each.ratio is not None
        y, kind = _TOP + _ROW * at, "ahead" if each.ratio >= 1 else "behind"
        start, end = sorted((place(1), place(each.ratio)))
        body.append(_text(_LEFT - 14, y + 16, each.label, "label end"))
        body.append(
            f'<rect x="{start:.1f}" y="{y + 5}" width="{max(end - start, 1.5):.1f}" height="{_ROW - 10}" rx="2" class="{kind}">'
            f"<title>{escape(_told(each))}</title></rect>"
        )
        body.append(_text(_WIDTH - _RIGHT + 58, y + 16, times(each.ratio), f"{kind} strong end"))
        body.append(_text(_WIDTH - _RIGHT + 68, y + 16, each.against, "note"))
    if not shown:
        body.append(_text(24, _TOP + 16, "nothing to compare with", "note"))
    return _document(_WIDTH, height, title, body)


def _told(each: Compared) -> str:
    return "; ".join(f"{name} {number(one.median)} {one.unit}" for name, one in each.summaries.items() if one.repeats)


def _marks(low: float, high: float) -> list[float]:
    """1 and its neighbours, in steps that leave room."""
    steps = (1, 2, 5) if math.log10(high / low) < 2.5 else (1,)
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [step * 10.0**exponent for exponent in exponents for step in steps if low <= step * 10.0**exponent <= high]


# Growth


@dataclass(frozen=True, slots=True)
class Curve:
    """What something costs, by how much there is."""

    title: str
    points: Sequence[tuple[float, float]]
    """(how much there is, microseconds)."""
    verdict: str
    fine: bool


_PANEL_WIDTH, _PANEL_HEIGHT, _COLUMNS, _GAP = 268, 196, 3, 16


def growth(curves: Sequence[Curve], *, title: str, across: str) -> str:
    """One small panel for each curve, both axes logarithmic; all have the same decades across, and three or more upward."""
    rows = max(1, -(-len(curves) // _COLUMNS))
    width = 2 * 24 + _COLUMNS * _PANEL_WIDTH + (_COLUMNS - 1) * _GAP
    height = 72 + rows * (_PANEL_HEIGHT + _GAP) + 8
    body = [
        _text(24, 32, title, "title"),
        _text(
            24,
            52,
            f"server CPU of one operation, by the number of {across} (both logarithmic); dashed: flat, where it began",
            "note",
        ),
    ]
    across_all = [x for curve in curves for x, _ in curve.points] or [1.0, 10.0]
    for at, curve in enumerate(curves):
        x = 24 + at % _COLUMNS * (_PANEL_WIDTH + _GAP)
        y = 72 + at // _COLUMNS * (_PANEL_HEIGHT + _GAP)
        body += _panel(curve, x, y, min(across_all), max(across_all))
    return _document(width, height, title, body)


def _panel(curve: Curve, x: float, y: float, least: float, most: float) -> list[str]:
    left, right, top, bottom = x + 52, x + _PANEL_WIDTH - 10, y + 44, y + _PANEL_HEIGHT - 26
    kind = "ahead" if curve.fine else "behind"
    values = [value for _, value in curve.points if value > 0] or [1.0]
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    while high - low < 3:
        low, high = (low - 1, high) if (high - low) % 2 else (low, high + 1)
    span = max(math.log10(most / least), 0.5)

    def place(amount: float, value: float) -> tuple[float, float]:
        across = left + (right - left) * math.log10(amount / least) / span
        return across, bottom - (bottom - top) * (math.log10(value) - low) / (high - low)

    body = [
        _text(x, y + 14, curve.title, "label strong"),
        _text(x, y + 31, curve.verdict, "fine note" if curve.fine else "behind note"),
    ]
    for exponent in range(low, high + 1):
        _, at = place(least, 10.0**exponent)
        body += [_line(left, at, right, at, "grid"), _text(left - 6, at + 4, duration(10.0**exponent), "tick end")]
    amount = 10.0 ** math.ceil(math.log10(least))
    while amount <= most * 1.01:
        at, _ = place(amount, 1)
        body += [_line(at, top, at, bottom, "grid"), _text(at, bottom + 16, short(amount), "tick middle")]
        amount *= 10
    known = [place(amount, value) for amount, value in curve.points if value > 0]
    if known:
        body.append(_line(known[0][0], known[0][1], right, known[0][1], "guide"))
        path = " ".join(f"{across:.1f},{up:.1f}" for across, up in known)
        body.append(f'<polyline points="{path}" class="curve {kind}"/>')
        body += [f'<circle cx="{across:.1f}" cy="{up:.1f}" r="3.5" class="{kind}"/>' for across, up in known]
    return body


def duration(microseconds: float) -> str:
    """As a tick says it: 100 ns, 10 µs, 1 ms, 10 s."""
    for size, unit in ((1e6, "s"), (1e3, "ms"), (1, "µs")):
        if microseconds >= size * 0.999:
            return f"{microseconds / size:.3g} {unit}"
    return f"{microseconds * 1e3:.3g} ns"


def short(amount: float) -> str:
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if amount >= size:
            return f"{amount / size:.3g}{letter}"
    return f"{amount:.3g}"
