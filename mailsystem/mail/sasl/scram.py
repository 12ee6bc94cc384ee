"""SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, RFC 7677), the server's side. Sans-IO.

A password never crosses the wire, and what is kept of it (`Keys`) is not enough to log in with. What it does not do:
tls-exporter and tls-unique, since Python's `ssl` hands out neither; the binding is tls-server-end-point (RFC 5929 4).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
import stringprep
import unicodedata
from dataclasses import dataclass, field
from typing import Final

from mailsystem.mail.errors import AuthFailed, NotPermitted, SyntaxFault

ITERATIONS: Final = 60_000
"""What new keys are made with: some 20 ms, so off the loop. RFC 7677 4 asks for 4096 and more; clients made with Cyrus SASL
refuse more than 65,536."""
FEWEST_ITERATIONS: Final = 4096
BINDING: Final = "tls-server-end-point"
"""The one channel binding that is understood."""

_NAME: Final = "SCRAM-SHA-256"
_SALT: Final = 16
_SIZE: Final = hashlib.sha256().digest_size
_NONCE: Final = re.compile(rb"[\x21-\x2b\x2d-\x7e]{1,512}")
_ESCAPE: Final = re.compile(r"=(2C|3D)?")
_NOT_ALLOWED: Final = (
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
)


@dataclass(frozen=True, slots=True)
class Keys:
    """What is kept of a password for SCRAM (RFC 5802 3). The keys never show in a `repr`."""

    salt: bytes = field(repr=False)
    iterations: int
    stored_key: bytes = field(repr=False)
    server_key: bytes = field(repr=False)

    @classmethod
    def derive(cls, password: str, *, salt: bytes | None = None, iterations: int = ITERATIONS) -> Keys:
        """From a password. Slow on purpose: never on the loop."""
        salt = secrets.token_bytes(_SALT) if salt is None else salt
        salted = hashlib.pbkdf2_hmac("sha256", prepared(password), salt, iterations)
        stored_key = hashlib.sha256(_hmac(salted, b"Client Key")).digest()
        return cls(salt, iterations, stored_key, _hmac(salted, b"Server Key"))

    @classmethod
    def pretended(cls, login: str, secret: bytes) -> Keys:
        """For a login that has none: nobody can prove them, and who asks again is told the same salt again."""
        name = login.encode("utf-8", "surrogatepass")
        salt, stored, server = (_hmac(secret, label + b"\0" + name) for label in (b"salt", b"stored", b"server"))
        return cls(salt[:_SALT], ITERATIONS, stored, server)

    def dump(self) -> str:
        """As text, in the shape that RFC 5803 gave it: `SCRAM-SHA-256$iterations:salt$stored:server`."""
        return (
            f"{_NAME}${self.iterations}:{_base64(self.salt).decode()}"
            f"${_base64(self.stored_key).decode()}:{_base64(self.server_key).decode()}"
        )

    @classmethod
    def load(cls, text: str) -> Keys:
        """The opposite of `dump`. Raises `ValueError`."""
        name, head, tail = text.split("$")
        iterations, salt = head.split(":")
        stored, server = (base64.b64decode(key, validate=True) for key in tail.split(":"))
        if name != _NAME or int(iterations) < FEWEST_ITERATIONS or not len(stored) == len(server) == _SIZE:
            raise ValueError("not keys of SCRAM-SHA-256")
        return cls(base64.b64decode(salt, validate=True), int(iterations), stored, server)


def scram_keys(password: str) -> str:
    """What to keep of a new password. It takes some 30 ms on purpose: call it off the loop."""
    return Keys.derive(password).dump()


def prepared(password: str) -> bytes:
    """A password as SCRAM hashes it: SASLprep (RFC 4013), so that two keyboards that spell it differently agree.

    One that SASLprep forbids is taken as it is, as PostgreSQL does, and characters newer than its tables are allowed.
    """
    mapped = "".join(
        " " if stringprep.in_table_c12(c) else c for c in password if not stringprep.in_table_b1(c)
    )  # RFC 4013 2.1
    normal = unicodedata.normalize("NFKC", mapped)  # RFC 4013 2.2
    return (normal if _permitted(normal) else password).encode("utf-8", "surrogatepass")


def _permitted(text: str) -> bool:
    if not text or any(forbidden(c) for c in text for forbidden in _NOT_ALLOWED):  # RFC 4013 2.3
        return False
    if not any(stringprep.in_table_d1(c) for c in text):
        return True
    both_ends = stringprep.in_table_d1(text[0]) and stringprep.in_table_d1(text[-1])
    return both_ends and not any(stringprep.in_table_d2(c) for c in text)  # RFC 3454 6


class Scram:
    """One exchange: `begin` with the client's first message, `challenge` it, `finish` with its final message."""

    __slots__ = ("_bare", "_binding", "_challenge", "_gs2", "_keys", "_nonce", "_plus")

    def __init__(self, *, plus: bool, binding: bytes | None, nonce: bytes | None = None) -> None:
        """`binding` is the channel's, None where there is none; then -PLUS was not offered. `nonce` is for tests."""
        self._plus = plus
        self._binding = binding
        self._nonce = nonce or _base64(secrets.token_bytes(18))
        self._gs2 = b""
        self._bare = b""
        self._challenge = b""
        self._keys: Keys | None = None

    def begin(self, message: bytes) -> str:
        """Who the client says it is. Raises `SyntaxFault`, `NotPermitted`, and `AuthFailed` for the wrong binding."""
        flag, _, rest = message.partition(b",")
        authzid, found, bare = rest.partition(b",")
        fields = bare.split(b",")
        if not found or len(fields) < 2 or fields[0][:2] != b"n=" or fields[1][:2] != b"r=":
            raise SyntaxFault("bad SCRAM message")  # an extension `m=` in front ends here too (RFC 5802 5.1)
        if not _NONCE.fullmatch(fields[1], 2):
            raise SyntaxFault("bad SCRAM message")
        name = _name(fields[0][2:])
        if authzid and (authzid[:2] != b"a=" or _name(authzid[2:]) != name):
            raise NotPermitted("cannot act for somebody else")
        self._check(flag)
        self._gs2 = message[: len(message) - len(bare)]
        self._bare = bare
        self._nonce = fields[1][2:] + self._nonce
        return name

    def _check(self, flag: bytes) -> None:
        """RFC 5802 6: what the client knows of channel bindings must fit what we offered."""
        if self._plus:
            if flag != b"p=" + BINDING.encode() or self._binding is None:
                raise AuthFailed
        elif flag == b"y":
            # It believes that we cannot bind channels. If we can, somebody took -PLUS out of our list on its way.
            if self._binding is not None:
                raise AuthFailed
        elif flag.startswith(b"p="):
            raise AuthFailed
        elif flag != b"n":
            raise SyntaxFault("bad SCRAM message")

    def challenge(self, keys: Keys) -> bytes:
        """The server's first message."""
        self._keys = keys
        self._challenge = b"r=%b,s=%b,i=%d" % (self._nonce, _base64(keys.salt), keys.iterations)
        return self._challenge

    def finish(self, message: bytes) -> bytes:
        """The server's final message, which proves to the client who we are. Raises `AuthFailed` for whatever is wrong."""
        if self._keys is None:
            raise AuthFailed
        spoken, _, proof = message.rpartition(b",p=")
        fields = [*spoken.split(b","), b""]
        signed = b",".join((self._bare, self._challenge, spoken))
        client_key = _xor(_decoded(proof), _hmac(self._keys.stored_key, signed))
        channel = self._gs2 + (self._binding or b"" if self._plus else b"")
        good = hmac.compare_digest(hashlib.sha256(client_key).digest(), self._keys.stored_key)
        good &= hmac.compare_digest(fields[0], b"c=" + _base64(channel))
        good &= hmac.compare_digest(fields[1], b"r=" + self._nonce)
        if not good:
            raise AuthFailed
        return b"v=" + _base64(_hmac(self._keys.server_key, signed))


def _name(text: bytes) -> str:
    """saslname: commas and equals signs are escaped. Raises `SyntaxFault`, and `AuthFailed` for what is not UTF-8."""
    try:
        name = text.decode()
    except UnicodeDecodeError:
        raise AuthFailed from None
    if not name or "\0" in name or any(escape[0] == "=" for escape in _ESCAPE.finditer(name)):
        raise SyntaxFault("bad SCRAM message")
    return name.replace("=2C", ",").replace("=3D", "=")


def _decoded(proof: bytes) -> bytes:
    """The proof, or one that proves nothing."""
    try:
        octets = base64.b64decode(proof, validate=True)
    except (binascii.Error, ValueError):
        return bytes(_SIZE)
    # One spelling only: base64 has bits to spare at its end.
    return octets if len(octets) == _SIZE and _base64(octets) == proof else bytes(_SIZE)


def _hmac(key: bytes, text: bytes) -> bytes:
    return hmac.digest(key, text, "sha256")


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))


def _base64(octets: bytes) -> bytes:
    return base64.b64encode(octets)
