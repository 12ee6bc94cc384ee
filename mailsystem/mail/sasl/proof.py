"""SCRAM-SHA-256 (RFC 5802, RFC 7677), the client's side: for logging in elsewhere. Sans-IO."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from typing import Final

from mailsystem.mail.sasl.scram import FEWEST_ITERATIONS, prepared

MOST_ITERATIONS: Final = 1_000_000
"""A second or so; whoever asks for more wants our time and not our password."""

_CHALLENGE: Final = re.compile(
    rb"r=([\x21-\x2b\x2d-\x7e]{1,1024}),s=([A-Za-z0-9+/]+={0,2}),i=([1-9][0-9]{0,9})(?:,.*)?", re.DOTALL
)


class BadProof(Exception):
    """The server does not keep to the exchange, or does not know the password itself."""


class ScramProof:
    """One exchange: say `first`, then `final` to the challenge, and `check` what the server says to that."""

    __slots__ = ("_bare", "_nonce", "_password", "_signature")

    def __init__(self, login: str, password: str, *, nonce: bytes | None = None) -> None:
        """`nonce` is for tests."""
        self._nonce = nonce or base64.b64encode(secrets.token_bytes(18))
        self._bare = b"n=" + login.replace("=", "=3D").replace(",", "=2C").encode() + b",r=" + self._nonce
        self._password = password
        self._signature = b""

    def first(self) -> bytes:
        """The client's first message. Channels are not bound."""
        return b"n,," + self._bare

    def final(self, challenge: bytes) -> bytes:
        """The client's final message. Slow on purpose: never on the loop. Raises `BadProof`."""
        found = _CHALLENGE.fullmatch(challenge)
        if found is None or not found[1].startswith(self._nonce) or found[1] == self._nonce:
            raise BadProof("a challenge that is none of SCRAM")
        iterations = int(found[3])
        if not FEWEST_ITERATIONS <= iterations <= MOST_ITERATIONS:
            raise BadProof("a challenge that asks for too little or too much work")
        try:
            salt = base64.b64decode(found[2], validate=True)
        except (binascii.Error, ValueError):
            raise BadProof("a challenge that is none of SCRAM") from None
        salted = hashlib.pbkdf2_hmac("sha256", prepared(self._password), salt, iterations)
        client_key = _hmac(salted, b"Client Key")
        spoken = b"c=biws,r=" + found[1]
        signed = b",".join((self._bare, challenge, spoken))
        self._signature = _hmac(_hmac(salted, b"Server Key"), signed)
        stamp = _hmac(hashlib.sha256(client_key).digest(), signed)
        proof = bytes(a ^ b for a, b in zip(client_key, stamp, strict=True))
        return spoken + b",p=" + base64.b64encode(proof)

    def check(self, verdict: bytes) -> None:
        """Whether the server knows the keys. Raises `BadProof`."""
        if not self._signature or not hmac.compare_digest(verdict, b"v=" + base64.b64encode(self._signature)):
            raise BadProof("the server does not know the password itself")


def _hmac(key: bytes, text: bytes) -> bytes:
    return hmac.digest(key, text, "sha256")
