"""How the door converses: lines in, replies out in groups, failures into replies, all of it traced.

aiosmtpd gives the model: a `Session`, an `Envelope`, hooks of a handler, a method `smtp_VERB` per command. What moves
octets is ours, since its own reads line by line, holds messages in memory, answers in a write per line, tells peers
its exceptions and takes 0.1 ms to make.
"""

from __future__ import annotations

import asyncio
import ssl
import traceback
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from aiosmtpd.smtp import SMTP

from mailsystem.mail import sasl
from mailsystem.mail.errors import MailError
from mailsystem.net import Closed, Connection, Stopping
from mailsystem.smtp import replies
from mailsystem.smtp.handler import MailHandler, MailSession, Transaction
from mailsystem.smtp.lines import Lines
from mailsystem.smtp.replies import Refusal, Reply, reply_to
from mailsystem.store import Contents
from mailsystem.telemetry import Trace
from mailsystem.telemetry.trace import CLIENT, REDACTED, SERVER

NOT_MAIL: Final = frozenset(
    {b"GET", b"POST", b"PUT", b"HEAD", b"DELETE", b"OPTIONS", b"CONNECT", b"PATCH", b"TRACE", b"PRI"}
)
"""Verbs of HTTP. A browser can be made to send mail in the body of a request: it must not get that far."""
TLS_HELLO: Final = b"\x16\x03"
_DOORS: Final = {"mx": "smtp", "submission": "submission", "lmtp": "lmtp"}
"""How a session is told of, by the kind of its listener."""
AT_ONCE: Final = 64
"""Commands of one client that are obeyed before others get their turn."""


