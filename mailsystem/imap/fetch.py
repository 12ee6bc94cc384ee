"""What FETCH can ask of a message, as values (RFC 9051 6.4.5)."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import Enum
from functools import lru_cache
from typing import Any, Final, TypeAlias

from mailsystem.imap.framing import Frame
from mailsystem.imap.grammar import Arguments
from mailsystem.imap.structure import (
    Section,
    Specifier,
    read_section,
    read_section_part,
)
from mailsystem.mail.errors import SyntaxFault, TooMany
from mailsystem.mail.mailbox import ModSeq

MOST_ITEMS: Final = 200
_USUAL: Final = 400
"""Octets of a list of items that is worth to be remembered."""


class Attribute(Enum):
    """What is known of a message without its octets."""

    __hash__ = object.__hash__  # there is one of each; Enum's own hashes the name, in Python

    UID = "UID"
    FLAGS = "FLAGS"
    INTERNALDATE = "INTERNALDATE"
    SIZE = "RFC822.SIZE"
    ENVELOPE = "ENVELOPE"
    BODY = "BODY"
    BODYSTRUCTURE = "BODYSTRUCTURE"
    MODSEQ = "MODSEQ"
    EMAILID = "EMAILID"
    THREADID = "THREADID"
    SAVEDATE = "SAVEDATE"
    PREVIEW = "PREVIEW"
    LAZY_PREVIEW = "PREVIEW (LAZY)"
    """Only where it is known already (RFC 8970 4.1)."""


@dataclass(frozen=True, slots=True)
class Octets:
    """Octets of a message: `BODY[section]<start.count>`, the older names for some sections, and `BINARY[section]`."""

    name: bytes
    """As the response names it: `BODY[HEADER.FIELDS (DATE)]<0>`."""
    section: Section
    start: int = 0
    count: int | None = None
    peek: bool = True
    """Whether it leaves `\\Seen` alone."""
    decoded: bool = False
    """BINARY: with the transfer encoding of the part undone, and the partial counts in what comes out (RFC 3516 4.2)."""

    @property
    def is_partial(self) -> bool:
        return bool(self.start) or self.count is not None

    def within(self, first: int, last: int) -> tuple[int, int]:
        """Of the octets [first, last) of the section, those that the partial asks for; beyond the end there are none."""
        start = min(first + self.start, last)
        return start, last if self.count is None else min(start + self.count, last)


@dataclass(frozen=True, slots=True)
class DecodedSize:
    """`BINARY.SIZE[section]`: how many octets BINARY would give, exactly (RFC 3516 4.2)."""

    name: bytes
    section: Section
    peek = True


Piece: TypeAlias = Octets | DecodedSize
"""What it takes the message's octets to answer."""
Item: TypeAlias = Attribute | Piece

_FAST: Final = (Attribute.FLAGS, Attribute.INTERNALDATE, Attribute.SIZE)
_MACROS: Final[dict[bytes, tuple[Item, ...]]] = {
    b"ALL": (*_FAST, Attribute.ENVELOPE),
    b"FAST": _FAST,
    b"FULL": (*_FAST, Attribute.ENVELOPE, Attribute.BODY),
}
_ITEMS: Final[dict[str, Item]] = {
    **{attribute.value: attribute for attribute in Attribute if attribute is not Attribute.LAZY_PREVIEW},
    "RFC822": Octets(b"RFC822", Section(), peek=False),
    "RFC822.HEADER": Octets(b"RFC822.HEADER", Section((), Specifier.HEADER)),
    "RFC822.TEXT": Octets(b"RFC822.TEXT", Section((), Specifier.TEXT), peek=False),
}


@dataclass(frozen=True, slots=True)
class Items:
    """Everything that one FETCH asks for, each thing once."""

    attributes: tuple[Attribute, ...]
    octets: tuple[Piece, ...]

    @property
    def marks_seen(self) -> bool:
        """Whether a client that asks for this has seen the message (RFC 9051 6.4.5)."""
        return not all(item.peek for item in self.octets)

    @property
    def wants_parts(self) -> bool:
        """Whether it takes the parts of a message to answer this."""
        return any(item.section.path for item in self.octets)

    @property
    def reads(self) -> bool:
        """Whether it gives more of the message than a list of mail shows of it."""
        return any(isinstance(item, Octets) and not item.section.is_header for item in self.octets)

    @property
    def wants_raw(self) -> bool:
        """Whether it takes more than the header block of a message to answer this."""
        return any(not item.section.is_header for item in self.octets)

    def including(self, attribute: Attribute) -> Items:
        """The same, and `attribute` first if it was missing."""
        return self if attribute in self.attributes else _with(self, attribute)


