"""The plugin in a pytest of its own: what it gives to tests, and what it tells when they fail."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from plugged import PLUGIN, Run

import mailsystem
from mailsystem.testing import Inbox, Message, plugin

pytest_plugins = "pytester"

SEND = """
import smtplib, pytest

def send(settings, to, subject="Hello"):
    with smtplib.SMTP(settings.host, settings.port) as client:
        client.sendmail("app@example.net", [to], f"Subject: {subject}\\r\\n\\r\\nIt works.\\r\\n".encode())
"""


def test_a_test_gets_mail(run: Run) -> None:
    result = run(
        SEND
        + """
def test_first(mail, smtp_settings):
    send(smtp_settings, mail.address)
    assert mail.address.startswith("first.")
    assert mail.expect().subject == "Hello"

@pytest.mark.parametrize("what", ["a/b c", "Ü"])
def test_second(mail, amail, smtp_settings, what):
    assert mail.messages == [], "it has nothing of the first"
    send(smtp_settings, amail.address)
    assert mail.expect(to=amail.address), "both see all mail of the test"
"""
    )
    result.assert_outcomes(passed=3)


def test_a_failure_is_told_and_its_mail_is_kept(run: Run, pytester: pytest.Pytester) -> None:
    result = run(
        SEND
        + """
def test_it(mail, smtp_settings):
    send(smtp_settings, mail.address, "Welcome <b>")
    mail.expect(subject="Reset", timeout=0.01)
""",
        "--mail-artifacts=kept",
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*MailFailure: expected exactly one message with subject='Reset'*none came",
            "*subject is not like 'Reset'",
            "*- mail for it.*@example.org -*",
            "*Welcome <b>*",
            "kept in *kept*test_it.py-test_it",
        ]
    )
    assert "postbox.py" not in result.stdout.str(), "how we found out is of no use"
    place = pytester.path / "kept" / "test_it.py-test_it"
    assert (place / "01-welcome-b.eml").read_bytes() == b"Subject: Welcome <b>\r\n\r\nIt works.\r\n"
    page = (place / "report.html").read_text()
    assert "Welcome &lt;b&gt;" in page
    assert "C: QUIT" in page
    assert "MAIL FROM" in page
    assert "default-src 'none'" in page


def test_reports_of_other_plugins_have_it_too(run: Run, pytester: pytest.Pytester) -> None:
    result = run(
        SEND
        + """
def test_it(mail, smtp_settings):
    send(smtp_settings, mail.address, "Welcome")
    mail.expect(subject="Reset", timeout=0.01)
""",
        "--mail-artifacts=kept",
        "--html=told.html",
        "--alluredir=allure",
        "-p",
        "no:xdist",
        apart=True,
    )
    result.assert_outcomes(failed=1)
    place = pytester.path / "kept" / "test_it.py-test_it"
    told = (pytester.path / "told.html").read_text()
    assert f"{place.as_uri()}/report.html" in told
    assert f"{place.as_uri()}/01-welcome.eml" in told
    [file] = (pytester.path / "allure").glob("*-result.json")
    named = {each["name"]: each for each in json.loads(file.read_text())["attachments"]}
    assert named["mail"]["type"] == "text/html"
    octets = (pytester.path / "allure" / named["01-welcome.eml"]["source"]).read_bytes()
    assert octets == (place / "01-welcome.eml").read_bytes()


def test_by_default_mail_is_kept_in_the_cache(run: Run, pytester: pytest.Pytester) -> None:
    run("def test_it(mail): assert False").stdout.fnmatch_lines(["*no message has arrived"])
    assert (pytester.path / ".pytest_cache" / "d" / "mail" / "test_it.py-test_it" / "report.html").exists()


def test_hostile_mail_does_nothing_in_the_report(run: Run, pytester: pytest.Pytester) -> None:
    run(
        """
