"""What goes wrong at the POP3 door of a sink, where it is told to: at the greeting and at each command."""

from __future__ import annotations

import hashlib
import re
from typing import Final

from mailsystem.faults import CONNECT, Doubting, Faults, Narrow, Rule, Scene, finished, hang_up, is_login, pause
from mailsystem.mail.account import Account
from mailsystem.mail.errors import SyntaxFault
from mailsystem.pop3 import grammar
from mailsystem.pop3.grammar import Arguments
from mailsystem.pop3.session import Session
from mailsystem.pop3.verbs import Verb

_MESSAGES: Final = frozenset({"RETR", "TOP"})
_FIRST_LINE: Final = re.compile(rb"\r\n")


class _Instead(Exception):
    """What a command would have done is not done."""


class Faulty:
    """One client's faults."""

    def __init__(self, session: Session, faults: Faults) -> None:
        self._session = session
        self._faults = faults
        self._stage = ""
        self._met: Rule | None = None
        """What went wrong at the command that runs."""
        session.directory = Doubting.of(session.directory, self._proven)

    async def greet(self, line: bytes) -> None:
        """Say the first word, or whatever is said instead."""
        await self._faults.look()
        self._met = fault = await self._struck(CONNECT)
        try:
            if fault is not None:
                await self._begin(fault, CONNECT)
        except _Instead:
            self._say(fault)
            self._session.ended = fault is not None and not fault.reply.startswith("+OK")
        else:
            self._session.talk.say(line)
        await self.answered()

    async def perform(self, entry: Verb, args: Arguments, line: bytes) -> str | None:
        """Run a command as its handler does, with what goes wrong at it. Raises what that raises, and `Closed`.

        Call `answered` once the answer was said.
        """
        self._stage, self._met = entry.name, None
        if not is_login(entry.name):
            if self._faults.quiet or (fault := await self._struck(entry.name, line)) is None:
                return await entry.handler(self._session, args)
            self._met = fault
        try:
            if self._met is not None:
                await self._begin(self._met, entry.name)
            text = await self._named_anew(args) if self._renames else await entry.handler(self._session, args)
        except _Instead:
            self._say(self._met)
            # RFC 1939 6: whether the deletions succeed or not, the session is over.
            self._session.ended = self._session.ended or entry.name == "QUIT"
            return None
        if self._met is None or not self._met.performed:
            return text
        if self._met.disconnect == "before":
            await hang_up(self._session.talk.connection)
        self._say(self._met)
        return None

    async def answered(self) -> None:
        """What comes after an answer. Raises `Closed`."""
        fault, self._met = self._met, None
        if fault is None:
            return
        talk = self._session.talk
        if fault.narrows:
            await talk.flush()
            talk.connection = await finished(talk.connection)
        if fault.disconnect == "after":
            self._session.ended = True

    async def _struck(self, stage: str, line: bytes = b"", login: str = "") -> Rule | None:
        session = self._session
        if stage == "USER":
            login = self._claimed(line)
        scene = Scene("pop3", stage, session.peer, login or session.login)
        return await self._faults.strike(scene, session.trace)

    def _claimed(self, line: bytes) -> str:
        try:
            _, args = grammar.keyword(line)
            return self._session.directory.login_key(args.rest().strip(b" ").decode("utf-8", "replace"))
        except SyntaxFault:
            return ""

    async def _proven(self, account: Account) -> None:
        """Somebody is about to be let in."""
        if (fault := await self._struck(self._stage, login=account.login)) is not None:
            self._met = fault
            await self._begin(fault, self._stage)

    async def _begin(self, fault: Rule, stage: str) -> None:
        """What comes before the command. Raises `_Instead` where that is not to be carried out, and `Closed`."""
        talk = self._session.talk
        await talk.flush()
        await pause(talk.connection, fault.delay)
        if fault.replaces and fault.disconnect == "before":
            await hang_up(talk.connection)
        if fault.narrows:
            behind = _FIRST_LINE if stage in _MESSAGES else None
            talk.connection = Narrow.of(talk.connection, fault, behind=behind)
        if fault.replaces:
            raise _Instead

    def _say(self, fault: Rule | None) -> None:
        if fault is not None:
            words = fault.reply if fault.reply.startswith(("+OK", "-ERR")) else f"-ERR {fault.reply}"
            self._session.talk.say(words.encode("ascii", "replace"))

    # UIDL

    @property
    def _renames(self) -> bool:
        return self._met is not None and self._met.renamed and not self._met.replaces

    async def _named_anew(self, args: Arguments) -> str | None:
        """UIDL's answer, with names that nobody has heard before."""
        view = self._session.view
        if not args.at_end():
            number = args.number()
            args.end()
            return f"{number} {_other(view.name(view.message(number)))}"
        lines = (f"{number} {_other(name)}".encode() for number, name in view.named())
        await self._session.listing("unique-ids follow", lines, view.count)
        return None


def _other(name: str) -> str:
    return hashlib.blake2b(name.encode(), digest_size=12).hexdigest()
