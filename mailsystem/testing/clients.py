"""The standard library's clients, connected and logged in; and a message sent by one of them."""

from __future__ import annotations

import imaplib
import poplib
import smtplib
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from email.message import EmailMessage, Message
from email.policy import SMTP, SMTPUTF8
from typing import Final, Literal, TypeAlias

from mailsystem.testing.place import Server

Security: TypeAlias = Literal["starttls", "tls"]
"""After a command, or from the first octet."""

PASSWORD: Final = "any"  # noqa: S105 - the sink takes every one
TIMEOUT: Final = 30.0
"""Seconds that an answer may take."""


class Clients:
    """Makes clients, and closes those that are still open at the end."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._open = ExitStack()

    def close(self) -> None:
        self._open.close()

    def smtp(self, login: str | None, tls: Security | None) -> smtplib.SMTP:
        """Logged in, unless `login` is None."""
        where = self._server.where
        if tls == "tls":
            context = self._server.trusted()
            client: smtplib.SMTP = smtplib.SMTP_SSL(
                where.host, where.port("submissions"), timeout=TIMEOUT, context=context
            )
        else:
            client = smtplib.SMTP(where.host, where.port("smtp"), timeout=TIMEOUT)
        self._open.callback(_quietly(client.close))
        client.ehlo()
        if tls == "starttls":
            client.starttls(context=self._server.trusted())
            client.ehlo()
        if login is not None:
            client.login(login, PASSWORD)
        return client

    def imap(self, login: str, tls: Security | None) -> imaplib.IMAP4:
        where = self._server.where
        if tls == "tls":
            context = self._server.trusted()
            client: imaplib.IMAP4 = imaplib.IMAP4_SSL(
                where.host, where.port("imaps"), ssl_context=context, timeout=TIMEOUT
            )
        else:
            client = imaplib.IMAP4(where.host, where.port("imap"), timeout=TIMEOUT)
        self._open.callback(_quietly(client.shutdown))
        if tls == "starttls":
            client.starttls(self._server.trusted())
        client.login(login, PASSWORD)
        return client

    def pop3(self, login: str, tls: Security | None) -> poplib.POP3:
        where = self._server.where
        if tls == "tls":
            client: poplib.POP3 = poplib.POP3_SSL(
                where.host, where.port("pop3s"), context=self._server.trusted(), timeout=TIMEOUT
            )
        else:
            client = poplib.POP3(where.host, where.port("pop3"), timeout=TIMEOUT)
        self._open.callback(_quietly(client.close))
        if tls == "starttls":
            client.stls(self._server.trusted())
        client.user(login)
        client.pass_(PASSWORD)
        return client

    def send(self, message: Message | bytes, sender: str, recipients: Sequence[str]) -> None:
        """Hand a message over as it is, from an application that does not log in."""
        wide = not all(map(str.isascii, [sender, *recipients]))
        options = ["BODY=8BITMIME", *(["SMTPUTF8"] if wide else [])]
        with smtplib.SMTP(self._server.where.host, self._server.where.port("smtp"), timeout=TIMEOUT) as client:
            client.sendmail(sender, list(recipients), octets_of(message), mail_options=options)


def octets_of(message: Message | bytes) -> bytes:
    """A message as it goes over the wire."""
    if isinstance(message, bytes):
        return message
    policy = SMTPUTF8 if isinstance(message, EmailMessage) and _is_wide(message) else SMTP
    return message.as_bytes(policy=policy)


def _is_wide(message: EmailMessage) -> bool:
    """Whether an address needs SMTPUTF8 (RFC 6531)."""
    fields = [value for name in ("From", "To", "Cc", "Reply-To") for value in message.get_all(name, [])]
    return any(not each.addr_spec.isascii() for field in fields for each in getattr(field, "addresses", ()))


def _quietly(close: Callable[[], object]) -> Callable[[], None]:
    def closing() -> None:
        with suppress(OSError, ValueError):
            close()

    return closing
