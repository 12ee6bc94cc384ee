"""The door itself: `MailSMTP`, one strict subclass of aiosmtpd's SMTP with every command its own; and listening."""

# aiosmtpd finds the commands by these names.
# ruff: noqa: N802

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from aiosmtpd.smtp import syntax

from mailsystem.delivery import Delivery
from mailsystem.directory import Directory
from mailsystem.mail import sasl
from mailsystem.mail.errors import SyntaxFault
from mailsystem.net import OPEN, Bound, Closed, Connection, Terms, listen
from mailsystem.smtp import grammar, parameters, replies
from mailsystem.smtp.conversation import Rules, Verb
from mailsystem.smtp.handler import Gate, MailHandler
from mailsystem.smtp.lines import AUTH_LIMIT
from mailsystem.smtp.receiving import Receiving
from mailsystem.smtp.replies import Refusal, Reply
from mailsystem.store import Store
from mailsystem.telemetry import Trace
from mailsystem.telemetry.trace import CLIENT, REDACTED, SERVER

if TYPE_CHECKING:
    from mailsystem.faults import Faults


class MailSMTP(Receiving):
    """One client and the commands it may give."""

    # Who is there

    @syntax("HELO hostname")
    async def smtp_HELO(self, argument: bytes) -> None:
        """RFC 5321 4.1.1.1: the client names itself, the old way."""
        self._greeted(argument, extended=False)
        await self.push(f"250 {self.hostname}")

    @syntax("EHLO hostname")
    async def smtp_EHLO(self, argument: bytes) -> None:
        """RFC 5321 4.1.1.1: the client names itself and is told what extensions there are."""
        self._greeted(argument, extended=True)
        await self._offer()

    @syntax("LHLO hostname")
    async def smtp_LHLO(self, argument: bytes) -> None:
        """RFC 2033 4.1: EHLO's place where LMTP is spoken, and nowhere else."""
        self._greeted(argument, extended=True)
        await self._offer()

    async def _offer(self) -> None:
        """The extensions that there are for this client, here and now."""
        secure = self.connection.secure is not None
        mechanisms = self._mechanisms if self.rules.offers_auth and self.session.account is None else ()
        await self.push(_offered(self.rules, secure, mechanisms))
        # RFC 2920 3.2: the replies to EHLO, DATA, VRFY, QUIT and NOOP do not wait for others.
        await self.flush()

    def _greeted(self, argument: bytes, *, extended: bool) -> None:
        try:
            self.session.host_name = grammar.greeting(argument)
        except SyntaxFault as fault:
            raise Refusal(replies.BAD_ARGUMENT.saying(str(fault))) from None
        self.session.extended_smtp = extended
        if self.trace.transcript is not None:
            self.trace.transcript.helo = self.session.host_name
        self._set_rset_state()  # RFC 5321 4.1.4

    @property
    def _may_log_in(self) -> bool:
        return self.rules.cleartext_login or self.connection.is_private

    @property
    def _binding(self) -> bytes | None:
        return self.connection.binding(sasl.BINDING)

    @property
    def _mechanisms(self) -> tuple[str, ...]:
        offered: tuple[str, ...] = self.event_handler.mechanisms(secure=self._may_log_in, binding=self._binding)
        return offered

    @syntax("STARTTLS")
    async def smtp_STARTTLS(self, argument: bytes) -> None:
        """RFC 3207: TLS from the next octet on."""
        if self.rules.tls is None:
            raise Refusal(replies.NOT_IMPLEMENTED)
        if self.connection.secure is not None:
            raise Refusal(replies.TLS_ALREADY)
        if argument:
            raise Refusal(replies.BAD_ARGUMENT)
        # What came in clear behind the command would be taken for something said under TLS: an attack, or as good as.
        # No `await` from here to the handshake, or more could come in between.
        if self._lines or self.connection.pending:
            octets = len(self._lines.take()) + self.connection.pending
            self.trace.event("attacked", reason="octets in clear behind STARTTLS", octets=octets)
            raise Refusal(replies.INJECTED, close=True)
        await self.push(replies.READY_FOR_TLS)
        self.connection.write(b"".join(self._replies))
        self._replies.clear()
        try:
            await self.connection.start_tls(self.rules.tls)
        except Closed as error:
            self.trace.event("handshake failed", reason=str(error))
            raise
        # RFC 3207 4.2: forget all that was said in clear, the greeting included.
        self.session = self._create_session()
        self._set_rset_state()
        if self.trace.transcript is not None:
            self.trace.transcript.helo = ""
            self.trace.transcript.remark(str(self.connection.secure))
        self.trace.event("secured", tls=self.connection.secure)

    @syntax("AUTH mechanism [initial-response]")
    async def smtp_AUTH(self, argument: bytes) -> None:
        """RFC 4954: a login, by any mechanism that was offered."""
        if not (self.session.host_name and self.session.extended_smtp):
            raise Refusal(replies.GREET_FIRST)
        if self.session.account is not None:
            raise Refusal(replies.LOGGED_IN_ALREADY)
        if not self._may_log_in:
            raise Refusal(replies.NEEDS_TLS)
        if self.envelope.sender is not None:
            raise Refusal(replies.NOT_IN_TRANSACTION)  # RFC 4954 4
        name, blank, initial = argument.partition(b" ")
        mechanism = name.decode("ascii", "replace").upper()
        if mechanism not in self._mechanisms:
            raise Refusal(replies.UNKNOWN_MECHANISM if name else replies.BAD_ARGUMENT)
        response = initial.strip(b" ") if blank else None
        try:
            reply = await self._call_handler_hook("AUTH", mechanism, response, self._ask, self._binding)
        except sasl.Cancelled:
            raise Refusal(replies.CANCELLED) from None
        await self.push(reply)

    async def _ask(self, challenge: bytes) -> bytes:
        """Carry a challenge to the client and its response back: no trace sees either."""
        self._replies.append(bytes(Reply(334, "", challenge.decode())) + b"\r\n")
        self.trace.line(SERVER, b"334 " + REDACTED if challenge else b"334 ")
        while (line := self._lines.next(AUTH_LIMIT)) is None:
            await self._hear()
        self.trace.line(CLIENT, REDACTED)
        if line == b"*":
            raise sasl.Cancelled
        return line

    # A mail transaction

    @syntax("MAIL FROM:<address> [parameters]")
    async def smtp_MAIL(self, argument: bytes) -> None:
        """RFC 5321 4.1.1.2: begin a message; with the parameters SIZE, BODY, SMTPUTF8, AUTH, RET, ENVID and REQUIRETLS."""
        if self.connection.stopping:
            raise Refusal(replies.STOPPING)
        if not self.session.host_name:
            raise Refusal(replies.GREET_FIRST)
        if self.envelope.sender is not None:
            raise Refusal(replies.NESTED_MAIL)
        if self.rules.login_first and self.session.account is None:
            raise Refusal(replies.LOGIN_FIRST if self._may_log_in else replies.LOGIN_UNDER_TLS)  # RFC 6409 4.3
        if self.rules.mail_limit and self._mails >= self.rules.mail_limit:
            raise Refusal(replies.TOO_MANY_MESSAGES)
        try:
            mailbox, rest = grammar.path(argument, b"FROM:")
            secure = self.connection.secure is not None
            asked = parameters.of_mail(rest, size_limit=self.rules.size_limit, secure=secure)
        except SyntaxFault as fault:
            raise Refusal(replies.BAD_ARGUMENT.saying(str(fault))) from None
        if not (asked.utf8 or mailbox.isascii()):
            raise Refusal(replies.NEEDS_SMTPUTF8)
        try:
            sender = grammar.sender(mailbox)
        except SyntaxFault as fault:
            raise Refusal(replies.BAD_SENDER.saying(str(fault))) from None
        reply = await self._call_handler_hook("MAIL", sender)
        self.envelope.smtp_utf8 = asked.utf8
        self.envelope.asked = asked
        self._mails += 1
        await self.push(reply)

    @syntax("RCPT TO:<address> [parameters]")
    async def smtp_RCPT(self, argument: bytes) -> None:
        """RFC 5321 4.1.1.3: name a recipient, who is looked up at once; with the parameters NOTIFY and ORCPT."""
        if self.envelope.sender is None:
            raise Refusal(replies.MAIL_FIRST)
        if self.envelope.reception is not None:
            raise Refusal(replies.CHUNKS_BEGUN)
        try:
            mailbox, rest = grammar.path(argument, b"TO:")
            notification = parameters.of_rcpt(rest)
        except SyntaxFault as fault:
            raise Refusal(replies.BAD_ARGUMENT.saying(str(fault))) from None
        if not (self.envelope.smtp_utf8 or mailbox.isascii()):
            raise Refusal(replies.NEEDS_SMTPUTF8)
        try:
            recipient = grammar.recipient(mailbox)
        except SyntaxFault as fault:
            raise Refusal(replies.BAD_RECIPIENT.saying(str(fault))) from None
        if len(self.envelope.taken) >= self.rules.recipient_limit:
            raise Refusal(replies.TOO_MANY_RECIPIENTS)
        reply = await self._call_handler_hook("RCPT", recipient)
        if notification is not None:
            self.envelope.notifications[recipient] = notification
        await self.push(reply)

    @syntax("DATA")
    async def smtp_DATA(self, argument: bytes) -> None:
        """RFC 5321 4.1.1.4: the message itself; 250 is said when it is on disk for all its recipients."""
        if argument:
            raise Refusal(replies.BAD_ARGUMENT)
        self._may_receive()
        if self.envelope.reception is not None:
            raise Refusal(replies.CHUNKS_BEGUN)
        if self.envelope.body == "BINARYMIME":
            raise Refusal(replies.NEEDS_BDAT)
        await self.push(replies.GO_AHEAD)
        await self.flush()
        if self.rules.kind == "lmtp":
            self._owed = len(self.envelope.taken)
        try:
            await self._receive_data()
        finally:
            self._set_post_data_state()

    @syntax("BDAT size [LAST]")
    async def smtp_BDAT(self, argument: bytes) -> None:
        """RFC 3030 2: a chunk of the message, so many octets right behind this line; LAST makes the message whole."""
        try:
            size, last = grammar.chunk(argument)
        except SyntaxFault as fault:
            # Nobody knows where that chunk ends: taking its octets for commands would be a way to smuggle some in.
            raise Refusal(replies.BAD_ARGUMENT.saying(str(fault)), close=True) from None
        await self._receive_chunk(size, last=last)

    @syntax("RSET")
    async def smtp_RSET(self, argument: bytes) -> None:
        """RFC 5321 4.1.1.5: forget the message that was begun."""
        if argument:
            raise Refusal(replies.BAD_ARGUMENT)
        self._set_rset_state()
        await self.push(replies.OK)

    # The rest

    @syntax("NOOP [ignored]")
    async def smtp_NOOP(self, argument: bytes) -> None:
        """RFC 5321 4.1.1.9: nothing."""
        await self.push(replies.OK)
        await self.flush()

    @syntax("VRFY <address>")
    async def smtp_VRFY(self, argument: bytes) -> None:
        """RFC 5321 4.1.1.6: never says who lives here."""
        if not argument:
            raise Refusal(replies.BAD_ARGUMENT)
        await self.push(replies.CANNOT_VERIFY)  # RFC 5321 7.3: nobody learns here who exists
        await self.flush()

    @syntax("QUIT")
    async def smtp_QUIT(self, argument: bytes) -> None:
        """RFC 5321 4.1.1.10: goodbye."""
        if argument:
            raise Refusal(replies.BAD_ARGUMENT)
        await self.push(replies.BYE)
        self._leaving = True

    @syntax("HELP [command]")
    async def smtp_HELP(self, argument: bytes) -> None:
        """RFC 5321 4.1.1.8: names the commands; of each of them the RFC tells more."""
        await self.push(replies.HELP.saying(" ".join(verb.decode() for verb in self.verbs if verb != b"EXPN")))

    @syntax("EXPN <list>")
    async def smtp_EXPN(self, argument: bytes) -> None:
        """RFC 5321 4.1.1.7: not offered; who is on a list is nobody's business."""
        raise Refusal(replies.NOT_IMPLEMENTED)


