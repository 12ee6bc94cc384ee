"""SASL (RFC 4422): how a client proves who it is, the same at every door. Mechanisms are generators, sans-IO."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Awaitable, Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from mailsystem.mail.errors import AuthFailed, NotPermitted, SyntaxFault


@dataclass(frozen=True, slots=True)
class Credentials:
    """A login and its password; the password never shows in a `repr`."""

    login: str
    password: str = field(repr=False)

    @classmethod
    def of(cls, login: bytes, password: bytes) -> Credentials:
        """From what came over the wire. Nobody has a name or password that is not UTF-8: `AuthFailed`."""
        try:
            return cls(login.decode(), password.decode())
        except UnicodeDecodeError:
            raise AuthFailed from None


def decode(line: bytes) -> bytes:
    """A base64 line as SMTP, POP3 and IMAP send it; `=` is the empty response (RFC 4954 4). Raises `SyntaxFault`."""
    if line == b"=":
        return b""
    try:
        return base64.b64decode(line, validate=True)
    except (binascii.Error, ValueError):
        raise SyntaxFault("bad base64") from None


def plain(response: bytes) -> Credentials:
    """RFC 4616: `[authzid] NUL authcid NUL passwd`. Acting for somebody else is `NotPermitted`."""
    fields = response.split(b"\0")
    if len(fields) != 3 or not fields[1]:
        raise SyntaxFault("bad PLAIN response")
    authzid, authcid, password = fields
    if authzid and authzid != authcid:
        raise NotPermitted("cannot act for somebody else")
    return Credentials.of(authcid, password)


Exchange: TypeAlias = Generator[bytes, bytes, Credentials]
"""Yields challenges, is sent responses, returns what was proven."""
Mechanism: TypeAlias = Callable[[bytes | None], Exchange]
"""Begins an exchange, with the client's initial response if it sent one."""


def _plain(initial: bytes | None) -> Exchange:
    """RFC 4616: all in one response."""
    return plain((yield b"") if initial is None else initial)


def _login(initial: bytes | None) -> Exchange:
    """LOGIN, which no RFC has and every client knows: name and password asked for one by one."""
    name = (yield b"Username:") if initial is None else initial
    return Credentials.of(name, (yield b"Password:"))


MECHANISMS: Final[Mapping[str, Mechanism]] = {"PLAIN": _plain, "LOGIN": _login}


async def proven(mechanism: Mechanism, initial: bytes | None, ask: Callable[[bytes], Awaitable[bytes]]) -> Credentials:
    """Lead an exchange to its end; `ask` carries a challenge to the client and brings its line back, both in base64.

    Raises `SyntaxFault`, `NotPermitted` and `AuthFailed`.
    """
    exchange = mechanism(initial)
    try:
        challenge = next(exchange)
        while True:
            challenge = exchange.send(decode(await ask(base64.b64encode(challenge))))
    except StopIteration as end:
        credentials: Credentials = end.value
        return credentials
