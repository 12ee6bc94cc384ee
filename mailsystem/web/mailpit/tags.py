"""Mailpit's tags, which here are keywords of IMAP: a blank, which those cannot have, is written as a tilde there."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from mailsystem.mail.mailbox import Flag

LONGEST: Final = 100
_FOREIGN: Final = re.compile(r"[^A-Za-z0-9 _.@-]+")
_BLANKS: Final = re.compile(r" {2,}")


def cleaned(tag: str) -> str:
    """As Mailpit keeps it: letters, digits, blanks and `-_.@`; empty where nothing of it is left."""
    return _BLANKS.sub(" ", _FOREIGN.sub(" ", tag)).strip()[:LONGEST].strip()


def keyword_of(tag: str) -> Flag | None:
    """The keyword that stands for a tag; None where nothing can be kept of it."""
    clean = cleaned(tag)
    return Flag(clean.replace(" ", "~")) if clean else None


def tags_of(flags: Iterable[Flag]) -> list[str]:
    """The tags among flags, sorted. What begins with `$` belongs to programs (RFC 5788)."""
    found = (flag.replace("~", " ") for flag in flags if flag[:1] not in ("\\", "$"))
    return sorted(found, key=lambda tag: (tag.lower(), tag))
