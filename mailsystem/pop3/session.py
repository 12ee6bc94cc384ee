"""One client's conversation: who it is, what it sees, and the lock on its maildrop."""

from __future__ import annotations

import asyncio
import enum
import ssl
from collections.abc import AsyncGenerator, Awaitable, Iterable, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final

from mailsystem.directory import Directory, proven
from mailsystem.mail.account import Account
from mailsystem.mail.envelope import Peer
from mailsystem.mail.errors import AuthRequired, InUse, WrongState
from mailsystem.mail.sasl import BINDING, Cancelled
from mailsystem.maildrop import Maildrop, View
from mailsystem.net import Connection, Conversation, Patience
from mailsystem.pop3 import replies
from mailsystem.pop3.grammar import AUTH_LIMIT, COMMAND_LIMIT, Stuffing
from mailsystem.store import Store
from mailsystem.telemetry import Trace
from mailsystem.telemetry.trace import CLIENT, REDACTED, SERVER

if TYPE_CHECKING:
    from mailsystem.pop3.faulty import Faulty

_LINES_AT_ONCE: Final = 1000
_LINES_TRACED: Final = 100


class State(enum.Flag):
    """RFC 1939 3; UPDATE is no state that a command can come in."""

    AUTHORIZATION = enum.auto()
    TRANSACTION = enum.auto()


@dataclass(frozen=True, slots=True)
class Options:
    """How this door treats its clients. Times are in seconds."""

    hostname: str = "localhost"
    tls: ssl.SSLContext | None = None
    """For STLS; None where there is no certificate, or where TLS is on from the beginning."""
    cleartext_login: bool = False
    """Let passwords come in clear from other hosts."""
    login_timeout: float = 180
    """From the first octet until the login has succeeded."""
    idle_timeout: float = 600
    """RFC 1939 3: at least 10 minutes."""
    login_attempts: int = 3
    bad_commands: int = 20
    """So many lines in a row that are no commands, and we hang up."""
    login_delay: int = 0
    """RFC 2449 6.5: between two logins of one person who has chosen nothing else."""


