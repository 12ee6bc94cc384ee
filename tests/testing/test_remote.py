"""A sink that runs already, by the address of its page."""

from __future__ import annotations

import smtplib
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import program
import pytest
from plugged import Run
from test_inbox import letter, send

from mailsystem.testing import Inbox, MailFailure
from mailsystem.testing.arrivals import Claims
from mailsystem.testing.postbox import Postbox
from mailsystem.testing.remote import RemoteServer
from mailsystem.testing.server import LocalServer

pytest_plugins = "pytester"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with closing(LocalServer(page=True)) as running:
        assert running.where.url is not None
        yield running.where.url


@pytest.fixture(scope="module")
def remote(url: str) -> Iterator[RemoteServer]:
    with closing(RemoteServer(url)) as server:
        yield server


@pytest.fixture
def mail(remote: RemoteServer) -> Iterator[Inbox]:
    with remote.watch(Claims()) as arrivals, closing(Inbox(Postbox(remote, arrivals, hint="ann"))) as inbox:
        yield inbox


def test_what_was_sent_is_there_at_once(mail: Inbox) -> None:
    send(mail, mail.address)
    [message] = mail.messages
    assert message.subject == "Hello"
    assert message.envelope.rcpt == (mail.address,)
    assert message.raw.startswith(b"From: Bob")
    assert message.stored.startswith(b"Return-Path: <app@example.net>")
    assert mail.expect(subject="Hello").id == message.id


def test_the_envelope_and_the_session_are_told(mail: Inbox) -> None:
    other = mail.new_address("bob")
    with mail.smtp(tls="starttls") as client:
        client.sendmail("app@example.net", [other, mail.address], b"Subject: Hello\r\n\r\n\r\n")
    message = mail.expect()
    assert message.raw == b"Subject: Hello\r\n\r\n\r\n"
    envelope = message.envelope
    assert (envelope.mail_from, envelope.rcpt, envelope.login) == (
        "app@example.net",
        (other, mail.address),
        mail.address,
    )
    assert str(envelope.tls).startswith("TLSv1.3 TLS_")
    assert f"C: rcpt TO:<{other}>\nS: 250" in message.session.transcript
    assert message.session.transcript.endswith("bye")


def test_what_comes_later_is_waited_for(mail: Inbox) -> None:
    timer = threading.Timer(0.2, send, [mail, mail.address])
    timer.start()
    try:
        assert mail.expect(timeout=30).subject == "Hello"
    finally:
        timer.join()


def test_what_does_not_come_is_told(mail: Inbox) -> None:
    send(mail, "nobody-in-particular@example.org", "Astray")
    mail.none(within=0.01)
    with pytest.raises(MailFailure, match=r"(?s)for nobody's test came:.*Astray"):
        mail.expect(timeout=0.05)


def test_queries_are_asked_there(mail: Inbox) -> None:
    mail.deliver(letter("Invoice"))
    assert mail.expect(query="subject:invoice").subject == "Invoice"
    mail.none(query="has:attachment", within=0)
    with pytest.raises(ValueError, match="query: "):
        mail.expect(query="(")


def test_queries_ask_for_the_envelope_there(mail: Inbox) -> None:
    hidden = mail.new_address("hidden")
    with mail.smtp(login=False) as client:
        client.sendmail("bounce@shop.test", [mail.address, hidden], b"Subject: Hello\r\nTo: you\r\n\r\n\r\n")
        client.sendmail("", [mail.address], b"Subject: Report\r\nTo: you\r\n\r\n\r\n")
    assert mail.expect(query=f"envelope-to:{hidden}").subject == "Hello"
    assert mail.expect(query=f"envelope-to:{mail.address} -envelope-to:{hidden}").subject == "Report"
    assert mail.expect(query="envelope-from:<>").subject == "Report"
    assert mail.expect(query="envelope-from:@shop.test").subject == "Hello"


