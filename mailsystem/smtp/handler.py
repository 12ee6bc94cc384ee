"""What the door decides, as aiosmtpd's hooks: who may send, who lives here, and when a message is truly accepted."""

# aiosmtpd finds the hooks by these names.
# ruff: noqa: N802

from __future__ import annotations

import asyncio
import time

from aiosmtpd.smtp import Envelope as SmtpEnvelope
from aiosmtpd.smtp import Session as SmtpSession

from mailsystem.delivery import Delivery
from mailsystem.directory import Directory
from mailsystem.mail.account import Account
from mailsystem.mail.address import Address
from mailsystem.mail.envelope import Envelope, Peer
from mailsystem.mail.errors import WrongState
from mailsystem.mail.sasl import Credentials
from mailsystem.smtp import replies
from mailsystem.smtp.replies import Reply
from mailsystem.store import Spool
from mailsystem.telemetry import Trace


class MailSession(SmtpSession):
    """One client's conversation, from the greeting (or from STARTTLS, which makes it start anew) to the end."""

    def __init__(self, loop: asyncio.AbstractEventLoop, client: Peer, tls: str | None, trace: Trace) -> None:
        super().__init__(loop)
        self.peer = str(client)
        self.client = client
        self.tls = tls
        """Version and cipher; None in clear."""
        self.trace = trace
        self.account: Account | None = None

    def protocol(self, *, utf8: bool) -> str:
        """The `with` keyword of the Received field (RFC 3848, RFC 6531 4.3)."""
        if not self.extended_smtp:
            return "SMTP"
        return f"{'UTF8SMTP' if utf8 else 'ESMTP'}{'S' if self.tls else ''}{'A' if self.account else ''}"


class Transaction(SmtpEnvelope):
    """One mail transaction, from MAIL to the end of DATA."""

    def __init__(self) -> None:
        super().__init__()
        self.sender: Address | None = None
        self.recipients: dict[Address, None] = {}
        """In the order in which they came, each once."""
        self.spool: Spool | None = None


class MailHandler:
    """aiosmtpd's hooks. Each returns its reply or raises a `MailError`; what comes of that is the server's business."""

    def __init__(self, directory: Directory, delivery: Delivery) -> None:
        self._directory = directory
        self._delivery = delivery

    async def handle_AUTH(
        self, server: object, session: MailSession, envelope: Transaction, credentials: Credentials
    ) -> Reply:
        session.account = await self._directory.login(credentials, session.client)
        session.authenticated = True
        session.trace.event("logged in", login=session.account.login)
        return replies.LOGGED_IN

    async def handle_MAIL(self, server: object, session: MailSession, envelope: Transaction, sender: Address) -> Reply:
        envelope.sender = sender
        return replies.SENDER_OK

    async def handle_RCPT(
        self, server: object, session: MailSession, envelope: Transaction, recipient: Address
    ) -> Reply:
        await self._directory.resolve(recipient)
        envelope.recipients[recipient] = None
        return replies.RECIPIENT_OK

    async def handle_DATA(self, server: object, session: MailSession, envelope: Transaction) -> Reply:
        """The message is here whole. The reply is a promise, so it is made after the commit (RFC 5321 4.2.5)."""
        if envelope.sender is None or envelope.spool is None:
            raise WrongState
        start = time.perf_counter()
        accepted = Envelope(
            sender=envelope.sender,
            recipients=tuple(envelope.recipients),
            peer=session.client,
            helo=session.host_name or "",
            protocol=session.protocol(utf8=envelope.smtp_utf8),
            tls=session.tls,
            login=session.account.login if session.account else None,
        )
        size = envelope.spool.size
        id_ = await self._delivery.deliver(accepted, envelope.spool, trace=session.trace)
        session.trace.event(
            "accepted",
            id=id_,
            sender=str(accepted.sender),
            recipients=len(accepted.recipients),
            size=size,
            ms=round((time.perf_counter() - start) * 1000, 3),
        )
        return replies.OK.saying(f"ok, queued as {id_}")
