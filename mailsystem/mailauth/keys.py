"""Keys that sign: how they are made and read, and what is published of them (RFC 6376 3.6.1, RFC 8463 4)."""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mailsystem.store import Algorithm, KeyState, SigningKey

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

RSA_BITS: Final = 2048
"""RFC 8301 3.2 asks for that; larger keys do not fit into one UDP answer with everything around them."""
_LETTER: Final = {Algorithm.RSA: "r", Algorithm.ED25519: "e"}
_MOST_OCTETS: Final = 255


@dataclass(frozen=True, slots=True)
class DkimRecord:
    """What DNS has to say about one key."""

    name: str
    """The full name, without the dot at its end."""
    value: str
    """All strings of the record in one."""

    @property
    def strings(self) -> list[str]:
        """RFC 1035 3.3: a string of a TXT record has at most 255 octets."""
        return [self.value[at : at + _MOST_OCTETS] for at in range(0, len(self.value), _MOST_OCTETS)]


def make_keys(domain: str, now: float, taken: Collection[str], *, state: KeyState) -> list[SigningKey]:
    """An RSA and an Ed25519 key. Their selectors tell the month, and which is which; none of `taken` comes again."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

    prefix = _prefix(now, taken)
    rsa = generate_private_key(65537, RSA_BITS)
    return [
        SigningKey(domain, prefix + _LETTER[algorithm], algorithm, _kept(key), now, state, now)
        for algorithm, key in ((Algorithm.RSA, rsa), (Algorithm.ED25519, Ed25519PrivateKey.generate()))
    ]


def _prefix(now: float, taken: Collection[str]) -> str:
    """`ms202611`, and where there were keys in that month already `ms202611-2`."""
    month = time.strftime("ms%Y%m", time.gmtime(now))
    before = [re.fullmatch(month + r"(?:-(\d{1,9}))?[re]", selector) for selector in taken]
    # One more than the highest: what was published once shall not come back with another key, since resolvers remember.
    number = max((int(match[1] or 1) for match in before if match), default=0) + 1
    return month if number == 1 else f"{month}-{number}"


def _kept(key: RSAPrivateKey | Ed25519PrivateKey) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def load(key: SigningKey) -> RSAPrivateKey | Ed25519PrivateKey:
    """Raises `ValueError` for what is no such key."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.serialization import load_der_private_key

    try:
        found = load_der_private_key(key.secret, None)
    except (TypeError, UnsupportedAlgorithm) as error:
        raise ValueError("no private key") from error
    if key.algorithm is Algorithm.RSA and isinstance(found, RSAPrivateKey):
        return found
    if key.algorithm is Algorithm.ED25519 and isinstance(found, Ed25519PrivateKey):
        return found
    raise ValueError("a key of another kind")


def record_of(key: SigningKey) -> DkimRecord:
    """What to publish of a key. Raises `ValueError` for what is no such key."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    private = load(key)
    public = private.public_key()
    # RFC 8463 4: of Ed25519 the 32 octets themselves; RFC 6376 3.6.1: of RSA the key in its ASN.1 wrapping.
    octets = (
        public.public_bytes(Encoding.Raw, PublicFormat.Raw)
        if isinstance(private, Ed25519PrivateKey)
        else public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    )
    kind = {Algorithm.RSA: "rsa", Algorithm.ED25519: "ed25519"}[key.algorithm]
    return DkimRecord(
        f"{key.selector}._domainkey.{key.domain}", f"v=DKIM1; k={kind}; p={base64.b64encode(octets).decode('ascii')}"
    )
