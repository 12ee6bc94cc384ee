"""What a test can ask of its inbox."""

from __future__ import annotations

import poplib
import re
import smtplib
import socket
import subprocess
import sys
import threading
from email.message import EmailMessage
from typing import Any, ClassVar, cast

import pytest
from freezegun import freeze_time

from mailsystem.testing import Inbox, MailFailure, postbox
from mailsystem.testing.clients import Security
from mailsystem.testing.postbox import Postbox


def letter(subject: str = "Hello", text: str = "It works.", **fields: str) -> EmailMessage:
    message = EmailMessage()
    message["From"] = "Bob <bob@example.net>"
    message["To"] = "somebody@example.org"
    message["Subject"] = subject
    for name, value in fields.items():
        message[name] = value
    message.set_content(text)
    return message


def send(mail: Inbox, to: str, subject: str = "Hello", sender: str = "app@example.net") -> None:
    """As an application does."""
    with mail.smtp(login=False) as client:
        client.send_message(letter(subject), sender, [to])


def test_the_message_that_was_sent_is_there_as_it_was_sent(mail: Inbox) -> None:
    octets = b"Subject: Hello\r\nX-Odd:   spaces \r\n\r\n.dot\r\nand no end"
    with mail.smtp() as client:
        client.sendmail("app@example.net", [mail.address], octets)
    message = mail.expect(subject="hello")
    assert message.raw == octets + b"\r\n"
    assert message.stored.startswith(b"Return-Path: <app@example.net>\r\nReceived: ")
    assert message.stored.endswith(message.raw)
    assert message.email["Subject"] == "Hello"
    assert message.email.policy.utf8 is False


def test_the_envelope_and_the_session_are_told(mail: Inbox) -> None:
    other = mail.new_address("bob")
    with mail.smtp(tls="starttls") as client:
        client.sendmail("app@example.net", [mail.address, other], b"Subject: Hello\r\n\r\n\r\n")
    message = mail.expect()
    assert message.envelope.mail_from == "app@example.net"
    assert message.envelope.rcpt == (mail.address, other)
    assert message.envelope.helo
    assert message.envelope.peer.startswith("127.0.0.1:")
    assert str(message.envelope.tls).startswith("TLSv1")
    assert message.envelope.login == mail.address
    assert message.session.tls == message.envelope.tls
    transcript = message.session.transcript
    assert "C: STARTTLS\nS: 220" in transcript
    assert f"C: rcpt TO:<{other}>" in transcript
    assert "AUTH PLAIN [redacted]" in transcript
    assert transcript.index("S: 250 2.0.0 ok, queued") < transcript.index("C: QUIT"), "what came later is there too"


def test_in_clear_there_is_no_tls_and_no_login(mail: Inbox) -> None:
    send(mail, mail.address, sender="")
    envelope = mail.expect(from_="").envelope
    assert (envelope.tls, envelope.login, envelope.mail_from) == (None, None, "")


def test_a_blind_copy_comes_and_only_the_envelope_knows_it(mail: Inbox) -> None:
    send(mail, mail.address)
    assert mail.address not in mail.expect(to=mail.address).to


def test_what_comes_later_is_waited_for(mail: Inbox) -> None:
    timer = threading.Timer(0.2, send, [mail, mail.address])
    timer.start()
    try:
        assert mail.expect(subject="Hello", timeout=30).subject == "Hello"
    finally:
        timer.join()


def test_exactly_one_is_expected(mail: Inbox) -> None:
    for _ in range(2):
        send(mail, mail.address)
    with pytest.raises(MailFailure, match=r"expected exactly one message with subject='Hello'.*2 came"):
        mail.expect(subject="Hello")
    assert [each.subject for each in mail.expect(count=2)] == ["Hello", "Hello"]


