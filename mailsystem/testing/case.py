"""Mail for tests of the standard library's `unittest`."""

from __future__ import annotations

import unittest
from functools import cached_property
from typing import ClassVar

from mailsystem.testing.arrivals import Claims
from mailsystem.testing.asynchronous import AsyncInbox
from mailsystem.testing.inbox import Inbox
from mailsystem.testing.postbox import Postbox
from mailsystem.testing.server import LocalServer
from mailsystem.testing.smtp_settings import SmtpSettings


class MailTestCase(unittest.TestCase):
    """Each test has an inbox of its own, `self.mail`; the tests of a class share a server.

    It may be mixed into another case, such as Django's: `class ResetTest(MailTestCase, TestCase)`; with
    `IsolatedAsyncioTestCase`, tests that are coroutines await `self.amail`.
    """

    mail: Inbox
    _server: ClassVar[LocalServer]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls._server = LocalServer()
        cls.addClassCleanup(cls._server.close)

    def setUp(self) -> None:
        super().setUp()
        arrivals = self.enterContext(self._server.watch(Claims()))
        self._box = Postbox(self._server, arrivals, hint=self._testMethodName.removeprefix("test_"))
        self.mail = Inbox(self._box)
        self.addCleanup(self.mail.close)

    @cached_property
    def amail(self) -> AsyncInbox:
        """The same for coroutines: what waits is awaited."""
        inbox = AsyncInbox(self._box)
        self.addCleanup(inbox.close)
        return inbox

    @property
    def smtp_settings(self) -> SmtpSettings:
        """How an application reaches the mail server."""
        return SmtpSettings(self._server.where, self.mail.address)
