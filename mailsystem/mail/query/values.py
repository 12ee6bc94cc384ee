"""Queries as values, and the one spelling of each.

Build them with `every`, `either` and `negated`, as `parse` does: then the same query is the same value, and `parse(str(query))`
gives it back.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

from mailsystem.mail.address import Address, normal_domain
from mailsystem.mail.errors import SyntaxFault

FIELDS: Final = {
    "from": ("from",),
    "to": ("to",),
    "cc": ("cc",),
    "bcc": ("bcc",),
    "reply-to": ("reply-to",),
    "addressed": ("from", "to", "cc", "bcc", "reply-to"),
}
"""The words that ask for people, and the header fields in which each looks for them."""
ENVELOPE: Final = ("envelope-from", "envelope-to")
"""The words that ask for whom the client named when it brought the message: MAIL FROM and RCPT TO."""
NOBODY: Final = "<>"
"""The null sender, as a query has it."""
STATES: Final = ("read", "flagged", "answered", "draft", "deleted", "tagged")
"""What `is:` knows, but for other names of the same."""
EPOCH: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)

_BARE = re.compile(r'[^\s"()]+')
_NOT_A_WORD = re.compile(r"[-!]|(?:OR|AND|NOT|\*)\Z|[A-Za-z][A-Za-z-]*+:")


@dataclass(frozen=True, slots=True)
class And:
    """All of these hold; none at all is everything. None of them is an `And` itself."""

    parts: tuple[Query, ...] = ()

    def __str__(self) -> str:
        # Side by side they bind tighter than OR.
        return " ".join(f"({part})" if isinstance(part, Or) else str(part) for part in self.parts) or "*"


@dataclass(frozen=True, slots=True)
class Or:
    """One of these holds; there are two at least, and none of them is an `Or` itself."""

    parts: tuple[Query, ...]

    def __str__(self) -> str:
        return " OR ".join(map(str, self.parts))


@dataclass(frozen=True, slots=True)
class Not:
    """This does not hold."""

    part: Query

    def __str__(self) -> str:
        if self.part == Is("read"):
            return "is:unread"
        return f"-({self.part})" if isinstance(self.part, Or) or self._is_row else f"-{self.part}"

    @property
    def _is_row(self) -> bool:
        return isinstance(self.part, And) and len(self.part.parts) > 1


@dataclass(frozen=True, slots=True)
class Text:
    """It stands anywhere in the text or the headers, as IMAP's TEXT."""

    text: str

    def __str__(self) -> str:
        return quoted(self.text) if _NOT_A_WORD.match(self.text) else value(self.text)


@dataclass(frozen=True, slots=True)
class Body:
    """It stands in the text, as IMAP's BODY."""

    text: str

    def __str__(self) -> str:
        return f"body:{value(self.text)}"


@dataclass(frozen=True, slots=True)
class _People:
    word: str
    who: str

    @property
    def address(self) -> Address | None:
        """The one address that is meant, where it is a whole one."""
        try:
            return Address.parse(self.who)
        except SyntaxFault:
            return None

    @property
    def domain(self) -> str | None:
        """The domain that is meant, where it is one."""
        if not self.who.startswith("@"):
            return None
        try:
            return normal_domain(self.who[1:])
        except SyntaxFault:
            return None

    def __str__(self) -> str:
        return f"{self.word}:{value(self.who)}"


class Addressed(_People):
    """It is an address of one of the people in these fields, or part of a name or address; `word` is one of `FIELDS`."""

    __slots__ = ()


class Enveloped(_People):
    """It came from this address, or for it, as the client said that brought it; or this is a part of the address.

    `word` is one of `ENVELOPE`, and `who` may be `NOBODY`.
    """

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Field:
    """A header field of this name has it in its value. The empty text is in every value."""

    name: str
    """In lower case."""
    text: str = ""

    def __str__(self) -> str:
        if self.text and self.name in ("subject", "message-id"):
            return f"{self.name}:{value(self.text)}"
        return f"header:{self.name}={value(self.text)}" if self.text else f"header:{self.name}"


@dataclass(frozen=True, slots=True)
class Tag:
    """It has this keyword, in any case."""

    name: str

    def __str__(self) -> str:
        return f"tag:{value(self.name)}"


@dataclass(frozen=True, slots=True)
class Is:
    """It is in this state."""

    state: str
    """One of `STATES`."""

    def __str__(self) -> str:
        return f"is:{self.state}"


@dataclass(frozen=True, slots=True)
class Has:
    """It has an attachment, or something that is shown within its text."""

    what: str
    """`attachment` or `inline`."""

    def __str__(self) -> str:
        return f"has:{self.what}"


