"""Mail in tests: the whole house on free ports inside a test run, and what tests ask of it.

    def test_reset(mail):
        app.reset_password(mail.address)
        message = mail.expect(subject="Reset")
        assert message.link("/reset/")

Nothing of the house is imported before a test asks for mail: a suite that has the plugin and does not use it pays nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from mailsystem.testing.arrival import Envelope, Line, Session
    from mailsystem.testing.asynchronous import AsyncInbox
    from mailsystem.testing.attachment import Attachment
    from mailsystem.testing.case import MailTestCase
    from mailsystem.testing.expecting import Expected
    from mailsystem.testing.failing import MailFailure
    from mailsystem.testing.inbox import Inbox
    from mailsystem.testing.message import Message
    from mailsystem.testing.smtp_settings import SmtpSettings

__all__ = [
    "AsyncInbox",
    "Attachment",
    "Envelope",
    "Expected",
    "Inbox",
    "Line",
    "MailFailure",
    "MailTestCase",
    "Message",
    "Session",
    "SmtpSettings",
]

_PLACES: Final = {
    "AsyncInbox": "asynchronous",
    "Attachment": "attachment",
    "Envelope": "arrival",
    "Expected": "expecting",
    "Inbox": "inbox",
    "Line": "arrival",
    "MailFailure": "failing",
    "MailTestCase": "case",
    "Message": "message",
    "Session": "arrival",
    "SmtpSettings": "smtp_settings",
}
"""In which module each name is."""


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
