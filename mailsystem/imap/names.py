"""Mailbox names: from the wire to the one spelling we keep and back; and LIST's patterns."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from typing import Final

from mailsystem.imap import utf7
from mailsystem.mail.errors import Rejected
from mailsystem.mail.mailbox import DELIMITER, INBOX

LONGEST: Final = 1000
"""Octets of a name in UTF-8."""
DEEPEST: Final = 50
"""Levels of a name."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def from_wire(wire: bytes, *, utf8: bool = False) -> str:
    """A mailbox name in Unicode (NFC), INBOX in capitals, without a trailing delimiter. Raises `Rejected`.

    With `utf8` it is spelled so on the wire (RFC 9051 5.1), else in modified UTF-7.
    """
    name = pattern_from_wire(wire, utf8=utf8)
    name = name.removesuffix(DELIMITER)  # RFC 3501 6.3.3: it only declares that names below will come
    levels = name.split(DELIMITER)
    if not all(levels) or len(levels) > DEEPEST:
        raise Rejected("bad mailbox name")
    return name


def pattern_from_wire(wire: bytes, *, utf8: bool = False, plain: bool = False) -> str:
    """A LIST pattern or reference, treated as a name is, but of any shape; `plain` only decoded. Raises `Rejected`."""
    if len(wire) > 4 * LONGEST:
        raise Rejected("mailbox name too long")
    name = _utf8(wire) if utf8 else utf7.decode(wire)
    if not plain:
        name = unicodedata.normalize("NFC", name)
    if len(name.encode()) > LONGEST:
        raise Rejected("mailbox name too long")
    if _CONTROL.search(name):
        raise Rejected("control character in mailbox name")
    return name if plain else fold_inbox(name)


def _utf8(wire: bytes) -> str:
    try:
        return wire.decode()
    except UnicodeDecodeError:
        raise Rejected("mailbox name is not UTF-8") from None


def fold_inbox(name: str) -> str:
    """RFC 3501 5.1: INBOX is one name in any case; so is the first level of the names below it."""
    first, slash, rest = name.partition(DELIMITER)
    if first.upper() == INBOX:
        return INBOX + slash + rest
    return name


def parents(name: str) -> list[str]:
    """The names above this one: `a` and `a/b` for `a/b/c`."""
    levels = name.split(DELIMITER)
    return [DELIMITER.join(levels[:depth]) for depth in range(1, len(levels))]


def spelled_out(*patterns: str) -> list[str] | None:
    """The names that these LIST patterns match; None if one of them has a wildcard."""
    if any("*" in pattern or "%" in pattern for pattern in patterns):
        return None
    return list(dict.fromkeys(map(fold_inbox, patterns)))


def matcher(*patterns: str) -> Callable[[str], bool]:
    """What tells whether a name matches one of these LIST patterns: `*` is anything, `%` anything within one level.

    The positions in all patterns are the bits of one number, so that a name is read once, whatever and however many they are.
    """
    shapes = {fold_inbox(re.sub(r"[*%]{2,}", lambda run: "*" if "*" in run[0] else "%", each)) for each in patterns}
    if "*" in shapes:
        return lambda name: True
    plain = {shape for shape in shapes if "*" not in shape and "%" not in shape}
    if plain == shapes:
        return lambda name: name in plain
    first = stars = percents = accepted = position = 0
    letters: dict[str, int] = {}
    for shape in shapes - plain:
        first |= 1 << position
        for letter in shape:
            bit = 1 << position
            if letter == "*":
                stars |= bit
            elif letter == "%":
                percents |= bit
            else:
                letters[letter] = letters.get(letter, 0) | bit
            position += 1
        accepted |= 1 << position
        position += 1
    wild = stars | percents
    first |= (first & wild) << 1

    def matches(name: str) -> bool:
        at = first
        for letter in name:
            at = ((at & letters.get(letter, 0)) << 1) | (at & (stars if letter == DELIMITER else wild))
            at |= (at & wild) << 1
            if not at:
                break
        return bool(at & accepted) or name in plain

    return matches