def test_it(mail):
    mail.deliver(b"Subject: </title><script>alert(1)</script>\\r\\nContent-Type: text/html\\r\\n\\r\\n"
                 b"\\"><script>alert(2)</script><img src=http://tracker.test/>\\r\\n")
    assert False
""",
        "--mail-artifacts=kept",
    )
    [page] = (pytester.path / "kept").rglob("report.html")
    assert "<script>" not in page.read_text()
    assert '<iframe sandbox srcdoc="&quot;&gt;&lt;script&gt;' in page.read_text()


def test_what_no_file_can_hold_ends_no_run(run: Run, pytester: pytest.Pytester) -> None:
    result = run('def test_it(mail): raise ValueError("half a character: \\ud800")', "--mail-artifacts=kept")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["kept in *"])
    [page] = (pytester.path / "kept").rglob("report.html")
    assert "half a character: \ufffd" in page.read_text()


def test_what_passes_or_is_expected_to_fail_leaves_nothing(run: Run, pytester: pytest.Pytester) -> None:
    result = run(
        """
import pytest
def test_good(mail): mail.none(within=0)
@pytest.mark.xfail
def test_bad(mail): assert False
""",
        "--mail-artifacts=kept",
    )
    result.assert_outcomes(passed=1, xfailed=1)
    assert not (pytester.path / "kept").exists()


def test_snapshots_are_written_beside_the_test_and_compared(run: Run, pytester: pytest.Pytester) -> None:
    source = (
        SEND
        + """
def test_it(mail, smtp_settings):
    send(smtp_settings, mail.address, f"for {mail.address}")
    mail.expect().assert_matches_snapshot()
"""
    )
    run(source).stdout.fnmatch_lines(["*pytest --mail-snapshot-update writes it*"])
    run(source, "--mail-snapshot-update").assert_outcomes(passed=1)
    assert "Subject: for <address>" in (pytester.path / "snapshots" / "test_it" / "test_it.txt").read_text()
    run(source).assert_outcomes(passed=1)
    run(source.replace("It works.", "It is broken.")).stdout.fnmatch_lines(["*-It works.", "*+It is broken."])


def test_every_class_has_snapshots_of_its_own(run: Run, pytester: pytest.Pytester) -> None:
    source = """
import pytest
class TestWelcome:
    def test_it(self, mail): mail.deliver(b"Subject: Welcome\\r\\n\\r\\n").assert_matches_snapshot()
class TestGoodbye:
    @pytest.mark.parametrize("to", ["a/b", "a b"])
    def test_it(self, mail, to): mail.deliver(f"Subject: Goodbye {to}\\r\\n\\r\\n".encode()).assert_matches_snapshot()
"""
    run(source, "--mail-snapshot-update").assert_outcomes(passed=3)
    run(source).assert_outcomes(passed=3)


def test_an_application_may_begin_once_for_all_tests(run: Run) -> None:
    result = run(
        SEND
        + """
import pytest
@pytest.fixture(scope="session")
def app(smtp_settings): return lambda to: send(smtp_settings, to)
@pytest.mark.parametrize("number", [1, 2])
def test_it(app, mail, number):
    app(mail.address)
    mail.expect(subject="Hello")
"""
    )
    result.assert_outcomes(passed=2)


def test_the_domain_may_be_written_as_one_likes(run: Run, pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nmail_domain = Shop.Test\n")
    run('def test_it(mail): assert mail.deliver(b"\\r\\n").envelope.rcpt == (mail.address,)').assert_outcomes(passed=1)
    pytester.makeini("[pytest]\nmail_domain = @shop.test\n")
    run("def test_it(mail): pass").stdout.fnmatch_lines(["*ValueError: mail_domain: '@shop.test' is no domain"])


def test_what_fails_before_a_test_is_told_too(run: Run, pytester: pytest.Pytester) -> None:
    result = run(
        """
import pytest
@pytest.fixture
def registered(mail): mail.deliver(b"Subject: Welcome\\r\\n\\r\\n"); mail.expect(subject="Confirm", timeout=0)
def test_it(registered): pass
""",
        "--mail-artifacts=kept",
    )
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*mail for it.*", "*Welcome*", "kept in *"])
    assert list((pytester.path / "kept").rglob("01-welcome.eml"))


def test_an_application_is_told_by_variables(run: Run, pytester: pytest.Pytester) -> None:
    pytester.makeini(
        "[pytest]\nmail_domain = shop.test\nmail_env =\n  EMAIL_URL = smtp+{host}:{port}\n  MAIL_HOST={host}\n"
    )
    result = run(
        SEND
        + """
import os
def test_it(mail, smtp_env):
    assert mail.address.endswith("@shop.test")
    assert os.environ["SMTP_HOST"] == os.environ["MAIL_HOST"] == "127.0.0.1"
    assert os.environ["EMAIL_URL"] == f"smtp+127.0.0.1:{os.environ['SMTP_PORT']}"
    assert os.environ["SMTP_URL"].endswith(f"@127.0.0.1:{smtp_env.port}")
    assert {"SMTP_USERNAME", "SMTP_PASSWORD"} <= set(os.environ)
def test_after(): assert "SMTP_HOST" not in os.environ
"""
    )
    result.assert_outcomes(passed=2)
    pytester.makeini("[pytest]\nmail_env = EMAIL_URL = {hostname}\n")
    run("def test_it(smtp_env): pass").stdout.fnmatch_lines(["*mail_env: should be NAME = value*"])


def test_coroutines_get_mail(run: Run, pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n")
    result = run(
        SEND
        + """
import asyncio
async def test_it(amail, smtp_settings):
    sending = asyncio.to_thread(send, smtp_settings, amail.address)
    message, _ = await asyncio.gather(amail.expect(timeout=30), sending)
    assert message.subject == "Hello"
""",
        "-p",
        "no:xdist",
        apart=True,
    )
    result.assert_outcomes(passed=1)


def test_every_worker_of_xdist_has_a_server_and_addresses_of_its_own(run: Run) -> None:
    result = run(
        SEND
        + """
@pytest.mark.parametrize("number", range(4))
def test_it(mail, smtp_settings, number, worker_id):
    assert f".{worker_id}." in mail.address
    send(smtp_settings, mail.address)
    mail.expect()

def test_bad(mail): assert False
""",
        "-n2",
        "-p",
        "no:asyncio",
        apart=True,
    )
    result.assert_outcomes(passed=4, failed=1)
    result.stdout.fnmatch_lines(["*- mail for bad.gw*", "kept in *"])


@pytest.mark.parametrize("workers", ["0", "2"])
def test_where_nobody_is_left_who_could_send_none_waits_for_nobody(
    run: Run, pytester: pytest.Pytester, workers: str
) -> None:
    pytester.makeini("[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n")
    result = run(
        SEND
        + """
import asyncio
from mailsystem.testing import postbox
postbox.QUIET = 10_000.0

def test_it(mail, smtp_settings):
    mail.imap()
    send(smtp_settings, mail.address)
    mail.none(subject="Other")
    with pytest.raises(AssertionError, match="1 came"):
        mail.none(subject="Hello")

async def test_in_a_coroutine(amail):
    await amail.deliver(b"Subject: Hello\\r\\n\\r\\n")
    await amail.none(subject="Other")

async def test_tasks_may_send(amail, smtp_settings):
    async def later():
        await asyncio.sleep(0.1)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await amail.none(subject="Other")
    await asyncio.gather(later(), later())
""",
        *(["-n2"] if workers == "2" else ["-p", "no:xdist"]),
        apart=True,
    )
    result.assert_outcomes(passed=3)


def test_a_child_process_does_not_end_its_parents_server(run: Run) -> None:
    result = run(
        SEND
        + """
import os
def test_it(mail, smtp_settings, mailsystem_server):
    child = os.fork()
    if not child:
        try:
            mailsystem_server.close()
            send(smtp_settings, mail.address)
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    mail.expect()
""",
        "-W",
        "ignore::DeprecationWarning",
    )
    result.assert_outcomes(passed=1)


def test_who_looks_at_the_page_is_waited_for(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    pytester.makepyfile("def test_it(mail): assert False\ndef test_good(mail): print('on we go')")
    command = [sys.executable, "-m", "pytest", "-p", PLUGIN, "-p", "no:asyncio", "-p", "no:xdist", "--mail-ui", "-v"]
    result = pytester.run(*command, stdin=b"\n", timeout=120)
    result.assert_outcomes(failed=1, passed=1)
    told = r"test_it failed; look at it at http://127\.0\.0\.1:\d+/\. Enter goes on: "
    result.stdout.re_match_lines([rf".*{told}.*FAILED.*", ".*test_good.*PASSED.*"])
    assert "Captured" not in result.stdout.str()


def test_who_does_not_use_it_pays_nothing() -> None:
    script = (
        "import sys, time\n"
        "import mailsystem.testing.plugin\n"
        "mine = sorted(name for name in sys.modules if name.startswith('mailsystem'))\n"
        "assert mine == ['mailsystem', 'mailsystem.testing', 'mailsystem.testing.plugin'], mine\n"
        "assert not {'asyncio', 'ssl', 'sqlite3', 'pydantic', 'email.policy'} & set(sys.modules), sys.modules\n"
    )
    # What pytest itself imports does not count.
    before = "import pytest, sys\nbefore = set(sys.modules)\n"
    script = before + script.replace("& set(sys.modules)", "& (set(sys.modules) - before)")
    subprocess.run([sys.executable, "-c", script], check=True)


def test_the_plugin_is_found_by_pytest(run: Run) -> None:
    project = tomllib.loads((Path(mailsystem.__file__).parents[1] / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["pytest11"] == {"mailsystem": plugin.__name__}
    assert any(each.startswith("pytest") for each in project["optional-dependencies"]["test"])
    run("def test_it(pytestconfig): assert pytestconfig.getoption('--mail-ui') is False").assert_outcomes(passed=1)


def test_everything_is_documented() -> None:
    page = (Path(mailsystem.__file__).parents[1] / "docs" / "testing.md").read_text()
    source = Path(plugin.__file__).read_text()
    names = [*re.findall(r'"(--[a-z-]+)"', source), *re.findall(r'addini\("(\w+)"', source)]
    names += re.findall(r"fixture\ndef ([a-z]\w+)", source)
    assert len(names) >= 11
    assert [name for name in names if name not in page] == []
    public = [f"{name}" for name in dir(Inbox) if not name.startswith("_")]
    assert [name for name in public if not re.search(rf"mail\.{name}\b", page)] == ["close"]
    said = [name for name in dir(Message) if not name.startswith("_")]
    assert [name for name in said if f"`{name}" not in page and f".{name}(" not in page] == ["reading"]
