"""One client's conversation: who it is, where it stands, what it was told, and how to tell it more."""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from mailsystem.directory import Directory, proven
from mailsystem.imap import reply
from mailsystem.imap.dialect import Dialect
from mailsystem.imap.framing import BEFORE_LOGIN, Framing, after_login
from mailsystem.imap.notify import Watch
from mailsystem.imap.options import Options
from mailsystem.imap.transcript import Transcript
from mailsystem.imap.view import View
from mailsystem.mail.account import Account
from mailsystem.mail.envelope import Peer
from mailsystem.mail.errors import MailError, NotPermitted, WrongState
from mailsystem.mail.mailbox import Flag, Mailbox
from mailsystem.mail.rights import EVERY, Rights
from mailsystem.mail.sasl import BINDING, Cancelled
from mailsystem.net import BadStream, Closed, Connection, Injected, Stopping
from mailsystem.store import Spool, Store
from mailsystem.telemetry import Trace
from mailsystem.telemetry.trace import CLIENT, REDACTED

_HELD_IN_SPOOLS: Final = 1 << 20
"""Octets of messages that one client may have in memory on their way in."""
FLUSH_AT: Final = 64 * 1024
"""Octets of answers that are collected before they leave."""
_DEFLATED_AT_ONCE: Final = 32 * 1024
"""Octets that are compressed without a pause: about a millisecond."""

_QUIRKS: Final[Mapping[str, frozenset[str]]] = {
    # It enables UIDONLY and then asks for sequence numbers, which breaks the account (mox issue 388).
    "microsoft office 365": frozenset({"UIDONLY"}),
}
"""What is hidden from clients whose ID holds this name."""


class State(enum.Flag):
    """RFC 3501 3."""

    NOT_AUTHENTICATED = enum.auto()
    AUTHENTICATED = enum.auto()
    SELECTED = enum.auto()


class CompressionActive(WrongState):
    """COMPRESS once more (RFC 4978 3)."""

    text = "it is compressed already"


class Goodbye(Exception):
    """The session has to end: tell the client why with BYE."""


@dataclass(slots=True)
class Selected:
    """The mailbox a client is in."""

    mailbox: Mailbox
    """As it was when it was selected; its name may have changed since."""
    view: View
    read_only: bool
    keywords: set[Flag] = field(default_factory=set)
    """Those that the client was told to be in use."""
    rights: Rights = EVERY
    """What this client was told that it may do there; each act asks anew (RFC 4314 5.1.1)."""
    examined: bool = False
    """Read-only by the client's own wish."""