def test_several_come_in_an_order(mail: Inbox) -> None:
    for subject in ("b", "c", "a"):
        send(mail, mail.address, subject)
    assert [each.subject for each in mail.expect(count=3)] == ["b", "c", "a"]
    assert [each.subject for each in mail.expect(count=3, order="newest")] == ["a", "c", "b"]
    assert [each.subject for each in mail.expect(count=3, order="subject")] == ["a", "b", "c"]
    assert [each.subject for each in mail.messages] == ["b", "c", "a"]
    assert mail.latest.subject == "a"
    with pytest.raises(ValueError, match="order"):
        mail.expect(count=3, order="none")  # type: ignore[call-overload]
    with pytest.raises(ValueError, match="none"):
        mail.expect(count=0)


def test_a_failure_tells_what_did_arrive_and_why_it_is_not_it(mail: Inbox) -> None:
    send(mail, mail.address, "Welcome\tto \x1b[31mus")
    send(mail, "nobody-in-particular@example.org", "Astray")
    with pytest.raises(MailFailure) as failure:
        mail.expect(subject="Reset", to=mail.address, timeout=0.05)
    told = str(failure.value)
    assert told.startswith(
        f"expected exactly one message with subject='Reset', to='{mail.address}' within 0.05 s; none came"
    )
    assert re.search(r"\d\d:\d\d:\d\d\.\d{3} +bob@example\.net +\S+ +Welcome to .*subject is not like 'Reset'", told)
    assert "\x1b" not in told
    assert "for nobody's test came:" in told
    assert "Astray" in told


def test_a_failure_says_for_whom_nothing_arrived(mail: Inbox) -> None:
    mail.domain("shop.test")
    with pytest.raises(MailFailure, match=rf"nothing arrived for {re.escape(mail.address)}, \*@shop\.test"):
        mail.expect(timeout=0.05)
    with pytest.raises(MailFailure, match="no message has arrived"):
        assert mail.latest


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"from_": "b@example.net"}, "from is not 'b@example.net'"),
        ({"from_": re.compile("^alice@")}, "from is not '^alice@'"),
        ({"to": "omebody@example.org"}, "to is not"),
        ({"subject": re.compile("hello")}, "subject is not like 'hello'"),
    ],
)
def test_addresses_are_whole_and_expressions_are_as_they_are(mail: Inbox, asked: dict[str, str], why: str) -> None:
    mail.deliver(letter())
    with pytest.raises(MailFailure, match=re.escape(why)):
        mail.expect(timeout=0.01, **asked)  # type: ignore[call-overload]


def test_addresses_may_be_patterns(mail: Inbox) -> None:
    mail.deliver(letter())
    message = mail.expect(from_="*@EXAMPLE.net", to="some*@example.org", subject=re.compile("^Hel"))
    assert message.sender == "bob@example.net"
    assert mail.expect(from_=re.compile("^bob@"), to=re.compile("@example")).id == message.id


def test_a_query_finds_what_it_says(mail: Inbox) -> None:
    mail.deliver(letter("Invoice 1", "Please pay."))
    mail.deliver(letter("Invoice 2", "Thank you."))
    assert mail.expect(query="subject:invoice -thank").subject == "Invoice 1"
    assert len(mail.expect(query="from:bob@example.net (pay OR thank)", count=2)) == 2
    with pytest.raises(MailFailure, match="query 'has:attachment' does not find it"):
        mail.expect(query="has:attachment", timeout=0.01)
    mail.none(query="has:attachment", within=0)
    with pytest.raises(ValueError, match="query: "):
        mail.expect(query="(")


def test_queries_ask_for_the_envelope(mail: Inbox) -> None:
    hidden = mail.new_address("hidden")
    with mail.smtp(login=False) as client:
        client.sendmail("bounce@shop.test", [mail.address, hidden], b"Subject: Hello\r\nTo: you\r\n\r\n\r\n")
        client.sendmail("", [mail.address], b"Subject: Report\r\nTo: you\r\n\r\n\r\n")
    assert mail.expect(query=f"envelope-to:{hidden}").subject == "Hello"
    assert mail.expect(query=f"envelope-to:{mail.address} -envelope-to:{hidden}").subject == "Report"
    assert mail.expect(query="envelope-from:<>").subject == "Report"
    assert mail.expect(query="envelope-from:@shop.test").subject == "Hello"


