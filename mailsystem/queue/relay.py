"""The relay: carries one message to the servers of one domain, and tells for each recipient what came of it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from mailsystem.mail.errors import MailError
from mailsystem.mail.outgoing import Attempt, Outgoing, State, Waiting
from mailsystem.queue.client import Fault, Session, Timeouts
from mailsystem.queue.content import Content, Octets
from mailsystem.queue.errand import Errand
from mailsystem.queue.hosts import Hosts, Unroutable
from mailsystem.queue.opening import Credentials, Mode, Opener, Way, level_of
from mailsystem.queue.pool import IDLE, Pool
from mailsystem.queue.transaction import Transaction
from mailsystem.store.tls_levels import Level, TlsLevels
from mailsystem.telemetry import Trace

MOST_TRIES: Final = 10
"""Addresses of one domain that are tried for one message."""
LONGEST: Final = 2700.0
"""Seconds for all of them: less than a worker may take, so that what was settled until then is told."""


@dataclass(frozen=True, slots=True)
class Smarthost:
    """A server that carries mail on for us."""

    host: str
    port: int
    tls: Mode = "starttls"
    credentials: Credentials | None = None


class Relay:
    """Hands messages to other servers; for any number of messages at a time."""

    def __init__(
        self,
        hosts: Hosts,
        levels: TlsLevels,
        trace: Trace,
        *,
        hostname: str,
        trust: ssl.SSLContext,
        port: int = 25,
        smarthost: Smarthost | None = None,
        smarthosts: Mapping[str, tuple[str, int] | None] | None = None,
        timeouts: Timeouts | None = None,
        idle: float = IDLE,
        longest: float = LONGEST,
        source: str | None = None,
    ) -> None:
        """`smarthosts` are host and port by domain, and None where mail goes to the domain's own hosts after all.

        `trust` verifies certificates: see `opening.trusting`.
        """
        self._hosts = hosts
        self._levels = levels
        self._port = port
        self._smarthost = smarthost
        self._smarthosts = smarthosts or {}
        self._longest = longest
        self._pool = Pool(idle=idle)
        self._opener = Opener(
            hostname=hostname, trace=trace, timeouts=timeouts or Timeouts(), trust=trust, source=source
        )

    async def close(self) -> None:
        """Say goodbye to those who were kept waiting for more."""
        await self._pool.close()

    async def send(
        self, message: Outgoing, recipients: Sequence[Waiting], letter: Octets, *, domain: str
    ) -> list[Attempt]:
        """Try to hand a message on for recipients in one domain; one attempt for each of them, in their order.

        Raises only what is our own fault: `MailError` where the message or the store cannot be read. Cancelled, it still tells
        what was answered so far, if anything was.
        """
        until = asyncio.get_running_loop().time() + self._longest
        errand = Errand(Content(message, letter), recipients, until=until)
        smarthost = self._smarthost if domain not in self._smarthosts else None
        try:
            ways = await self._ways(domain, smarthost)
        except Unroutable as why:
            errand.settle(State.WAITING if why.temporary else State.FAILED, why.status, why.text)
            return errand.attempts
        least = await self._least(domain, errand.content, smarthost)
        try:
            for way in ways[:MOST_TRIES]:
                if errand.is_over or asyncio.get_running_loop().time() >= until:
                    break
                await self._try(way, least, errand)
        except MailError as fault:
            if errand.took is None:
                raise
            errand.settle(State.WAITING, "4.3.0", str(fault))  # what has arrived must not be sent again
        except asyncio.CancelledError:
            if not errand.is_answered:
                raise
            # The same when this process ends: only who is left is tried once more.
            errand.settle(State.WAITING, "4.3.2", "this server was shut down meanwhile")
        errand.give_up()
        if errand.took is not None and smarthost is None:
            with suppress(MailError):  # it has arrived, whatever can be remembered of it
                await self._levels.seen(domain, errand.took)
        return errand.attempts

    async def _ways(self, domain: str, smarthost: Smarthost | None) -> list[Way]:
        """Every address to try, in order. Raises `Unroutable`."""
        if smarthost is not None:
            found = await self._hosts.direct(smarthost.host)
            port, tls, credentials = smarthost.port, smarthost.tls, smarthost.credentials
        else:
            own = self._smarthosts.get(domain)
            found = await (self._hosts.find(domain) if own is None else self._hosts.direct(own[0]))
            port, tls, credentials = self._port if own is None else own[1], "starttls", None
        return [Way(host.name, address, port, tls, credentials) for host in found.hosts for address in host.addresses]

    async def _least(self, domain: str, content: Content, smarthost: Smarthost | None) -> Level:
        """How well the session must be protected."""
        if content.message.require_tls:
            return Level.VERIFIED  # RFC 8689 4.2.1
        if smarthost is None:
            level = await self._levels.level(domain)
            # RFC 8689 4.2.2: such a message goes as well protected as it can, and fails for no lack of it.
            return Level.NONE if level is not Level.NONE and await content.waives_tls() else level
        if smarthost.tls == "none":
            return Level.NONE
        # A password goes to nobody who cannot prove who they are.
        return Level.VERIFIED if smarthost.credentials is not None else Level.ENCRYPTED

    async def _try(self, way: Way, least: Level, errand: Errand) -> None:
        """Hand over all that is left to one address."""
        fresh = False
        while not errand.is_over:
            left = len(errand.left)
            session = None if fresh else self._pool.take(way, least)
            reused = session is not None
            try:
                if session is None:
                    session = await self._opener.open(way, least, until=errand.until)
                await _hand_over(session, errand)
            except Fault as fault:
                if session is not None:
                    await session.abort(fault.text)
                if reused and not fault.after_end:
                    fresh = True  # it may only have been kept for too long
                    continue
                errand.note(fault, way, session)
                return
            except BaseException:
                if session is not None:
                    await session.abort("cut off")
                raise
            self._pool.keep(way, session)
            if len(errand.left) == left:
                return
            fresh = True  # where somebody is left, this one wants no more messages (RFC 9422)


async def _hand_over(session: Session, errand: Errand) -> None:
    """All that is left, in as many transactions as the other side wants it to be, and no more of them than it wants in one
    session. Raises `Fault`."""
    # RFC 8689 5: a report is not lost for the want of that word, as long as it is under TLS.
    if errand.message.require_tls and errand.message.sender and "REQUIRETLS" not in session.extensions:
        raise Fault(
            "5.7.30", f"mail must stay under TLS, which {session.host} does not promise (REQUIRETLS)", final=True
        )
    again = list(errand.left)
    while again and session.messages < session.most_messages:
        if session.dirty:
            await session.reset()
        now, again = again[: session.most_recipients], again[session.most_recipients :]
        transaction = Transaction(session, errand.content, now, until=errand.until)
        try:
            await transaction.run()
        finally:
            errand.take(transaction.attempts, level_of(session))
        if transaction.was_taken:
            # RFC 5321 4.5.3.1.10: whoever was one too many is not to wait for the next time.
            again += transaction.too_many
