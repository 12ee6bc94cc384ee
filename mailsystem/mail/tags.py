"""Tags as Mailpit has them, which here are keywords of IMAP: a blank, which those cannot have, is written as a tilde there."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from mailsystem.mail.header import fields, unfolded
from mailsystem.mail.mailbox import Flag
from mailsystem.mail.words import text

LONGEST: Final = 100
"""Characters of a tag."""
MOST: Final = 50
"""Tags that a message brings with it."""
_FOREIGN: Final = re.compile(r"[^A-Za-z0-9 _.@-]+")
_BLANKS: Final = re.compile(r" {2,}")
_WORD: Final = re.compile(r"[A-Za-z]+")
_MOST_SAID: Final = 10_000


def cleaned(tag: str) -> str:
    """As Mailpit keeps it: letters, digits, blanks and `-_.@`; empty where nothing of it is left."""
    return _BLANKS.sub(" ", _FOREIGN.sub(" ", tag[:_MOST_SAID])).strip()[:LONGEST].strip()


def titled(tag: str) -> str:
    """Every word with a capital in front, and no others."""
    return _WORD.sub(lambda word: word[0].capitalize(), tag)


def keyword_of(tag: str) -> Flag | None:
    """The keyword that stands for a tag; None where nothing can be kept of it."""
    clean = cleaned(tag)
    return Flag(clean.replace(" ", "~")) if clean else None


def keywords_of(tags: Iterable[str]) -> frozenset[Flag]:
    """The keywords that stand for tags, each once whatever its case, and no more than a message may bring."""
    found: dict[str, Flag] = {}
    for tag in tags:
        keyword = keyword_of(tag)
        if keyword is not None:
            found.setdefault(keyword.lower(), keyword)
            if len(found) == MOST:
                break
    return frozenset(found.values())


def tags_of(flags: Iterable[Flag]) -> list[str]:
    """The tags among flags, sorted. What begins with `$` belongs to programs (RFC 5788)."""
    found = (flag.replace("~", " ") for flag in flags if flag[:1] not in ("\\", "$"))
    return sorted(found, key=lambda tag: (tag.lower(), tag))


def tags_in(head: bytes) -> list[str]:
    """What the fields X-Tags of a header name, with commas between them."""
    said = [value for name, value in fields(head) if name.lower() == b"x-tags"]
    return [tag for value in said for tag in text(unfolded(value), None)[:_MOST_SAID].split(",")]


def tags_of_address(local: str) -> list[str]:
    """What stands behind the first plus of a local part; several have more of them between."""
    _, plus, tags = local.partition("+")
    return tags.split("+") if plus else []
