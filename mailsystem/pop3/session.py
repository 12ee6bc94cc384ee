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
from mailsystem.mail.mailbox import MailboxId, MessageSet, Uid
from mailsystem.mail.sasl import BINDING, Cancelled
from mailsystem.net import Closed, Connection, Injected
from mailsystem.pop3 import replies
from mailsystem.pop3.grammar import AUTH_LIMIT, Lines, Stuffing
from mailsystem.pop3.view import Entry, View
from mailsystem.store import Lease, Store, Want
from mailsystem.telemetry import Trace
from mailsystem.telemetry.trace import CLIENT, REDACTED, SERVER

FLUSH_AT: Final = 64 * 1024
"""Octets of answers that are collected before they leave."""
_RENEW_EVERY: Final = 20.0
"""Seconds; the lease lives 60."""
_ACQUIRE_PAUSES: Final = (0.05, 0.2, 0.5)
"""A client that lost its connection comes back faster than its old session has noticed: worth a moment."""
_LINES_AT_ONCE: Final = 1000
_LINES_TRACED: Final = 100
_AHEAD_MOST: Final = 64
_AHEAD_OCTETS: Final = 256 * 1024
_AHEAD_LARGEST: Final = 64 * 1024


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


class Session:
    """One client."""

    __slots__ = (
        "_ahead",
        "_buffered",
        "_connection",
        "_last",
        "_lease",
        "_out",
        "_renewal",
        "_since",
        "_timer",
        "_view",
        "account",
        "bad",
        "directory",
        "ended",
        "failures",
        "lines",
        "lost",
        "midway",
        "name",
        "options",
        "store",
        "trace",
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
        self.lost = False
        """The lock on the maildrop is somebody else's, or may be."""
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
        self._lease: Lease | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._renewal: asyncio.Task[None] | None = None
        self._ahead: dict[Uid, bytes] = {}
        self._last = 0

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
        self.say(replies.ok(text))
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
            self.say(replies.ok(text))
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
        if self.lines.pending or self._connection.pending:
            # RFC 2595 4 says to discard it; but it is either an attack or a client that would wait for its answer.
            raise Injected
        self.say(replies.ok("begin TLS"))
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
        self._lease = await self._acquire(account)
        self._view = await self._look(account)
        self.account = account
        self._timer = asyncio.get_running_loop().call_later(_RENEW_EVERY, self._renew_soon)
        holds = {"messages": self._view.count, "octets": self._view.octets}
        self.trace.event("logged in", login=account.login, mechanism=mechanism, tls=self._connection.secure, **holds)

    async def _acquire(self, account: Account) -> Lease:
        for pause in _ACQUIRE_PAUSES:
            try:
                return await self.store.maildrops.acquire(account.id)
            except InUse:
                await asyncio.sleep(pause)
        return await self.store.maildrops.acquire(account.id)

    async def _look(self, account: Account) -> View:
        try:
            maildrop = await self.store.maildrops.listing(account.id)
        except MailError:
            await self._release()
            raise
        return View(maildrop.mailbox, maildrop.messages)

    def check_lease(self) -> None:
        """Raises `InUse` when the maildrop may be somebody else's by now; then there is nothing more to do here."""
        if self.lost:
            self.ended = True
            raise InUse("the maildrop lock was lost")

    async def octets(self, number: int) -> AsyncGenerator[bytes, None]:
        """The octets of a message in slices. Raises `MailError`."""
        message = self.view.message(number)
        whole = await self._small(number, message)
        self._last = number
        if whole is not None:
            yield whole
            return
        async for chunk in self.store.contents.stream(message.content):
            yield chunk

    async def _small(self, number: int, message: Entry) -> bytes | None:
        """A small message whole; None where it has to be streamed.

        Most clients fetch one message after the other: from the second on, the next few are read with it.
        """
        whole = self._ahead.pop(message.uid, None)
        if whole is not None or message.size > _AHEAD_LARGEST:
            return whole
        view = self.view
        if number == self._last + 1:
            uids = view.following(number, most=_AHEAD_MOST, octets=_AHEAD_OCTETS, largest=_AHEAD_LARGEST)
        else:
            uids = MessageSet(((message.uid, message.uid),))
        self._ahead.clear()
        async for some in self.store.mailboxes.fetch(view.mailbox.account, view.mailbox.id, uids, Want.RAW):
            self._ahead.update((fetched.message.uid, fetched.raw) for fetched in some if fetched.raw is not None)
        # It may be missing: another client has expunged it since. Its content stays for a while, so it can be streamed.
        return self._ahead.pop(message.uid, None)

    async def update(self) -> int:
        """The UPDATE state (RFC 1939 6): what is marked goes, and so does the lock; returns how many messages went.

        All or none. Raises `MailError`.
        """
        if self._lease is None or self._view is None:
            return 0
        await self._stop_renewing()
        self.check_lease()
        uids = self._view.deleted()
        mailbox: MailboxId = self._view.mailbox.id
        await self.store.maildrops.update(self._lease, mailbox, uids)
        self._lease = None
        return len(uids)

    async def leave(self) -> None:
        """However it ended: give the lock back."""
        await self._stop_renewing()
        await self._release()

    async def _release(self) -> None:
        lease, self._lease = self._lease, None
        if lease is not None and not self.lost:
            try:
                await self.store.maildrops.release(lease)
            except MailError as error:
                self.trace.event("lease kept", reason=str(error))  # it ends by itself

    def _renew_soon(self) -> None:
        self._timer = None
        self._renewal = asyncio.get_running_loop().create_task(self._renew())

    async def _renew(self) -> None:
        if self._lease is None:
            return
        try:
            self._lease = await self.store.maildrops.renew(self._lease)
        except InUse as error:
            self.lost = True
            self.trace.event("lease lost", reason=str(error))
            return
        except MailError as error:
            self.trace.event("lease not renewed", reason=str(error))  # there is time for another attempt
        self._timer = asyncio.get_running_loop().call_later(_RENEW_EVERY, self._renew_soon)

    async def _stop_renewing(self) -> None:
        # A renewal that runs is not cancelled: it writes. It is over soon, and may have set the next timer.
        if self._renewal is not None:
            await asyncio.wait([self._renewal])
            self._renewal = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
