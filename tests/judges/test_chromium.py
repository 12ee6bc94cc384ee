"""Chromium draws the page of `mailsystem demo --html`: at every width, in light and dark, on paper, and with hostile lines."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import program
import pytest
from chromium import PATIENCE, in_its_loop
from pages import EVIL, SHOWN, arrow, page_of

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

pytestmark = [pytest.mark.judge, in_its_loop]

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

Measured = dict[str, Any]


@pytest.fixture(scope="module")
def journey(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A page of the whole journey, and the same for machines."""
    home = tmp_path_factory.mktemp("journey")
    page = home / "journey.html"
    return page, json.loads(program.command("demo", "--bounce", "--json", "--html", str(page), home=home))


@asynccontextmanager
async def seen(browser: Browser, page: Path, width: int = 1600, height: int = 1000, **more: Any) -> AsyncIterator[Page]:
    """A tab of that size, in which a page is open."""
    context = await browser.new_context(viewport={"width": width, "height": height}, **more)
    tab = await context.new_page()
    tab.set_default_timeout(PATIENCE * 1000)
    await tab.goto(page.as_uri())
    yield tab
    await context.close()


async def measured(
    browser: Browser, page: Path, place: Path, width: int, *, opened: bool = True, scheme: str = "light"
) -> Measured:
    """What a frame of that width makes of the page."""
    around = place / f"around-{width}.html"
    script = _MEASURE % {"page": base64.b64encode(page.read_bytes()).decode(), "open": str(opened).lower()}
    around.write_text(
        f'<!doctype html><meta charset="utf-8"><iframe style="width:{width}px;height:900px;border:0"></iframe><output></output>'
        + script
    )
    async with seen(browser, around, color_scheme=scheme) as tab:
        await tab.wait_for_selector("output:not(:empty)", state="attached")
        return json.loads(await tab.text_content("output") or "")  # type: ignore[no-any-return]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("opened", [False, True])
async def test_every_arrow_is_there_between_its_lanes_and_nothing_is_cut_off(
    browser: Browser, journey: tuple[Path, dict[str, Any]], tmp_path: Path, width: int, opened: bool
) -> None:
    page, told = journey
    seen = await measured(browser, page, tmp_path, width, opened=opened)
    assert seen["width"] == width
    assert seen["needs"] <= width, "nobody has to scroll sideways"
    assert seen["over"] == []
    assert seen["small"] == 0
    assert seen["off"] < 1.0, "each end of each arrow is at a lane"
    arrows = [arrow for chapter in told["chapters"] for arrow in chapter["arrows"]]
    sessions = {arrow["session"] for arrow in arrows}
    assert seen["shafts"] >= (len(arrows) if opened else 30) + len(sessions)
    assert (seen["images"], seen["asked"]) == (0, 0), "it needs nothing but itself"


async def test_dark_is_dark_and_light_is_light(
    browser: Browser, journey: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    page, _ = journey
    light, dark = [await measured(browser, page, tmp_path, 900, scheme=scheme) for scheme in ("light", "dark")]
    assert (light["dark"], dark["dark"]) == (False, True)
    for one in (light, dark):
        one["contrast"] = contrast(one["paper"], one["ink"])
        assert one["contrast"] > 12
    assert light["paper"] == "rgb(251, 250, 247)"
    assert dark["paper"] == "rgb(21, 20, 18)"


async def test_dark_is_seen_on_the_screen(
    browser: Browser, journey: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    page, _ = journey
    for scheme, meant in (("light", (251, 250, 247)), ("dark", (21, 20, 18))):
        shot = tmp_path / f"{scheme}.png"
        async with seen(browser, page, 900, 700, color_scheme=scheme) as tab:
            await tab.screenshot(path=shot)
        assert max(abs(one - other) for one, other in zip(corner(shot), meant, strict=True)) <= 2


async def test_it_can_be_printed(browser: Browser, journey: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    page, _ = journey
    paper = tmp_path / "journey.pdf"
    async with seen(browser, page, color_scheme="dark") as tab:
        await tab.pdf(path=paper)
    octets = paper.read_bytes()
    assert octets.startswith(b"%PDF-")
    assert 3 <= octets.count(b"/Type /Page\n") <= 16


async def test_a_hostile_line_is_drawn_and_not_run(browser: Browser, tmp_path: Path) -> None:
    page = tmp_path / "hostile.html"
    bad = f"{EVIL}</code></details><script>document.title = 'run'</script>{'x' * 3000}"
    page.write_text(page_of(*(arrow(1.0 + n, "alice", "server-a", bad) for n in range(3))), encoding="utf-8")
    async with seen(browser, page) as tab:
        there = await tab.content()
    assert "<title>One message, pushed and pulled</title>" in there
    assert "<img" not in there
    assert SHOWN.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") in there
    drawn = await measured(browser, page, tmp_path, 400)
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
