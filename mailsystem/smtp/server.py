"""The door itself: `MailSMTP`, one strict subclass of aiosmtpd's SMTP with every command its own; and listening."""

# aiosmtpd finds the commands by these names.
# ruff: noqa: N802

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, Literal

from aiosmtpd.smtp import syntax

from mailsystem.delivery import Delivery
from mailsystem.directory import Directory
from mailsystem.mail import sasl
from mailsystem.mail.errors import AuthFailed, SyntaxFault, TooLarge
from mailsystem.net import Bound, Closed, Connection, Stopping, listen
from mailsystem.smtp import grammar, replies
from mailsystem.smtp.conversation import Conversation, Rules
from mailsystem.smtp.data import DataReader, Hops
from mailsystem.smtp.handler import MailHandler
from mailsystem.smtp.lines import AUTH_LIMIT
from mailsystem.smtp.replies import Refusal, Reply
from mailsystem.store import Spool, Store
from mailsystem.telemetry import Trace
from mailsystem.telemetry.trace import CLIENT, REDACTED

READ_OVER: Final = 64 << 20
"""Octets beyond twice the limit that are read and dropped for the sake of a proper reply, before a client is cut off."""


class MailSMTP(Conversation):
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
        lines = [self.hostname, f"SIZE {self.rules.size_limit}", "8BITMIME", "SMTPUTF8", "PIPELINING"]
        if self.rules.tls is not None and self.connection.secure is None:
            lines.append("STARTTLS")
        if self._may_log_in and self.session.account is None:
            lines.append("AUTH " + " ".join(sasl.MECHANISMS))
        lines.append("ENHANCEDSTATUSCODES")
        await self.push("".join(f"250-{line}\r\n" for line in lines[:-1]) + f"250 {lines[-1]}")
        # RFC 2920 3.2: the replies to EHLO, DATA, VRFY, QUIT and NOOP do not wait for others.
        await self.flush()

    def _greeted(self, argument: bytes, *, extended: bool) -> None:
        try:
            self.session.host_name = grammar.greeting(argument)
        except SyntaxFault as fault:
            raise Refusal(replies.BAD_ARGUMENT.saying(str(fault))) from None
        self.session.extended_smtp = extended
        self._set_rset_state()  # RFC 5321 4.1.4

    @property
    def _may_log_in(self) -> bool:
        return self.rules.cleartext_login or self.connection.secure is not None or self.connection.peer.is_loopback

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
            self.trace.event("injected", octets=len(self._lines.take()) + self.connection.pending)
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
        self.trace.event("secured", tls=self.connection.secure)

    @syntax("AUTH mechanism [initial-response]")
    async def smtp_AUTH(self, argument: bytes) -> None:
        """RFC 4954: a login, by PLAIN or LOGIN."""
        if not (self.session.host_name and self.session.extended_smtp):
            raise Refusal(replies.GREET_FIRST)
        if self.session.account is not None:
            raise Refusal(replies.LOGGED_IN_ALREADY)
        if not self._may_log_in:
            raise Refusal(replies.NEEDS_TLS)
        if self.envelope.sender is not None:
            raise Refusal(replies.NOT_IN_TRANSACTION)  # RFC 4954 4
        name, blank, initial = argument.partition(b" ")
        mechanism = sasl.MECHANISMS.get(name.decode("ascii", "replace").upper())
        if mechanism is None:
            raise Refusal(replies.UNKNOWN_MECHANISM if name else replies.BAD_ARGUMENT)
        response = sasl.decode(initial.strip(b" ")) if blank else None
        credentials = await sasl.proven(mechanism, response, self._ask)
        try:
            reply = await self._call_handler_hook("AUTH", credentials)
        except AuthFailed:
            self.trace.event("login failed", login=credentials.login)
            raise
        await self.push(reply)

    async def _ask(self, challenge: bytes) -> bytes:
        await self.push(Reply(334, "", challenge.decode()))
        while (line := self._lines.next(AUTH_LIMIT)) is None:
            await self._hear()
        self.trace.line(CLIENT, REDACTED)
        if line == b"*":
            raise Refusal(replies.CANCELLED)
        return line

    # A mail transaction

    @syntax("MAIL FROM:<address> [parameters]")
    async def smtp_MAIL(self, argument: bytes) -> None:
        """RFC 5321 4.1.1.2: begin a message, with its sender and the parameters SIZE, BODY, SMTPUTF8 and AUTH."""
        if self.connection.stopping:
            raise Refusal(replies.STOPPING)
        if not self.session.host_name:
            raise Refusal(replies.GREET_FIRST)
        if self.envelope.sender is not None:
            raise Refusal(replies.NESTED_MAIL)
        try:
            mailbox, rest = grammar.path(argument, b"FROM:")
            utf8 = self._mail_parameters(rest) if rest else False
        except SyntaxFault as fault:
            raise Refusal(replies.BAD_ARGUMENT.saying(str(fault))) from None
        if not (utf8 or mailbox.isascii()):
            raise Refusal(replies.NEEDS_SMTPUTF8)
        try:
            sender = grammar.sender(mailbox)
        except SyntaxFault as fault:
            raise Refusal(replies.BAD_SENDER.saying(str(fault))) from None
        reply = await self._call_handler_hook("MAIL", sender)
        self.envelope.smtp_utf8 = utf8
        await self.push(reply)

    def _mail_parameters(self, text: bytes) -> bool:
        """What MAIL's parameters ask for; returns whether that is SMTPUTF8."""
        utf8 = False
        for keyword, value in grammar.parameters(text).items():
            match keyword:
                case "SIZE":
                    if grammar.size(value) > self.rules.size_limit:
                        raise TooLarge("message too large")  # RFC 1870 6.1
                case "BODY":
                    grammar.body(value)  # both are kept as they come
                case "SMTPUTF8":
                    utf8 = grammar.nothing(value)
                case "AUTH":
                    grammar.auth(value)
                case _:
                    raise Refusal(replies.UNKNOWN_PARAMETER)
        return utf8

    @syntax("RCPT TO:<address>")
    async def smtp_RCPT(self, argument: bytes) -> None:
        """RFC 5321 4.1.1.3: name a recipient, who is looked up at once."""
        if self.envelope.sender is None:
            raise Refusal(replies.MAIL_FIRST)
        try:
            mailbox, rest = grammar.path(argument, b"TO:")
            parameters = grammar.parameters(rest) if rest else None
        except SyntaxFault as fault:
            raise Refusal(replies.BAD_ARGUMENT.saying(str(fault))) from None
        if parameters:
            raise Refusal(replies.UNKNOWN_PARAMETER)
        if not (self.envelope.smtp_utf8 or mailbox.isascii()):
            raise Refusal(replies.NEEDS_SMTPUTF8)
        try:
            recipient = grammar.recipient(mailbox)
        except SyntaxFault as fault:
            raise Refusal(replies.BAD_RECIPIENT.saying(str(fault))) from None
        if len(self.envelope.recipients) >= self.rules.recipient_limit:
            raise Refusal(replies.TOO_MANY_RECIPIENTS)
        await self.push(await self._call_handler_hook("RCPT", recipient))

    @syntax("DATA")
    async def smtp_DATA(self, argument: bytes) -> None:
        """RFC 5321 4.1.1.4: the message itself; 250 is said when it is on disk for all its recipients."""
        if argument:
            raise Refusal(replies.BAD_ARGUMENT)
        if self.envelope.sender is None:
            raise Refusal(replies.MAIL_FIRST)
        if not self.envelope.recipients:
            raise Refusal(replies.NO_RECIPIENTS)
        await self.push(replies.GO_AHEAD)
        await self.flush()
        spool = self.envelope.spool = self.contents.spool()
        try:
            await self._receive(spool)
            reply = await self._call_handler_hook("DATA")
        finally:
            spool.discard()
            self._set_post_data_state()
        self._errors = 0
        await self.push(reply)
        await self.flush()

    async def _receive(self, spool: Spool) -> None:
        """Read the message to its end, whatever is wrong with it, so that the next command is found; raise only then."""
        reader, hops = DataReader(), Hops()
        fault: Exception | None = None
        received = 0
        data = self._lines.take()
        while True:
            received += len(data)
            piece = reader.feed(data)
            if fault is None:
                fault = await self._keep(spool, piece, reader, hops)
                if fault is not None:
                    spool.discard()
            if reader.done:
                break
            if received > 2 * self.rules.size_limit + READ_OVER:
                raise Refusal(replies.MESSAGE_TOO_LARGE, close=True)  # there is no end in sight
            data = await self._read_on()
        self._lines.feed(reader.rest)
        if self.trace.wants_lines:
            self.trace.line(CLIENT, b"[%d octets]" % (received - len(reader.rest)))
        if fault is not None:
            raise fault

    async def _read_on(self) -> bytes:
        """More of a message. One that is on its way is still taken when the program ends."""
        try:
            return await self._read(self.rules.data_timeout)
        except Stopping:
            self.connection.stopping = False
        try:
            return await self._read(self.rules.data_timeout)
        finally:
            self.connection.stopping = True

    async def _keep(self, spool: Spool, piece: bytes, reader: DataReader, hops: Hops) -> Exception | None:
        """Store a piece; returns what speaks against the message.

        8-bit octets are taken without BODY=8BITMIME and lines of any length, since refusing them helps nobody. So are
        NULs and other controls: RFC 5321 4.5.2 has all characters delivered, and the best servers take them too.
        """
        if reader.bare and self.rules.bare_newline == "refuse":
            return Refusal(replies.BARE_NEWLINE)
        hops.feed(piece)
        if hops.count > self.rules.hop_limit:
            return Refusal(replies.LOOPING)
        if spool.size + len(piece) > self.rules.size_limit:
            return Refusal(replies.MESSAGE_TOO_LARGE)
        try:
            spool.write(piece)
            if spool.wants_flush and not reader.done:
                await spool.flush()
        except Exception as error:
            return error
        return None

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
        """RFC 5321 4.1.1.8: not offered; the RFC is the better help."""
        raise Refusal(replies.NOT_IMPLEMENTED)

    @syntax("EXPN <list>")
    async def smtp_EXPN(self, argument: bytes) -> None:
        """RFC 5321 4.1.1.7: not offered; who is on a list is nobody's business."""
        raise Refusal(replies.NOT_IMPLEMENTED)