Verb: TypeAlias = Callable[[Any, bytes], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rules:
    """What a listener allows. Sizes in octets, times in seconds."""

    kind: Literal["mx", "submission", "lmtp"]
    offers_auth: bool
    login_first: bool
    """Nobody sends who has not logged in."""
    hostname: str
    tls: ssl.SSLContext | None
    cleartext_login: bool
    size_limit: int
    recipient_limit: int
    mail_limit: int
    """Messages of one session; 0 is no limit."""
    error_limit: int
    hop_limit: int
    bare_newline: Literal["refuse", "accept", "normalize"]
    timeout: float
    data_timeout: float
    data_total: float
    """For a whole message; 0 is no limit."""
    minimum_rate: float
    """Octets per second, once `rate_grace` seconds were spent waiting for a message; 0 is no limit."""
    rate_grace: float
    greeting_delay: float


class TooSlow(Exception):
    """The client said nothing, or took nothing, for too long."""


class Conversation(SMTP):
    """One client's: aiosmtpd's SMTP with a `Connection` where aiosmtpd has streams. Commands are added by `MailSMTP`.

    Commands raise what they refuse (`MailError`, or `Refusal` where the reply is special); `_obey` alone answers it.
    """

    verbs: Mapping[bytes, Verb]
    """The `smtp_VERB` methods by verb: looked up once for the class, and not by `inspect` for each connection."""

    def __init__(
        self,
        connection: Connection,
        rules: Rules,
        handler: MailHandler,
        hooks: dict[str, Callable[..., Any]],
        contents: Contents,
        verbs: Mapping[bytes, Verb],
    ) -> None:
        self.verbs = verbs
        # aiosmtpd's own __init__ is left out, streams and all: here is what its methods that we keep look at.
        self.loop = asyncio.get_running_loop()
        self.event_handler = handler
        self.hostname = rules.hostname
        self.transport = None
        self._handle_hooks = hooks

        self.connection = connection
        self.rules = rules
        self.contents = contents
        self.session: MailSession
        self.envelope: Transaction
        self._lines = Lines(loose=rules.bare_newline == "accept")
        self._replies: list[bytes] = []
        self._leaving = False
        self._errors = 0
        self._mails = 0
        self._owed = 1  # replies to the command at hand, should it fail
        self._due: float | None = None  # when the next command must have come whole

    def _create_session(self) -> MailSession:
        lmtp = self.rules.kind == "lmtp"
        return MailSession(self.loop, self.connection.peer, self.connection.secure, self.trace, lmtp=lmtp)

    def _create_envelope(self) -> Transaction:
        return Transaction()

    def _set_post_data_state(self) -> None:
        self._forget_message()
        self.envelope = self._create_envelope()

    def _forget_message(self) -> None:
        if self.envelope.spool is not None:
            self.envelope.spool.discard()

    def _set_rset_state(self) -> None:
        self._set_post_data_state()

    # The conversation

    async def converse(self, trace: Trace) -> None:
        """Everything from the greeting to the end."""
        self.trace = trace
        self.session = self._create_session()
        self.envelope = self._create_envelope()
        trace.transcribe(_DOORS[self.rules.kind])
        if trace.transcript is not None and self.connection.secure:
            trace.transcript.tls = self.connection.secure
            trace.transcript.remark(self.connection.secure)
        trace.event("connected")
        reason = "left"
        try:
            await self._handle_client()
        except Closed:
            reason = "connection closed by the peer"
        except TooSlow:
            reason = "too slow"
            await self._last_words(replies.TOO_SLOW)
        except Stopping:
            reason = "stopping"
            await self._last_words(replies.STOPPING)
        except asyncio.CancelledError:
            reason = "cut off"
            raise
        finally:
            self._forget_message()
            trace.event("disconnected", reason=reason)

    async def _greet(self) -> None:
        """The first word; or the last one, to those who are not let in or do not wait for it."""
        try:
            await self._call_handler_hook("CONNECT")
            if self.rules.greeting_delay:
                await self._listen_for_the_hasty(self.rules.greeting_delay)
        except (MailError, Refusal) as refused:
            await self._refuse(refused, b"CONNECT")
            self._leaving = True
        except (Closed, Stopping, TooSlow):
            raise
        except Exception as bug:
            self.trace.event("bug", command="CONNECT", traceback=_story(bug, secret=False))
            await self._refuse(bug, b"CONNECT")
        else:
            await self.push(f"220 {self.hostname} {'LMTP' if self.rules.kind == 'lmtp' else 'ESMTP'} mailsystem")

    async def _listen_for_the_hasty(self, seconds: float) -> None:
        # RFC 5321 3.1 and 4.3.1: the server speaks first. Who does not wait is a program that does not listen either.
        try:
            await self.connection.read(seconds)
        except TimeoutError:
            return
        raise Refusal(replies.TOO_EARLY, close=True)

    async def _handle_client(self) -> None:
        await self._greet()
        obeyed = 0
        while not self._leaving:
            try:
                line = self._lines.next()
            except Refusal as refusal:
                await self._refuse(refusal, b"")
                continue
            if line is None:
                await self._hear()
                obeyed = 0
            else:
                await self._obey(line)
                obeyed += 1
                if obeyed % AT_ONCE == 0:
                    await self.flush()
                    await asyncio.sleep(0)
        await self.flush()

    async def _hear(self) -> None:
        """Read on. Whatever was answered is sent before, in one write (RFC 2920 3.2)."""
        await self.flush()
        # The time is for a whole command, so that nobody stays by saying one octet now and then.
        now = self.loop.time()
        self._due = due = self._due or now + self.rules.timeout
        if due <= now:
            raise TooSlow
        data = await self._read(due - now, to_the_end=self.envelope.reception is not None)
        if data.startswith(TLS_HELLO) and not self._lines:
            await self._refuse(Refusal(replies.TLS_UNASKED), b"")
        self._lines.feed(data)

    async def _read(self, timeout: float, *, to_the_end: bool = False) -> bytes:
        """What comes next; with `to_the_end` also when the program is ending. Raises `TooSlow`, `Stopping`, `Closed`."""
        try:
            try:
                return await self.connection.read(timeout)
            except Stopping:
                if not to_the_end:
                    raise
                self.connection.stopping = False
            try:
                return await self.connection.read(timeout)
            finally:
                self.connection.stopping = True
        except TimeoutError:
            raise TooSlow from None

    async def push(self, status: Reply | str | bytes) -> None:
        """Answer; it is sent by the next `flush`. A 421 ends the conversation."""
        if isinstance(status, Reply):
            if status.code == 421:
                self._leaving = True
            line = status.line
        else:
            line = status.encode() if isinstance(status, str) else status
        self._replies += (line, b"\r\n")
        if self.trace.wants_lines:
            self.trace.line(SERVER, line)

    async def flush(self) -> None:
        """Send what was answered, and wait for a client that does not take it."""
        if self._replies:
            self.connection.write(b"".join(self._replies))
            self._replies.clear()
            try:
                await self.connection.drain(self.rules.timeout)
            except TimeoutError:
                raise TooSlow from None

    async def _last_words(self, reply: Reply) -> None:
        await self.push(reply)
        self.connection.write(b"".join(self._replies))

    async def _obey(self, line: bytes) -> None:
        """One command: its trace, its method, and the one place where failures become replies."""
        verb, _, argument = line.partition(b" ")
        verb = verb.upper()
        self._due = None
        self._owed = 1
        method = self.verbs.get(verb)
        if self.trace.wants_lines:
            self.trace.line(CLIENT, _shown(verb, argument, known=method is not None) or line)
        try:
            if method is None:
                _refuse_unknown(verb)
            else:
                await method(self, argument.strip(b" \t"))
        except (Closed, Stopping, TooSlow):
            raise
        except (MailError, Refusal) as refused:
            await self._refuse(refused, verb)
        except Exception as bug:
            self.trace.event("bug", command=verb.decode(), traceback=_story(bug, secret=verb == b"AUTH"))
            await self._refuse(bug, verb)
        self._due = None  # what a login waited for is not taken from the next command

    async def _refuse(self, error: Exception, verb: bytes) -> None:
        reply = reply_to(error, verb)
        command = verb.decode() if verb in self.verbs or verb == b"CONNECT" else "?"
        self.trace.event("refused", command=command, code=reply.code, status=reply.status, reason=reply.text)
        for _ in range(self._owed):
            await self.push(reply)
        if isinstance(error, Refusal) and error.close:
            self._leaving = True
        if reply.code >= 500:
            self._errors += 1
            if self._errors >= self.rules.error_limit and not self._leaving:
                await self.push(replies.TOO_MANY_ERRORS)


def _refuse_unknown(verb: bytes) -> None:
    # A verb with a colon is the header of something that took us for its body's reader.
    raise Refusal(replies.NOT_HTTP if verb in NOT_MAIL or verb.endswith(b":") else replies.UNKNOWN_COMMAND)


def _shown(verb: bytes, argument: bytes, *, known: bool) -> bytes:
    """What a trace may see of a command, where that is not the whole line."""
    if verb == b"AUTH":
        mechanism = argument.partition(b" ")[0].upper()
        shown = mechanism if mechanism.decode("ascii", "replace") in sasl.MECHANISMS else REDACTED
        return b"AUTH " + shown + (b" " + REDACTED if b" " in argument else b"")
    if not known:
        # It may be a password: a response to a challenge that was never made, or AUTH misspelt.
        return REDACTED
    return b""


def _story(error: Exception, *, secret: bool) -> str:
    """A traceback for our own eyes; without the error's text where that may quote a password."""
    if secret:
        return "".join(traceback.format_tb(error.__traceback__)) + type(error).__name__
    return "".join(traceback.format_exception(error))
