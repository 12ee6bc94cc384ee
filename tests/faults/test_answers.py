"""Mail to some addresses of a sink is answered: the answer is in the sender's mailbox when the 250 is said."""

from __future__ import annotations

import email
import email.policy
import poplib
import smtplib
from email.message import EmailMessage

import pytest
from faulty import held
from program import Program
from wire import Smtp


def letter(to: str, sender: str, field: str = "X: y", body: str = "hello\n") -> bytes:
    return f"From: {sender}\nTo: {to}\nSubject: Greetings\nMessage-ID: <1@x>\n{field}\n\n{body}".encode()


def send(sink: Program, sender: str, to: list[str], field: str = "X: y", body: str = "hello\n") -> None:
    with smtplib.SMTP(*sink.smtp, timeout=20) as smtp:
        smtp.sendmail(sender, to, letter(to[0], sender, field, body))


def only_message(sink: Program, address: str) -> EmailMessage:
    pop3 = poplib.POP3(*sink.pop3, timeout=20)
    try:
        pop3.user(address)
        pop3.pass_("any")
        assert pop3.stat()[0] == 1
        octets = b"\r\n".join(pop3.retr(1)[1])
    finally:
        pop3.close()
    message = email.message_from_bytes(octets, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return message


def test_a_bounce_comes_back(faulty_sink: Program, address: str) -> None:
    to = f"bounce+{address}"
    send(faulty_sink, address, [to])
    message = only_message(faulty_sink, address)
    assert message["Return-Path"] == "<>"
    assert message.get_param("report-type") == "delivery-status"
    assert list(message.iter_parts())[1].get_payload(1)["Final-Recipient"] == f"rfc822; {to}"
    assert held(faulty_sink, to) == 1


@pytest.mark.parametrize(("kind", "report"), [("autoreply", None), ("Complaint", "feedback-report")])
def test_others_come_back_too(faulty_sink: Program, address: str, kind: str, report: str | None) -> None:
    send(faulty_sink, address, [f"{kind}+{address}"])
    message = only_message(faulty_sink, address)
    assert message["Return-Path"] == "<>"
    assert message.get_param("report-type") == report


def test_a_message_in_chunks_is_answered_too(faulty_sink: Program, address: str) -> None:
    raw = letter("x", address)
    with Smtp(faulty_sink.smtp) as smtp:
        smtp.say(b"MAIL FROM:<%b>" % address.encode(), expect=250)
        smtp.say(b"RCPT TO:<bounce+x@example.org>", expect=250)
        smtp.send(b"BDAT %d LAST\r\n%b" % (len(raw), raw))
        assert smtp.reply()[0] == 250
    assert only_message(faulty_sink, address)["Return-Path"] == "<>"


def test_of_a_large_message_the_header_comes_back(faulty_sink: Program, address: str) -> None:
    send(faulty_sink, address, ["bounce+x@example.org"], body="0123456789\n" * 300_000)
    returned = list(only_message(faulty_sink, address).iter_parts())[2]
    assert returned.get_content_type() == "text/rfc822-headers"
    assert "Greetings" in returned.as_string()


def test_no_answer_is_answered(faulty_sink: Program, address: str) -> None:
    magic = f"autoreply+{address}"
    send(faulty_sink, magic, [f"autoreply+x{address}"])
    assert held(faulty_sink, magic) == 1, "the answer to it, which is not answered again"
    send(faulty_sink, address, [magic], "Auto-Submitted: auto-replied")
    assert held(faulty_sink, address) == 0
    with Smtp(faulty_sink.smtp) as smtp:
        assert smtp.message("", [f"bounce+{address}"], letter("x", address))[0] == 250


def test_there_are_so_many_answers_and_no_more(faulty_sink: Program, address: str) -> None:
    send(faulty_sink, address, [f"bounce+{number}@example.org" for number in range(20)])
    assert held(faulty_sink, address) == 10
