"""Webhooks as values: what can be told, where to, and how it is signed (Standard Webhooks 1.0)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from enum import StrEnum
from typing import Final
from urllib.parse import urlsplit

from mailsystem.mail.errors import SyntaxFault

ARRIVED: Final = "arrived"
FLAGS: Final = "flags"
GONE: Final = "gone"
EVENTS: Final = (ARRIVED, FLAGS, GONE)
"""What may be told: a message came into a mailbox, its flags are others, it is in the mailbox no more."""
TEST: Final = "test"
"""What is told when somebody only wants to see whether it comes."""
PREFIX: Final = "whsec_"
"""By which a secret begins."""
LEAST_BODY: Final = 64 << 10
BODY: Final = 1 << 20
MOST_BODY: Final = 16 << 20
"""Octets of what is sent at once: the least that may be allowed, what is without being asked, and the most."""
MOST_URL: Final = 2000
_URL: Final = re.compile(r"https?://[!#-;=?-\[\]_a-z~]+", re.IGNORECASE)
_LEAST_SECRET, _MOST_SECRET = 24, 64


class Include(StrEnum):
    """How much of a message that has come is told."""

    SUMMARY = "summary"
    """What a list shows of it."""
    WHOLE = "whole"
    """Its text and HTML as well."""
    RAW = "raw"
    """The message octet by octet, in Base64."""
    MAILPIT = "mailpit"
    """What Mailpit's webhook tells: the message as Mailpit's lists show it, with nothing around it."""


def receiver(url: str) -> str:
    """The address of a receiver, if it can be one. Raises `SyntaxFault`."""
    if len(url) > MOST_URL or not _URL.fullmatch(url):
        raise SyntaxFault("url: should be an address such as https://example.org/hook")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise SyntaxFault("url: its host or port is none") from None
    if not host or port == 0:
        raise SyntaxFault("url: its host or port is none")
    if "@" in parts.netloc:
        raise SyntaxFault("url: it must not hold a password; the signature proves who sends")
    return url


def events_of(names: Iterable[str], query: str) -> tuple[str, ...]:
    """Events in their order, each once. Raises `SyntaxFault`."""
    wanted = set(names)
    if not wanted or wanted - set(EVENTS):
        raise SyntaxFault(f"events: should be some of {', '.join(EVENTS)}")
    if GONE in wanted and query.strip():
        raise SyntaxFault("events: what is gone cannot be looked into, so gone goes with an empty query only")
    return tuple(name for name in EVENTS if name in wanted)


def new_secret() -> str:
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def good_secret(secret: str) -> str:
    """A secret that somebody has chosen. Raises `SyntaxFault`."""
    _key(secret)
    return secret


def signature(secret: str, id_: str, timestamp: int, body: bytes) -> str:
    """What the header `webhook-signature` says."""
    signed = b"%s.%d.%s" % (id_.encode(), timestamp, body)
    return "v1," + base64.b64encode(hmac.digest(_key(secret), signed, hashlib.sha256)).decode()


def _key(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(PREFIX) or not _LEAST_SECRET <= len(key) <= _MOST_SECRET:
        raise SyntaxFault(f"secret: should be {PREFIX} and {_LEAST_SECRET} to {_MOST_SECRET} octets in Base64")
    return key
