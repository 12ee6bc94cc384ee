"""The way to one address of a host: a connection, TLS as good as it can be had and no worse than it must be, a login."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass, field
from typing import Final, Literal

from mailsystem.net import Connection, Distrusted, Unreachable, connect
from mailsystem.queue.client import Fault, NoHandshake, Session, Timeouts, Untrusted, tls_name
from mailsystem.queue.login import log_in
from mailsystem.store.tls_levels import Level
from mailsystem.telemetry import Trace

UNTRUSTED_FOR: Final = 3600.0
"""Seconds for which a host whose certificate nobody vouches for is not asked to prove its name again."""
_MOST_UNTRUSTED: Final = 10_000

Mode = Literal["starttls", "implicit", "none"]


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a smarthost wants to be told."""

    login: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Way:
    """One address of a host, and how it is spoken to."""

    host: str
    address: str
    port: int
    tls: Mode = "starttls"
    credentials: Credentials | None = None


class TooWeak(Fault):
    """The session is less protected than it must be."""


class Opener:
    """Opens sessions."""

    def __init__(
        self, *, hostname: str, trace: Trace, timeouts: Timeouts, trust: ssl.SSLContext, source: str | None = None
    ) -> None:
        """`trust` verifies certificates and names."""
        self._hostname = hostname
        self._trace = trace
        self._timeouts = timeouts
        self._trust = trust
        self._blind = _blind()
        self._source = source
        self._untrusted: dict[str, float] = {}

    async def open(self, way: Way, least: Level, *, until: float) -> Session:
        """A session with `way`, ready for mail before `until`, as the loop tells time. Raises `Fault`."""
        session = await self._best(way, least, until)
        try:
            check_level(session, least)
            if way.credentials is not None:
                await log_in(session, way.credentials.login, way.credentials.password)
            session.until = None
        except BaseException:
            await session.abort("given up")
            raise
        return session

    async def _best(self, way: Way, least: Level, until: float) -> Session:
        """As well protected as can be: what fails is tried again with less, as far as that is enough (RFC 7435)."""
        if way.tls == "none":
            return await self._once(way, None, until)
        if least is Level.VERIFIED or not self._is_untrusted(way.host):
            try:
                return await self._once(way, self._trust, until)
            except Untrusted:
                if least is Level.VERIFIED:
                    raise
                self._distrust(way.host)
            except NoHandshake:
                if least is not Level.NONE or way.tls == "implicit":
                    raise
                return await self._once(way, None, until)
        try:
            return await self._once(way, self._blind, until)
        except NoHandshake:
            if least is not Level.NONE or way.tls == "implicit":
                raise
        return await self._once(way, None, until)

    async def _once(self, way: Way, tls: ssl.SSLContext | None, until: float) -> Session:
        verifies = tls is self._trust
        at_once = tls if way.tls == "implicit" else None
        connection = await self._connect(way, at_once, until)
        session = Session(connection, way.host, hostname=self._hostname, trace=self._trace, timeouts=self._timeouts)
        try:
            session.until = until
            session.verified = verifies and at_once is not None
            await session.greet()
            if tls is not None and at_once is None and "STARTTLS" in session.extensions:
                await session.start_tls(tls, verifies=verifies)
        except Fault as fault:
            await session.abort(fault.text)
            raise
        except BaseException:
            await session.abort("cut off")
            raise
        return session

    async def _connect(self, way: Way, tls: ssl.SSLContext | None, until: float) -> Connection:
        left = until - asyncio.get_running_loop().time()
        try:
            return await connect(
                way.address,
                way.port,
                timeout=max(0.0, min(self._timeouts.connect, left)),
                source=self._source,
                tls=tls,
                server_hostname=tls_name(way.host, way.address),
            )
        except ValueError:
            raise NoHandshake("4.7.5", f"no TLS with {way.host}: no certificate can have that name") from None
        except Distrusted as why:
            raise Untrusted("4.7.5", f"no trust in {way.host}: {why}") from None
        except Unreachable as why:
            raise Fault("4.4.1", f"no connection to {way.host} ({way.address} port {way.port}): {why}") from None

    def _is_untrusted(self, host: str) -> bool:
        since = self._untrusted.get(host)
        return since is not None and asyncio.get_running_loop().time() - since < UNTRUSTED_FOR

    def _distrust(self, host: str) -> None:
        if len(self._untrusted) >= _MOST_UNTRUSTED:
            self._untrusted.clear()
        self._untrusted[host] = asyncio.get_running_loop().time()


def level_of(session: Session) -> Level:
    """How well this session is protected."""
    if session.secure is None:
        return Level.NONE
    return Level.VERIFIED if session.verified else Level.ENCRYPTED


def check_level(session: Session, least: Level) -> None:
    """Raises `TooWeak`."""
    level = level_of(session)
    if level < least:
        have = "no TLS" if level is Level.NONE else "a certificate that proves nothing"
        raise TooWeak("4.7.10", f"not protected enough: {session.host} has {have}")


def trusting(ca_file: str | None = None) -> ssl.SSLContext:
    """What verifies certificates: by the authorities of this machine, and those in a file of PEM. Blocks."""
    context = ssl.create_default_context()
    if ca_file:
        context.load_verify_locations(ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # RFC 8996
    return context


def _blind() -> ssl.SSLContext:
    """What keeps out those who listen, with whomever it speaks (RFC 7435)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