@lru_cache(maxsize=512)
def _with(items: Items, attribute: Attribute) -> Items:
    return replace(items, attributes=(attribute, *items.attributes))


@dataclass(frozen=True, slots=True)
class Modifiers:
    """What stands behind the items of a FETCH (RFC 4466 2.4)."""

    changed_since: ModSeq | None = None
    """Only messages that have changed after this (RFC 7162 3.1.4.1)."""
    vanished: bool = False
    """And which are gone since then (RFC 7162 3.2.6)."""
    partial: tuple[int, int] | None = None
    """Only those from the first to the last of these places; negative ones count from the end (RFC 9394 3.3)."""


UNMODIFIED: Final = Modifiers()
_MODIFIED = re.compile(rb" \((?i:CHANGEDSINCE|PARTIAL|VANISHED)\b")


def read_request(args: Arguments) -> tuple[Items, Modifiers]:
    """("ALL" / "FULL" / "FAST" / fetch-att / "(" fetch-att *(SP fetch-att) ")") [fetch-modifiers], to the end of the command.

    Raises `SyntaxFault` and `TooMany`.
    """
    text = args.rest()
    if text is not None:
        if len(text) <= _USUAL and not _MODIFIED.search(text):
            return _known(text), UNMODIFIED
        args = Arguments(Frame(text))
    items = read_items(args)
    modifiers = _modifiers(args) if args.accept(b" ") else UNMODIFIED
    args.end()
    return items, modifiers


@lru_cache(maxsize=512)
def _known(text: bytes) -> Items:
    """A client asks for the same things again and again, and most clients are of few kinds."""
    args = Arguments(Frame(text))
    items = read_items(args)
    args.end()
    return items


def _modifiers(args: Arguments) -> Modifiers:
    """fetch-modifiers = "(" fetch-modifier *(SP fetch-modifier) ")" """
    found: dict[str, Any] = {}
    args.enter()
    while True:
        word = args.keyword()
        if word in found:
            raise SyntaxFault("a modifier comes twice")
        if word == "VANISHED":
            found[word] = True
        elif word == "CHANGEDSINCE":
            args.sp()
            found[word] = args.mod_sequence()
        elif word == "PARTIAL":
            args.sp()
            found[word] = args.partial_range()
        else:
            raise SyntaxFault("unknown modifier")
        if args.peek() == b")":
            break
        args.sp()
    args.leave()
    return Modifiers(found.get("CHANGEDSINCE"), "VANISHED" in found, found.get("PARTIAL"))


def read_items(args: Arguments) -> Items:
    """ "ALL" / "FULL" / "FAST" / fetch-att / "(" fetch-att *(SP fetch-att) ")"; raises `SyntaxFault` and `TooMany`."""
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
    attributes = dict.fromkeys(item for item in items if isinstance(item, Attribute))
    if Attribute.PREVIEW in attributes:
        attributes.pop(Attribute.LAZY_PREVIEW, None)
    # A section asked for with and without PEEK is one answer, and that marks the message seen.
    octets: dict[bytes, Piece] = {}
    for item in items:
        if not isinstance(item, Attribute) and (item.name not in octets or not item.peek):
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
    if args.accept(b"BINARY["):
        return _binary(args, peek=False)
    if args.accept(b"BINARY.PEEK["):
        return _binary(args, peek=True)
    if args.accept(b"BINARY.SIZE["):
        section = read_section_part(args)
        return DecodedSize(b"BINARY.SIZE[%b]" % bytes(section), section)
    item = _ITEMS.get(args.keyword())
    if item is None:
        raise SyntaxFault("unknown item")
    if item is Attribute.PREVIEW and args.accept(b" (LAZY)"):
        return Attribute.LAZY_PREVIEW
    return item


def _octets(args: Arguments, *, peek: bool) -> Octets:
    """section ["<" number "." nz-number ">"], after the bracket."""
    section = read_section(args)
    name = b"BODY[%b]" % bytes(section)
    start, count = _partial(args)
    return Octets(name if start is None else b"%b<%d>" % (name, start), section, start or 0, count, peek)


def _binary(args: Arguments, *, peek: bool) -> Octets:
    """section-binary [partial], after the bracket"""
    section = read_section_part(args)
    name = b"BINARY[%b]" % bytes(section)
    start, count = _partial(args)
    return Octets(name if start is None else b"%b<%d>" % (name, start), section, start or 0, count, peek, decoded=True)


def _partial(args: Arguments) -> tuple[int | None, int | None]:
    """["<" number "." nz-number ">"]"""
    if not args.accept(b"<"):
        return None, None
    start = args.number()
    args.expect(b".")
    # RFC 3501 wants a count above zero; zero octets are easily given, as others do.
    count = args.number()
    args.expect(b">")
    return start, count
