"""One client's conversation: who it is, and the mailbox that it is reading."""

from __future__ import annotations

import asyncio
import enum
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from mailsystem.directory import Directory
from mailsystem.mail.errors import AuthRequired, MailError
from mailsystem.mail.sasl import Credentials
from mailsystem.maildrop import Maildrop, log_in
from mailsystem.net import Connection, Conversation
from mailsystem.pop1.grammar import COMMAND_LIMIT, separated, separator
from mailsystem.store import Store
from mailsystem.telemetry import Trace


class State(enum.Flag):
    """RFC 918, Diagram: where the client is when it says something."""

    GREETED = enum.auto()
    NAMED = enum.auto()
    """USER was said, PASS must follow."""
    KNOWN = enum.auto()
    READING = enum.auto()
    """RETR or RDEL was said, RCEV must follow."""
    SENT = enum.auto()
    """The mail was sent, RCVD must follow."""


@dataclass(frozen=True, slots=True)
class Options:
    """How this door treats its clients. Times are in seconds."""

    hostname: str = "localhost"
    cleartext_login: bool = False
    """Let passwords come in clear from other hosts."""
    login_timeout: float = 180
    """From the first octet until the login has succeeded."""
    idle_timeout: float = 600
    login_attempts: int = 3
    bad_commands: int = 20
    """So many lines in a row that are no commands, and we hang up."""


class Session:
    """One client."""

    def __init__(
        self, connection: Connection, store: Store, directory: Directory, trace: Trace, options: Options
    ) -> None:
        self.talk = Conversation(connection, trace, longest=COMMAND_LIMIT)
        self.trace = trace
        self.options = options
        self.state = State.GREETED
        self.user = b""
        """What USER said."""
        self.deleting = False
        """The transaction began with RDEL."""
        self.size = 0
        """The characters in the mailbox that is being read."""
        self.ended = False
        """The last answer was given."""
        self.failures = 0
        """Logins that failed."""
        self.bad = 0
        """Lines in a row that were no commands."""
        self.drop: Maildrop | None = None
        self._store = store
        self._directory = directory
        self._since = asyncio.get_running_loop().time()

    @property
    def maildrop(self) -> Maildrop:
        """Raises `AuthRequired` before login, though no state lets that happen."""
        if self.drop is None:
            raise AuthRequired
        return self.drop

    def patience(self) -> float:
        """How long a command may take to come. Raises `TimeoutError`."""
        if self.drop is not None:
            return self.options.idle_timeout
        # One that is not known may not hold the connection by saying a little now and then.
        left = self._since + self.options.login_timeout - asyncio.get_running_loop().time()
        if left <= 0:
            raise TimeoutError
        return left

    def check_privacy(self) -> None:
        """Raises `AuthRequired` where a password would go in clear over a network."""
        if not (self.talk.connection.peer.is_loopback or self.options.cleartext_login):
            raise AuthRequired("not from another host")

    async def log_in(self, password: bytes) -> None:
        """Prove who it is. Raises `AuthFailed`, `MailError`."""
        peer = self.talk.connection.peer
        credentials = Credentials.of(self.user, password)
        proving = self._directory.login(credentials, peer)
        account = await log_in(self._directory, proving, self.trace, login=credentials.login, peer=peer)
        self.drop = Maildrop(self._store, account, self.trace)

    async def open(self, mailbox: str, *, deleting: bool) -> None:
        """Open and lock a mailbox. Raises `InUse`, `NoSuchMailbox`, `MailError`."""
        drop = self.maildrop
        await drop.lock()
        try:
            await drop.look(mailbox)
        except MailError:
            await drop.release()
            raise
        self.deleting = deleting
        self.size = sum(separated(drop.size(number)) for number in range(1, len(drop) + 1))

    async def mail(self) -> AsyncGenerator[bytes, None]:
        """All that is in the mailbox. Raises `MailError`."""
        drop = self.maildrop
        for number in range(1, len(drop) + 1):
            yield self._separator(number)
            async with aclosing(drop.octets(number)) as slices:
                async for chunk in slices:
                    yield chunk

    def _separator(self, number: int) -> bytes:
        return separator(self.maildrop.date(number), self.maildrop.size(number))

    async def leave(self) -> None:
        """However it ended: close and unlock the mailbox, and leave everything in it."""
        if self.drop is not None:
            await self.drop.release()