@dataclass(frozen=True, slots=True)
class Attached:
    """Something in it has this filename, or with `*` and `?` one like it; without them this may be part of the name."""

    name: str

    def __str__(self) -> str:
        return f"attachment:{value(self.name)}"


@dataclass(frozen=True, slots=True)
class AttachedType:
    """Something attached is of this media type; `*` may stand for the subtype."""

    type: str
    """In lower case, with its slash."""

    def __str__(self) -> str:
        return f"type:{value(self.type)}"


@dataclass(frozen=True, slots=True)
class Larger:
    """It has more octets."""

    octets: int

    def __str__(self) -> str:
        return f"larger:{self.octets}"


@dataclass(frozen=True, slots=True)
class Smaller:
    """It has fewer octets."""

    octets: int

    def __str__(self) -> str:
        return f"smaller:{self.octets}"


@dataclass(frozen=True, slots=True)
class Since:
    """It came at this time or later."""

    moment: float
    """Seconds since the epoch, in whole microseconds."""

    def __str__(self) -> str:
        return f"since:{iso(self.moment)}"


@dataclass(frozen=True, slots=True)
class Before:
    """It came before this time."""

    moment: float

    def __str__(self) -> str:
        return f"before:{iso(self.moment)}"


@dataclass(frozen=True, slots=True)
class In:
    """It is in the mailbox of this name, in any case; `*` and `?` stand for others."""

    mailbox: str

    def __str__(self) -> str:
        return f"in:{value(self.mailbox)}"


@dataclass(frozen=True, slots=True)
class Id:
    """It is the message with this EMAILID (RFC 8474), or a copy of it."""

    id: str

    def __str__(self) -> str:
        return f"id:{value(self.id)}"


Leaf: TypeAlias = (
    Text
    | Body
    | Addressed
    | Enveloped
    | Field
    | Tag
    | Is
    | Has
    | Attached
    | AttachedType
    | Larger
    | Smaller
    | Since
    | Before
    | In
    | Id
)
Query: TypeAlias = And | Or | Not | Leaf

EVERYTHING: Final = And()


def every(*queries: Query) -> Query:
    """All of these hold."""
    parts: list[Query] = []
    for query in queries:
        parts.extend(query.parts if isinstance(query, And) else (query,))
    parts = list(dict.fromkeys(parts))
    return parts[0] if len(parts) == 1 else And(tuple(parts))


def either(*queries: Query) -> Query:
    """One of these holds; of none at all, nothing does."""
    parts: list[Query] = []
    for query in queries:
        parts.extend(query.parts if isinstance(query, Or) else (query,))
    parts = list(dict.fromkeys(parts))
    if not parts:
        return Not(EVERYTHING)
    return parts[0] if len(parts) == 1 else Or(tuple(parts))


def negated(query: Query) -> Query:
    """This does not hold."""
    match query:
        case Not():
            return query.part
        case Since():
            return Before(query.moment)
        case Before():
            return Since(query.moment)
        case _:
            return Not(query)


def leaves(query: Query) -> Iterator[Leaf]:
    """The conditions that a query is made of."""
    waiting = [query]
    while waiting:
        match waiting.pop():
            case And(parts) | Or(parts):
                waiting.extend(reversed(parts))
            case Not(part):
                waiting.append(part)
            case leaf:
                yield leaf


def globbed(pattern: str, text: str) -> bool:
    """Whether a text is like a pattern, in which `*` stands for any characters and `?` for one; both are folded.

    It takes time in proportion to both lengths multiplied, at most: no star is ever tried again once a later one was reached.
    """
    at = place = 0
    star, taken = -1, 0
    while at < len(text):
        if place < len(pattern) and pattern[place] == "*":
            star, taken = place, at
            place += 1
        elif place < len(pattern) and pattern[place] in ("?", text[at]):
            place += 1
            at += 1
        elif star >= 0:
            taken += 1
            at, place = taken, star + 1
        else:
            return False
    return all(character == "*" for character in pattern[place:])


def value(text: str) -> str:
    """A text as it stands behind a colon: within quotes where it must be."""
    return text if _BARE.fullmatch(text) else quoted(text)


def quoted(text: str) -> str:
    """A text within quotes."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def iso(moment: float) -> str:
    """A moment as ISO 8601 has it, in UTC, exactly."""
    return when(moment).isoformat().removesuffix("+00:00") + "Z"


def when(moment: float) -> datetime.datetime:
    """A moment, in UTC. Raises `OverflowError` for one that no calendar has."""
    return EPOCH + datetime.timedelta(microseconds=round(moment * 1_000_000))