class Session:
    """One client."""

    __slots__ = (
        "_drop",
        "account",
        "directory",
        "ended",
        "faulty",
        "language",
        "midway",
        "name",
        "options",
        "patience",
        "store",
        "talk",
        "trace",
        "utf8",
    )

    def __init__(
        self, connection: Connection, store: Store, directory: Directory, trace: Trace, options: Options
    ) -> None:
        self.store = store
        self.directory = directory
        self.trace = trace
        self.options = options
        self.patience = Patience(
            login_timeout=options.login_timeout,
            idle_timeout=options.idle_timeout,
            login_attempts=options.login_attempts,
            bad_commands=options.bad_commands,
        )
        self.talk = Conversation(connection, trace, self.patience, longest=COMMAND_LIMIT, longer=(b"AUTH ", AUTH_LIMIT))
        self.account: Account | None = None
        self.name: bytes | None = None
        """What USER said."""
        self.ended = False
        """The last answer was given."""
        self.utf8 = False
        """The client takes UTF-8 in header fields (RFC 6856 2)."""
        self.language = ""
        """In which replies speak to people; empty until the client has chosen one."""
        self.midway = False
        """A multi-line answer was begun: whatever goes wrong now, no word of ours could be told from it."""
        self.faulty: Faulty | None = None
        """What goes wrong, in a sink that is told to have faults."""
        self._drop: Maildrop | None = None

    # Where the client stands

    @property
    def state(self) -> State:
        return State.AUTHORIZATION if self.account is None else State.TRANSACTION

    @property
    def login(self) -> str:
        """Who this is; empty before login."""
        return "" if self.account is None else self.account.login

    @property
    def view(self) -> View:
        """What the client sees. Raises `WrongState` before login."""
        return self._maildrop.view

    @property
    def _maildrop(self) -> Maildrop:
        if self._drop is None:
            raise WrongState("log in first")
        return self._drop

    @property
    def lost(self) -> bool:
        """The lock on the maildrop is somebody else's, or may be."""
        return self._drop is not None and self._drop.lost

    @property
    def may_start_tls(self) -> bool:
        return self.options.tls is not None and self.talk.connection.secure is None

    @property
    def may_log_in(self) -> bool:
        """Whether a password may be said here."""
        return self.talk.connection.is_private or self.options.cleartext_login

    def check_privacy(self) -> None:
        """Raises `AuthRequired` where a password would go in clear over a network."""
        if not self.may_log_in:
            raise AuthRequired("only under TLS")

    # Saying

    async def listing(self, text: str, lines: Iterable[bytes], count: int) -> None:
        """A multi-line answer of short lines, of which none begins with a dot."""
        self.talk.say(replies.ok(text, self.language))
        self.midway = True
        traced = self.trace.wants_lines and count <= _LINES_TRACED
        if self.trace.wants_lines and not traced:
            self.trace.line(SERVER, b"[%d lines]" % count)
        each: Iterator[bytes] = iter(lines)
        while some := list(islice(each, _LINES_AT_ONCE)):
            if traced:
                for line in some:
                    self.trace.line(SERVER, line)
            self.talk.send(b"\r\n".join(some) + b"\r\n")
            if len(some) == _LINES_AT_ONCE:
                await self.talk.flush()
                await asyncio.sleep(0)
        self.talk.say(b".")
        self.midway = False

    async def retrieve(self, text: str, number: int) -> None:
        """A multi-line answer that is a whole message. Raises `MailError`, `Closed`."""
        whole = await self._maildrop.whole(number)
        if whole is None:
            await self.message(text, self.octets(number))
            return
        stuffing = Stuffing()
        self.talk.say(replies.ok(text, self.language))
        self.talk.send(stuffing.feed(whole))
        self.talk.send(stuffing.close())
        self._trace_message(len(whole))

    async def message(self, text: str, octets: AsyncGenerator[bytes, None]) -> None:
        """A multi-line answer that is a message, in constant memory.

        What cannot be read is refused before the first word of it. Raises `MailError`, `Closed`.
        """
        stuffing = Stuffing()
        size = 0
        async with aclosing(octets):
            chunk = await anext(octets, None)
            self.talk.say(replies.ok(text, self.language))
            self.midway = True
            while chunk is not None:
                self.talk.send(stuffing.feed(chunk))
                size += len(chunk)
                if self.talk.much:
                    await self.talk.flush()
                chunk = await anext(octets, None)
        self.talk.send(stuffing.close())
        self.midway = False
        self._trace_message(size)

    def _trace_message(self, size: int) -> None:
        if self.trace.wants_lines:
            self.trace.line(SERVER, b"[%d octets]" % size)
            self.trace.line(SERVER, b".")

    # Hearing

    async def ask(self, challenge: bytes) -> bytes:
        """Send a challenge of AUTH and return the client's answer. No trace sees either. Raises `Cancelled`."""
        self.talk.send(b"+ " + challenge + b"\r\n")
        self.trace.line(SERVER, b"+ " + REDACTED if challenge else b"+ ")
        line = await self.talk.hear(AUTH_LIMIT)
        self.trace.line(CLIENT, REDACTED)
        if line == b"*":
            raise Cancelled
        return line

    async def start_tls(self) -> None:
        """Say yes in clear, then go on under TLS, with everything forgotten. Raises `Injected`, `Closed`."""
        if self.options.tls is None or self.talk.connection.secure is not None:
            raise WrongState("no TLS here" if self.options.tls is None else "TLS is on already")
        if self.utf8:
            raise WrongState("STLS must come before UTF8")  # RFC 6856 2.1
        await self.talk.start_tls(self.options.tls, saying=replies.ok("begin TLS", self.language))
        self.name = None

    # The maildrop

    @property
    def peer(self) -> Peer:
        return self.talk.connection.peer

    @property
    def binding(self) -> bytes | None:
        """What SCRAM can bind this channel by; None in clear."""
        return self.talk.connection.binding(BINDING)

    @property
    def mechanisms(self) -> tuple[str, ...]:
        """The SASL mechanisms that are offered here and now."""
        return self.directory.mechanisms(secure=self.may_log_in, binding=self.binding is not None)

    async def log_in(self, proving: Awaitable[Account], *, mechanism: str, login: str = "") -> None:
        """Prove who it is, lock the maildrop, look into it. Raises `AuthFailed`, `InUse`, `MailError`."""
        account = await proven(self.directory, proving, self.trace, peer=self.peer, mechanism=mechanism, login=login)
        delay = self.options.login_delay
        self._drop = drop = Maildrop(self.store, account, self.trace, utf8=self.utf8, login_delay=delay)
        await drop.open()
        self.account = account
        self.patience.known = True
        secure, holds = self.talk.connection.secure, {"messages": drop.view.count, "octets": drop.view.octets}
        self.trace.event("logged in", login=account.login, mechanism=mechanism, tls=secure, **holds)

    async def policies(self) -> list[str]:
        """What CAPA says of how this server treats people: before login of all of them, after it of this one."""
        delay = self.options.login_delay
        if self.account is None:
            known = await self.store.maildrops.announced()
            days, longest = known.shortest_keep_days, known.longest_login_delay
            told = ["EXPIRE NEVER" if days is None else f"EXPIRE {days} USER"]
            if delay or longest is not None:
                told.append(f"LOGIN-DELAY {max(delay, longest or 0)}{'' if longest is None else ' USER'}")
            return told
        chosen = self._maildrop.choices
        days, own = chosen.keep_days, chosen.login_delay
        told = ["EXPIRE NEVER" if days is None else f"EXPIRE {days}"]
        if delay or own is not None:
            told.append(f"LOGIN-DELAY {delay if own is None else own}")
        return told

    def check_lease(self) -> None:
        """Raises `InUse` when the maildrop may be somebody else's by now; then there is nothing more to do here."""
        if self._drop is None:
            return
        try:
            self._drop.check()
        except InUse:
            self.ended = True
            raise

    def octets(self, number: int) -> AsyncGenerator[bytes, None]:
        """The octets of a message in slices, as this client can take them. Raises `MailError`."""
        return self._maildrop.octets(number)

    async def update(self) -> int:
        """The UPDATE state (RFC 1939 6): what is marked goes, with what was retrieved if that was chosen, and so does the
        lock; returns how many messages went.

        All or none. Raises `MailError`.
        """
        return 0 if self._drop is None else await self._drop.update()

    async def leave(self) -> None:
        """However it ended: give the lock back."""
        if self._drop is not None:
            await self._drop.release()
