"""What the door decides, as aiosmtpd's hooks: who may send, who lives here, and when a message is truly accepted."""

# aiosmtpd finds the hooks by these names.
# ruff: noqa: N802

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Final, Protocol

from aiosmtpd.smtp import Envelope as SmtpEnvelope
from aiosmtpd.smtp import Session as SmtpSession

from mailsystem.delivery import Delivery
from mailsystem.directory import Away, Directory, proven
from mailsystem.mail.account import Account
from mailsystem.mail.address import Address
from mailsystem.mail.envelope import Body, Envelope, Notification, Peer
from mailsystem.mail.errors import MailError, NotPermitted, Unavailable, WrongState
from mailsystem.mail.sasl import Ask
from mailsystem.smtp import replies
from mailsystem.smtp.parameters import MailParameters
from mailsystem.smtp.replies import Refusal, Reply, reply_to
from mailsystem.store import Spool
from mailsystem.telemetry import Trace

if TYPE_CHECKING:
    from mailsystem.smtp.receiving import Reception


_PROTOCOLS: Final = {
    (False, False): "ESMTP",
    (False, True): "UTF8SMTP",
    (True, False): "LMTP",
    (True, True): "UTF8LMTP",
}


class Gate(Protocol):
    """Who stands before the door: asked at every step, and raises a `MailError` to refuse it."""

    async def connect(self, peer: Peer) -> None:
        """Before the greeting."""
        ...

    async def sender(self, peer: Peer, login: str | None, sender: Address) -> None:
        """At MAIL; `login` is None for those who have not logged in."""
        ...

    async def recipient(self, peer: Peer, login: str | None, sender: Address, recipient: Address) -> None:
        """At RCPT, for one who lives here."""
        ...

    async def relay(self, account: Account, recipient: Address, already: Collection[Address]) -> None:
        """At RCPT, for one on another server; `already` are those on other servers that were taken before."""
        ...

    async def message(self, envelope: Envelope) -> None:
        """Once the message is here, before it is delivered."""
        ...


