"""One session with one server, as its client (RFC 5321): greeting, EHLO, TLS, and commands with their replies.

What a message makes of it is in `transaction`; whom to ask, in `relay`.
"""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from dataclasses import dataclass

from mailsystem.net import Closed, Connection, Distrusted, Injected
from mailsystem.queue.replies import BadReply, Extensions, Replies, Reply, extensions
from mailsystem.telemetry import Trace
from mailsystem.telemetry.trace import CLIENT, REDACTED, SERVER


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds that the other side has for each of its parts (RFC 5321 4.5.3.2)."""

    connect: float = 30.0
    """For one address; the system's own patience is minutes, and there may be more addresses."""
    greeting: float = 300.0
    command: float = 300.0
    """EHLO, STARTTLS, AUTH, MAIL, RCPT, RSET: each."""
    commands: float = 900.0
    """For all the commands of one transaction together, however many recipients it has."""
    data: float = 120.0
    block: float = 180.0
    """To take any octets of the message."""
    end: float = 600.0
    """To say whether it has taken the message: giving up earlier doubles mail (RFC 1047)."""
    quit: float = 5.0
    message: float = 2400.0
    """To take all of a message, however slowly it reads."""


class Fault(Exception):
    """This session is of no use any more. The text says why, in our words or in those of the other side."""

    def __init__(self, status: str, text: str, *, reply: Reply | None = None, final: bool = False) -> None:
        super().__init__(str(reply) if reply is not None else text)
        self.status = reply.enhanced if reply is not None else status
        self.reply = reply
        self.final = final
        """It will be so the next time too."""
        self.after_end = False
        """The message may have been taken: it had left whole, and only the answer is missing."""

    @property
    def text(self) -> str:
        return str(self.args[0])


class Untrusted(Fault):
    """The certificate is not one of the host that was meant."""


class NoHandshake(Fault):
    """TLS was agreed on and did not come to be."""


class Loop(Fault):
    """The other side is ourselves."""


