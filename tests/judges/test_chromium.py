"""Chromium draws the page of `mailsystem demo --html`: at every width, in light and dark, on paper, and with hostile lines."""

from __future__ import annotations

import base64
import html
import json
import struct
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import program
import pytest
from outside import Tool
from pages import EVIL, SHOWN, arrow, page_of

pytestmark = pytest.mark.judge

PATIENCE = 60.0
WIDTHS = (400, 900, 1400)

_MEASURE = """
<script>
const frame = document.querySelector('iframe');
frame.onload = () => {
  const page = frame.contentDocument, body = page.documentElement, found = [];
  const lanes = [...page.querySelectorAll('.lanes > div')].map(one => one.getBoundingClientRect());
  const middles = lanes.map(one => (one.left + one.right) / 2);
  const off = x => Math.min(...middles.map(middle => Math.abs(middle - x)));
  page.querySelectorAll('details').forEach(one => one.open = %(open)s);
  for (const shaft of page.querySelectorAll('.row .shaft')) {
    const box = shaft.getBoundingClientRect();
    if (box.width) found.push(Math.max(off(box.left), off(box.right)));
  }
  const over = [...page.querySelectorAll('code, .ms, .at, .said, .card, td, h2, .lanes b')].filter(one => {
    const box = one.getBoundingClientRect();
    return box.width && (box.right > frame.clientWidth + 0.5 || box.left < -0.5);
  });
  for (const at of page.querySelectorAll('.row .at')) {
    const time = at.closest('.row').querySelector('.time');
    if (time && time.textContent) {
      const range = page.createRange();
      range.selectNodeContents(time);
      if (at.getBoundingClientRect().left < range.getBoundingClientRect().right) over.push(time);
    }
  }
  const size = one => parseFloat(frame.contentWindow.getComputedStyle(one).fontSize);
  const small = [...page.querySelectorAll('code')].filter(one => size(one) < 11);
  document.querySelector('output').textContent = JSON.stringify({
    width: body.clientWidth, needs: body.scrollWidth, shafts: found.length, off: Math.max(...found),
    over: over.map(one => one.textContent), small: small.length, images: page.images.length,
    scripts: page.scripts.length, dark: frame.contentWindow.matchMedia('(prefers-color-scheme: dark)').matches,
    paper: frame.contentWindow.getComputedStyle(page.body).backgroundColor,
    ink: frame.contentWindow.getComputedStyle(page.body).color,
    asked: frame.contentWindow.performance.getEntriesByType('resource').length,
  });
};
frame.srcdoc = new TextDecoder().decode(Uint8Array.from(atob("%(page)s"), one => one.charCodeAt(0)));
</script>
"""

Look = Callable[..., str]
Measured = dict[str, Any]


