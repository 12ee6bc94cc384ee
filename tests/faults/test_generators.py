"""Bounces, automatic replies and complaints: the standard library reads them, and nobody answers what must not be."""

from __future__ import annotations

import email
import email.policy
from dataclasses import replace
from email.message import EmailMessage
from typing import Any

import pytest

from mailsystem.faults import Writing
from mailsystem.faults.generators import Occasion, answers, autoreply, bounce, complaint, written
from mailsystem.mail.address import Address

MESSAGE = (
    b"From: Shop <shop@example.org>\r\nTo: ann@example.net\r\nSubject: Your order\r\n"
    b"Message-ID: <1234@example.org>\r\n\r\nThank you.\r\n"
)
OCCASION = Occasion(
    to=Address("shop+bounces", "example.org"),
    by=Address("ann", "example.net"),
    message=MESSAGE,
    hostname="mx.example.net",
    now=1_700_000_000.0,
    token="abc123",
    peer="192.0.2.7",
)
KINDS: list[Writing] = ["bounce", "autoreply", "complaint"]


def read(octets: bytes) -> EmailMessage:
    message = email.message_from_bytes(octets, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    for part in message.walk():
        assert not part.defects
    assert octets.count(b"\n") == octets.count(b"\r\n")
    assert all(len(line) <= 998 for line in octets.split(b"\r\n"))
    return message


def with_field(field: bytes) -> Occasion:
    return replace(OCCASION, message=field + b"\r\n" + MESSAGE)


def test_a_bounce_is_a_delivery_status_notification() -> None:
    message = read(bounce(OCCASION, reply="552 5.2.2 mailbox full"))
    assert message.get_content_type() == "multipart/report"
    assert message.get_param("report-type") == "delivery-status"
    assert message["To"] == "shop+bounces@example.org"
    assert message["Auto-Submitted"] == "auto-replied"
    assert message["In-Reply-To"] == "<1234@example.org>"
    text, status, original = message.iter_parts()
    assert "ann@example.net" in text.get_content()
    assert status.get_content_type() == "message/delivery-status"
    of_message, of_recipient = status.get_payload()
    assert of_message["Reporting-MTA"] == "dns; mx.example.net"
    assert of_recipient["Final-Recipient"] == "rfc822; ann@example.net"
    assert (of_recipient["Action"], of_recipient["Status"]) == ("failed", "5.2.2")
    assert of_recipient["Diagnostic-Code"] == "smtp; 552 5.2.2 mailbox full"
    assert original.get_payload(0)["Subject"] == "Your order"


def test_a_bounce_without_a_status_has_that_of_its_code() -> None:
    for reply, status in (("550 no", "5.0.0"), ("451", "4.0.0")):
        _, told, _ = read(bounce(OCCASION, reply=reply)).iter_parts()
        assert told.get_payload(1)["Status"] == status


def test_a_reply_is_an_automatic_one() -> None:
    message = read(autoreply(OCCASION))
    assert (message["From"], message["To"]) == ("ann@example.net", "shop+bounces@example.org")
    assert message["Subject"] == "Auto: Your order"
    assert message["Auto-Submitted"] == "auto-replied"
    assert message["Precedence"] == "bulk"
    assert message["In-Reply-To"] == message["References"] == "<1234@example.org>"
    assert "away" in message.get_content()


def test_a_complaint_is_a_feedback_report() -> None:
    message = read(complaint(OCCASION))
    assert message.get_content_type() == "multipart/report"
    assert message.get_param("report-type") == "feedback-report"
    text, told, original = message.iter_parts()
    assert text.get_content_type() == "text/plain"
    assert told.get_content_type() == "message/feedback-report"
    fields = email.message_from_string(told.as_string().partition("\n\n")[2])
    assert dict(fields.items()) == {
        "Feedback-Type": "abuse",
        "User-Agent": "mailsystem/1",
        "Version": "1",
        "Original-Mail-From": "<shop+bounces@example.org>",
        "Original-Rcpt-To": "<ann@example.net>",
        "Arrival-Date": fields["Arrival-Date"],
        "Reporting-MTA": "dns; mx.example.net",
        "Source-IP": "192.0.2.7",
        "Reported-Domain": "example.org",
    }
    assert original.get_content_type() == "message/rfc822"
    assert original.get_payload(0).get_content() == "Thank you.\r\n"


@pytest.mark.parametrize("kind", KINDS)
def test_the_null_sender_and_programs_that_answer_get_nothing(kind: Writing) -> None:
    assert written(kind, OCCASION) is not None
    assert written(kind, replace(OCCASION, to=Address.NULL)) is None
    assert written(kind, with_field(b"Auto-Submitted: auto-replied")) is None
    assert written(kind, with_field(b"auto-submitted: (x)\r\n\tAuto-Replied; owner=x")) is None


@pytest.mark.parametrize(
    "field", [b"Auto-Submitted: auto-generated", b"Precedence: Bulk", b"Precedence: list", b"List-Id: <a.example.org>"]
)
def test_lists_and_programs_get_no_reply_but_bounces(field: bytes) -> None:
    assert not answers("autoreply", with_field(field))
    assert answers("bounce", with_field(field))
    assert answers("complaint", with_field(field))


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_that_is_written_is_answered(kind: Writing) -> None:
    octets = written(kind, OCCASION)
    assert octets
    assert not answers("autoreply", replace(OCCASION, message=octets))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "odd",
    [
        {"message": b""},
        {"message": b"\r\n\r\n"},
        {"message": b"Subject: \xff\xfe\r\nFrom: <<>>\r\n\r\n\0\n\r"},
        {"message": b"Subject: a\r\n b\r\n c" * 20_000},
        {"message": MESSAGE, "whole": False},
        {"message": b"Message-ID: <a\r\n Bcc: x@y>\r\nFrom: a@b\r\n\r\nx"},
        {"to": Address("jörg", "example.org")},
        {"by": Address("jörg", "example.net")},
        {"by": Address("postmaster", "")},
        {"by": Address('a"b c', "example.net")},
        {"hostname": "a b\r\nX: y"},
    ],
)
def test_whatever_the_message_is_it_can_be_read(kind: Writing, odd: dict[str, Any]) -> None:
    octets = written(kind, replace(OCCASION, **odd))
    assert octets
    message = email.message_from_bytes(octets, policy=email.policy.default)
    assert octets.count(b"\n") == octets.count(b"\r\n")
    assert message["Bcc"] is None
    assert message["X"] is None
    assert message["Auto-Submitted"]
