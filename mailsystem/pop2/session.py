"""One client's conversation: in which state it is, which message is its current one."""

from __future__ import annotations

import asyncio
import enum
from dataclasses import dataclass

from mailsystem.directory import Directory
from mailsystem.mail.errors import AuthRequired
from mailsystem.mail.sasl import Credentials
from mailsystem.maildrop import Maildrop, log_in
from mailsystem.net import Connection, Conversation
from mailsystem.pop2.grammar import COMMAND_LIMIT
from mailsystem.store import Store
from mailsystem.telemetry import Trace


class State(enum.Flag):
    """RFC 937, Server State Diagram. LSTN comes before the first command, DONE after the last."""

    AUTH = enum.auto()
    MBOX = enum.auto()
    ITEM = enum.auto()
    NEXT = enum.auto()


@dataclass(frozen=True, slots=True)
class Options:
    """How this door treats its clients. Times are in seconds."""

    hostname: str = "localhost"
    cleartext_login: bool = False
    """Let passwords come in clear from other hosts."""
    login_timeout: float = 180
    """From the first octet until the login has succeeded."""
    idle_timeout: float = 600
    """RFC 937, Timeouts: T2, which should be long where a person decides between two commands."""


class Session:
    """One client."""

    def __init__(
        self, connection: Connection, store: Store, directory: Directory, trace: Trace, options: Options
    ) -> None:
        self.talk = Conversation(connection, trace, longest=COMMAND_LIMIT)
        self.trace = trace
        self.options = options
        self.state = State.AUTH
        self.current = 1
        """The current message indicator."""
        self.ended = False
        """The last answer was given."""
        self.drop: Maildrop | None = None
        self._store = store
        self._directory = directory
        self._since = asyncio.get_running_loop().time()

    @property
    def maildrop(self) -> Maildrop:
        """Raises `AuthRequired` before HELO, though no state lets that happen."""
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

    async def log_in(self, user: bytes, password: bytes) -> None:
        """Prove who it is and lock the maildrop. Raises `AuthRequired`, `AuthFailed`, `InUse`, `MailError`."""
        peer = self.talk.connection.peer
        if not (peer.is_loopback or self.options.cleartext_login):
            raise AuthRequired("not from another host")
        credentials = Credentials.of(user, password)
        proving = self._directory.login(credentials, peer)
        account = await log_in(self._directory, proving, self.trace, login=credentials.login, peer=peer)
        drop = Maildrop(self._store, account, self.trace)
        await drop.lock()
        self.drop = drop

    async def leave(self) -> None:
        """However it ended: give the lock back."""
        if self.drop is not None:
            await self.drop.release()
