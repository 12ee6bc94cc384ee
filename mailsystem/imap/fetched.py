"""How each thing that FETCH asks for is written (RFC 9051 7.5.2), out of what was read of a message. Sans-IO."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache, partial
from itertools import chain, repeat
from operator import add
from typing import Any, Final, TypeAlias, cast

from mailsystem.imap import reply
from mailsystem.imap.fetch import Attribute, Items, Octets
from mailsystem.imap.structure import Section, Specifier, find_part, locate, pick_fields
from mailsystem.mail.content import Part
from mailsystem.mail.errors import Rejected
from mailsystem.mail.header import picker
from mailsystem.mail.kept import Columns, Kept
from mailsystem.mail.objectid import emailid, threadid
from mailsystem.mail.transfer import Decoder, decoder


class UnknownEncoding(Rejected):
    """A part is encoded in a way that we cannot undo (RFC 3516 4.3)."""

    text = "content-transfer-encoding is not known"


Recent: TypeAlias = Callable[[int], bool] | None
"""Whether the message with a UID is `\\Recent`; None where no message is."""
_Values: TypeAlias = Callable[[Columns, Recent], Iterable[Iterable[Any]]]
"""What the template of an attribute wants, as columns."""


def _flags(columns: Columns, recent: Recent) -> Iterable[Iterable[bytes]]:
    held = columns[Kept.FLAGS]
    return [map(reply.flags, held) if recent is None else map(reply.flags, held, map(recent, columns[Kept.UID]))]


def _of(thing: Kept, written: Callable[[Any], Any] | None = None) -> tuple[tuple[Kept, ...], _Values]:
    """The values of one thing, as they are or as `written` writes each."""
    if written is None:
        return (thing,), lambda columns, recent: (columns[thing],)
    return (thing,), lambda columns, recent: (map(written, columns[thing]),)


def _objectid(head: bytes | None) -> bytes:
    """ "(" objectid ")" / nil"""
    name = threadid(head or b"")
    return b"NIL" if name is None else b"(%b)" % name.encode("ascii")


def _words(text: str | None) -> bytes:
    """nstring, in UTF-8 (RFC 8970 3.1)"""
    return reply.nstring(None if text is None else text.encode())


def _moment(seconds: float) -> bytes:
    """date-time / nil"""
    return reply.internaldate(seconds) if seconds else b"NIL"


_VALUES: Final[dict[Attribute, tuple[bytes, tuple[Kept, ...], _Values]]] = {
    Attribute.UID: (b"UID %d", *_of(Kept.UID)),
    Attribute.FLAGS: (b"FLAGS %b", (Kept.FLAGS, Kept.UID), _flags),
    Attribute.INTERNALDATE: (
        b"INTERNALDATE " + reply.DATE_TIME,
        (Kept.INTERNALDATE,),
        lambda columns, recent: reply.moments(columns[Kept.INTERNALDATE]),
    ),
    Attribute.SIZE: (b"RFC822.SIZE %d", *_of(Kept.SIZE)),
    Attribute.MODSEQ: (b"MODSEQ (%d)", *_of(Kept.MODSEQ)),
    Attribute.EMAILID: (b"EMAILID (%b)", *_of(Kept.CONTENT, lambda content: emailid(content).encode("ascii"))),
    Attribute.THREADID: (b"THREADID %b", *_of(Kept.HEAD, _objectid)),
    Attribute.SAVEDATE: (b"SAVEDATE %b", *_of(Kept.SAVEDATE, _moment)),
    Attribute.PREVIEW: (b"PREVIEW %b", *_of(Kept.PREVIEW, _words)),
    Attribute.LAZY_PREVIEW: (b"PREVIEW %b", *_of(Kept.PREVIEW, _words)),
}

_WIDE: Final = {
    Attribute.ENVELOPE: (b"ENVELOPE ", Kept.ENVELOPE),
    Attribute.BODY: (b"BODY ", Kept.BODY),
    Attribute.BODYSTRUCTURE: (b"BODYSTRUCTURE ", Kept.BODYSTRUCTURE),
}
"""What is ready as it is kept, and too long to be copied more than once."""

_CHEAP: Final = 1000
_DEAR: Final = 64
"""Answers that are written at once: of whole messages and headers, and of what has to be looked for in them."""

_Cut: TypeAlias = Callable[[Columns], tuple[Iterable[int], list[Sequence[bytes]]]]
"""For each message how many octets an item gives, and the octets, perhaps in two pieces."""


class Rendering:
    """How the responses to one FETCH are written: a column of values at a time, since it may be for a hundred thousand."""

    def __init__(self, items: Items, *, uidonly: bool = False) -> None:
        self._uidonly: Final = uidonly
        things = [Kept.UID]
        template, space = b"* %d UIDFETCH (" if uidonly else b"* %d FETCH (", b""
        values: list[_Values] = []
        self._wide: list[tuple[bytes, tuple[_Values, ...], Kept]] = []
        """Templates, each followed by what is said as it is kept."""
        for attribute in items.attributes:
            if attribute in _WIDE:
                spelled, thing = _WIDE[attribute]
                self._wide.append((template + space + spelled, tuple(values), thing))
                things.append(thing)
                template, values = b"", []
            else:
                spelled, needed, found = _VALUES[attribute]
                template += space + spelled
                things += needed
                values.append(found)
            space = b" "
        self._last: Final = (template, tuple(values))
        """What comes behind that."""
        self.direct: Final = all(isinstance(item, Octets) and not item.decoded for item in items.octets)
        """Whether `lines` can write these responses, where all octets of the messages are in the columns."""
        self._octets: list[tuple[bytes, _Cut]] = []
        for item in items.octets if self.direct else ():
            announced = space + item.name.replace(b"%", b"%%") + b" {%d}\r\n"
            self._octets.append((announced, _cut(cast("Octets", item))))
            space = b" "
        self.takes_parts: Final = items.wants_parts
        """Whether the parts of the messages have to be known."""
        cheap = all(item.section.is_header or item.section == Section() for item in items.octets)
        self.at_once: Final = max(1, (_CHEAP if cheap else _DEAR) // max(1, len(items.octets)))
        """Messages for which `lines` takes no more than a few milliseconds."""
        self.things: Final = tuple(dict.fromkeys((*things, *_needed(items, direct=self.direct))))
        """What has to be read of each message."""
        self.wholes: Final = tuple(thing for thing in (Kept.HEAD, Kept.REST) if thing in self.things)
        """Those of them that may be missing in the columns, and are then to be read alone."""
        self.shows_threads: Final = Attribute.THREADID in items.attributes

    def beginning(self, number: int, columns: Columns, recent: Recent = None) -> bytes:
        """The response about one message up to its octets, or to the closing parenthesis."""
        pieces, template, values = self._known([number], columns, recent)
        return b"".join(chain(*pieces, _written(template, values, 1)))

    def lines(self, numbers: Sequence[int], columns: Columns, recent: Recent = None) -> list[bytes]:
        """The whole responses about messages with these sequence numbers, in pieces."""
        pieces, template, values = self._known(numbers, columns, recent)
        if self.takes_parts:
            # Once for all sections of them.
            columns = {**columns, Kept.PARTS: list(map(Part.load, columns[Kept.PARTS]))}
        for announced, cut in self._octets:
            sizes, octets = cut(columns)
            pieces += (_written(template + announced, [*values, sizes], len(numbers)), *octets)
            template, values = b"", []
        pieces.append(_written(template + b")\r\n", values, len(numbers)))
        return list(chain.from_iterable(zip(*pieces, strict=True)))

    def _known(
        self, numbers: Sequence[int], columns: Columns, recent: Recent
    ) -> tuple[list[Iterable[bytes]], bytes, list[Iterable[Any]]]:
        """The attributes: pieces, and the template with its values that comes behind them."""
        pieces: list[Iterable[bytes]] = []
        values: list[Iterable[Any]] = [columns[Kept.UID] if self._uidonly else numbers]
        for template, found, thing in self._wide:
            values += chain.from_iterable(each(columns, recent) for each in found)
            pieces += (_written(template, values, len(numbers)), columns[thing])
            values = []
        template, found = self._last
        return pieces, template, [*values, *chain.from_iterable(each(columns, recent) for each in found)]


def _written(template: bytes, values: Sequence[Iterable[Any]], count: int) -> Iterable[bytes]:
    """The template, once for each message."""
    if not values:
        return repeat(template % (), count)
    return map(template.__mod__, zip(*values, strict=True))


@lru_cache(maxsize=256)
def rendering(items: Items, *, uidonly: bool = False) -> Rendering:
    """The one for these items: clients ask for the same again and again."""
    return Rendering(items, uidonly=uidonly)


ALONE: Final = (Kept.CONTENT, Kept.SIZE, Kept.HEADER_SIZE, Kept.PARTS)
"""What has to be known of a message to read its octets alone."""


def _needed(items: Items, *, direct: bool) -> Iterator[Kept]:
    """What it takes to answer the items that are octets."""
    if items.octets:
        yield Kept.HEAD
    if items.wants_raw:
        yield Kept.REST
    if not direct:
        yield from ALONE
    elif items.wants_parts:
        yield Kept.PARTS


def _cut(item: Octets) -> _Cut:
    section = item.section
    if section.is_header and not item.is_partial:
        if not section.picks_fields:
            return lambda columns: _in_one(columns[Kept.HEAD])
        pick = picker(section.fields, section.specifier is Specifier.FIELDS_NOT)
        return lambda columns: _in_one(list(map(pick, columns[Kept.HEAD])))
    if section == Section() and not item.is_partial:
        return lambda columns: _in_two(columns[Kept.HEAD], columns[Kept.REST])
    if section.is_header:
        return lambda columns: _in_one([octets_of(item, 0, None, head, None) or b"" for head in columns[Kept.HEAD]])
    return lambda columns: _in_one(
        [
            octets_of(item, len(head), root, head, head + rest) or b""
            for root, head, rest in zip(
                columns[Kept.PARTS] if section.path else repeat(None, len(columns[Kept.HEAD])),
                columns[Kept.HEAD],
                columns[Kept.REST],
                strict=True,
            )
        ]
    )


def _in_one(octets: Sequence[bytes]) -> tuple[Iterable[int], list[Sequence[bytes]]]:
    return map(len, octets), [octets]


def _in_two(heads: Sequence[bytes], rests: Sequence[bytes]) -> tuple[Iterable[int], list[Sequence[bytes]]]:
    return map(add, map(len, heads), map(len, rests)), [heads, rests]


def extent(section: Section, size: int, header_size: int, root: Part | None) -> tuple[int, int]:
    """The octets [start, end) that a section names, of a message of `size` octets; a list of fields names their header.

    The message as a part may only be missing where `section` names none.
    """
    if section.path:
        return locate(root, section) if root is not None else (0, 0)
    if section.specifier is Specifier.ALL:
        return 0, size
    return (header_size, size) if section.specifier is Specifier.TEXT else (0, header_size)


def encoded(section: Section, size: int, root: Part | None) -> tuple[int, int, Callable[[], Decoder]]:
    """The octets [start, end) that BINARY is made of, and what makes decoders for them. Raises `UnknownEncoding`.

    What holds other parts is as it stands (RFC 2045 6.4), and so is the whole message.
    """
    if not section.path or root is None:
        return 0, size, partial(_decoder, "binary")
    part = find_part(root, section.path)
    if part is None:
        return 0, 0, partial(_decoder, "binary")
    return *part.body, partial(_decoder, "binary" if part.children else part.encoding)


def _decoder(encoding: str) -> Decoder:
    made = decoder(encoding)
    if made is None:
        raise UnknownEncoding
    return made


def octets_of(item: Octets, header_size: int, root: Part | None, head: bytes | None, raw: bytes | None) -> bytes | None:
    """What `item` asks for, out of what is in memory: the whole header block, the whole message; None where that lacks it."""
    section = item.section
    if section.is_header and head is not None:
        octets, first, last = head, 0, len(head)
    elif raw is not None:
        octets = raw
        first, last = extent(section, len(raw), header_size, root)
    else:
        return None
    if section.picks_fields:
        octets = pick_fields(octets[first:last], section)
        first, last = 0, len(octets)
    first, last = item.within(first, last)
    return octets[first:last]
