"""The pytest plugin: fixtures, options, and what is told when a test fails.

It is imported in every run of pytest where this program is installed. So it imports nothing of the house by itself: that comes
with the first fixture that a test asks for.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from mailsystem.testing.asynchronous import AsyncInbox
    from mailsystem.testing.inbox import Inbox
    from mailsystem.testing.place import Server
    from mailsystem.testing.postbox import Postbox
    from mailsystem.testing.smtp_settings import SmtpSettings

_BOX: Final = pytest.StashKey["Postbox"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("mailsystem", "mail that tests send and read")
    group.addoption(
        "--mailsystem-url",
        metavar="URL",
        help="Use a sink that runs already, by the address of its page, instead of one of this run's own.",
    )
    group.addoption(
        "--mail-artifacts",
        metavar="DIR",
        help="Where the mail of failed tests is kept, as files and as a page; by default in pytest's cache.",
    )
    group.addoption(
        "--mail-snapshot-update", action="store_true", help="Write the snapshots of messages instead of comparing."
    )
    group.addoption(
        "--mail-ui",
        action="store_true",
        help="When a test fails, show the address of the page with its mail, and wait for Enter.",
    )
    parser.addini("mail_domain", "Domain of the addresses that tests get.", default="example.org")
    parser.addini(
        "mail_env", "Variables that smtp_env sets beside its own: NAME = smtp://{host}:{port}", type="linelist"
    )


@pytest.fixture(scope="session")
def mailsystem_server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """The mail server of this run, or of this worker of pytest-xdist."""
    config = request.config
    with ExitStack() as stack:
        if url := config.getoption("--mailsystem-url"):
            from mailsystem.testing.remote import RemoteServer

            remote = RemoteServer(url)
            stack.callback(remote.close)
            yield remote
        else:
            from mailsystem.testing.server import LocalServer

            local = LocalServer(page=bool(config.getoption("--mail-ui")))
            stack.callback(local.close)
            yield local


@pytest.fixture
def _mailsystem_box(request: pytest.FixtureRequest, mailsystem_server: Server) -> Iterator[Postbox]:
    """The mail of one test, for both who wait for it in a thread and who do in a task."""
    from mailsystem.testing.arrivals import Claims
    from mailsystem.testing.postbox import Postbox
    from mailsystem.testing.snapshots import Snapshots

    config = request.config
    directory = request.path.parent / "snapshots" / request.path.stem
    test = ".".join(each.name for each in request.node.listchain() if isinstance(each, (pytest.Class, pytest.Item)))
    snapshots = Snapshots(directory, test, update=bool(config.getoption("--mail-snapshot-update")))
    with mailsystem_server.watch(Claims()) as arrivals:
        box = Postbox(
            mailsystem_server,
            arrivals,
            hint=request.node.name.removeprefix("test_"),
            worker=os.environ.get("PYTEST_XDIST_WORKER", ""),
            run=os.environ.get("PYTEST_XDIST_TESTRUNUID", "")[:6],
            domain=config.getini("mail_domain"),
            snapshots=snapshots,
        )
        snapshots.masks = box.masks
        request.node.stash[_BOX] = box
        yield box
        del request.node.stash[_BOX]


@pytest.fixture
def mail(_mailsystem_box: Postbox) -> Iterator[Inbox]:
    """An inbox of this test's own, with an address that nobody else has."""
    from mailsystem.testing.inbox import Inbox

    inbox = Inbox(_mailsystem_box)
    yield inbox
    inbox.close()


@pytest.fixture
def amail(_mailsystem_box: Postbox) -> Iterator[AsyncInbox]:
    """The same for tests that are coroutines: what waits is awaited."""
    from mailsystem.testing.asynchronous import AsyncInbox

    inbox = AsyncInbox(_mailsystem_box)
    yield inbox
    inbox.close()


@pytest.fixture(scope="session")
def smtp_settings(mailsystem_server: Server, pytestconfig: pytest.Config) -> SmtpSettings:
    """How an application reaches the mail server, which may be begun once for all tests."""
    from mailsystem.testing.smtp_settings import SmtpSettings

    return SmtpSettings(mailsystem_server.where, f"app@{pytestconfig.getini('mail_domain')}")


@pytest.fixture
def smtp_env(
    smtp_settings: SmtpSettings, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> SmtpSettings:
    """The same in variables: SMTP_HOST, SMTP_PORT, SMTP_USERNAME, SMTP_PASSWORD, SMTP_URL, and those of `mail_env`."""
    for name, value in smtp_settings.environment(request.config.getini("mail_env")).items():
        monkeypatch.setenv(name, value)
    return smtp_settings


@pytest.fixture
def mailsystem_django(smtp_settings: SmtpSettings) -> Iterator[SmtpSettings]:
    """Django sends to the mail server, instead of keeping mail in its outbox."""
    from django.test import override_settings  # type: ignore[import-untyped]

    with override_settings(**smtp_settings.django()):
        yield smtp_settings


# What is told when a test fails


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    box = item.stash.get(_BOX, None)
    if box is not None and report.when in ("setup", "call") and report.failed and not hasattr(report, "wasxfail"):
        _tell(item, box, report, call.excinfo.exconly() if call.excinfo is not None else "")
    return report


def _tell(item: pytest.Item, box: Postbox, report: pytest.TestReport, why: str) -> None:
    from mailsystem.testing import artefacts

    text = ""
    try:
        messages = box.now(0)
        text = artefacts.report(messages)
        place = artefacts.write(_directory(item.config), item.nodeid, messages, why)
        text += f"\nkept in {place}"
        artefacts.attach(item.config, report, place)
    except Exception as error:  # whatever it is, what is raised here would end the whole run
        text += f"\nnot kept: {error!r}"
    if url := box.server.where.url:
        text += f"\nto be seen at {url}"
    report.sections.append((f"mail for {', '.join(box.arrivals.claims.addresses)}", text))
    if item.config.getoption("--mail-ui"):
        _show(item, box)


def _directory(config: pytest.Config) -> Path:
    given = config.getoption("--mail-artifacts")
    if given:
        return Path(config.invocation_params.dir, given)
    cache = getattr(config, "cache", None)  # None without pytest's cacheprovider
    if cache is not None:
        return Path(cache.mkdir("mail"))
    return Path(config.rootpath, ".pytest_cache", "d", "mail")


def _show(item: pytest.Item, box: Postbox) -> None:
    """Let somebody look at the mail before the server goes on."""
    if os.environ.get("PYTEST_XDIST_WORKER"):
        return  # a worker has no terminal
    url = box.server.where.url
    told = f"look at it at {url}" if url else "this server has no page"
    capture: Any = item.config.pluginmanager.getplugin("capturemanager")
    if capture is not None:
        capture.suspend_global_capture(in_=True)
    try:
        input(f"\n{item.nodeid} failed; {told}. Enter goes on: ")
    except EOFError:
        print()  # noqa: T201
    finally:
        if capture is not None:  # as it was between two phases of a test: of what comes in alone nothing is let through
            capture.resume_global_capture()
            capture.suspend_global_capture(in_=False)
