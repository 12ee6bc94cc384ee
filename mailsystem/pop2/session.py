"""One client's conversation: in which state it is, which message is its current one."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from mailsystem.directory import Directory, proven
from mailsystem.mail.errors import AuthRequired
from mailsystem.mail.mailbox import INBOX
from mailsystem.mail.sasl import Credentials
from mailsystem.maildrop import Maildrop
from mailsystem.net import Connection, Conversation, Patience
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
        self.patience = Patience(login_timeout=options.login_timeout, idle_timeout=options.idle_timeout)
        self.talk = Conversation(connection, trace, self.patience, longest=COMMAND_LIMIT)
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

    @property
    def maildrop(self) -> Maildrop:
        """Raises `AuthRequired` before HELO, though no state lets that happen."""
        if self.drop is None:
            raise AuthRequired
        return self.drop

    @property
    def size(self) -> int:
        """Octets of the current message; 0 where there is none."""
        return self.maildrop.view.size(self.current)

    async def log_in(self, user: bytes, password: bytes) -> None:
        """Prove who it is, lock the maildrop and enter INBOX. Raises `AuthRequired`, `AuthFailed`, `InUse`, `MailError`."""
        peer = self.talk.connection.peer
        if not (self.talk.connection.is_private or self.options.cleartext_login):
            raise AuthRequired("not from another host")
        credentials = Credentials.of(user, password)
        proving = self._directory.login(credentials, peer)
        account = await proven(
            self._directory, proving, self.trace, peer=peer, mechanism="password", login=credentials.login
        )
        self.trace.event("logged in", login=account.login, mechanism="password")
        self.drop = Maildrop(self._store, account, self.trace)
        await self.drop.open(INBOX)
        self.patience.known = True

    async def enter(self, mailbox: str) -> None:
        """Do what is to be done in the last mailbox, then see another. Raises `NoSuchMailbox`, `InUse`, `MailError`."""
        drop = self.maildrop
        if drop.changes:
            await drop.update()
            await drop.lock()
        await drop.look(mailbox)

    async def leave(self) -> None:
        """However it ended: give the lock back."""
        if self.drop is not None:
            await self.drop.release()