def test_a_block_waits_only_for_what_comes_of_it(mail: Inbox) -> None:
    send(mail, mail.address)
    with mail.expecting(subject="Hello") as got:
        send(mail, mail.address)
        with pytest.raises(MailFailure, match="once the block is over"):
            assert got.message
    assert got.message.id != mail.messages[0].id
    assert len(got.messages) == 1
    with pytest.raises(MailFailure), mail.expecting(subject="Hello", timeout=0.05):
        pass


def test_a_block_that_fails_is_not_waited_for(mail: Inbox) -> None:
    with pytest.raises(ZeroDivisionError), mail.expecting(timeout=600):
        raise ZeroDivisionError


def test_none_is_content_with_quiet_and_fails_at_once_on_what_it_finds(mail: Inbox) -> None:
    mail.none(within=0.01)
    send(mail, mail.address, "Spam for you")
    mail.none(subject="Ham", within=0.01)
    with pytest.raises(MailFailure, match=r"expected no message with subject='spam'; 1 came"):
        mail.none(subject="spam", within=600)


def test_none_hears_what_comes_while_it_waits(mail: Inbox) -> None:
    timer = threading.Timer(0.1, send, [mail, mail.address])
    timer.start()
    try:
        with pytest.raises(MailFailure):
            mail.none(within=30)
    finally:
        timer.join()


def test_none_waits_for_threads_and_for_children_that_may_send(mail: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postbox, "QUIET", 120.0)
    timer = threading.Timer(0.1, send, [mail, mail.address, "of a thread"])
    timer.start()
    try:
        with pytest.raises(MailFailure, match="of a thread"):
            mail.none()
    finally:
        timer.join()
    mail.clear()
    where = mail.server
    sending = (
        f"import smtplib; smtplib.SMTP({where.host!r}, {where.port('smtp')})"
        f".sendmail('a@x.test', [{mail.address!r}], 'Subject: of a child')"
    )
    with subprocess.Popen([sys.executable, "-c", sending]), pytest.raises(MailFailure, match="of a child"):
        mail.none()


def test_none_waits_for_what_is_under_way(mail: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postbox, "QUIET", 120.0)
    said = (
        f"EHLO x\r\nMAIL FROM:<a@x.test>\r\nRCPT TO:<{mail.address}>\r\nDATA\r\nSubject: blindly\r\n\r\n.\r\nQUIT\r\n"
    )
    with socket.create_connection((mail.server.host, mail.server.port("smtp"))) as client:
        client.sendall(said.encode())
        client.shutdown(socket.SHUT_WR)
        with pytest.raises(MailFailure, match="blindly"):
            mail.none()


def test_of_an_idle_application_nothing_is_waited_for(mail: Inbox) -> None:
    mail.idle()
    mail.none(within=10_000)


def test_clear_forgets_and_removes(mail: Inbox) -> None:
    mail.deliver(letter("old"))
    mail.clear()
    assert mail.messages == []
    mail.deliver(letter("new"))
    assert mail.expect().subject == "new"
    pop3 = mail.pop3()
    assert pop3.stat()[0] == 1


def test_details_and_domains_belong_to_the_test(mail: Inbox) -> None:
    local, _, domain = mail.address.partition("@")
    send(mail, f"{local}+billing@{domain}", "detail")
    shop = mail.domain()
    send(mail, f"Anybody.At.All@{shop.upper()}", "domain")
    assert {each.subject for each in mail.expect(count=2)} == {"detail", "domain"}
    assert mail.expect(to=f"anybody.at.all@{shop}").subject == "domain"


