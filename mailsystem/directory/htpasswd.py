"""Logins and passwords as `htpasswd` writes them: a line for each, `login:password`, the latter as it is or hashed."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from typing import Final

_HASHED: Final = ("{SHA}", "{SSHA}", "$2a$", "$2b$", "$2y$")
_UNKNOWN: Final = ("$", "{")


class Htpasswd:
    """Who may come in by which password."""

    def __init__(self, known: Mapping[str, str]) -> None:
        self._known = {login: secret.encode() for login, secret in known.items()}

    @classmethod
    def parse(cls, text: str) -> Htpasswd:
        """Read lines, or entries with blanks between them. Raises `ValueError`, in words for whoever wrote it."""
        known: dict[str, str] = {}
        entries = (line.strip() for line in text.splitlines()) if "\n" in text else text.split()
        for number, entry in enumerate(entries, 1):
            if not entry or entry.startswith("#"):
                continue
            login, colon, secret = entry.partition(":")
            if not colon or not login or not secret:
                raise ValueError(f"entry {number} should be login:password")
            if secret.startswith(_UNKNOWN) and not secret.startswith(_HASHED):
                raise ValueError(
                    f"the password of {login} is hashed in a way that is not known here: use {{SSHA}} or bcrypt"
                )
            if secret.startswith("$2") and not _has_bcrypt():
                raise ValueError(f"the password of {login} is hashed by bcrypt, which `pip install bcrypt` brings")
            known[login] = secret
        return cls(known)

    def __bool__(self) -> bool:
        return bool(self._known)

    def knows(self, login: str, password: str) -> bool:
        """Whether that is the password of this login. With bcrypt it takes as long as that shall take."""
        secret = self._known.get(login)
        given = password.encode("utf-8", "surrogatepass")
        if secret is None:
            hmac.compare_digest(given, given)
            return False
        if secret.startswith(b"$2"):
            import bcrypt

            return bool(bcrypt.checkpw(given[:72], secret))
        if secret.startswith((b"{SHA}", b"{SSHA}")):
            return _matches(secret.partition(b"}")[2], given)
        return hmac.compare_digest(secret, given)


def _has_bcrypt() -> bool:
    from importlib.util import find_spec

    return find_spec("bcrypt") is not None


def _matches(kept: bytes, given: bytes) -> bool:
    """SHA-1 with the salt behind it, if there is one, as RFC 2307 has it: what such files are made of."""
    try:
        octets = base64.b64decode(kept, validate=True)
    except (binascii.Error, ValueError):
        return False
    digest, salt = octets[:20], octets[20:]
    return hmac.compare_digest(digest, hashlib.sha1(given + salt, usedforsecurity=False).digest())
