"""The client's side of SCRAM-SHA-256, written from RFC 5802 apart from the server's: they judge each other."""

from __future__ import annotations

import base64
import hashlib
import hmac

HASH = "sha256"


class ScramClient:
    """One exchange. `header` is the GS2 header, `binding` the octets of the channel where it begins with `p=`."""

    def __init__(
        self, login: str, password: str, *, header: bytes = b"n,,", binding: bytes = b"", nonce: bytes = b"clientnonce"
    ) -> None:
        name = login.replace("=", "=3D").replace(",", "=2C").encode()
        self.bare = b"n=" + name + b",r=" + nonce
        self.nonce = nonce
        self.password = password.encode()
        self.header = header
        self.binding = binding
        self.signature = b""

    @property
    def first(self) -> bytes:
        return self.header + self.bare

    def final(self, challenge: bytes) -> bytes:
        """Answers the server's first message."""
        nonce, salt, iterations = (part[2:] for part in challenge.split(b",")[:3])
        assert nonce.startswith(self.nonce)
        assert len(nonce) > len(self.nonce)
        salted = hashlib.pbkdf2_hmac(HASH, self.password, base64.b64decode(salt), int(iterations))
        client_key = hmac.digest(salted, b"Client Key", HASH)
        channel = base64.b64encode(self.header + self.binding)
        spoken = b"c=" + channel + b",r=" + nonce
        signed = b",".join((self.bare, challenge, spoken))
        signature = hmac.digest(hashlib.sha256(client_key).digest(), signed, HASH)
        proof = bytes(a ^ b for a, b in zip(client_key, signature, strict=True))
        self.signature = hmac.digest(hmac.digest(salted, b"Server Key", HASH), signed, HASH)
        return spoken + b",p=" + base64.b64encode(proof)

    def believes(self, final: bytes) -> bool:
        """Whether the server's final message shows that it knows the keys."""
        return final == b"v=" + base64.b64encode(self.signature)
