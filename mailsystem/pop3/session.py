"""One client's conversation: who it is, what it sees, and the lock on its maildrop."""

from __future__ import annotations

import asyncio
import enum
import ssl
from collections.abc import AsyncGenerator, Awaitable, Iterable, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from itertools import islice
from typing import Final, NoReturn

from mailsystem.directory import Directory
from mailsystem.mail.account import Account
from mailsystem.mail.envelope import Peer
from mailsystem.mail.errors import AuthFailed, AuthRequired, InUse, MailError, WrongState
from mailsystem.mail.mailbox import MessageSet
from mailsystem.mail.sasl import BINDING, Cancelled
from mailsystem.net import Closed, Connection, Injected
from mailsystem.pop3 import replies
from mailsystem.pop3.grammar import AUTH_LIMIT, Lines, Stuffing
from mailsystem.pop3.lock import Lock
from mailsystem.pop3.reading import Reading
from mailsystem.pop3.view import View
from mailsystem.store import Choices, Handled, Store
from mailsystem.telemetry import Trace
from mailsystem.telemetry.trace import CLIENT, REDACTED, SERVER

FLUSH_AT: Final = 64 * 1024
"""Octets of answers that are collected before they leave."""
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
        "_buffered",
        "_choices",
        "_connection",
        "_lock",
        "_out",
        "_reading",
        "_since",
        "_view",
        "account",
        "bad",
        "directory",
        "ended",
        "failures",
        "language",
        "lines",
        "midway",
        "name",
        "options",
        "store",
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
        self.lines = Lines()
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
        self.failures = 0
        """Logins that failed."""
        self.bad = 0
        """Lines in a row that were no commands."""
        self._connection = connection
        self._since = asyncio.get_running_loop().time()
        self._out: list[bytes] = []
        self._buffered = 0
        self._view: View | None = None
        self._reading: Reading | None = None
        self._choices = Choices()
        self._lock = Lock(store.maildrops, trace)

    # Where the client stands

    @property
    def state(self) -> State:
        return State.AUTHORIZATION if self._view is None else State.TRANSACTION

    @property
    def login(self) -> str:
        """Who this is; empty before login."""
        return "" if self.account is None else self.account.login

    @property
    def view(self) -> View:
        """The maildrop. Raises `WrongState` before login."""
        if self._view is None:
            raise WrongState("log in first")
        return self._view

    @property
    def lost(self) -> bool:
        """The lock on the maildrop is somebody else's, or may be."""
        return self._lock.lost

    @property
    def may_start_tls(self) -> bool:
        return self.options.tls is not None and self._connection.secure is None

    @property
    def may_log_in(self) -> bool:
        """Whether a password may be said here."""
        connection = self._connection
        return connection.secure is not None or connection.peer.is_loopback or self.options.cleartext_login

    def check_privacy(self) -> None:
        """Raises `AuthRequired` where a password would go in clear over a network."""
        if not self.may_log_in:
            raise AuthRequired("only under TLS")

    # Saying

    def say(self, line: bytes) -> None:
        """Say one line; its end is added. It leaves with the next `flush`."""
        self.send(line + b"\r\n")
        self.trace.line(SERVER, line)

    def send(self, data: bytes) -> None:
        self._out.append(data)
        self._buffered += len(data)

    async def flush(self) -> None:
        """Hand over what was said, and wait while the client does not take it."""
        if self._out:
            data = self._out[0] if len(self._out) == 1 else b"".join(self._out)
            self._out.clear()
            self._buffered = 0
            self._connection.write(data)
            del data
        try:
            await self._connection.drain()
        except TimeoutError:
            self.cut("client takes nothing")

    async def flush_if_much(self) -> None:
        if self._buffered > FLUSH_AT:
            await self.flush()

    def cut(self, why: str) -> NoReturn:
        """Hang up at once: an answer that was begun cannot be finished."""
        self._connection.abort()
        raise Closed(why)

    async def listing(self, text: str, lines: Iterable[bytes], count: int) -> None:
        """A multi-line answer of short lines, of which none begins with a dot."""
        self.say(replies.ok(text, self.language))
        self.midway = True
        traced = self.trace.wants_lines and count <= _LINES_TRACED
        if self.trace.wants_lines and not traced:
            self.trace.line(SERVER, b"[%d lines]" % count)
        each: Iterator[bytes] = iter(lines)
        while some := list(islice(each, _LINES_AT_ONCE)):
            if traced:
                for line in some:
                    self.trace.line(SERVER, line)
            self.send(b"\r\n".join(some) + b"\r\n")
            if len(some) == _LINES_AT_ONCE:
                await self.flush()
                await asyncio.sleep(0)
        self.say(b".")
        self.midway = False

    async def message(self, text: str, octets: AsyncGenerator[bytes, None]) -> int:
        """A multi-line answer that is a message, in constant memory; returns how many octets of it were sent.

        What cannot be read is refused before the first word of it. Raises `MailError`, `Closed`.
        """
        stuffing = Stuffing()
        size = 0
        async with aclosing(octets):
            chunk = await anext(octets, None)
            self.say(replies.ok(text, self.language))
            self.midway = True
            while chunk is not None:
                self.send(stuffing.feed(chunk))
                size += len(chunk)
                await self.flush_if_much()
                chunk = await anext(octets, None)
        self.send(stuffing.close())
        self.midway = False
        if self.trace.wants_lines:
            self.trace.line(SERVER, b"[%d octets]" % size)
            self.trace.line(SERVER, b".")
        return size

    # Hearing

    async def receive(self) -> None:
        """Wait for more from the client. Raises `Closed`, `TimeoutError`, `Stopping`."""
        self.lines.feed(await self._connection.read(self._patience()))

    def _patience(self) -> float:
        if self.account is not None:
            return self.options.idle_timeout
        # One that is not known may not hold the connection by saying a little now and then.
        left = self._since + self.options.login_timeout - asyncio.get_running_loop().time()
        if left <= 0:
            raise TimeoutError
        return left

    async def ask(self, challenge: bytes) -> bytes:
        """Send a challenge of AUTH and return the client's answer. No trace sees either. Raises `Cancelled`."""
        self.send(b"+ " + challenge + b"\r\n")
        self.trace.line(SERVER, b"+ " + REDACTED if challenge else b"+ ")
        while (line := self.lines.next(AUTH_LIMIT)) is None:
            await self.flush()
            await self.receive()
        self.trace.line(CLIENT, REDACTED)
        if line == b"*":
            raise Cancelled
        return line

    async def start_tls(self) -> None:
        """Say yes in clear, then go on under TLS, with everything forgotten. Raises `Injected`, `Closed`."""
        if self.options.tls is None or self._connection.secure is not None:
            raise WrongState("no TLS here" if self.options.tls is None else "TLS is on already")
        if self.utf8:
            raise WrongState("STLS must come before UTF8")  # RFC 6856 2.1
        if self.lines.pending or self._connection.pending:
            # RFC 2595 4 says to discard it; but it is either an attack or a client that would wait for its answer.
            raise Injected
        self.say(replies.ok("begin TLS", self.language))
        data = b"".join(self._out)
        self._out.clear()
        self._buffered = 0
        self._connection.write(data)
        await self._connection.start_tls(self.options.tls)
        self.lines = Lines()
        self.name = None
        self.trace.event("secured", tls=self._connection.secure)

    # The maildrop

    @property
    def peer(self) -> Peer:
        return self._connection.peer

    @property
    def binding(self) -> bytes | None:
        """What SCRAM can bind this channel by; None in clear."""
        return self._connection.binding(BINDING)

    @property
    def mechanisms(self) -> tuple[str, ...]:
        """The SASL mechanisms that are offered here and now."""
        return self.directory.mechanisms(secure=self.may_log_in, binding=self.binding is not None)

    async def log_in(self, proving: Awaitable[Account], *, mechanism: str, login: str = "") -> None:
        """Prove who it is, lock the maildrop, look into it. Raises `AuthFailed`, `InUse`, `MailError`."""
        try:
            account = await proving
        except AuthFailed as failure:
            login = failure.login or login
            self.trace.event("login failed", login=login, mechanism=mechanism)
            await self.directory.record_login(login, door="pop3", peer=self.peer, ok=False, mechanism=mechanism)
            raise
        await self.directory.record_login(account, door="pop3", peer=self.peer, ok=True, mechanism=mechanism)
        await self._lock.take(account.id, login_delay=self.options.login_delay)
        self._view = view = await self._look(account)
        self._reading = Reading(self.store, view, utf8=self.utf8)
        self.account = account
        self._lock.keep()
        holds = {"messages": view.count, "octets": view.octets}
        self.trace.event("logged in", login=account.login, mechanism=mechanism, tls=self._connection.secure, **holds)

    async def _look(self, account: Account) -> View:
        try:
            maildrop = await self.store.maildrops.listing(account.id)
        except MailError:
            await self._lock.leave(undone=True)
            raise
        self._choices = maildrop.choices
        return View(*((folder.mailbox, folder.messages) for folder in maildrop.folders), names=maildrop.names)

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
        days, own = self._choices.keep_days, self._choices.login_delay
        told = ["EXPIRE NEVER" if days is None else f"EXPIRE {days}"]
        if delay or own is not None:
            told.append(f"LOGIN-DELAY {delay if own is None else own}")
        return told

    def check_lease(self) -> None:
        """Raises `InUse` when the maildrop may be somebody else's by now; then there is nothing more to do here."""
        try:
            self._lock.check()
        except InUse:
            self.ended = True
            raise

    def octets(self, number: int) -> AsyncGenerator[bytes, None]:
        """The octets of a message in slices, as this client can take them. Raises `MailError`."""
        if self._reading is None:
            raise WrongState("log in first")
        return self._reading.octets(number)

    async def update(self) -> int:
        """The UPDATE state (RFC 1939 6): what is marked goes, with what was retrieved if that was chosen, and so does the
        lock; returns how many messages went.

        All or none. Raises `MailError`.
        """
        if self._view is None:
            return 0
        noting = self._choices.notes_downloads
        handled = [
            Handled(mailbox.id, deleted, retrieved if noting else MessageSet())
            for mailbox, deleted, retrieved in self._view.handled()
            if deleted or noting
        ]
        # What another client has removed meanwhile went, too.
        return max(await self._lock.finish(handled), self._view.marked)

    async def leave(self) -> None:
        """However it ended: give the lock back."""
        await self._lock.leave()