class MailSession(SmtpSession):
    """One client's conversation, from the greeting (or from STARTTLS, which makes it start anew) to the end."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, client: Peer, tls: str | None, trace: Trace, *, lmtp: bool = False
    ) -> None:
        super().__init__(loop)
        self.peer = str(client)
        self.client = client
        self.tls = tls
        """Version and cipher; None in clear."""
        self.trace = trace
        self.lmtp = lmtp
        self.account: Account | None = None

    @property
    def login(self) -> str | None:
        """Who has logged in."""
        return self.account.login if self.account else None

    def protocol(self, *, utf8: bool) -> str:
        """The `with` keyword of the Received field (RFC 3848, RFC 6531 4.3)."""
        if not self.extended_smtp:
            return "SMTP"
        return f"{_PROTOCOLS[self.lmtp, utf8]}{'S' if self.tls else ''}{'A' if self.account else ''}"


class Transaction(SmtpEnvelope):
    """One mail transaction, from MAIL to the end of the message."""

    def __init__(self) -> None:
        super().__init__()
        self.sender: Address | None = None
        self.recipients: dict[Address, None] = {}
        """In the order in which they came, each once."""
        self.away: dict[Address, None] = {}
        """Those of them that are on other servers."""
        self.taken: list[Address] = []
        """The same for every RCPT that was taken: whoever was named twice is answered for twice (RFC 2033 4.2)."""
        self.asked = MailParameters()
        self.notifications: dict[Address, Notification] = {}
        self.spool: Spool | None = None
        self.reception: Reception | None = None

    @property
    def body(self) -> Body:
        return self.asked.body


class MailHandler:
    """aiosmtpd's hooks. Each returns its reply or raises a `MailError`; what comes of that is the server's business."""

    def __init__(
        self,
        directory: Directory,
        delivery: Delivery,
        *,
        gate: Gate | None = None,
        own_senders: bool = False,
        relaying: bool = False,
    ) -> None:
        """`own_senders` lets nobody send for others than themselves; `relaying` takes mail of theirs for other servers."""
        self._directory = directory
        self._delivery = delivery
        self._gate = gate
        self._own_senders = own_senders
        self._relaying = relaying

    async def handle_CONNECT(self, server: object, session: MailSession, envelope: Transaction) -> None:
        if self._gate:
            await self._gate.connect(session.client)

    def mechanisms(self, *, secure: bool, binding: bytes | None) -> tuple[str, ...]:
        """The SASL mechanisms that are offered to somebody whose channel can be bound by `binding`, if it can."""
        return self._directory.mechanisms(secure=secure, binding=binding is not None)

    async def handle_AUTH(
        self,
        server: object,
        session: MailSession,
        envelope: Transaction,
        mechanism: str,
        initial: bytes | None,
        ask: Ask,
        binding: bytes | None,
    ) -> Reply:
        peer, directory = session.client, self._directory
        proving = directory.authenticate(mechanism, initial, ask, peer=peer, binding=binding)
        account = await proven(directory, proving, session.trace, peer=peer, mechanism=mechanism)
        session.account = account
        session.authenticated = True
        session.trace.event("logged in", login=account.login, mechanism=mechanism)
        return replies.LOGGED_IN

    async def handle_MAIL(self, server: object, session: MailSession, envelope: Transaction, sender: Address) -> Reply:
        account = session.account if self._own_senders else None
        if account and not await self._directory.may_send(account, sender):
            raise Refusal(replies.NOT_YOURS)
        if self._gate:
            await self._gate.sender(session.client, session.login, sender)
        envelope.sender = sender
        return replies.SENDER_OK

    async def handle_RCPT(
        self, server: object, session: MailSession, envelope: Transaction, recipient: Address
    ) -> Reply:
        sender = self._may_relay(session)
        # Now, by what MAIL has said (RFC 1870 6): once the message is here, one answer must do for all.
        places = await self._directory.resolve(
            recipient, sending=sender is not None, login=session.login, octets=envelope.asked.size
        )
        elsewhere = [place for place in places if type(place) is Away]
        if envelope.sender and any(place.back for place in elsewhere):
            # Whoever has seen one of our return paths could send by it to whom it stands for, whatever they like.
            raise NotPermitted("only reports go back this way")
        away = Away(recipient) in elsewhere
        if self._gate and sender is not None and away:
            await self._gate.relay(sender, recipient, envelope.away)
        if self._gate and envelope.sender is not None:
            try:
                await self._gate.recipient(session.client, session.login, envelope.sender, recipient)
            except Unavailable as later:
                # Not a fault of ours but a policy (RFC 6647 2.1, 5): come again.
                raise Refusal(Reply(450, "4.7.1", str(later))) from None
        envelope.recipients[recipient] = None
        if away:
            envelope.away[recipient] = None
        envelope.taken.append(recipient)
        return replies.RECIPIENT_OK

    def _may_relay(self, session: MailSession) -> Account | None:
        """Who may send to other servers: only whoever logged in, and never for where they come from."""
        return session.account if self._relaying else None

    async def handle_DATA(self, server: object, session: MailSession, envelope: Transaction) -> list[Reply]:
        """The message is here whole. The reply is a promise, so it is made after the commit (RFC 5321 4.2.5).

        There is one reply, or in LMTP one for every RCPT that was taken.
        """
        if envelope.sender is None or envelope.spool is None or envelope.reception is None:
            raise WrongState
        start = time.perf_counter()
        accepted = Envelope(
            sender=envelope.sender,
            recipients=tuple(envelope.recipients),
            peer=session.client,
            helo=session.host_name or "",
            protocol=session.protocol(utf8=envelope.smtp_utf8),
            tls=session.tls,
            login=session.login,
            body=envelope.body,
            utf8=envelope.smtp_utf8,
            require_tls=envelope.asked.require_tls,
            ret=envelope.asked.ret,
            envid=envelope.asked.envid,
            notifications=envelope.notifications,
            parameters=envelope.asked.given,
            unheaded=envelope.reception.unheaded,
            missing=envelope.reception.missing,
        )
        if self._gate:
            await self._gate.message(accepted)
        size = envelope.spool.size
        failed: Mapping[Address, MailError] = {}
        if session.lmtp:
            outcome = await self._delivery.deliver_each(accepted, envelope.spool, trace=session.trace)
            id_, failed = outcome.id, outcome.failed
        else:
            sender = self._may_relay(session)
            id_ = await self._delivery.deliver(accepted, envelope.spool, trace=session.trace, sender=sender)
        ok = replies.OK.saying(f"ok, queued as {id_}")
        answers = [ok]
        if session.lmtp:
            answers = [reply_to(failed[each], b"RCPT") if each in failed else ok for each in envelope.taken]
        if len(failed) == len(accepted.recipients) or not session.trace.wants("accepted"):
            return answers
        session.trace.event(
            "accepted",
            id=id_,
            sender=str(accepted.sender),
            recipients=len(accepted.recipients) - len(failed),
            size=size,
            ms=round((time.perf_counter() - start) * 1000, 3),
        )
        return answers
