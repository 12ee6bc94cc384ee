"""SASL responses as values (RFC 4616 and the customary LOGIN): what a client says to prove who it is."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field

from mailsystem.mail.errors import NotPermitted, SyntaxFault


@dataclass(frozen=True, slots=True)
class Credentials:
    """A login and its password; the password never shows in a `repr`."""

    login: str
    password: str = field(repr=False)


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
    try:
        authzid, authcid, password = (f.decode() for f in fields)
    except UnicodeDecodeError:
        raise SyntaxFault("bad PLAIN response") from None
    if authzid and authzid != authcid:
        raise NotPermitted("cannot act for somebody else")
    return Credentials(authcid, password)
