"""Mail for `unittest`."""

from __future__ import annotations

import asyncio
import smtplib
import unittest
from email.message import EmailMessage

import aiosmtplib

from mailsystem.testing import MailTestCase


class SendingTest(MailTestCase):
    """What somebody might write; run below."""

    __test__ = False

    def send(self) -> None:
        with smtplib.SMTP(self.smtp_settings.host, self.smtp_settings.port) as client:
            client.sendmail("app@example.net", [self.mail.address], b"Subject: Hello\r\n\r\n\r\n")

    def test_first(self) -> None:
        self.send()
        assert self.mail.expect().subject == "Hello"

    def test_second(self) -> None:
        self.mail.none(within=0)
        self.mail.expect(timeout=0.01)


class WaitingTest(MailTestCase, unittest.IsolatedAsyncioTestCase):
    __test__ = False

    async def test_what_another_task_sends(self) -> None:
        where = self.amail.server
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = "app@example.net", self.amail.address, "Hello"
        # If waiting stopped the loop, it would never be sent.
        task = asyncio.create_task(
            aiosmtplib.send(message, hostname=where.host, port=where.port("smtp"), start_tls=False)
        )
        assert (await self.amail.expect(subject="Hello", timeout=30)).envelope.rcpt == (self.amail.address,)
        await task


def test_coroutines_wait_too() -> None:
    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(WaitingTest).run(result)
    assert result.wasSuccessful(), result
    assert result.testsRun == 1


def test_each_test_has_an_inbox_and_a_failure_tells_its_story() -> None:
    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(SendingTest).run(result)
    assert result.testsRun == 2
    assert not result.errors
    [(case, text)] = result.failures
    assert case.id().endswith("test_second")
    assert "nothing arrived for second." in text
