"""What each mechanism's messages say. Sans-IO: octets in, values out."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Awaitable, Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from mailsystem.mail.errors import AuthFailed, NotPermitted, SyntaxFault

SCRAM: Final = "SCRAM-SHA-256"
SCRAM_PLUS: Final = "SCRAM-SHA-256-PLUS"
OAUTHBEARER: Final = "OAUTHBEARER"
XOAUTH2: Final = "XOAUTH2"

Ask: TypeAlias = Callable[[bytes], Awaitable[bytes]]
"""Carries a challenge to the client and brings its line back, both in base64. Raises `Cancelled`."""

_GS2: Final = re.compile(rb"[ny],(?:a=([^,]+))?,")
_TOKEN: Final = re.compile(rb"[A-Za-z0-9._~+/-]+=*")


class Cancelled(SyntaxFault):
    """The client said `*` instead of answering (RFC 4954 4, RFC 5034 4, RFC 3501 6.2.2)."""

    text = "authentication cancelled"


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


@dataclass(frozen=True, slots=True)
class Bearer:
    """Who somebody says they are, and the token that has to prove it; it never shows in a `repr`."""

    login: str
    """Empty where only the token tells."""
    token: str = field(repr=False)


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


def oauthbearer(response: bytes) -> Bearer:
    """RFC 7628 3.1: a GS2 header and pairs, `n,a=user,^Aauth=Bearer token^A^A`. The host and port are not looked at."""
    header, *pairs = response.split(b"\1")
    matched = _GS2.fullmatch(header)
    if matched is None or not response.endswith(b"\1\1"):
        raise SyntaxFault("bad OAUTHBEARER response")
    return _bearer((matched[1] or b"").replace(b"=2C", b",").replace(b"=3D", b"="), pairs[:-2])


def xoauth2(response: bytes) -> Bearer:
    """Google's mechanism from before RFC 7628: `user=name^Aauth=Bearer token^A^A`."""
    pairs = response.split(b"\1")
    if not response.endswith(b"\1\1") or not pairs[0].startswith(b"user="):
        raise SyntaxFault("bad XOAUTH2 response")
    return _bearer(pairs[0][5:], pairs[1:-2])


def _bearer(login: bytes, pairs: list[bytes]) -> Bearer:
    values = dict(pair.partition(b"=")[::2] for pair in pairs)
    scheme, _, token = values.get(b"auth", b"").partition(b" ")
    if scheme.lower() != b"bearer" or not _TOKEN.fullmatch(token := token.strip(b" ")):
        raise SyntaxFault("bearer token expected")
    try:
        return Bearer(login.decode(), token.decode("ascii"))
    except UnicodeDecodeError:
        raise AuthFailed from None


def token_refused(mechanism: str) -> bytes:
    """The challenge that says a token was no good, before the failure itself (RFC 7628 3.2.2)."""
    status = {"status": "invalid_token"} if mechanism == OAUTHBEARER else {"status": "401", "schemes": "bearer"}
    return json.dumps(status, separators=(",", ":")).encode()


Exchange: TypeAlias = Generator[bytes, bytes, Credentials]
"""Yields challenges, is sent responses, returns what was said."""
Passwords: TypeAlias = Callable[[bytes | None], Exchange]
"""Begins an exchange, with the client's initial response if it sent one."""


def _plain(initial: bytes | None) -> Exchange:
    """RFC 4616: all in one response."""
    return plain((yield b"") if initial is None else initial)


def _login(initial: bytes | None) -> Exchange:
    """LOGIN, which no RFC has and every client knows: name and password asked for one by one."""
    name = (yield b"Username:") if initial is None else initial
    return Credentials.of(name, (yield b"Password:"))


PASSWORDS: Final[Mapping[str, Passwords]] = {"PLAIN": _plain, "LOGIN": _login}
"""The mechanisms that bring a password."""
TOKENS: Final[Mapping[str, Callable[[bytes], Bearer]]] = {OAUTHBEARER: oauthbearer, XOAUTH2: xoauth2}
"""The mechanisms that bring a token, in one response."""
MECHANISMS: Final = (SCRAM_PLUS, SCRAM, *TOKENS, *PASSWORDS)
"""All that are known, the strongest first. What is offered is the directory's business."""


async def asked(ask: Ask, challenge: bytes) -> bytes:
    """One challenge and its response, both as they are. Raises `SyntaxFault`."""
    return decode(await ask(base64.b64encode(challenge)))


async def proven(mechanism: Passwords, initial: bytes | None, ask: Ask) -> Credentials:
    """Lead an exchange to its end. Raises `SyntaxFault`, `NotPermitted` and `AuthFailed`."""
    exchange = mechanism(initial)
    try:
        challenge = next(exchange)
        while True:
            challenge = exchange.send(await asked(ask, challenge))
    except StopIteration as end:
        credentials: Credentials = end.value
        return credentials