def test_nobody_elses_mail_is_seen(mail: Inbox) -> None:
    send(mail, f"x{mail.address}")
    mail.none(within=0.01)


def test_addresses_are_plain_and_new_each_time(mail: Inbox) -> None:
    assert re.fullmatch(r"ann\.[0-9a-f]{6}@example\.org", mail.address)
    assert re.fullmatch(r"bob-the-builder\.[0-9a-f]{6}@example\.org", mail.new_address("Bob, the builder!"))
    assert mail.new_address() != mail.new_address()
    assert mail.domain() != mail.domain()


# Clients


@pytest.mark.parametrize("tls", [None, "starttls", "tls"])
def test_clients_are_ready(mail: Inbox, tls: Security | None) -> None:
    sending = mail.smtp(tls=tls)
    sending.sendmail("bob@example.net", [mail.address], b"Subject: Hello\r\n\r\nIt works.\r\n")
    assert mail.expect().envelope.login == mail.address
    imap = mail.imap(tls=tls)
    assert imap.select("INBOX") == ("OK", [b"1"])
    pop3 = mail.pop3(tls=tls)
    _, lines, _ = pop3.retr(1)
    assert lines[-1] == b"It works."
    assert mail.pop3(tls=tls, user=f"other{mail.address}").stat()[0] == 0


def test_clients_are_closed_in_the_end(mail: Inbox) -> None:
    client = mail.smtp()
    mail.close()
    assert client.sock is None


def test_only_our_server_is_trusted(mail: Inbox) -> None:
    context = mail.ssl_context
    assert context.check_hostname
    assert len(context.get_ca_certs()) == 1
    assert mail.authority is not None
    assert mail.authority.read_bytes().startswith(b"-----BEGIN CERTIFICATE-----")


def test_a_message_is_delivered_for_whoever_reads(mail: Inbox) -> None:
    message = mail.deliver(letter("Invoice"), from_="billing@example.net")
    assert message.subject == "Invoice"
    assert message.envelope.mail_from == "billing@example.net"
    raw = b"Subject: raw\r\nX: \xff\r\n\r\noctets\r\n"
    assert mail.deliver(raw).raw == raw
    assert mail.imap().select()[1] == [b"2"]
    with pytest.raises(ValueError, match="is no address of this test"):
        mail.deliver(letter(), to="stranger@example.org")


def test_a_message_may_speak_of_international_addresses(mail: Inbox) -> None:
    shop = mail.domain()
    message = letter("Grüße")
    message.replace_header("To", f"jürgen@{shop}")
    got = mail.deliver(message, to=f"jürgen@{shop}")
    assert got.subject == "Grüße"
    assert got.to == [f"jürgen@{shop}"]
    assert got.envelope.rcpt == (f"jürgen@{shop}",)


# Faults


def test_what_goes_wrong_goes_wrong_so_often_and_for_this_test_alone(mail: Inbox) -> None:
    with mail.smtp(login=False) as client, mail.faults(at="RCPT", reply="451 4.7.1 later", times=2):
        client.mail("app@example.net")
        assert client.rcpt(mail.address) == (451, b"4.7.1 later")
        assert client.rcpt("somebody-else@example.org")[0] == 250
        assert client.rcpt(mail.address)[0] == 451
        assert client.rcpt(mail.address)[0] == 250


def test_after_its_block_all_is_well(mail: Inbox) -> None:
    with mail.faults(at="DATA", reply="552 5.3.4 too much"), pytest.raises(smtplib.SMTPDataError):
        send(mail, mail.address)
    send(mail, mail.address)
    mail.expect()


def test_the_end_of_a_message_and_the_sender_may_be_struck(mail: Inbox) -> None:
    with mail.faults(at="BODY", rcpt=mail.address, disconnect="before"), pytest.raises(smtplib.SMTPServerDisconnected):
        send(mail, mail.address)
    with mail.faults(at="MAIL", from_="app@example.net", reply="550 5.7.1 no"):
        with pytest.raises(smtplib.SMTPSenderRefused):
            send(mail, mail.address)
        send(mail, mail.address, sender="other@example.net")
    mail.expect()


