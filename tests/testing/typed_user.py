"""Tests as somebody with `mypy --strict` writes them; never run, only type-checked."""

from __future__ import annotations

import imaplib
import poplib
import re
import smtplib
import ssl
from collections.abc import Sequence
from datetime import datetime
from email.message import EmailMessage
from pathlib import Path
from typing import assert_type

from mailsystem.mail.extraction import Link, Unsubscribe
from mailsystem.testing import (
    AsyncInbox,
    Attachment,
    Envelope,
    Expected,
    Inbox,
    MailFailure,
    MailTestCase,
    Message,
    Session,
    SmtpSettings,
)


def test_waiting(mail: Inbox) -> None:
    assert_type(mail.expect(), Message)
    assert_type(
        mail.expect(subject=re.compile("^x"), from_="*@x", to=mail.address, query="is:unread", timeout=1), Message
    )
    assert_type(mail.expect(count=1), Message)
    assert_type(mail.expect(count=3, order="arrival"), list[Message])
    number: int = len(mail.messages)
    assert_type(mail.expect(count=number), list[Message])
    assert_type(mail.latest, Message)
    with mail.expecting(subject="x") as got:
        assert_type(got, Expected)
    assert_type(got.message, Message)
    assert_type(got.messages, list[Message])
    mail.none(subject="x")
    mail.expect(order="backwards")  # type: ignore[call-overload]
    mail.expect(sender="x")  # type: ignore[call-overload]


async def test_awaiting(amail: AsyncInbox) -> None:
    assert_type(await amail.expect(), Message)
    assert_type(await amail.expect(count=2), list[Message])
    async with amail.expecting(subject="x") as got:
        pass
    assert_type(got.message, Message)
    assert_type(await amail.messages(), list[Message])


def test_message(mail: Inbox) -> None:
    message = mail.expect()
    assert_type(message.raw, bytes)
    assert_type(message.stored, bytes)
    assert_type(message.subject, str)
    assert_type(message.sender, str)
    assert_type(message.to, list[str])
    assert_type(message.date, datetime | None)
    assert_type(message.text, str)
    assert_type(message.html, str)
    assert_type(message.envelope, Envelope)
    assert_type(message.envelope.rcpt, tuple[str, ...])
    assert_type(message.session, Session)
    assert_type(message.session.transcript, str)
    assert_type(message.link("/reset/"), str)
    assert_type(message.links, Sequence[Link])
    assert_type(message.code(), str)
    assert_type(message.attachment("*.pdf"), Attachment)
    assert_type(message.attachment("*.pdf").bytes, bytes)
    assert_type(message.unsubscribe, Unsubscribe | None)
    body = message.email.get_body()
    assert body is not None


def test_clients(mail: Inbox, smtp_settings: SmtpSettings) -> None:
    assert_type(mail.smtp(tls="starttls"), smtplib.SMTP)
    assert_type(mail.imap(), imaplib.IMAP4)
    assert_type(mail.pop3(), poplib.POP3)
    assert_type(mail.ssl_context, ssl.SSLContext)
    assert_type(mail.authority, Path | None)
    assert_type(mail.deliver(EmailMessage()), Message)
    assert_type(smtp_settings.port, int)
    mail.smtp(tls="tls1.3")  # type: ignore[arg-type]
    with mail.faults(at="DATA", reply="451 4.7.1 later", times=2):
        pass


class TestCase(MailTestCase):
    def test_it(self) -> None:
        try:
            assert_type(self.mail, Inbox)
        except MailFailure:
            raise
