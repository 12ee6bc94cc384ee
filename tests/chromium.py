"""A real browser: one Chromium for all tests of a process, driven by Playwright, whose loop they share (`in_its_loop`).

Each test has a context of its own, in which there is nothing of what others did.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from outside import Tool, missing

if TYPE_CHECKING:
    from playwright.async_api import Browser, Playwright

PATIENCE = 60.0
"""Seconds in which a browser starts, and in which a page does anything."""

in_its_loop = pytest.mark.asyncio(loop_scope="session")
"""For modules whose tests take `browser`; what they share with it, they make by fixtures of that loop."""


class Chromium:
    """Started when the first test asks for it, and again where it has died."""

    def __init__(self, playwright: Playwright, path: str) -> None:
        self._playwright, self._path = playwright, path
        self._browser: Browser | None = None

    async def browser(self) -> Browser:
        if self._browser is None or not self._browser.is_connected():
            self._browser = await self._playwright.chromium.launch(
                executable_path=self._path, args=["--no-sandbox"], timeout=PATIENCE * 1000
            )
        return self._browser

    async def close(self) -> None:
        if self._browser is not None:
            await self._browser.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium(tool: Tool) -> AsyncIterator[Chromium]:
    try:
        from playwright.async_api import async_playwright
    except ModuleNotFoundError:
        missing("playwright")
    path = tool("chromium")
    async with async_playwright() as playwright:
        opened = Chromium(playwright, path)
        yield opened
        await opened.close()


@pytest_asyncio.fixture(loop_scope="session")
async def browser(chromium: Chromium) -> AsyncIterator[Browser]:
    """The browser, in which nobody has a tab yet."""
    opened = await chromium.browser()
    yield opened
    for context in opened.contexts:
        await context.close()
