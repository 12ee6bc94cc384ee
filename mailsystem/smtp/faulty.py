"""The door of a sink, at which things go wrong when they are told to: at the greeting, at each command, at the message."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from mailsystem.faults import BODY, CONNECT, Faults, Narrow, Rule, Scene, finished, hang_up, pause
from mailsystem.mail.errors import MailError, SyntaxFault
from mailsystem.smtp import grammar, replies
from mailsystem.smtp.answering import Answering
from mailsystem.smtp.conversation import Verb
from mailsystem.smtp.receiving import Reception
from mailsystem.smtp.replies import Refusal, Reply
from mailsystem.smtp.server import MailSMTP

_HELLO: Final = frozenset({b"HELO", b"EHLO", b"LHLO"})
_MESSAGE: Final = frozenset({"DATA", "BDAT", BODY})

_STATUS: Final = re.compile(r"[245]\.[0-9]{1,3}\.[0-9]{1,3}")


@dataclass(frozen=True, slots=True)
class Scripted(Reply):
    """A reply as a rule has it: of several lines, each with its code and, where there is one, the status."""

    def __post_init__(self) -> None:
        status = f"{self.status} " if self.status else ""
        *further, last = [f"{status}{line}" for line in self.text.split("\n")]
        lines = [*(f"{self.code}-{line}" for line in further), f"{self.code} {last}".rstrip(" ")]
        object.__setattr__(self, "line", "\r\n".join(lines).encode("ascii", "replace"))


def scripted(text: str) -> Scripted:
    """What a rule's `reply` is on the wire."""
    first, newline, further = text.partition("\n")
    status, _, words = first[4:].partition(" ")
    if not _STATUS.fullmatch(status):
        status, words = "", first[4:]
    return Scripted(int(first[:3]), status, words + newline + further)