@pytest.fixture(scope="module")
def journey(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A page of the whole journey, and the same for machines."""
    home = tmp_path_factory.mktemp("journey")
    page = home / "journey.html"
    return page, json.loads(program.command("demo", "--bounce", "--json", "--html", str(page), home=home))


@pytest.fixture
def look(tool: Tool, tmp_path: Path) -> Look:
    """`look(page, *flags)`: what Chromium says of a page."""
    chromium = tool("chromium")

    def run(page: Path, *flags: str) -> str:
        done = subprocess.run(
            [
                *(chromium, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run"),
                *(f"--user-data-dir={tmp_path / 'profile'}", "--disable-background-networking", *flags, page.as_uri()),
            ],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            cwd=tmp_path,
            env=program.environment(tmp_path),
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    return run


def measured(look: Look, page: Path, place: Path, width: int, *flags: str, opened: bool = True) -> Measured:
    """What a frame of that width makes of the page."""
    around = place / f"around-{width}.html"
    script = _MEASURE % {"page": base64.b64encode(page.read_bytes()).decode(), "open": str(opened).lower()}
    around.write_text(
        f'<!doctype html><meta charset="utf-8"><iframe style="width:{width}px;height:900px;border:0"></iframe><output></output>'
        + script
    )
    said = look(around, "--window-size=1600,1000", "--virtual-time-budget=5000", "--dump-dom", *flags)
    return json.loads(html.unescape(said.partition("<output>")[2].partition("</output>")[0]))  # type: ignore[no-any-return]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("opened", [False, True])
def test_every_arrow_is_there_between_its_lanes_and_nothing_is_cut_off(
    look: Look, journey: tuple[Path, dict[str, Any]], tmp_path: Path, width: int, opened: bool
) -> None:
    page, told = journey
    seen = measured(look, page, tmp_path, width, opened=opened)
    assert seen["width"] == width
    assert seen["needs"] <= width, "nobody has to scroll sideways"
    assert seen["over"] == []
    assert seen["small"] == 0
    assert seen["off"] < 1.0, "each end of each arrow is at a lane"
    arrows = [arrow for chapter in told["chapters"] for arrow in chapter["arrows"]]
    sessions = {arrow["session"] for arrow in arrows}
    assert seen["shafts"] >= (len(arrows) if opened else 30) + len(sessions)
    assert (seen["images"], seen["asked"]) == (0, 0), "it needs nothing but itself"


def test_dark_is_dark_and_light_is_light(look: Look, journey: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    page, _ = journey
    light, dark = (measured(look, page, tmp_path, 900, f"--blink-settings=preferredColorScheme={n}") for n in (1, 0))
    assert (light["dark"], dark["dark"]) == (False, True)
    for one in (light, dark):
        one["contrast"] = contrast(one["paper"], one["ink"])
        assert one["contrast"] > 12
    assert light["paper"] == "rgb(251, 250, 247)"
    assert dark["paper"] == "rgb(21, 20, 18)"


def test_dark_is_seen_on_the_screen(look: Look, journey: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    page, _ = journey
    colours = []
    for n in (1, 0):
        shot = tmp_path / f"shot{n}.png"
        look(page, "--window-size=900,700", f"--blink-settings=preferredColorScheme={n}", f"--screenshot={shot}")
        colours.append(corner(shot))
    for seen, meant in zip(colours, ((251, 250, 247), (21, 20, 18)), strict=True):
        assert max(abs(one - other) for one, other in zip(seen, meant, strict=True)) <= 2


def test_it_can_be_printed(look: Look, journey: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    page, _ = journey
    paper = tmp_path / "journey.pdf"
    look(page, "--blink-settings=preferredColorScheme=0", "--no-pdf-header-footer", f"--print-to-pdf={paper}")
    octets = paper.read_bytes()
    assert octets.startswith(b"%PDF-")
    assert 3 <= octets.count(b"/Type /Page\n") <= 16


def test_a_hostile_line_is_drawn_and_not_run(look: Look, journey: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    page = tmp_path / "hostile.html"
    bad = f"{EVIL}</code></details><script>document.title = 'run'</script>{'x' * 3000}"
    page.write_text(page_of(*(arrow(1.0 + n, "alice", "server-a", bad) for n in range(3))), encoding="utf-8")
    seen = look(page, "--dump-dom")
    assert "<title>One message, pushed and pulled</title>" in seen
    assert "<img" not in seen
    assert SHOWN.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") in seen
    drawn = measured(look, page, tmp_path, 400)
    assert drawn["needs"] <= 400
    assert drawn["scripts"] == 1


def contrast(first: str, second: str) -> float:
    """As WCAG 2 reckons it."""

    def light(colour: str) -> float:
        parts = [int(part) / 255 for part in colour.removeprefix("rgb(").rstrip(")").split(",")]
        red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    low, high = sorted((light(first), light(second)))
    return (high + 0.05) / (low + 0.05)


def corner(shot: Path) -> tuple[int, ...]:
    """The colour of the picture's lowest pixel at the left: paper, and nothing on it."""
    octets = shot.read_bytes()
    width, height, depth, kind = struct.unpack(">IIBB", octets[16:26])
    assert (depth, kind in (2, 6)) == (8, True)
    packed, at = b"", 8
    while at < len(octets):
        length, name = struct.unpack(">I4s", octets[at : at + 8])
        packed += octets[at + 8 : at + 8 + length] if name == b"IDAT" else b""
        at += length + 12
    of_pixel = 3 if kind == 2 else 4
    line = 1 + width * of_pixel
    rows = zlib.decompress(packed)
    pixel = (0,) * of_pixel
    for row in range(height):
        start = row * line
        how, raw = rows[start], rows[start + 1 : start + 1 + of_pixel]
        # In the first column every filter of PNG is either none at all or adds the pixel above, whole or by half.
        above = {0: (0,) * of_pixel, 1: (0,) * of_pixel, 2: pixel, 3: tuple(part // 2 for part in pixel), 4: pixel}[how]
        pixel = tuple((one + up) % 256 for one, up in zip(raw, above, strict=True))
    return pixel[:3]