class Session:
    """What one server says to us. Whoever gets a `Fault` from it has to `abort` it."""

    def __init__(
        self, connection: Connection, host: str, *, hostname: str, trace: Trace, timeouts: Timeouts | None = None
    ) -> None:
        """`host` is the name by which it was found, `hostname` our own."""
        self.connection = connection
        self.host = host
        self.hostname = hostname
        self.timeouts = timeouts or Timeouts()
        self.trace = trace.child("queue", peer=str(connection.peer), host=host)
        self.extensions: Extensions = {}
        self.verified = False
        """The certificate is one of `host`, and somebody we trust vouches for it."""
        self.dirty = False
        """A transaction was begun and not ended: RSET is due."""
        self.messages = 0
        """Transactions so far."""
        self.until: float | None = None
        """When what is going on must be over."""
        self._replies = Replies()
        self._out: list[bytes] = []
        self._leaving = False
        self._ended = False
        self.trace.event("connected", tls=connection.secure)

    @property
    def ip(self) -> str:
        return self.connection.peer.host

    @property
    def secure(self) -> str | None:
        """Version and cipher; None in clear."""
        return self.connection.secure

    @property
    def in_step(self) -> bool:
        """Whether it is there and has said nothing that was not asked for."""
        return (
            self.connection.is_open and not self._leaving and not self._replies.pending and not self.connection.pending
        )

    @property
    def most_recipients(self) -> int:
        """Recipients of one transaction (RFC 5321 4.5.3.1.8, RFC 9422)."""
        return self._limit("RCPTMAX", 100)

    @property
    def most_messages(self) -> int:
        """Transactions that it wants of one session (RFC 9422)."""
        return self._limit("MAILMAX", 1 << 30)

    def _limit(self, name: str, most: int) -> int:
        for word in self.extensions.get("LIMITS", "").upper().split():
            key, _, value = word.partition("=")
            if key == name and value.isascii() and value.isdigit() and len(value) <= 6 and int(value):
                return min(int(value), most)
        return most

    # Saying and hearing

    def say(self, line: bytes, *, shown: bytes | None = None) -> None:
        """Say one command; it leaves with the next `hear`. `shown` is what a trace may see of it."""
        if b"\r" in line or b"\n" in line:
            raise ValueError("a command of more than one line")
        self._out.append(line + b"\r\n")
        self.trace.line(CLIENT, line if shown is None else shown)

    def send(self, octets: bytes) -> None:
        """Octets of a message."""
        if octets:
            self._out.append(octets)

    async def flush(self) -> None:
        """Let leave what was said, and wait while the other side does not take it. Raises `Fault`."""
        if self._out:
            data = self._out[0] if len(self._out) == 1 else b"".join(self._out)
            self._out.clear()
            self.connection.write(data)
        try:
            await self.connection.drain(self.timeouts.block)
        except TimeoutError:
            raise Fault("4.4.2", f"timeout: {self.host} takes nothing any more") from None
        except Closed:
            raise self._lost() from None

    async def hear(self, timeout: float) -> Reply:
        """The next reply, whole within `timeout` seconds. Raises `Fault`."""
        loop = asyncio.get_running_loop()
        due = loop.time() + timeout
        if self.until is not None:
            due = min(due, self.until)
        try:
            while (reply := self._replies.next()) is None:
                if self._out:
                    try:
                        await self.flush()
                    except Fault:
                        # Its last words may have come before it closed.
                        if not self.connection.pending:
                            raise
                left = due - loop.time()
                if left <= 0:
                    raise TimeoutError
                self._replies.feed(await self.connection.read(left))
        except TimeoutError:
            raise Fault("4.4.2", f"timeout: no answer from {self.host}") from None
        except Closed:
            raise self._lost() from None
        except BadReply as bad:
            raise self._garbled(bad) from None
        self._note(reply)
        return reply

    def leave(self) -> None:
        """Whatever was said next would be misunderstood: this session is not used again."""
        self._leaving = True

    def early(self) -> Reply | None:
        """A reply that is here already though none was due. Raises `Fault` where what is here is none."""
        try:
            reply = self._replies.next()
        except BadReply as bad:
            raise self._garbled(bad) from None
        if reply is not None:
            self._note(reply)
        return reply

    async def look(self) -> None:
        """Take in what has come, without waiting for more. Raises `Fault` where it is the end."""
        if self.connection.pending or not self.connection.is_open:
            try:
                self._replies.feed(await self.connection.read(1))
            except (Closed, TimeoutError):
                raise self._lost() from None

    async def ask(self, line: bytes, timeout: float | None = None, *, shown: bytes | None = None) -> Reply:
        """Say one command and hear what it is answered. Raises `Fault`, also for a 421: that is a last word."""
        self.say(line, shown=shown)
        reply = await self.hear(self.timeouts.command if timeout is None else timeout)
        if reply.code == 421:
            raise Fault("", "", reply=reply)
        return reply

    def _note(self, reply: Reply) -> None:
        if reply.code == 421:
            self._leaving = True
        if self.trace.wants_lines:
            last = len(reply.lines) - 1
            # What a login is challenged with helps to guess the password.
            for at, line in enumerate(reply.lines if reply.code != 334 else [REDACTED.decode()] * len(reply.lines)):
                status = f"{reply.status} " if reply.status else ""
                self.trace.line(SERVER, f"{reply.code}{' ' if at == last else '-'}{status}{line}".rstrip().encode())

    def _garbled(self, bad: BadReply) -> Fault:
        return Fault("4.5.0", f"bad answer from {self.host}: {bad}")

    def _lost(self) -> Fault:
        return Fault("4.4.2", f"connection closed by {self.host}")

    # From the greeting on

    async def greet(self) -> None:
        """Hear the greeting and say who we are. Raises `Fault`."""
        greeting = await self.hear(self.timeouts.greeting)
        if greeting.code != 220:
            # 554: no mail here, or not from us; 421: not now (RFC 5321 3.1, RFC 7504)
            raise Fault("", "", reply=greeting, final=greeting.is_permanent)
        self._check_name(greeting)
        await self.hello()

    async def hello(self) -> None:
        """EHLO; or HELO, for those who have not heard of 1993 (RFC 5321 3.2). Raises `Fault`."""
        name = self.hostname.encode("ascii", "replace")
        self.extensions = {}
        reply = await self.ask(b"EHLO " + name)
        if reply.is_good:
            self.extensions = extensions(reply)
        elif reply.is_permanent and self.secure is None:
            reply = await self.ask(b"HELO " + name)
        if not reply.is_good:
            raise Fault("", "", reply=reply, final=reply.is_permanent)
        self._check_name(reply)

    def _check_name(self, reply: Reply) -> None:
        # RFC 5321 5.1: a server must not deliver to itself. An address that leads here may hide behind any name.
        called = reply.lines[0].partition(" ")[0].rstrip(".").lower()
        if called and called == self.hostname.rstrip(".").lower():
            raise Loop("5.4.6", f"mail would loop: {self.host} ({self.ip}) calls itself {called}, as we do", final=True)

    async def start_tls(self, context: ssl.SSLContext, *, verifies: bool) -> bool:
        """Go on under TLS; False where it did not want to after all. `verifies` is whether `context` asks for proof.

        Raises `Fault`: `Untrusted`, `NoHandshake`, or another.
        """
        reply = await self.ask(b"STARTTLS")
        if reply.code != 220:
            return False
        if self._replies.pending:
            # Whoever sits between can put answers of their own behind the 220, in clear, so that they are taken for
            # the server's when TLS has come (CVE-2021-38371).
            raise self._attacked()
        try:
            await self.connection.start_tls(context, server_hostname=tls_name(self.host, self.ip))
        except Injected:
            raise self._attacked() from None
        except ValueError:
            raise NoHandshake("4.7.5", f"no TLS with {self.host}: no certificate can have that name") from None
        except Distrusted as why:
            raise Untrusted("4.7.5", f"no trust in {self.host}: {why}") from None
        except Closed as why:
            raise NoHandshake("4.7.5", f"no TLS with {self.host}: {why}") from None
        self._replies = Replies()
        self.verified = verifies
        self.trace.event("secured", tls=self.secure, verified=verifies)
        await self.hello()
        return True

    def _attacked(self) -> Fault:
        self.trace.event("attacked", reason="octets in clear behind the answer to STARTTLS")
        return Fault("4.7.5", f"attacked: octets in clear behind the answer of {self.host} to STARTTLS")

    # The end

    async def reset(self) -> None:
        """Forget what was begun. Raises `Fault`."""
        reply = await self.ask(b"RSET")
        if not reply.is_good:
            raise Fault("", "", reply=reply)
        self.dirty = False

    async def quit(self) -> None:
        """Say goodbye, without caring much for the answer, and close."""
        try:
            if self.in_step:
                self.until = None
                with suppress(Fault):
                    await self.ask(b"QUIT", self.timeouts.quit)
                await self.connection.close()
        finally:
            await self.abort("quit")

    async def abort(self, reason: str) -> None:
        """Close at once."""
        if not self._ended:
            self._ended = True
            self.trace.event("disconnected", reason=reason)
        await self.connection.abort_and_wait()


def tls_name(host: str, ip: str) -> str:
    """What the certificate of a host must be for."""
    return ip if host.startswith("[") else host.rstrip(".")
