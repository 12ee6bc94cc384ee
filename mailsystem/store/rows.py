"""Rows and values: what the messages' tables hold, as the rest of the program speaks of it."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from enum import Flag as Bits
from functools import lru_cache
from typing import Final, NamedTuple

from mailsystem.mail.content import Facts
from mailsystem.mail.errors import TooMany
from mailsystem.mail.mailbox import (
    ANSWERED,
    DELETED,
    DRAFT,
    FLAGGED,
    RECENT,
    SEEN,
    AccountId,
    ContentId,
    Flag,
    Mailbox,
    Message,
    MessageSet,
    ModSeq,
    Uid,
)
from mailsystem.mail.rights import EVERY, Rights
from mailsystem.store.database import Row

MAILBOX: Final = "account_id, id, name, objectid, uidvalidity, uidnext, modseq, special_use"
_BITS: Final = {ANSWERED: 1, FLAGGED: 2, DELETED: 4, SEEN: 8, DRAFT: 16}
SEEN_BIT: Final = _BITS[SEEN]
FLAGGED_BIT: Final = _BITS[FLAGGED]
DELETED_BIT: Final = _BITS[DELETED]
_MOST_KEYWORDS: Final = 64
RETURNED: Final = "uid, modseq, flags, keywords, internaldate, size, content_id, savedate"
"""The columns of a `Message`, as RETURNING names them."""
MESSAGE: Final = "m.uid, m.modseq, m.flags, m.keywords, m.internaldate, m.size, m.content_id, m.savedate"


@dataclass(frozen=True, slots=True)
class Drop:
    """Where one copy of a message goes."""

    account: AccountId
    mailbox: str = "INBOX"
    flags: frozenset[Flag] = frozenset()


@dataclass(frozen=True, slots=True)
class Appended:
    """Where one copy of a message went."""

    mailbox: Mailbox
    uid: Uid
    modseq: ModSeq
    content: ContentId


@dataclass(frozen=True, slots=True)
class Delivered:
    """One message that is here, and where its copies went."""

    content: ContentId
    places: Sequence[Appended]


@dataclass(frozen=True, slots=True)
class Copied:
    """Pairs of UIDs, both ascending: `source[i]` is now also (or only) `target[i]` (RFC 4315 COPYUID)."""

    uidvalidity: int
    source: list[Uid]
    target: list[Uid]
    modseq: ModSeq
    """Of this change."""
    contents: Sequence[ContentId] = ()
    """Of each pair."""


@dataclass(frozen=True, slots=True)
class Opened:
    """What SELECT tells of a mailbox, all from one snapshot."""

    mailbox: Mailbox
    uids: array[int]
    """All of them, ascending; not to be changed, for others hold them too."""
    recent: MessageSet
    first_unseen: Uid | None
    keywords: tuple[Flag, ...]
    """Those in use, sorted."""
    rights: Rights = EVERY
    """What the account that has looked may do in it."""
    over_quota: bool = False
    """Whether that account, if it is the owner, keeps more than it may."""


class Want(Bits):
    """What `fetch` reads beside the message's own row; each costs."""

    NONE = 0
    FACTS = auto()
    HEAD = auto()
    RAW = auto()


class Fetched(NamedTuple):
    """One message as `fetch` gives it."""

    message: Message
    facts: Facts | None
    head: bytes | None
    """The header block with its blank line, at most 256 KiB of it."""
    raw: bytes | None
    """The whole message if it is kept in the database; None if it lies in a file: stream it."""


@dataclass(frozen=True, slots=True)
class Having:
    """A condition on messages' own rows."""

    flag: Flag | None = None
    """Has this system flag or keyword, in any case."""
    above: float | None = None
    """More octets than this."""
    below: float | None = None
    since: float | None = None
    """Arrived at this time or later."""
    before: float | None = None


class FlagOp(Enum):
    """STORE's three verbs."""

    SET = "FLAGS"
    ADD = "+FLAGS"
    REMOVE = "-FLAGS"


def bit_of(flag: Flag) -> int:
    """The bit that a system flag is stored as; 0 for a keyword, and for `\\Recent`."""
    return _BITS.get(flag, 0)


def mailbox_of(row: Row) -> Mailbox:
    return Mailbox(*row)


def message_of(row: Row) -> Message:
    uid, modseq, bits, keywords, internaldate, size, content, savedate = row
    return Message(uid, modseq, flags_of(bits, keywords), internaldate, size, content, savedate)


@lru_cache(maxsize=4096)
def flags_of(bits: int, keywords: str) -> frozenset[Flag]:
    system = (flag for flag, bit in _BITS.items() if bits & bit)
    return frozenset((*system, *map(Flag, keywords.split())))


def stored(flags: Iterable[Flag]) -> tuple[int, str]:
    """Flags as two columns: bits for system flags, sorted words for keywords; `\\Recent` is never stored."""
    bits, words = 0, {}
    for flag in flags:
        bit = _BITS.get(flag)
        if bit is not None:
            bits |= bit
        elif flag != RECENT:
            words[flag.lower()] = flag
    if len(words) > _MOST_KEYWORDS:
        raise TooMany("too many keywords")
    return bits, " ".join(sorted(words.values()))