class Session:
    """One client."""

    __slots__ = (
        "_account",
        "_connection",
        "_out",
        "_selected",
        "_since",
        "_spools",
        "admitted",
        "bad",
        "beyond",
        "buffered",
        "client",
        "dialect",
        "directory",
        "ended",
        "failures",
        "framing",
        "heard",
        "numbered",
        "options",
        "store",
        "tag",
        "trace",
        "transcript",
        "watch",
    )

    def __init__(
        self, connection: Connection, store: Store, directory: Directory, trace: Trace, options: Options
    ) -> None:
        self.store = store
        self.directory = directory
        self.trace = trace
        self.options = options
        self.framing = Framing(BEFORE_LOGIN)
        self.ended = False
        """BYE was said."""
        self.failures = 0
        """Logins that failed."""
        self.bad = 0
        """Commands in a row that were none."""
        self.buffered = 0
        """Octets said and not yet handed to the connection."""
        self.dialect = Dialect()
        """What the client has enabled."""
        self.client: Mapping[str, str | None] = {}
        """What it says it is (RFC 2971), the keys in lower case."""
        self.admitted = 0
        """What the bell had rung when it was last known that the account may be used."""
        self.heard = 0
        """What the bell had rung when its mailbox was last looked at."""
        self.tag = b"*"
        """The tag of the command that runs."""
        self.numbered = False
        """Whether its search keys name messages by number."""
        self.beyond = False
        """Whether it tells mod-sequences that may be higher than all that the client has been told, or will be by the bell."""
        self.watch: Watch | None = None
        """What it wants to hear beside that (RFC 5465); None as long as it has not said."""
        self._connection = connection
        self._since = asyncio.get_running_loop().time()
        self._account: Account | None = None
        self._selected: Selected | None = None
        self._out: list[bytes] = []
        self._spools: list[Spool] = []
        self.transcript = Transcript(trace) if trace.wants_lines else None

    # Where the client stands

    @property
    def peer(self) -> Peer:
        return self._connection.peer

    @property
    def state(self) -> State:
        if self._selected is not None:
            return State.SELECTED
        return State.NOT_AUTHENTICATED if self._account is None else State.AUTHENTICATED

    @property
    def account(self) -> Account:
        """Who this is. Raises `WrongState` before login."""
        if self._account is None:
            raise WrongState("log in first")
        return self._account

    @property
    def selected(self) -> Selected:
        """The mailbox the client is in. Raises `WrongState` when it is in none."""
        if self._selected is None:
            raise WrongState("no mailbox is selected")
        return self._selected

    @property
    def view(self) -> View:
        """What the client believes about the selected mailbox. Raises `WrongState`."""
        return self.selected.view

    @property
    def mailbox(self) -> Mailbox:
        """The selected mailbox. Raises `WrongState`."""
        return self.selected.mailbox

    @property
    def read_only(self) -> bool:
        """Whether it was opened by EXAMINE. Raises `WrongState`."""
        return self.selected.read_only

    @property
    def hidden(self) -> frozenset[str]:
        """Capabilities that this client is not offered, in capitals: some clients fail at what they ask for."""
        name = (self.client.get("name") or "").lower()
        by_client = next((words for known, words in _QUIRKS.items() if known in name), frozenset[str]())
        return by_client if self._account is None else by_client | self._account.capabilities_off

    @property
    def may_start_tls(self) -> bool:
        return self.options.tls is not None and self._connection.secure is None

    @property
    def may_log_in(self) -> bool:
        """Whether a password may be said here (LOGINDISABLED, RFC 3501 6.2.3)."""
        return self._connection.is_private or self.options.cleartext_login

    @property
    def binding(self) -> bytes | None:
        """What SCRAM can bind this channel by; None in clear."""
        return self._connection.binding(BINDING)

    @property
    def mechanisms(self) -> tuple[str, ...]:
        """The SASL mechanisms that are offered here and now."""
        return self.directory.mechanisms(secure=self.may_log_in, binding=self.binding is not None)

    async def log_in(self, proving: Awaitable[Account], *, mechanism: str, login: str = "") -> None:
        """Let the client in, and let it say more at once from now on. Raises `AuthFailed`."""
        self.admitted = self.store.bell.rung
        account = await proven(self.directory, proving, self.trace, peer=self.peer, mechanism=mechanism, login=login)
        self._account = account
        self.framing.limits = after_login(self.options.largest_message)
        self.framing.spool = self.spool
        self.trace.event("logged in", login=account.login, mechanism=mechanism, tls=self._connection.secure)

    def log_out(self) -> None:
        """Forget who this is and all that came of it, but for TLS and the client's name (RFC 8437)."""
        self.trace.event("logged out", login=self.account.login)
        self.select(None)
        self._account = None
        self._since = asyncio.get_running_loop().time()
        self.dialect = Dialect()
        self.watch = None
        self.framing.limits = BEFORE_LOGIN
        self.framing.spool = None

    def select(self, selected: Selected | None, *, heard: int = 0) -> None:
        """Enter a mailbox, or leave it; `heard` is what the bell had rung before that was looked at."""
        self._selected = selected
        self.heard = heard

    def use_condstore(self) -> None:
        """The client has said a command that only somebody who knows of mod-sequences says (RFC 7162 3.1).

        From here on flags come with theirs, and the client is told from where it counts (RFC 7162 3.1.2.1).
        """
        if not self.dialect.condstore:
            self.dialect = self.dialect.enabling(["CONDSTORE"])
            if self._selected is not None:
                self.send(b"* OK [HIGHESTMODSEQ %d] highest\r\n" % self._selected.view.modseq)

    def need_write(self) -> None:
        """Raises `NotPermitted` where the selected mailbox was only examined."""
        if self.read_only:
            raise NotPermitted("the mailbox was only examined")

    # Saying

    def send(self, data: bytes, *, traced: bytes | None = None) -> None:
        """Say whole lines, literals included. They leave with the next `flush`; the trace sees `traced` if that is given."""
        self._out.append(data)
        self.buffered += len(data)
        if self.transcript is not None:
            self.transcript.say(data if traced is None else traced)

    async def flush(self) -> None:
        """Hand over what was said, and wait while the client does not take it. Call it after every large piece."""
        if self._out:
            data = self._take()
            if self.compressed and len(data) > _DEFLATED_AT_ONCE:
                data = await self._write_in_pieces(data)
            self._connection.write(data)
            if len(data) > FLUSH_AT:
                await asyncio.sleep(0)  # who has much to say lets the others have their turns
            del data
        await self._drain()

    def _take(self) -> bytes:
        """All that was said and not handed over yet."""
        data = self._out[0] if len(self._out) == 1 else b"".join(self._out)
        self._out.clear()
        self.buffered = 0
        return data

    async def _write_in_pieces(self, data: bytes) -> bytes:
        """Compress with pauses, so that the other sessions have their turns; what is left to write."""
        at = 0
        while len(data) - at > _DEFLATED_AT_ONCE:
            self._connection.write(data[at : at + _DEFLATED_AT_ONCE])
            at += _DEFLATED_AT_ONCE
            await self._drain()
            await asyncio.sleep(0)
        return data[at:]

    async def _drain(self) -> None:
        try:
            await self._connection.drain()
        except TimeoutError:
            self._connection.abort()
            raise Closed("client takes nothing") from None

    # Hearing

    async def receive(self) -> None:
        """Wait for more from the client and feed it to the framing.

        Raises `Closed`, and `Goodbye` when it was silent for too long or the program ends.
        """
        try:
            data = await self._connection.read(self.patience())
        except (TimeoutError, Stopping, BadStream) as end:
            raise _goodbye(end) from None
        await self._feed(data)

    async def _feed(self, data: bytes) -> None:
        self.framing.feed(data)
        del data
        try:
            crowded = sum(spool.held for spool in self._spools) > _HELD_IN_SPOOLS
            for spool in self._spools:
                if crowded or spool.wants_flush:
                    await spool.flush()
        except MailError as error:
            self.framing.refuse(error)
            self.discard()

    async def stirred(self, timeout: float) -> bool:
        """Wait until the client has said more, which is fed to the framing, or somebody has called `nudge`.

        Gives whether there was more. Raises `TimeoutError`, `Closed`, and `Goodbye` when the program ends.
        """
        await self._connection.until_stirred(timeout)
        try:
            data = self._connection.take()
        except (Stopping, BadStream) as end:
            raise _goodbye(end) from None
        await self._feed(data)
        return bool(data)

    @property
    def nudge(self) -> Callable[[], None]:
        """Let `stirred` return."""
        return self._connection.nudge

    def patience(self) -> float:
        """Seconds that the client may be silent."""
        if self._account is not None:
            return self.options.idle_timeout
        # One that is not known may not hold the connection by saying a little now and then.
        return max(0.0, self._since + self.options.login_timeout - asyncio.get_running_loop().time())

    async def line(self) -> bytes:
        """The client's next bare line. Raises `SyntaxFault` if it is too long."""
        while (line := self.framing.line()) is None:
            await self.flush()
            await self.receive()
        return line

    async def ask(self, challenge: bytes) -> bytes:
        """Send a challenge of AUTHENTICATE, and return the client's answer. No trace sees either. Raises `Cancelled`."""
        line = b"+ " + challenge + reply.CRLF
        self.send(line, traced=b"+ " + REDACTED + reply.CRLF if challenge else line)
        answer = await self.line()
        self.trace.line(CLIENT, REDACTED)
        if answer == b"*":
            raise Cancelled  # RFC 3501 6.2.2: it is BAD then
        return answer

    @property
    def pending(self) -> int:
        """Octets that came in already and were not looked at."""
        return self.framing.pending + self._connection.pending

    async def start_tls(self) -> None:
        """Say what is to be said in clear, then go on under TLS. Raises `Injected`, `Closed`."""
        if self.options.tls is None:
            raise WrongState("no TLS here")
        self._connection.write(self._take())
        await self._connection.start_tls(self.options.tls)
        # RFC 3501 6.2.1: what was learnt in clear is forgotten.
        self.framing = Framing(BEFORE_LOGIN)

    @property
    def compressed(self) -> bool:
        return self._connection.compressed

    async def compress(self) -> None:
        """Say what is to be said as it is, then go on compressed (RFC 4978 3)."""
        if self.pending:
            raise Goodbye("octets behind COMPRESS")
        self._connection.write(self._take())
        self._connection.compress()

    async def decompress(self) -> None:
        """Say what is to be said, then go on in clear on both sides (RFC 8437 4.1)."""
        await self.flush()
        try:
            self._connection.decompress()
        except Injected:
            raise Goodbye("octets behind UNAUTHENTICATE") from None

    def spool(self) -> Spool:
        """Somewhere to put a message that is coming in; it lasts until the command is answered."""
        spool = self.store.contents.spool()
        self._spools.append(spool)
        return spool

    def discard(self) -> None:
        """Drop what the last command brought."""
        for spool in self._spools:
            spool.discard()
        self._spools.clear()


def _goodbye(end: Exception) -> Goodbye:
    match end:
        case TimeoutError():
            return Goodbye("too long without a command")
        case Stopping():
            return Goodbye("server is shutting down")
        case _:
            return Goodbye(str(end))
