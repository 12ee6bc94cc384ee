"""Names of files and people: of the files of tests, which may be called anything, and patterns for what others are called."""

from __future__ import annotations

import hashlib
import re
from fnmatch import fnmatchcase
from typing import Final

_LONGEST: Final = 150
_PLAIN: Final = re.compile(r"[\w./:-]+(?:\[\w(?:[\w.-]*\w)?\])?")
"""Tests of which no two get the same name: as most are called."""


def file_name(test: str) -> str:
    """A name for what belongs to a test, or another thing that is called like this; never two of them the same one."""
    name = re.sub(r"[^\w.-]+", "-", test).strip("-.")
    if name and len(name.encode()) <= _LONGEST and _PLAIN.fullmatch(test):
        return name
    known = hashlib.blake2b(test.encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()
    return f"{name.encode()[:_LONGEST].decode(errors='ignore')}-{known}".lstrip("-.")


def is_like(name: str, pattern: str) -> bool:
    """Whether a whole name fits, without regard to case; `*` and `?` stand for any letters, and brackets for themselves."""
    return fnmatchcase(name.casefold(), pattern.casefold().replace("[", "[[]"))
