"""How each thing that FETCH asks for is written (RFC 9051 7.5.2), out of what was read of a message. Sans-IO."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, Final, Protocol, TypeAlias

from mailsystem.imap import reply
from mailsystem.imap.fetch import Attribute, Octets
from mailsystem.imap.structure import Section, Specifier, find_part, locate, pick_fields
from mailsystem.mail.content import Facts, Part
from mailsystem.mail.errors import Rejected
from mailsystem.mail.mailbox import Message
from mailsystem.mail.objectid import emailid, threadid
from mailsystem.mail.transfer import Decoder, decoder


class UnknownEncoding(Rejected):
    """A part is encoded in a way that we cannot undo (RFC 3516 4.3)."""

    text = "content-transfer-encoding is not known"


class Source(Protocol):
    """A message, and as much of it as was read."""

    @property
    def message(self) -> Message: ...
    @property
    def facts(self) -> Facts | None: ...
    @property
    def head(self) -> bytes | None: ...
    @property
    def preview(self) -> str | None: ...


_Value: TypeAlias = Callable[[Message, Any, bool], Any]
"""The middle one is the `Source`, of which each looks at what it has asked for."""

_VALUES: Final[dict[Attribute, tuple[bytes, _Value]]] = {
    Attribute.UID: (b"UID %d", lambda message, source, recent: message.uid),
    Attribute.FLAGS: (b"FLAGS %b", lambda message, source, recent: reply.flags(message.flags, recent)),
    Attribute.INTERNALDATE: (
        b"INTERNALDATE %b",
        lambda message, source, recent: reply.internaldate(message.internaldate),
    ),
    Attribute.SIZE: (b"RFC822.SIZE %d", lambda message, source, recent: message.size),
    Attribute.ENVELOPE: (b"ENVELOPE %b", lambda message, source, recent: source.facts.envelope),
    Attribute.BODY: (b"BODY %b", lambda message, source, recent: source.facts.body),
    Attribute.BODYSTRUCTURE: (b"BODYSTRUCTURE %b", lambda message, source, recent: source.facts.bodystructure),
    Attribute.MODSEQ: (b"MODSEQ (%d)", lambda message, source, recent: message.modseq),
    Attribute.EMAILID: (b"EMAILID (%b)", lambda message, source, recent: emailid(message.content).encode("ascii")),
    Attribute.THREADID: (b"THREADID %b", lambda message, source, recent: _objectid(threadid(source.head or b""))),
    Attribute.SAVEDATE: (b"SAVEDATE %b", lambda message, source, recent: _moment(message.savedate)),
    Attribute.PREVIEW: (b"PREVIEW %b", lambda message, source, recent: _words(source.preview)),
    Attribute.LAZY_PREVIEW: (b"PREVIEW %b", lambda message, source, recent: _words(source.preview)),
}


def _objectid(name: str | None) -> bytes:
    """ "(" objectid ")" / nil"""
    return b"NIL" if name is None else b"(%b)" % name.encode("ascii")


def _words(text: str | None) -> bytes:
    """nstring, in UTF-8 (RFC 8970 3.1)"""
    return reply.nstring(None if text is None else text.encode())


def _moment(seconds: float) -> bytes:
    """date-time / nil"""
    return reply.internaldate(seconds) if seconds else b"NIL"


Beginning: TypeAlias = Callable[[int, Source, bool], bytes]


@lru_cache(maxsize=256)
def beginning(attributes: tuple[Attribute, ...], *, uidonly: bool = False) -> Beginning:
    """How a FETCH response with these attributes begins: up to the octets, or to the closing parenthesis.

    The function that comes back takes the sequence number, the message as it was read, and whether it is recent. It is one
    template and one lookup for each value: this runs a hundred thousand times in a command.
    """
    template = b"* %d UIDFETCH (" if uidonly else b"* %d FETCH ("
    template += b" ".join(_VALUES[attribute][0] for attribute in attributes)
    values = tuple(_VALUES[attribute][1] for attribute in attributes)

    def begin(number: int, source: Source, recent: bool) -> bytes:
        message = source.message
        return template % (number, *[value(message, source, recent) for value in values])

    def begin_uid(number: int, source: Source, recent: bool) -> bytes:
        return begin(source.message.uid, source, recent)

    return begin_uid if uidonly else begin


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


def encoded(section: Section, size: int, facts: Facts | None) -> tuple[int, int, Callable[[], Decoder]]:
    """The octets [start, end) that BINARY is made of, and what makes decoders for them. Raises `UnknownEncoding`.

    What holds other parts is as it stands (RFC 2045 6.4), and so is the whole message.
    """
    if not section.path or facts is None:
        return 0, size, partial(_decoder, "binary")
    part = find_part(_parts(facts.parts), section.path)
    if part is None:
        return 0, 0, partial(_decoder, "binary")
    return *part.body, partial(_decoder, "binary" if part.children else part.encoding)


def _decoder(encoding: str) -> Decoder:
    made = decoder(encoding)
    if made is None:
        raise UnknownEncoding
    return made


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