MailSMTP.verbs = {
    name.removeprefix("smtp_").encode(): getattr(MailSMTP, name) for name in dir(MailSMTP) if name.startswith("smtp_")
}


@lru_cache(maxsize=64)
def _offered(rules: Rules, secure: bool, mechanisms: tuple[str, ...]) -> str:
    """The reply to EHLO, which is the same for all clients in one state."""
    lines = [rules.hostname, f"SIZE {rules.size_limit}", "8BITMIME", "SMTPUTF8", "PIPELINING"]
    lines += ["CHUNKING", "BINARYMIME", "DSN"]
    mails = f" MAILMAX={rules.mail_limit}" if rules.mail_limit else ""
    lines.append(f"LIMITS{mails} RCPTMAX={rules.recipient_limit}")
    if secure:
        lines.append("REQUIRETLS")
    elif rules.tls is not None:
        lines.append("STARTTLS")
    if mechanisms:
        lines.append("AUTH " + " ".join(mechanisms))
    lines.append("ENHANCEDSTATUSCODES")
    return "".join(f"250-{line}\r\n" for line in lines[:-1]) + f"250 {lines[-1]}"


async def _no_logins(session: MailSMTP, argument: bytes) -> None:
    raise Refusal(replies.NO_LOGINS)


def _verbs(rules: Rules) -> dict[bytes, Verb]:
    """What a listener understands: LMTP has LHLO in the place of EHLO and HELO (RFC 2033 4.1)."""
    strangers = (b"HELO", b"EHLO") if rules.kind == "lmtp" else (b"LHLO",)
    verbs = {verb: method for verb, method in MailSMTP.verbs.items() if verb not in strangers}
    if not rules.offers_auth:
        verbs[b"AUTH"] = _no_logins
    return verbs