MailSMTP.verbs = {
    name.removeprefix("smtp_").encode(): getattr(MailSMTP, name) for name in dir(MailSMTP) if name.startswith("smtp_")
}


@asynccontextmanager
async def serving(
    store: Store,
    directory: Directory,
    delivery: Delivery,
    trace: Trace,
    *,
    host: str,
    port: int,
    tls: ssl.SSLContext | None = None,
    implicit_tls: bool = False,
    cleartext_login: bool = False,
    hostname: str = "localhost",
    size_limit: int = 50 << 20,
    recipient_limit: int = 1000,
    bare_newline: Literal["refuse", "accept"] = "refuse",
    error_limit: int = 20,
    hop_limit: int = 50,
    timeout: float = 300.0,
    data_timeout: float = 300.0,
    grace: float = 5.0,
) -> AsyncIterator[Bound]:
    """Take mail in at `host`:`port` (0 takes a free one).

    On exit nobody is let in any more, idle clients are told 421, and a message on its way has `grace` seconds to get
    here. `size_limit` is in octets, `timeout` and `data_timeout` are seconds of silence before and within a message
    (RFC 5321 4.5.3.2.7 and 4.5.3.2.5), `error_limit` counts the errors of a session since its last accepted message
    and `hop_limit` the Received fields of a message. Raises `OSError` where it cannot listen.
    """
    rules = Rules(
        hostname=hostname,
        tls=tls,
        cleartext_login=cleartext_login,
        size_limit=size_limit,
        recipient_limit=recipient_limit,
        error_limit=error_limit,
        hop_limit=hop_limit,
        bare_newline=bare_newline,
        timeout=timeout,
        data_timeout=data_timeout,
    )
    handler = MailHandler(directory, delivery)
    hooks = {
        name.removeprefix("handle_"): getattr(handler, name) for name in dir(handler) if name.startswith("handle_")
    }

    async def serve(connection: Connection) -> None:
        session = MailSMTP(connection, rules, handler, hooks, store.contents)
        await session.converse(trace.child("smtp", peer=str(connection.peer)))

    async with listen(serve, host, port, tls=tls if implicit_tls else None, grace=grace, trace=trace) as bound:
        yield bound
