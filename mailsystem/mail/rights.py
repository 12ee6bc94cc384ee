"""What one account may do with another's mailbox: the rights of RFC 4314, and the one spelling of each."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple, TypeAlias

from mailsystem.mail.errors import SyntaxFault
from mailsystem.mail.mailbox import DELETED, DELIMITER, INBOX, OTHERS, SEEN, Flag

Rights: TypeAlias = frozenset[str]
"""Letters of RFC 4314 2.1, the obsolete ones resolved."""

EVERY: Final[Rights] = frozenset("lrswipkxtea")
KNOWN: Final[Rights] = frozenset("lrikxa")
"""RFC 4314 4: who holds one of these may ask for their own rights, so to them the mailbox is there."""
FLAG_RIGHTS: Final[Rights] = frozenset("swt")
"""Each lets some flags be changed."""

_ORDER: Final = "lrswipkxtecda"
_OBSOLETE: Final = {"c": frozenset("kx"), "d": frozenset("et")}  # RFC 4314 2.1.1
ANYONE: Final = "anyone"


class Identifier(NamedTuple):
    """Whom an entry of an access control list is about (RFC 4314 2)."""

    who: str
    """A login, or `ANYONE`."""
    negative: bool = False
    """The rights are taken away, whatever other entry grants them."""

    def __str__(self) -> str:
        return f"-{self.who}" if self.negative else self.who


class Entry(NamedTuple):
    """One pair of an access control list."""

    identifier: Identifier
    rights: Rights


def rights_of(text: str) -> Rights:
    """The rights that letters mean; the obsolete `c` and `d` are those that took their place. Raises `SyntaxFault`."""
    found: set[str] = set()
    for letter in text:
        if letter not in _OBSOLETE and letter not in EVERY:
            raise SyntaxFault("unknown right")
        found |= _OBSOLETE.get(letter, {letter})
    return frozenset(found)


def spelled(rights: Iterable[str]) -> str:
    """As they are kept and shown to people: in RFC 4314's order."""
    have = set(rights)
    return "".join(letter for letter in _ORDER if letter in have)


def spelled_for_all(rights: Rights) -> str:
    """As IMAP tells them: with `c` and `d` where one of their members is held (RFC 4314 2.1.1)."""
    return spelled(rights | {old for old, members in _OBSOLETE.items() if members & rights})


def combined(entries: Iterable[tuple[bool, Rights]]) -> Rights:
    """What all entries together leave to somebody whom each of them is about: (negative, rights)."""
    granted: set[str] = set()
    taken: set[str] = set()
    for negative, rights in entries:
        (taken if negative else granted).update(rights)
    return frozenset(granted - taken)


def right_for(flag: Flag) -> str:
    """The right that changing a flag needs (RFC 4314 4)."""
    return "s" if flag == SEEN else "t" if flag == DELETED else "w"


def may_change(rights: Rights) -> bool:
    """Whether somebody with these rights is there to read and write (RFC 4314 5.2)."""
    return bool(rights & {"i", "e", *FLAG_RIGHTS})


def settable(flags: Iterable[Flag], rights: Rights) -> frozenset[Flag]:
    """Those of them that one with these rights may change."""
    return frozenset(flag for flag in flags if right_for(flag) in rights)


def seen_as(login: str, name: str) -> str:
    """The name of somebody's mailbox as all others see it: below `OTHERS` and the login."""
    return DELIMITER.join((OTHERS, _level(login), name))


def _level(login: str) -> str:
    return login.replace("%", "%25").replace(DELIMITER, "%2F")


def is_of_others(name: str) -> bool:
    """Whether a name lies where other people's mailboxes are seen."""
    return name == OTHERS or name.startswith(OTHERS + DELIMITER)


def parted(name: str) -> tuple[str, str] | None:
    """The login and the owner's own name of a mailbox named as `seen_as` does; None where it cannot be one."""
    _, _, below = name.partition(DELIMITER)
    level, _, own = below.partition(DELIMITER)
    if not level or not own:
        return None
    first, slash, rest = own.partition(DELIMITER)
    if first.upper() == INBOX:
        own = INBOX + slash + rest
    login = level.replace("%2F", DELIMITER).replace("%25", "%")
    return (login, own) if _level(login) == level else None
