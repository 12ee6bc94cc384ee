"""pytest-mailpit, Mailpit's plugin for pytest: tests that were written for Mailpit run against a sink."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import program
import pytest
from outside import missing

pytestmark = pytest.mark.judge

TESTS = """
import smtplib
from email.message import EmailMessage

import pytest
from pytest_mailpit import MailpitAPIError, MailpitAssertionError


def letter(to, subject="Reset your password", bcc=None):
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "Shop <shop@shop.test>", to, subject
    message["List-Unsubscribe"] = "<https://shop.test/u?1>, <mailto:u@shop.test>"
    message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    message.set_content("Your code is 482913.\\n")
    message.add_alternative("<p>Your code is 482913. <a href='https://shop.test/reset/1'>Reset</a></p>", subtype="html")
    message.add_attachment(b"%PDF-", maintype="application", subtype="pdf", filename="invoice-7.pdf")
    return message


@pytest.fixture
def send(mailpit_smtp):
    def go(*messages, to=None):
        with smtplib.SMTP(mailpit_smtp.host, mailpit_smtp.port) as smtp:
            for message in messages:
                smtp.send_message(message, to_addrs=to)
    return go


def test_message(mailpit, mailpit_inbox, send):
    send(letter(mailpit_inbox.address))
    message = mailpit_inbox.wait_for_message(subject="Reset", sender="shop@shop.test")
    assert message.link("/reset/") == "https://shop.test/reset/1"
    assert message.link(text="Reset") and message.code() == "482913"
    assert message.unsubscribe_link(one_click=True) == "https://shop.test/u?1"
    attachment = message.attachment("invoice-*.pdf")
    assert mailpit.get_attachment(attachment) == b"%PDF-"
    assert b"Reset your password" in mailpit.get_raw(message.id)
    assert mailpit.get_headers(message.id)["Subject"] == ["Reset your password"]
    mailpit_inbox.clear()
    assert mailpit_inbox.messages() == []


def test_whole_addresses_and_blind_copies(mailpit, mailpit_inbox, send):
    send(letter("x" + mailpit_inbox.address), letter("other@shop.test", "Blind"), to=["other@shop.test"])
    mailpit_inbox.assert_no_message(within=0.1)
    send(letter("other@shop.test", "Blind"), to=["other@shop.test", mailpit_inbox.address])
    assert mailpit_inbox.wait_for_message().subject == "Blind"
    with pytest.raises(MailpitAssertionError):
        mailpit_inbox.wait_for_message(subject="no such", timeout=0.1)


def test_many(mailpit, mailpit_inbox, send):
    since = mailpit.server_time()
    send(*(letter(mailpit_inbox.address, f"number {n}") for n in range(3)))
    found = mailpit_inbox.wait_for_messages(3)
    assert [one.subject for one in found] == ["number 0", "number 1", "number 2"]
    assert len(mailpit.wait_for_messages(3, recipient=mailpit_inbox.address, since=since)) == 3
    assert len(mailpit.search_all(f'addressed:"{mailpit_inbox.address}"', page_size=1)) == 3
    mailpit.mark_read([found[0].id], read=False)
    mailpit.set_tags([found[0].id], ["py test-1"])
    assert mailpit.search('tag:"py test-1" is:unread').messages[0].id == found[0].id
    mailpit.delete_search('tag:"py test-1"')
    assert len(mailpit_inbox.messages()) == 2
    assert mailpit.messages(limit=1).messages_count >= 2
    assert mailpit.info().version and mailpit.is_ready()


def test_chaos(mailpit_inbox, mailpit_chaos, send):
    mailpit_chaos.reject_senders(451)
    with pytest.raises(smtplib.SMTPSenderRefused):
        send(letter(mailpit_inbox.address))
    mailpit_chaos.reset()
    send(letter(mailpit_inbox.address))
    message = mailpit_inbox.wait_for_message()
    assert message.check_links().links[0].url == "https://shop.test/reset/1"


def test_html_support_and_tags(mailpit, mailpit_inbox, send):
    message = letter(mailpit_inbox.address)
    message["X-Tags"] = "from header"
    send(message)
    message = mailpit_inbox.wait_for_message()
    assert "from header" in message.tags
    message.assert_html_support(80)
    warnings = mailpit.check_html(message.id).warnings
    assert "html-anchor-links" not in [one.slug for one in warnings]


def test_all_is_not_deleted(mailpit, mailpit_inbox, send):
    send(letter(mailpit_inbox.address))
    with pytest.raises(MailpitAPIError, match="web.delete_all"):
        mailpit.delete_all()
    mailpit_inbox.wait_for_message()

"""


def test_tests_that_were_written_for_mailpit_pass(sink: program.Program, tmp_path: Path) -> None:
    web, smtp = sink.ready["web"], sink.smtp
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "test_written_for_mailpit.py").write_text(TESTS)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"),
            f"--mailpit-url=http://{web['host']}:{web['port']}",
            "test_written_for_mailpit.py",
        ],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=program.environment(tmp_path, MAILPIT_SMTP=f"{smtp.host}:{smtp.port}"),
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "6 passed" in done.stdout


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[program.Program]:
    if find_spec("pytest_mailpit") is None:
        missing("pytest-mailpit")
    home = tmp_path / "home"
    with program.Program(["sink", "--web-port", "0"], home=home, data_dir=home / "data") as running:
        yield running
