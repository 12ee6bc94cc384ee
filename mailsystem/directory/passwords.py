"""Passwords: hashes and keys made and checked off the loop, and those that are made up for a program."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, ParamSpec, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from mailsystem.mail.errors import Unavailable
from mailsystem.mail.sasl import scram_keys

P = ParamSpec("P")
T = TypeVar("T")

_LETTERS: Final = "abcdefghijkmnpqrstuvwxyz23456789"
_GROUPS: Final = 5
_GROUP: Final = 4


class Hashing:
    """Slow functions in two threads of their own, with a queue that has an end.

    Whoever would have to wait behind `most` others is turned away (`Unavailable`): a flood of wrong passwords must not make
    an honest login wait for minutes.
    """

    def __init__(self, most: int = 100) -> None:
        self._threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="password")
        self._most = most
        self._waiting = 0

    async def run(self, slow: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Off the loop. A job whose caller is gone before it began is dropped."""
        if self._waiting >= self._most:
            raise Unavailable("too many logins at once, try again")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, partial(slow, *args, **kwargs))
        finally:
            self._waiting -= 1


_hasher = PasswordHasher()
_hashing = Hashing()


async def hash_password(password: str) -> str:
    """An argon2id hash in PHC form, made off the loop: it takes some 50 ms on purpose."""
    return await _hashing.run(_hasher.hash, password)


async def derive_keys(password: str) -> str:
    """What SCRAM verifies with, made off the loop."""
    return await _hashing.run(scram_keys, password)


async def verify_password(stored: str, password: str) -> bool:
    """Whether `stored` was made of `password`; anything that is no hash of ours was not."""
    return await _hashing.run(_verify, stored, password)


def is_outdated(stored: str) -> bool:
    """Whether a hash was made with other parameters than new ones are."""
    try:
        return _hasher.check_needs_rehash(stored)
    except InvalidHashError:
        return False


def new_app_password() -> str:
    """A password for one program, with 100 random bits: nobody has to remember it."""
    return "-".join("".join(secrets.choice(_LETTERS) for _ in range(_GROUP)) for _ in range(_GROUPS))


def app_password_digest(password: str) -> str:
    """What is kept of an app password. Nobody can guess 100 bits, so it needs no slow hash; dashes and spaces do not count."""
    plain = password.replace("-", "").replace(" ", "").lower()
    return hashlib.sha256(plain.encode("utf-8", "surrogatepass")).hexdigest()


def matching(password: str, digests: Iterable[str]) -> int | None:
    """Which of these was made of `password`."""
    digest = app_password_digest(password)
    same = [index for index, one in enumerate(digests) if hmac.compare_digest(one, digest)]
    return same[0] if same else None


def _verify(stored: str, password: str) -> bool:
    try:
        return _hasher.verify(stored, password)
    except (Argon2Error, InvalidHashError):
        return False
