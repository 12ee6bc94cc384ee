"""One client's conversation: who it is, and the mailbox that it is reading."""

from __future__ import annotations

import enum
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from mailsystem.directory import Directory, proven
from mailsystem.mail.errors import AuthRequired
from mailsystem.mail.sasl import Credentials
from mailsystem.maildrop import Maildrop
from mailsystem.net import Connection, Conversation, Patience
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
        self.patience = Patience(
            login_timeout=options.login_timeout,
            idle_timeout=options.idle_timeout,
            login_attempts=options.login_attempts,
            bad_commands=options.bad_commands,
        )
        self.talk = Conversation(connection, trace, self.patience, longest=COMMAND_LIMIT)
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
        self.drop: Maildrop | None = None
        self._store = store
        self._directory = directory

    @property
    def maildrop(self) -> Maildrop:
        """Raises `AuthRequired` before login, though no state lets that happen."""
        if self.drop is None:
            raise AuthRequired
        return self.drop

    def check_privacy(self) -> None:
        """Raises `AuthRequired` where a password would go in clear over a network."""
        if not (self.talk.connection.is_private or self.options.cleartext_login):
            raise AuthRequired("not from another host")

    async def log_in(self, password: bytes) -> None:
        """Prove who it is. Raises `AuthFailed`, `MailError`."""
        peer = self.talk.connection.peer
        credentials = Credentials.of(self.user, password)
        proving = self._directory.login(credentials, peer)
        account = await proven(
            self._directory, proving, self.trace, peer=peer, mechanism="password", login=credentials.login
        )
        self.trace.event("logged in", login=account.login, mechanism="password")
        self.drop = Maildrop(self._store, account, self.trace)
        self.patience.known = True

    async def open(self, mailbox: str, *, deleting: bool) -> None:
        """Open and lock a mailbox. Raises `InUse`, `NoSuchMailbox`, `MailError`."""
        drop = self.maildrop
        await drop.open(mailbox)
        self.deleting = deleting
        self.size = sum(separated(message.size) for _, message in drop.view)

    async def mail(self) -> AsyncGenerator[bytes, None]:
        """All that is in the mailbox. Raises `MailError`."""
        drop = self.maildrop
        for number, message in drop.view:
            yield separator(message.date, message.size)
            async with aclosing(drop.octets(number)) as slices:
                async for chunk in slices:
                    yield chunk

    async def leave(self) -> None:
        """However it ended: close and unlock the mailbox, and leave everything in it."""
        if self.drop is not None:
            await self.drop.release()
