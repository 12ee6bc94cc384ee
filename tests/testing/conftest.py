"""Inboxes as the plugin gives them, for tests that need no pytest of their own; and a pytest for those that do."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from mailsystem.testing import AsyncInbox, Inbox
from mailsystem.testing.arrivals import Claims
from mailsystem.testing.postbox import Postbox
from mailsystem.testing.server import LocalServer

sys.path.insert(0, str(Path(__file__).parent))

from plugged import PLUGIN, Run


@pytest.fixture(scope="session")
def server() -> Iterator[LocalServer]:
    with closing(LocalServer()) as running:
        yield running


@pytest.fixture
def box(server: LocalServer) -> Iterator[Postbox]:
    with server.watch(Claims()) as arrivals:
        yield Postbox(server, arrivals, hint="ann")


@pytest.fixture
def mail(box: Postbox) -> Iterator[Inbox]:
    with closing(Inbox(box)) as inbox:
        yield inbox


@pytest.fixture
def amail(box: Postbox) -> Iterator[AsyncInbox]:
    with closing(AsyncInbox(box)) as inbox:
        yield inbox


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a file of tests by a pytest of its own that has the plugin; what it has written is in what is returned."""
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)

    def running(source: str, *args: str, apart: bool = False) -> pytest.RunResult:
        pytester.makepyfile(test_it=source)
        given = ("-p", PLUGIN, "-p", "no:asyncio", "-p", "no:xdist", *args)
        if apart:
            return pytester.runpytest_subprocess("-p", PLUGIN, *args, timeout=120)
        return pytester.runpytest_inprocess(*given)

    return running
