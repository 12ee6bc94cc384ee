"""What FETCH can ask of a message, as values, and how each answer is written (RFC 3501 6.4.5 and 7.4.2)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from functools import lru_cache
from typing import Any, Final, TypeAlias

from mailsystem.imap import reply
from mailsystem.imap.framing import Frame
from mailsystem.imap.grammar import Arguments
from mailsystem.imap.structure import Section, Specifier, locate, pick_fields, read_section
from mailsystem.mail.content import Facts, Part
from mailsystem.mail.errors import SyntaxFault, TooMany
from mailsystem.mail.mailbox import Message

MOST_ITEMS: Final = 200
_USUAL: Final = 400
"""Octets of a list of items that is worth to be remembered."""


class Attribute(Enum):
    """What is known of a message without its octets."""

    UID = "UID"
    FLAGS = "FLAGS"
    INTERNALDATE = "INTERNALDATE"
    SIZE = "RFC822.SIZE"
    ENVELOPE = "ENVELOPE"
    BODY = "BODY"
    BODYSTRUCTURE = "BODYSTRUCTURE"


@dataclass(frozen=True, slots=True)
class Octets:
    """Octets of a message: `BODY[section]<start.count>`, and the older names for some sections."""

    name: bytes
    """As the response names it: `BODY[HEADER.FIELDS (DATE)]<0>`."""
    section: Section
    start: int = 0
    count: int | None = None
    peek: bool = True
    """Whether it leaves `\\Seen` alone."""

    def within(self, first: int, last: int) -> tuple[int, int]:
        """Of the octets [first, last) of the section, those that the partial asks for; beyond the end there are none."""
        start = min(first + self.start, last)
        return start, last if self.count is None else min(start + self.count, last)


Item: TypeAlias = Attribute | Octets

_FAST: Final = (Attribute.FLAGS, Attribute.INTERNALDATE, Attribute.SIZE)
_MACROS: Final[dict[bytes, tuple[Item, ...]]] = {
    b"ALL": (*_FAST, Attribute.ENVELOPE),
    b"FAST": _FAST,
    b"FULL": (*_FAST, Attribute.ENVELOPE, Attribute.BODY),
}
_ITEMS: Final[dict[str, Item]] = {
    **{attribute.value: attribute for attribute in Attribute},
    "RFC822": Octets(b"RFC822", Section(), peek=False),
    "RFC822.HEADER": Octets(b"RFC822.HEADER", Section((), Specifier.HEADER)),
    "RFC822.TEXT": Octets(b"RFC822.TEXT", Section((), Specifier.TEXT), peek=False),
}
_OF_FACTS: Final = (Attribute.ENVELOPE, Attribute.BODY, Attribute.BODYSTRUCTURE)


@dataclass(frozen=True, slots=True)
class Items:
    """Everything that one FETCH asks for, each thing once."""

    attributes: tuple[Attribute, ...]
    octets: tuple[Octets, ...]

    @property
    def marks_seen(self) -> bool:
        """Whether a client that asks for this has seen the message (RFC 9051 6.4.5)."""
        return not all(item.peek for item in self.octets)

    @property
    def wants_facts(self) -> bool:
        return any(attribute in _OF_FACTS for attribute in self.attributes) or any(
            item.section.path or item.section.specifier is Specifier.TEXT for item in self.octets
        )

    @property
    def wants_head(self) -> bool:
        return any(item.section.is_header for item in self.octets)

    @property
    def wants_raw(self) -> bool:
        return any(not item.section.is_header for item in self.octets)

    def including(self, attribute: Attribute) -> Items:
        """The same, and `attribute` first if it was missing."""
        return self if attribute in self.attributes else replace(self, attributes=(attribute, *self.attributes))


def read_items(args: Arguments) -> Items:
    """ "ALL" / "FULL" / "FAST" / fetch-att / "(" fetch-att *(SP fetch-att) ")", to the end of the command.

    Raises `SyntaxFault` and `TooMany`.
    """
    text = args.rest()
    if text is None:
        return _read(args)
    return _known(text) if len(text) <= _USUAL else _read(Arguments(Frame(text)))


@lru_cache(maxsize=512)
def _known(text: bytes) -> Items:
    """A client asks for the same things again and again, and most clients are of few kinds."""
    return _read(Arguments(Frame(text)))


def _read(args: Arguments) -> Items:
    items: list[Item] = []
    if args.accept(b"("):
        items.append(_item(args))
        while not args.accept(b")"):
            args.sp()
            items.append(_item(args))
            if len(items) > MOST_ITEMS:
                raise TooMany("too many items")
    else:
        items.extend(_macro_or_item(args))
    args.end()
    attributes = dict.fromkeys(item for item in items if isinstance(item, Attribute))
    # A section asked for with and without PEEK is one answer, and that marks the message seen.
    octets: dict[bytes, Octets] = {}
    for item in items:
        if isinstance(item, Octets) and (item.name not in octets or not item.peek):
            octets[item.name] = item
    return Items(tuple(attributes), tuple(octets.values()))


def _macro_or_item(args: Arguments) -> tuple[Item, ...]:
    for name, items in _MACROS.items():
        if args.accept(name):
            return items
    return (_item(args),)


def _item(args: Arguments) -> Item:
    """fetch-att; `BODY[` looks like the beginning of an atom and so comes first."""
    if args.accept(b"BODY["):
        return _octets(args, peek=False)
    if args.accept(b"BODY.PEEK["):
        return _octets(args, peek=True)
    item = _ITEMS.get(args.keyword())
    if item is None:
        raise SyntaxFault("unknown item")
    return item


def _octets(args: Arguments, *, peek: bool) -> Octets:
    """section ["<" number "." nz-number ">"], after the bracket."""
    section = read_section(args)
    name = b"BODY[%b]" % bytes(section)
    if not args.accept(b"<"):
        return Octets(name, section, peek=peek)
    start = args.number()
    args.expect(b".")
    # RFC 3501 wants a count above zero; zero octets are easily given, as others do.
    count = args.number()
    args.expect(b">")
    return Octets(b"%b<%d>" % (name, start), section, start, count, peek)


_Value: TypeAlias = Callable[[Message, Any, bool], Any]
"""The middle one is the facts, which only those get that need them."""

_VALUES: Final[dict[Attribute, tuple[bytes, _Value]]] = {
    Attribute.UID: (b"UID %d", lambda message, facts, recent: message.uid),
    Attribute.FLAGS: (b"FLAGS %b", lambda message, facts, recent: reply.flags(message.flags, recent)),
    Attribute.INTERNALDATE: (
        b"INTERNALDATE %b",
        lambda message, facts, recent: reply.internaldate(message.internaldate),
    ),
    Attribute.SIZE: (b"RFC822.SIZE %d", lambda message, facts, recent: message.size),
    Attribute.ENVELOPE: (b"ENVELOPE %b", lambda message, facts, recent: facts.envelope),
    Attribute.BODY: (b"BODY %b", lambda message, facts, recent: facts.body),
    Attribute.BODYSTRUCTURE: (b"BODYSTRUCTURE %b", lambda message, facts, recent: facts.bodystructure),
}

Beginning: TypeAlias = Callable[[int, Message, Facts | None, bool], bytes]


@lru_cache(maxsize=256)
def beginning(attributes: tuple[Attribute, ...]) -> Beginning:
    """How a FETCH response with these attributes begins: up to the octets, or to the closing parenthesis.

    The function that comes back takes the sequence number, the message, its facts if an attribute needs them, and whether
    it is recent. It is one template and one lookup for each value: this runs a hundred thousand times in a command.
    """
    template = b"* %d FETCH (" + b" ".join(_VALUES[attribute][0] for attribute in attributes)
    values = tuple(_VALUES[attribute][1] for attribute in attributes)

    def begin(number: int, message: Message, facts: Facts | None, recent: bool) -> bytes:
        return template % (number, *[value(message, facts, recent) for value in values])

    return begin


def extent(section: Section, size: int, facts: Facts | None) -> tuple[int, int]:
    """The octets [start, end) that a section names, of a message of `size` octets; a list of fields names their header.

    `facts` may only be missing for the whole message.
    """
    if section.path:
        return locate(_parts(facts.parts), section) if facts is not None else (0, 0)
    if section.specifier is Specifier.ALL:
        return 0, size
    header_size = facts.header_size if facts is not None else 0
    return (header_size, size) if section.specifier is Specifier.TEXT else (0, header_size)


# Several sections of one message are asked for together, never those of many: a large cache would only hold memory.
_parts = lru_cache(maxsize=2)(Part.load)


def octets_of(item: Octets, facts: Facts | None, head: bytes | None, raw: bytes | None) -> bytes | None:
    """What `item` asks for, out of what is in memory: the whole header block, the whole message; None where that lacks it."""
    section = item.section
    if section.is_header and head is not None:
        octets, first, last = head, 0, len(head)
    elif raw is not None:
        octets = raw
        first, last = extent(section, len(raw), facts)
    else:
        return None
    if section.picks_fields:
        octets = picked(octets[first:last], section)
        first, last = 0, len(octets)
    first, last = item.within(first, last)
    return octets[first:last]


def picked(header: bytes, section: Section) -> bytes:
    """The fields of a header block that `section` names; nothing of a part that is not there."""
    return pick_fields(header, section) if header else b""