def test_clear_removes_this_tests_mail_and_no_other(mail: Inbox, remote: RemoteServer) -> None:
    with remote.watch(Claims()) as arrivals, closing(Inbox(Postbox(remote, arrivals))) as other:
        for each in (mail, other):
            each.deliver(letter())
        mail.clear()
        assert mail.messages == []
        assert mail.pop3().stat()[0] == 0
        assert other.pop3().stat()[0] == 1


def test_workers_that_share_it_have_domains_of_their_own(remote: RemoteServer) -> None:
    with remote.watch(Claims()) as ours, remote.watch(Claims()) as theirs:
        boxes = [
            Postbox(remote, each, worker=worker, run="c0ffee") for each, worker in ((ours, "gw0"), (theirs, "gw1"))
        ]
        with closing(Inbox(boxes[0])) as mail, closing(Inbox(boxes[1])) as other:
            assert (mail.domain("Shop.test"), other.domain("shop.test")) == (
                "gw0-c0ffee.shop.test",
                "gw1-c0ffee.shop.test",
            )
            send(mail, "anybody@gw0-c0ffee.shop.test")
            mail.expect(to="anybody@gw0-c0ffee.shop.test")
            assert other.messages == []
    with remote.watch(Claims()) as alone, closing(Inbox(Postbox(remote, alone))) as mail:
        assert mail.domain("shop.test") == "shop.test", "who is alone has it as it is"


def test_what_goes_wrong_there_ends_with_its_block(mail: Inbox) -> None:
    with mail.faults(at="RCPT", reply="451 4.7.1 later"), pytest.raises(smtplib.SMTPRecipientsRefused, match="later"):
        send(mail, mail.address)
    send(mail, mail.address)
    with pytest.raises(ValueError, match=r"451 4\.7\.1 later"), mail.faults(at="RCPT", reply="nonsense"):
        raise AssertionError


@pytest.mark.parametrize("tls", ["starttls", "tls"])
def test_clients_speak_tls_to_it(mail: Inbox, tls: str) -> None:
    assert mail.smtp(tls=tls).noop()[0] == 250  # type: ignore[arg-type]
    assert mail.authority is None


def test_workers_share_it(run: Run, url: str) -> None:
    result = run(
        """
import smtplib, pytest
@pytest.mark.parametrize("number", range(4))
def test_it(mail, smtp_settings, number):
    with smtplib.SMTP(smtp_settings.host, smtp_settings.port) as client:
        client.sendmail("app@example.net", [mail.address], b"Subject: Hello\\r\\n\\r\\n\\r\\n")
    assert mail.expect(subject="Hello")
def test_bad(mail): assert False
""",
        f"--mailsystem-url={url}",
        "-n2",
        "-p",
        "no:asyncio",
        apart=True,
    )
    result.assert_outcomes(passed=4, failed=1)
    result.stdout.fnmatch_lines([f"to be seen at {url}"])


def test_a_server_with_peoples_mail_is_left_alone(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RemoteServer, "_asked", lambda *_, **__: {"role": "serve", "ports": {}})
    with pytest.raises(ConnectionError, match="is no sink"):
        RemoteServer(url)


def test_nobody_is_there(run: Run) -> None:
    result = run("def test_it(mail): pass", "--mailsystem-url=http://127.0.0.1:9")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*no sink answers at http://127.0.0.1:9: *"])


def test_who_may_come_in_is_said_in_the_address(tmp_path: Path) -> None:
    with program.sink(tmp_path, env={"MAILSYSTEM_WEB__AUTH": "ann:se/cr%t"}) as sink:
        host = f"127.0.0.1:{sink.ready['web']['port']}"
        with pytest.raises(ConnectionError, match=r"no sink answers at http://127.0.0.1:\d+: 401") as refused:
            RemoteServer(f"http://ann:wrong@{host}")
        assert "wrong" not in str(refused.value)
        with closing(RemoteServer(f"http://ann:se%2Fcr%25t@{host}")) as server, server.watch(Claims()) as arrivals:
            assert server.where.url == f"http://{host}"
            with closing(Inbox(Postbox(server, arrivals))) as mail:
                send(mail, mail.address)
                assert mail.expect(timeout=30).envelope.rcpt == (mail.address,)