@asynccontextmanager
async def serving(
    store: Store,
    directory: Directory,
    delivery: Delivery,
    trace: Trace,
    *,
    host: str,
    port: int,
    kind: Literal["mx", "submission", "lmtp"] = "mx",
    offer_auth: bool | None = None,
    gate: Gate | None = None,
    tls: ssl.SSLContext | None = None,
    implicit_tls: bool = False,
    cleartext_login: bool = False,
    hostname: str = "localhost",
    size_limit: int = 50 << 20,
    recipient_limit: int = 1000,
    mail_limit: int = 0,
    bare_newline: Literal["refuse", "accept", "normalize"] = "refuse",
    error_limit: int = 20,
    hop_limit: int = 50,
    timeout: float = 300.0,
    data_timeout: float = 300.0,
    data_total: float = 0.0,
    minimum_rate: float = 0.0,
    rate_grace: float = 30.0,
    greeting_delay: float = 0.0,
    grace: float = 5.0,
    path: Path | None = None,
    terms: Terms = OPEN,
    relaying: bool = False,
    login_first: bool = False,
    faults: Faults | None = None,
) -> AsyncIterator[Bound]:
    """Take mail in at `host`:`port` (0 takes a free one).

    On exit nobody is let in any more, idle clients are told 421, and a message on its way has `grace` seconds to get
    here. `submission` wants a login before MAIL, senders of the login's own, and gives messages a Date and a Message-ID;
    `lmtp` answers for each recipient; only `submission` offers AUTH, and others where `offer_auth` says so (without a word,
    `mx` does too); `login_first` wants a login before MAIL elsewhere, too. `gate` is asked at every step. With `relaying`,
    whoever logged in may send to other servers; nobody else. With `faults`, what they say goes wrong.

    `size_limit` is in octets. `timeout` and `data_timeout` are seconds for a whole command and of silence within a message
    (RFC 5321 4.5.3.2.7 and 4.5.3.2.5), `data_total` seconds for a whole message, `minimum_rate` octets per second once
    `rate_grace` seconds were waited for a message, `greeting_delay` seconds for which whoever speaks first is sent away.
    `recipient_limit` counts per message and `mail_limit` messages per session, `error_limit` the errors of a session since
    its last accepted message, and `hop_limit` the Received fields of a message; 0 is no limit. Bare newlines are made
    proper ones by `normalize`, but only in a submission: of others' messages nothing is changed, they are refused.
    Raises `OSError` where it cannot listen.
    """
    if bare_newline == "normalize" and kind != "submission":
        bare_newline = "refuse"
    rules = Rules(
        kind=kind,
        login_first=login_first or kind == "submission",
        offers_auth=kind == "submission" or (kind == "mx" if offer_auth is None else offer_auth),
        hostname=hostname,
        tls=tls,
        cleartext_login=cleartext_login,
        size_limit=size_limit,
        recipient_limit=recipient_limit,
        mail_limit=mail_limit,
        error_limit=error_limit,
        hop_limit=hop_limit,
        bare_newline=bare_newline,
        timeout=timeout,
        data_timeout=data_timeout,
        data_total=data_total,
        minimum_rate=minimum_rate,
        rate_grace=rate_grace,
        greeting_delay=greeting_delay,
    )
    handler = MailHandler(directory, delivery, gate=gate, own_senders=kind == "submission", relaying=relaying)
    verbs = _verbs(rules)
    hooks = {
        name.removeprefix("handle_"): getattr(handler, name) for name in dir(handler) if name.startswith("handle_")
    }

    if faults is not None:
        from mailsystem.smtp.answering import Answering  # only now: a server has no faults
        from mailsystem.smtp.faulty import Faulty, faulty

        verbs = faulty(verbs)
        answering = Answering(faults, delivery, store.clock, hostname)

    async def serve(connection: Connection) -> None:
        if faults is None:
            session = MailSMTP(connection, rules, handler, hooks, store.contents, verbs)
        else:
            session = Faulty(connection, rules, handler, hooks, store.contents, verbs)
            session.faults, session.answering = faults, answering
        await session.converse(trace.child("smtp", peer=str(connection.peer)))

    at_once = tls if implicit_tls else None
    full = f"421 4.7.0 {hostname} too many connections, come again later\r\n".encode()
    async with listen(
        serve, host, port, path=path, tls=at_once, terms=terms, full=full, grace=grace, trace=trace
    ) as bound:
        yield bound