def test_a_domain_is_struck_as_a_whole(mail: Inbox) -> None:
    shop = mail.domain()
    with mail.faults(reply="450 4.2.1 busy"), pytest.raises(smtplib.SMTPRecipientsRefused):
        send(mail, f"anybody@{shop}")


def test_who_reads_is_struck_as_well(mail: Inbox) -> None:
    with mail.faults(door="pop3", at="STAT", reply="-ERR [SYS/TEMP] later", times=1):
        pop3 = mail.pop3()
        with pytest.raises(poplib.error_proto, match="later"):
            pop3.stat()
        assert pop3.stat()[0] == 0
    with mail.faults(door="imap", at="SELECT", reply="NO [UNAVAILABLE] later"):
        assert mail.imap().select()[0] == "NO"
    assert mail.imap().select()[0] == "OK"


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"at": "CONNECT", "disconnect": "before"}, "other tests would be struck"),
        ({"at": "CONNECT", "door": "imap", "disconnect": "before"}, "other tests would be struck"),
        ({"at": "MAIL", "reply": "451 later"}, "say from_"),
        ({"at": "EHLO", "reply": "451 later"}, "use one of"),
        ({"at": "RCPT", "reply": "later"}, "451 4.7.1 later"),
        ({"at": "RCPT", "reply": "451 later", "times": 0}, "times"),
    ],
)
def test_what_would_strike_others_or_makes_no_sense_is_refused(mail: Inbox, asked: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=re.escape(why)), mail.faults(**asked):
        raise AssertionError


def test_words_beyond_ascii_are_good_where_they_may_be_sent(mail: Inbox) -> None:
    octets = "From: Jörg <jörg@bücher.example>\r\nTo: ann@example.org\r\nSubject: Grüße\r\n".encode()
    octets += b"Date: Tue, 3 Mar 2026 10:11:12 +0000\r\nMessage-ID: <1@example.com>\r\n\r\nIt works.\r\n"
    with mail.smtp(login=False) as client:
        client.sendmail("app@example.net", [mail.address], octets, ["BODY=8BITMIME", "SMTPUTF8"])
        client.sendmail("app@example.net", [mail.address], octets, ["BODY=8BITMIME"])
    good, bad = mail.expect(count=2)
    assert (good.envelope.protocol, bad.envelope.protocol) == ("UTF8SMTP", "ESMTP")
    good.assert_no_findings()
    with pytest.raises(MailFailure, match="eight-bit-header"):
        bad.assert_no_findings()


def test_each_message_is_looked_at_once_however_many_are_waited_for(box: Postbox, mail: Inbox) -> None:
    class Counting:
        pattern = "Hello"
        texts: ClassVar[list[str]] = []

        def search(self, text: str) -> bool:
            self.texts.append(text)
            return True

    steps = box.expect(3, subject=cast(Any, Counting()))
    with pytest.raises(StopIteration) as done:
        wait = next(steps)
        for number in range(1000):  # so it comes one by one: each when it is waited for
            mail.deliver(f"Subject: {number}\r\n\r\n".encode())
            wait = steps.send(wait.future.result(30))
    assert [each.subject for each in done.value.value] == Counting.texts == ["0", "1", "2"]


def test_time_runs_out_where_the_clock_stands_still(mail: Inbox) -> None:
    with freeze_time("2020-01-01"):
        with pytest.raises(MailFailure, match="none came"):
            mail.expect(timeout=0.05)
        mail.none(within=0.05)
        # The server's clock is stopped with it; what it does later is done all the same.
        with mail.faults(at="RCPT", delay=0.05):
            send(mail, mail.address)
        assert mail.expect().arrived.year == 2020
