"""One message handed to one server: MAIL, RCPT and the octets, with as few waits as the server allows.

It never says more than the other side's last word: whoever was not answered for is left for another try.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Final, Literal

from mailsystem.mail.address import Address
from mailsystem.mail.outgoing import Attempt, State, Waiting
from mailsystem.queue.client import Fault, Session
from mailsystem.queue.content import Content, Stuffing
from mailsystem.queue.demands import Lacking, body_of, lacking, lacks_utf8, mail, needs_utf8, rcpt
from mailsystem.queue.replies import Reply
from mailsystem.telemetry.trace import CLIENT

CHUNK: Final = 256 * 1024
"""Octets of a chunk (RFC 3030): so many are held in memory, and in clear view of no more than two of them unanswered."""

Outcome = Literal[State.SENT, State.RELAYED, State.FAILED, State.WAITING]


class Transaction:
    """One message for some recipients. `attempts` tells what became of whom, even where `run` raised a `Fault`."""

    def __init__(
        self, session: Session, content: Content, recipients: Sequence[Waiting], *, until: float | None = None
    ) -> None:
        """`until` is when it must be over, as the loop tells time."""
        self.attempts: dict[Address, Attempt] = {}
        self.too_many: list[Waiting] = []
        """Who was refused for being one too many, and may be named in another transaction at once (RFC 5321 4.5.3.1.10)."""
        self._session = session
        self._content = content
        self._recipients = list(recipients)
        self._taken: list[Waiting] = []
        self._until = until
        self._ended = False
        self._utf8 = False

    async def run(self) -> None:
        """From MAIL to the reply to the message. Raises `Fault` when the session is over before that."""
        if not await self._begin():
            return
        session = self._session
        session.messages += 1
        session.dirty = True
        session.until = self._by(session.timeouts.commands)
        try:
            await self._envelope()
        except Fault as fault:
            fault.after_end = self._ended
            raise
        finally:
            session.until = None

    @property
    def was_taken(self) -> bool:
        """Whether the other side has the message, for somebody."""
        return any(attempt.state in {State.SENT, State.RELAYED} for attempt in self.attempts.values())

    @property
    def _offered(self) -> dict[str, str]:
        return self._session.extensions

    async def _begin(self) -> bool:
        """Put aside what the other side cannot take; False where nothing is left."""
        found = await lacking(self._content, self._offered, self._session.host)
        if found is not None:
            self._lacks(self._recipients, found)
            return False
        demanding = [one for one in self._recipients if await needs_utf8(self._content, one.address)]
        self._utf8 = bool(demanding)
        if demanding and "SMTPUTF8" not in self._offered:
            for one in demanding:
                self._lacks([one], lacks_utf8(self._content, one.address, self._session.host))
            self._recipients = [one for one in self._recipients if one not in demanding]
            self._utf8 = False
        return bool(self._recipients)

    def _by(self, seconds: float) -> float:
        due = asyncio.get_running_loop().time() + seconds
        return due if self._until is None else min(due, self._until)

    # The envelope

    async def _envelope(self) -> None:
        session, offered = self._session, self._offered
        times = session.timeouts
        pipelining, chunking = "PIPELINING" in offered, "CHUNKING" in offered
        body = await body_of(self._content, offered)
        session.say(mail(self._content, offered, body=body, utf8=self._utf8))
        if not pipelining and not await self._judge_sender():
            session.dirty = False
            return
        for one in self._recipients:
            session.say(rcpt(one, offered, utf8=self._utf8))
            if not pipelining:
                self._judge_recipient(one, await session.hear(times.command))
        if pipelining:
            if not chunking:
                session.say(b"DATA")  # RFC 2920 3.1: the last of its group
            if not await self._judge_sender():
                # They are refused because MAIL was: those replies tell nothing.
                for _ in self._recipients:
                    self._stay(await session.hear(times.command))
                await self._no_message(asked=not chunking)
                return
            for one in self._recipients:
                self._judge_recipient(one, await session.hear(times.command))
        if not self._taken:
            await self._no_message(asked=pipelining and not chunking)
        elif chunking:
            session.until = self._until
            await self._chunks()
        else:
            if not pipelining:
                session.say(b"DATA")
            reply = self._stay(await session.hear(times.data))
            session.until = self._until
            if reply.code == 354:
                await self._octets()
            elif reply.is_good:
                raise self._disorder()
            else:
                self._judge(reply)

    async def _judge_sender(self) -> bool:
        reply = self._stay(await self._session.hear(self._session.timeouts.command))
        if reply.is_good:
            return True
        self._settle(self._recipients, reply)
        return False

    def _judge_recipient(self, one: Waiting, reply: Reply) -> None:
        if reply.code == 421:
            raise Fault("", "", reply=reply)
        if reply.is_good:
            self._taken.append(one)
            return
        # RFC 5321 4.5.3.1.10: there are servers that say "too many recipients" with 552 where they mean 452.
        many = reply.code == 552 and reply.status in {"", "5.5.3"}
        if self._taken and (many or (reply.code == 452 and reply.status in {"", "4.5.3"})):
            self.too_many.append(one)
        self._settle([one], reply, temporary=many)

    async def _no_message(self, *, asked: bool) -> None:
        """There is nobody to send it to. Where DATA was said already, it may have been taken up (RFC 2920 3.1)."""
        if asked and self._stay(await self._session.hear(self._session.timeouts.data)).code == 354:
            self._session.say(b".")
            self._stay(await self._session.hear(self._session.timeouts.end))

    def _stay(self, reply: Reply) -> Reply:
        if reply.code == 421:
            raise Fault("", "", reply=reply)
        return reply

    # The message

    async def _octets(self) -> None:
        """By DATA (RFC 5321 4.1.1.4)."""
        session = self._session
        stuffing = Stuffing()
        sent = 0
        last = b""
        async with self._in_time(), aclosing(self._content.pieces()) as pieces:
            async for piece in pieces:
                session.send(last)
                last = stuffing.feed(piece)
                sent += len(last)
                if not await self._unanswered():
                    return
        session.send(last + b".\r\n")
        await self._answer(sent)

    async def _chunks(self) -> None:
        """By BDAT (RFC 3030), two chunks on their way where commands may be; else one after the other."""
        session = self._session
        ahead = 1 if "PIPELINING" in self._offered else 0
        chunk: list[bytes] = []
        size = sent = waiting = 0
        async with self._in_time(), aclosing(self._content.pieces()) as pieces:
            async for piece in pieces:
                if size >= CHUNK:
                    session.say(b"BDAT %d" % size)
                    session.send(b"".join(chunk))
                    await session.flush()
                    chunk, size, waiting = [], 0, waiting + 1
                    if waiting > ahead:
                        waiting -= 1
                        if not await self._goes_on(waiting):
                            return
                chunk.append(piece)
                size += len(piece)
                sent += len(piece)
            if waiting and not await self._goes_on(0):
                return
            if not await self._unanswered():
                return
        session.say(b"BDAT %d LAST" % size)
        session.send(b"".join(chunk))
        await self._answer(sent)

    async def _goes_on(self, unanswered: int) -> bool:
        """Whether a chunk was taken; if not, that was its answer, and those behind it get none that counts."""
        reply = self._stay(await self._session.hear(self._session.timeouts.end))
        if reply.is_good:
            return True
        self._judge(reply)
        for _ in range(unanswered):
            self._stay(await self._session.hear(self._session.timeouts.end))
        return False

    async def _unanswered(self) -> bool:
        """Let octets leave; False where the other side has answered for good before it heard all of them."""
        session = self._session
        fault: Fault | None = None
        try:
            await session.flush()
        except Fault as lost:
            fault = lost
        if fault is None and session.in_step:
            return True
        # Its last words may have come before it closed: those of a server that finds a message too large, for example.
        await session.look()
        reply = session.early()
        if reply is None:
            if fault is not None:
                raise fault
            return True
        self._stay(reply)
        if not (reply.is_temporary or reply.is_permanent):
            raise Fault("4.5.0", f"bad answer from {session.host}: it came before the message had")
        self._judge(reply)
        # The message has not ended for it: whatever was said next would be taken for a part of that.
        session.leave()
        return False

    async def _answer(self, sent: int) -> None:
        """Let the end of the message leave, and hear what the other side says to all of it."""
        session = self._session
        if session.trace.wants_lines:
            session.trace.line(CLIENT, b"[%d octets]" % sent)
        self._ended = True
        reply = await session.hear(session.timeouts.end)
        self._judge(reply)
        session.dirty = not reply.is_good

    @asynccontextmanager
    async def _in_time(self) -> AsyncIterator[None]:
        """Raises `Fault` where the other side takes the message too slowly."""
        limit = asyncio.timeout_at(self._by(self._session.timeouts.message))
        try:
            async with limit:
                yield
        except TimeoutError:
            if not limit.expired():
                raise
            raise Fault("4.4.2", f"timeout: {self._session.host} takes the message too slowly") from None

    # What comes of it

    def _judge(self, reply: Reply) -> None:
        """The reply to the message: for all who were taken."""
        self._settle(self._taken, reply)

    def _settle(self, recipients: Iterable[Waiting], reply: Reply, *, temporary: bool = False) -> None:
        state: Outcome
        if 300 <= reply.code < 400:
            raise self._disorder()
        if reply.is_good:
            # RFC 3461 5.2.2: one that does not know DSN will report nothing, and whoever asked must hear that.
            state = State.SENT if "DSN" in self._offered else State.RELAYED
        elif reply.is_permanent and not temporary:
            state = State.FAILED
        else:
            state = State.WAITING
        status = "4.5.3" if temporary else reply.enhanced
        for one in recipients:
            self.attempts[one.address] = self._attempt(one, state, status, str(reply))

    def _disorder(self) -> Fault:
        return Fault("4.5.0", f"bad answer from {self._session.host}: out of order")

    def _lacks(self, recipients: Iterable[Waiting], found: Lacking) -> None:
        for one in recipients:
            self.attempts[one.address] = self._attempt(one, State.FAILED, found.status, found.text)

    def _attempt(self, one: Waiting, state: Outcome, status: str, text: str) -> Attempt:
        session = self._session
        return Attempt(one.address, state, status, text, session.host, session.ip, session.secure)
