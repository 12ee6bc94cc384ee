"""The charts: well-formed, with everything in them that they are to show."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from benchmarks import chart
from benchmarks.chart import Curve
from benchmarks.results import Row, compared

SVG = "{http://www.w3.org/2000/svg}"


def texts(drawn: str) -> list[str]:
    return ["".join(each.itertext()) for each in ElementTree.fromstring(drawn).iter(f"{SVG}text")]


def within(drawn: str) -> bool:
    """Whether nothing lies outside of the drawing."""
    root = ElementTree.fromstring(drawn)
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    edges = {"x": width, "x1": width, "x2": width, "cx": width, "y": height, "y1": height, "y2": height, "cy": height}
    return all(
        0 <= float(each.attrib[key]) <= edges[key] for each in root.iter() for key in edges if key in each.attrib
    )


def test_bars_tell_who_is_ahead() -> None:
    rows = [
        Row(f'{n} <&> "it"', target, value, "/s")
        for n in range(3)
        for target, value in (("ours", 10.0**n), ("a", 10.0))
    ]
    drawn = chart.ratios(compared(rows, peers=["a"]), title='ours & "others"')
    assert {'0 <&> "it"', "0.1x", "1.00x", "10.0x", 'ours & "others"'} <= set(texts(drawn))
    bars = [each.attrib["class"] for each in ElementTree.fromstring(drawn).iter(f"{SVG}rect")]
    assert bars == ["sheet", "behind", "ahead", "ahead"]
    assert "prefers-color-scheme: dark" in drawn
    assert within(drawn)


@pytest.mark.parametrize("factor", [1e-6, 0.5, 1.0, 3.0, 1e6])
def test_any_ratio_fits_in(factor: float) -> None:
    rows = [
        Row("in", "ours", 10 * factor, "/s"),
        Row("in", "a", 10.0, "/s"),
        Row("out", "ours", 5, "/s"),
        Row("out", "a", 9, "/s"),
    ]
    assert within(chart.ratios(compared(rows), title="t"))


def test_nothing_to_compare_is_said() -> None:
    assert "nothing to compare with" in texts(chart.ratios(compared([Row("in", "ours", 1, "/s")]), title="t"))


@pytest.mark.parametrize("points", [[], [(1000.0, 5.0)], [(1000.0, 0.02), (1e6, 9e7)], [(1.0, 100.0), (10.0, 100.0)]])
def test_curves_have_their_panel(points: list[tuple[float, float]]) -> None:
    curves = [Curve("SELECT", points, "flat", True), Curve("STATUS", points, "worse than its work", False)]
    drawn = chart.growth(curves, title="Growth", across="messages")
    assert {"Growth", "SELECT", "STATUS", "worse than its work"} <= set(texts(drawn))
    assert len(list(ElementTree.fromstring(drawn).iter(f"{SVG}circle"))) == 2 * len(points)
    assert within(drawn)


@pytest.mark.parametrize(
    ("microseconds", "written"), [(0.1, "100 ns"), (1, "1 µs"), (1234, "1.23 ms"), (1e6, "1 s"), (0.0, "0 ns")]
)
def test_durations_are_written_short(microseconds: float, written: str) -> None:
    assert chart.duration(microseconds) == written
