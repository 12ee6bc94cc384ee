"""What goes wrong at the IMAP door of a sink, where it is told to: at the greeting and at each command."""

from __future__ import annotations

import asyncio
import re
from typing import Final

from mailsystem.faults import CONNECT, Doubting, Faults, Narrow, Rule, Scene, finished, hang_up, is_login, pause
from mailsystem.imap.command import Command, Instead, Ok
from mailsystem.imap.grammar import Arguments
from mailsystem.imap.session import Goodbye, Session
from mailsystem.mail.account import Account

_LITERAL: Final = re.compile(rb"\{[0-9]+\}\r\n")
_AT_LEAST: Final = 0.05
"""Seconds for which somebody idles who is cut off at that: so the client is told first that it does."""


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
        """Say the first word. Raises `Goodbye` and `Closed` where that is the last one."""
        await self._faults.look()
        self._met = await self._struck(CONNECT)
        if self._met is not None:
            await self._begin(self._met, CONNECT)
        self._session.send(line)
        await self.answered()

    async def perform(self, entry: Command, args: Arguments, by_uid: bool) -> Ok | None:
        """Run a command as its handler does, with what goes wrong at it.

        Raises what that raises, and `Instead`, `Goodbye` and `Closed`. Call `answered` once the answer was said.
        """
        self._stage, self._met = entry.name, None
        if not is_login(entry.name):
            if self._faults.quiet or (fault := await self._struck(entry.name)) is None:
                return await entry.handler(self._session, args, by_uid)
            self._met = fault
            if entry.name == "IDLE" and fault.disconnect == "before" and not fault.reply:
                return await self._cut_off(fault, entry, args)
            await self._begin(fault, entry.name)
        done = await entry.handler(self._session, args, by_uid)
        if self._met is not None and self._met.performed:
            if self._met.disconnect == "before":
                await hang_up(self._session._connection)
            self._answer(self._met)
        return done

    async def answered(self) -> None:
        """What comes after an answer. Raises `Closed`."""
        fault, self._met = self._met, None
        if fault is None:
            return
        if fault.narrows:
            await self._session.flush()
            self._session._connection = await finished(self._session._connection)
        if fault.disconnect == "after":
            self._session.ended = True

    async def _struck(self, stage: str, account: Account | None = None) -> Rule | None:
        session = self._session
        if account is None and session.state is not session.state.NOT_AUTHENTICATED:
            account = session.account
        scene = Scene("imap", stage, session.peer, account.login if account is not None else "")
        return await self._faults.strike(scene, session.trace)

    async def _proven(self, account: Account) -> None:
        """Somebody is about to be let in."""
        if (fault := await self._struck(self._stage, account)) is not None:
            self._met = fault
            await self._begin(fault, self._stage)

    async def _begin(self, fault: Rule, stage: str) -> None:
        """What comes before the command. Raises `Instead` or `Goodbye` where that is not carried out, and `Closed`."""
        session = self._session
        await session.flush()
        await pause(session._connection, fault.delay)
        if fault.replaces and fault.disconnect == "before":
            await hang_up(session._connection)
        if fault.narrows:
            behind = _LITERAL if stage == "FETCH" else None
            session._connection = Narrow.of(session._connection, fault, behind=behind)
        if fault.replaces:
            self._answer(fault)

    @staticmethod
    def _answer(fault: Rule) -> None:
        status, _, text = fault.reply.partition(" ")
        if status == "BYE":
            raise Goodbye(text or "goodbye")
        raise Instead(f"{status} {text or 'as it was told to'}".encode("ascii", "replace"))

    async def _cut_off(self, fault: Rule, entry: Command, args: Arguments) -> Ok | None:
        """Let a client idle, and cut it off while it does."""
        cut = self._session._connection.abort
        timer = asyncio.get_running_loop().call_later(max(fault.delay, _AT_LEAST), cut)
        try:
            return await entry.handler(self._session, args, False)
        finally:
            timer.cancel()