class Faulty(MailSMTP):
    """What can go wrong in one client's conversation. Whoever makes one sets `faults` and `answering`."""

    faults: Faults
    answering: Answering
    _fault: Rule | None = None
    """What the message that comes in will meet."""
    _came = 0
    """Octets of it that have come."""
    _since = 0.0
    """When it began to."""

    async def _struck(self, stage: str, argument: bytes = b"") -> Rule | None:
        """What goes wrong at this stage, if anything."""
        if self.faults.quiet and not (
            self.faults.magic and (stage in _MESSAGE or (stage == "RCPT" and b"+" in argument))
        ):
            return None
        sender, recipients = self.envelope.sender, list(self.envelope.recipients)
        try:
            if stage == "MAIL" and sender is None:
                sender = grammar.sender(grammar.path(argument, b"FROM:")[0])
            elif stage == "RCPT" and sender is not None:
                recipients = [grammar.recipient(grammar.path(argument, b"TO:")[0])]
            elif stage in {"MAIL", "RCPT"} or (stage in {"DATA", "BDAT"} and not recipients):
                return None  # it is out of place, and refused for that
        except SyntaxFault:
            return None
        login = self.session.login or ""
        scene = Scene("smtp", stage, self.connection.peer, login, sender, recipients)
        fault = await self.faults.strike(scene, self.trace)
        if fault is not None or (stage == "BDAT" and self.envelope.reception is not None):
            return fault  # an address asks once for each message
        return await self.faults.strike_magic(scene, self.trace)

    async def _suffer(
        self, fault: Rule, doing: Callable[[], Awaitable[None]], verb: bytes, argument: bytes = b""
    ) -> None:
        """A command with what goes wrong at it."""
        await self.flush()
        await pause(self.connection, fault.delay)
        if fault.disconnect == "before":
            await hang_up(self.connection)
        if fault.narrows:
            self.connection = Narrow.of(self.connection, fault)
        try:
            if not fault.reply:
                await doing()
            else:
                if verb == b"BDAT":
                    await self._pass_over(argument)
                await self._answer(fault)
        except (MailError, Refusal) as refused:
            await self._refuse(refused, verb)
        finally:
            if fault.disconnect == "after":
                self._leaving = True
        if fault.narrows:
            await self.flush()
            self.connection = await finished(self.connection)

    async def _pass_over(self, argument: bytes) -> None:
        """Read a chunk that is refused: what follows it is the next command, and the message is lost (RFC 3030 2)."""
        try:
            size, _ = grammar.chunk(argument)
        except SyntaxFault as fault:
            raise Refusal(replies.BAD_ARGUMENT.saying(str(fault)), close=True) from None
        unwanted = Reception(self.rules, self.contents.spool(), binary=True, now=self.loop.time())
        unwanted.fault = Refusal(replies.MESSAGE_TOO_LARGE, close=True)
        if size > self.rules.size_limit:
            raise unwanted.fault
        await self._read_chunk(unwanted, size)
        self._set_post_data_state()

    async def _answer(self, fault: Rule, times: int = 1) -> None:
        for _ in range(times):
            await self.push(scripted(fault.reply))

    async def _greet(self) -> None:
        await self.faults.look()
        fault = await self._struck(CONNECT)
        if fault is None:
            await super()._greet()
            return
        await self._suffer(fault, super()._greet, b"CONNECT")
        if fault.reply and not fault.reply.startswith("2"):
            self._leaving = True  # RFC 5321 3.1 would have it wait for QUIT; but nothing can come of it

    async def _call_handler_hook(self, command: str, *args: Any) -> Any:
        spool = self.envelope.spool
        if command == "DATA" and spool is not None:
            envelope, peer = self.envelope, self.connection.peer.host
            answers = await self.answering.prepare(envelope.sender, envelope.recipients, spool, peer)
            done = await super()._call_handler_hook(command, *args)
            await self.answering.write(answers, self.trace)
            return done
        done = await super()._call_handler_hook(command, *args)
        if command == "AUTH" and (fault := await self._struck("AUTH")) is not None:
            return await self._logged_in(fault, done)
        return done

    async def _logged_in(self, fault: Rule, done: Reply) -> Reply:
        """Somebody has proven who they are: only now that is known, and may go wrong."""
        await pause(self.connection, fault.delay)
        if fault.replaces:
            self.session.account = None
            self.session.authenticated = False
        if fault.disconnect == "before":
            await self.flush()
            await hang_up(self.connection)
        if fault.disconnect == "after":
            self._leaving = True
        return scripted(fault.reply) if fault.reply else done

    # The message

    async def _receive_data(self) -> None:
        self._fault = await self._struck(BODY)
        await super()._receive_data()

    async def _receive_chunk(self, size: int, *, last: bool) -> None:
        if self.envelope.reception is None:
            self._fault = await self._struck(BODY) if self.envelope.recipients else None
        await super()._receive_chunk(size, last=last)

    async def _read_on(self, reception: Reception) -> bytes:
        data = await super()._read_on(reception)
        fault = self._fault
        if fault is not None and fault.truncate is not None:
            self._came += len(data)
            if self._came >= fault.truncate:
                await hang_up(self.connection)
        if fault is not None and fault.throttle:
            await pause(self.connection, len(data) / fault.throttle)
        return data

    def _begin(self) -> Reception:
        self._came = 0
        self._since = self.loop.time()
        return super()._begin()

    async def _accept(self, reception: Reception) -> None:
        fault, self._fault = self._fault, None
        if fault is None or reception.fault is not None:
            await super()._accept(reception)
            return
        await self.flush()  # what chunks before it were answered
        if fault.truncate is not None:
            await hang_up(self.connection)  # it came whole in one piece
        if fault.throttle:
            # What came together with the command had to wait for nothing yet.
            await pause(self.connection, self._since + reception.spool.size / fault.throttle - self.loop.time())
        await pause(self.connection, fault.delay)
        if fault.replaces:
            if fault.disconnect == "before":
                await hang_up(self.connection)
            await self._answer(fault, self._owed)
        elif fault.performed:
            answers = await self._call_handler_hook("DATA")
            if fault.disconnect == "before":
                await hang_up(self.connection)
            await self._answer(fault, len(answers))
        else:
            await super()._accept(reception)
        if fault.disconnect == "after":
            self._leaving = True
        await self.flush()


def faulty(verbs: Mapping[bytes, Verb]) -> dict[bytes, Verb]:
    """The commands, as they are where something may go wrong."""
    return {verb: method if verb == b"AUTH" else _faulty(verb, method) for verb, method in verbs.items()}


def _faulty(verb: bytes, method: Verb) -> Verb:
    stage = "EHLO" if verb in _HELLO else verb.decode()

    async def obey(session: Faulty, argument: bytes) -> None:
        fault = await session._struck(stage, argument)
        if fault is None:
            await method(session, argument)
        else:
            await session._suffer(fault, lambda: method(session, argument), verb, argument)

    return obey
