"""A real browser that looks at the page of a house, in the loop in which the browser is (`in_its_loop`)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest_asyncio
import test_access
from chromium import PATIENCE, in_its_loop
from outside import Certificates
from web_house import House, sink

if TYPE_CHECKING:
    from playwright.async_api import Browser, BrowserContext, Page

__all__ = ["PATIENCE", "Visit", "base_of", "house", "in_its_loop", "opened", "server", "until", "visit", "visiting"]

OPTIONAL = ("/envelope", "/journey", "/extract", "/checks", "/v1/sessions")
"""What the page asks for and can do without: 404 there is an answer."""


async def until(what: Callable[[], Awaitable[Any]]) -> Any:
    """What `what` gives, as soon as it is true. The page's own policy forbids Playwright's way of waiting for expressions."""
    async with asyncio.timeout(PATIENCE):
        while True:
            if found := await what():
                return found
            await asyncio.sleep(0.02)


@dataclass
class Visit:
    """Somebody's tab, and everything that went wrong in it."""

    page: Page
    base: str
    asked: list[str] = field(default_factory=list)
    """The address of every request."""
    wrong: list[str] = field(default_factory=list)
    """Errors and warnings of the console, and exceptions."""

    async def go(self, path: str = "/") -> None:
        """Open a view, and wait until it is live."""
        await self.page.goto(self.base + path)
        await self.page.wait_for_selector("body[data-live=live]", timeout=PATIENCE * 1000)

    async def subjects(self) -> list[str]:
        """What the list shows, from the top."""
        rows = await self.page.evaluate(
            "[...document.querySelectorAll('.row:not(.bones)')]"
            ".map(row => [parseInt(row.getAttribute('aria-posinset')), row.querySelector('.subj').textContent])"
        )
        return [subject for _, subject in sorted(rows)]

    async def shows(self, *subjects: str) -> None:
        """Wait until the list begins with these."""

        async def there() -> bool:
            return (await self.subjects())[: len(subjects)] == list(subjects)

        try:
            await until(there)
        except TimeoutError:
            raise AssertionError(f"{await self.subjects()} does not begin with {subjects}") from None

    async def at(self, path: str) -> None:
        """Wait until the address is that; what comes after the path given does not matter where it ends with `…`."""
        wanted = self.base + path.removesuffix("…")

        async def there() -> bool:
            return self.page.url.startswith(wanted) if path.endswith("…") else self.page.url == wanted

        await until(there)

    async def press(self, *keys: str) -> None:
        for key in keys:
            await self.page.keyboard.press(key)

    async def text(self, selector: str) -> str:
        return await self.page.inner_text(selector, timeout=PATIENCE * 1000)

    def strangers(self) -> list[str]:
        """Requests to anybody but us."""
        return [one for one in self.asked if not one.startswith((self.base, "data:", "blob:"))]


@asynccontextmanager
async def visiting(
    browser: Browser, base: str, width: int = 1440, height: int = 900, **more: Any
) -> AsyncIterator[Visit]:
    """A tab of that size; nothing may have gone wrong in it when it closes."""
    context = await browser.new_context(viewport={"width": width, "height": height}, **more)
    visit = await opened(context, base)
    try:
        yield visit
    finally:
        await context.close()
    assert not visit.wrong, visit.wrong
    assert not visit.strangers(), visit.strangers()


async def opened(context: BrowserContext, base: str) -> Visit:
    """One more tab of the same browser."""
    context.set_default_timeout(PATIENCE * 1000)  # also for pages that this one opens
    page = await context.new_page()
    visit = Visit(page, base)
    page.on("request", lambda request: visit.asked.append(request.url))
    page.on("pageerror", lambda error: visit.wrong.append(str(error)))

    def heard(message: Any) -> None:
        place = str(message.location.get("url", "")).partition("?")[0]
        if message.type in ("error", "warning") and not ("404" in message.text and place.endswith(OPTIONAL)):
            visit.wrong.append(f"{message.type}: {message.text} ({place})")

    page.on("console", heard)
    return visit


@pytest_asyncio.fixture(loop_scope="session")
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """A sink with its web door."""
    async with sink(tmp_path) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="session")
async def server(tmp_path: Path, certificates: Certificates) -> AsyncIterator[test_access.Server]:
    """A server where Ann and Bob live."""
    async with test_access.serving(tmp_path, certificates) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="session")
async def visit(browser: Browser, house: House) -> AsyncIterator[Visit]:
    """A desk's tab. The pointer is away from the list."""
    async with visiting(browser, base_of(house)) as opened:
        await opened.page.mouse.move(1200, 600)
        yield opened


def base_of(house: House) -> str:
    return str(house.client.base_url).rstrip("/")
