"""`BODY[section]`: which octets of a message a section names (RFC 9051 6.4.5.1), over the offsets known from its arrival."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Final

from mailsystem.imap.grammar import Arguments
from mailsystem.mail.content import Part
from mailsystem.mail.errors import SyntaxFault, TooMany
from mailsystem.mail.header import picker

DEEPEST: Final = 200
"""Numbers in one section: more than the levels that a message may have."""
MOST_FIELDS: Final = 200

_ATOM = re.compile(rb"[^\x00-\x20(){%*\"\\\]\x7f-\xff]+")


class Specifier(Enum):
    """`section-text`: what of a part is meant; `ALL` is the part's body, or the whole message."""

    __hash__ = object.__hash__  # there is one of each; Enum's own hashes the name, in Python

    ALL = b""
    HEADER = b"HEADER"
    FIELDS = b"HEADER.FIELDS"
    FIELDS_NOT = b"HEADER.FIELDS.NOT"
    TEXT = b"TEXT"
    MIME = b"MIME"


_HEADERS: Final = (Specifier.HEADER, Specifier.FIELDS, Specifier.FIELDS_NOT)
# Longest first: each is the beginning of the one before.
_BY_LENGTH: Final = (Specifier.FIELDS_NOT, Specifier.FIELDS, Specifier.HEADER, Specifier.TEXT, Specifier.MIME)


@dataclass(frozen=True, slots=True)
class Section:
    """What stands between the brackets of `BODY[…]`; `bytes(section)` is its one spelling."""

    path: tuple[int, ...] = ()
    """Part numbers from the outside in; none for the message itself."""
    specifier: Specifier = Specifier.ALL
    fields: tuple[bytes, ...] = ()
    """Names for `HEADER.FIELDS` and `.NOT`, in capitals."""

    @property
    def is_header(self) -> bool:
        """Whether the header block of the message itself answers it."""
        return not self.path and self.specifier in _HEADERS

    @property
    def picks_fields(self) -> bool:
        return self.specifier in (Specifier.FIELDS, Specifier.FIELDS_NOT)

    def __bytes__(self) -> bytes:
        words = [b"%d" % number for number in self.path]
        if self.specifier is not Specifier.ALL:
            words.append(self.specifier.value)
        spelled = b".".join(words)
        if self.picks_fields:
            spelled += b" (" + b" ".join(map(_astring, self.fields)) + b")"
        return spelled


def read_section(args: Arguments) -> Section:
    """What follows `BODY[`, with the closing bracket. Raises `SyntaxFault`, and `TooMany` for a list too long.

    section-spec = section-msgtext / (section-part ["." section-text])
    """
    path: list[int] = []
    specifier = Specifier.ALL
    fields: tuple[bytes, ...] = ()
    while args.peek().isdigit():
        path.append(args.nz_number())
        if len(path) > DEEPEST:
            raise SyntaxFault("section too deep")
        if not args.accept(b"."):
            break
    else:
        # A dot must be followed by something; an empty section need not.
        if path or args.peek() != b"]":
            specifier = _specifier(args)
    if specifier is Specifier.MIME and not path:
        raise SyntaxFault("MIME needs a part number")
    if specifier in (Specifier.FIELDS, Specifier.FIELDS_NOT):
        fields = _header_list(args)
    args.expect(b"]")
    return Section(tuple(path), specifier, fields)


def read_section_part(args: Arguments) -> Section:
    """What follows `BINARY[`, with the closing bracket: only numbers. Raises `SyntaxFault`.

    section-binary = "[" [section-part] "]"
    """
    section = read_section(args)
    if section.specifier is not Specifier.ALL:
        raise SyntaxFault("only numbers name a part here")
    return section


def _specifier(args: Arguments) -> Specifier:
    for specifier in _BY_LENGTH:
        if args.accept(specifier.value):
            return specifier
    raise SyntaxFault("bad section")


def _header_list(args: Arguments) -> tuple[bytes, ...]:
    """header-list = "(" header-fld-name *(SP header-fld-name) ")" """
    args.sp()
    args.expect(b"(")
    names: dict[bytes, None] = {}
    while True:
        name = args.astring()
        if not name or b"\r" in name or b"\n" in name or b"\0" in name:
            raise SyntaxFault("bad field name")
        names[name.upper()] = None
        if len(names) > MOST_FIELDS:
            raise TooMany("too many field names")
        if args.accept(b")"):
            return tuple(names)
        args.sp()


def _astring(name: bytes) -> bytes:
    if _ATOM.fullmatch(name):
        return name
    return b'"' + name.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


def locate(root: Part, section: Section) -> tuple[int, int]:
    """The octets [start, end) of the whole message that `section` names; for a list of fields, the header that they are in.

    An empty range where there is no such part: it is answered as an empty string.
    """
    if not section.path:
        return _of_message(root, section.specifier)
    part = find_part(root, section.path)
    if part is None:
        return 0, 0
    match section.specifier:
        case Specifier.ALL:
            return part.body
        case Specifier.MIME:
            return part.header
        case specifier:
            # RFC 9051 6.4.5.1: after a number, HEADER and TEXT are those of the message within message/rfc822.
            inside = _message_in(part)
            return _of_message(inside, specifier) if inside is not None else (0, 0)


def _of_message(message: Part, specifier: Specifier) -> tuple[int, int]:
    if specifier is Specifier.ALL:
        return message.header[0], message.body[1]
    return message.body if specifier is Specifier.TEXT else message.header


def find_part(root: Part, path: tuple[int, ...]) -> Part | None:
    """Follow the numbers: into a multipart by position, through message/rfc822 into the message it holds."""
    part = root
    is_message = True
    for number in path:
        if not is_message:
            inside = _message_in(part)
            if inside is not None:
                part, is_message = inside, True
        if part.type == "multipart" and part.children:
            if number > len(part.children):
                return None
            part = part.children[number - 1]
        elif not is_message or number != 1:
            return None
        # else RFC 9051 6.4.5.1: part 1 of a message that is no multipart is its text.
        is_message = False
    return part


def _message_in(part: Part) -> Part | None:
    return part.children[0] if part.type == "message" and part.children else None


def pick_fields(head: bytes, section: Section) -> bytes:
    """The header `head` with only those fields (or all but those) that `section` names, and its blank line if it has one.

    Names match without regard to case and otherwise exactly (RFC 9051 6.4.5.1); folded lines go with their field.
    """
    return picker(section.fields, section.specifier is Specifier.FIELDS_NOT)(head)
