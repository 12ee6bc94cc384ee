"""Messages as the interface tells them, made of what the store keeps of each."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from email.utils import parsedate_to_datetime
from functools import partial
from itertools import chain, islice
from typing import Any, Final, NamedTuple

from mailsystem.mail import attachment, header
from mailsystem.mail.content import scan
from mailsystem.mail.errors import Unavailable
from mailsystem.mail.kept import Columns, Kept
from mailsystem.mail.mailbox import FLAGGED, SEEN, ContentId, Flag, Mailbox, MessageSet, Uid
from mailsystem.mail.objectid import emailid
from mailsystem.mail.part import Part, text_of
from mailsystem.mail.piece import pieces
from mailsystem.mail.preview import REACH, preview_of
from mailsystem.mail.words import decoded, text
from mailsystem.store import Store
from mailsystem.web.shapes import PartShape, Person, Summary, moment

_THINGS: Final = (
    Kept.UID,
    Kept.MODSEQ,
    Kept.FLAGS,
    Kept.INTERNALDATE,
    Kept.SIZE,
    Kept.CONTENT,
    Kept.HEAD,
    Kept.PARTS,
    Kept.BODYSTRUCTURE,
    Kept.PREVIEW,
)
_MOST_PEOPLE: Final = 1000
"""Of one field: a message to more of them is told as one to so many."""
_MOST_PEOPLE_LISTED: Final = 100
"""The same in lists, which tell of hundreds of messages."""
MOST_TEXT: Final = 4 << 20
"""Octets of a text that are shown; whoever wants more takes the part."""
MOST_PARTS: Final = 1000
"""Of one message that are told of; the rest is in the message as it was sent."""
_FEW: Final = 64 << 10
"""Octets of a tree that is read where we stand."""
FEW_OCTETS: Final = 16 << 10
"""Octets of a header that is."""
_MOST_HEAD: Final = 256 << 10


class Numbered(NamedTuple):
    """A part and its number as IMAP counts."""

    number: str
    part: Part


async def summaries(store: Store, mailbox: Mailbox, uids: Sequence[Uid]) -> dict[Uid, Summary]:
    """Messages of one mailbox as lists show them; those that are gone are left out."""
    made: dict[Uid, Summary] = {}
    async for columns in store.fetching.columns(mailbox.account, mailbox.id, MessageSet.of(uids), _THINGS):
        for told in _rows(columns):
            content = told[Kept.CONTENT]
            head = told[Kept.HEAD]
            if head is None:
                head = await store.contents.read(content, 0, _MOST_HEAD)
            snippet = told[Kept.PREVIEW]
            root = await tree_of(told[Kept.PARTS])
            if snippet is None:  # nobody has read it yet
                try:
                    snippet = preview_of(root, await store.contents.read(content, 0, REACH))
                except Unavailable:  # its octets are damaged; a list has others, too
                    snippet = ""
            files = await attached(root, told[Kept.BODYSTRUCTURE])
            make = partial(_summary, mailbox, told, head, files, snippet)
            made[told[Kept.UID]] = make() if len(head) <= FEW_OCTETS else await asyncio.to_thread(make)
    return made


async def attached(root: Part, bodystructure: bytes) -> list[attachment.Attachment]:
    """What comes with a message beside its text, and within it."""
    if len(bodystructure) <= _FEW:
        return attachment.of_tree(root, bodystructure)
    return await asyncio.to_thread(attachment.of_tree, root, bodystructure)


async def tree_of(dumped: bytes) -> Part:
    """A message's parts as they are kept, the first `MOST_PARTS` of them: a sender decides how many there are."""
    return Part.load(dumped) if len(dumped) <= _FEW else await asyncio.to_thread(_first_parts, dumped)


def _first_parts(dumped: bytes) -> Part:
    records = json.loads(dumped)[:MOST_PARTS]
    kept = [0] * len(records)
    inside: list[list[int]] = []
    """Who has children that come yet, and how many: parents stand before their children."""
    for number, record in enumerate(records):
        if inside:
            kept[inside[-1][0]] += 1
            inside[-1][1] -= 1
            if not inside[-1][1]:
                inside.pop()
        if record[-1]:
            inside.append([number, record[-1]])
    for record, children in zip(records, kept, strict=True):
        record[-1] = children
    return Part.load(json.dumps(records).encode())


async def departed(store: Store, mailbox: Mailbox, told: Mapping[Kept, Any]) -> Summary:
    """A message that its mailbox has no more, as a list would show it; `told` is what was known of it beside its octets. Raises
    `Unavailable` where those are gone too."""
    octets = await store.contents.read(told[Kept.CONTENT], 0, MOST_TEXT)
    facts = await asyncio.to_thread(scan, octets)
    root = await tree_of(facts.parts)
    files = await attached(root, facts.bodystructure)
    head = octets[: min(facts.header_size, _MOST_HEAD)]
    return await asyncio.to_thread(_summary, mailbox, told, head, files, preview_of(root, octets))


def _rows(columns: Columns) -> Iterator[Mapping[Kept, Any]]:
    names = list(columns)
    for values in zip(*columns.values(), strict=True):
        yield dict(zip(names, values, strict=True))


def _summary(
    mailbox: Mailbox, told: Mapping[Kept, Any], head: bytes, files: Sequence[attachment.Attachment], snippet: str
) -> Summary:
    fields = Fields(head)
    return Summary(
        id=emailid(told[Kept.CONTENT]),
        mailbox=mailbox.shown,
        uid=told[Kept.UID],
        modseq=told[Kept.MODSEQ],
        sender=next(iter(fields.people(b"from", 1)), None),
        to=fields.people(b"to", _MOST_PEOPLE_LISTED),
        cc=fields.people(b"cc", _MOST_PEOPLE_LISTED),
        subject=fields.said(b"subject") or "",
        date=fields.date(),
        received=moment(told[Kept.INTERNALDATE]),
        size=told[Kept.SIZE],
        snippet=snippet,
        attachments=sum(not each.inline for each in files),
        **of_flags(told[Kept.FLAGS]),
    )


def of_flags(flags: frozenset[Flag]) -> dict[str, Any]:
    """What a message's flags say, as every shape tells it."""
    return {
        "flags": sorted(flags),
        "unread": SEEN not in flags,
        "pinned": FLAGGED in flags,
        "tags": sorted(flag for flag in flags if not flag.startswith("\\")),
    }


class Fields:
    """The header fields of one message, by their names."""

    def __init__(self, head: bytes) -> None:
        self.all = header.fields(head)
        self._named: defaultdict[bytes, list[bytes]] = defaultdict(list)
        for name, value in self.all:
            self._named[name.lower()].append(value)

    def said(self, name: bytes) -> str | None:
        """The first of that name as people read it; None where there is none. `name` in lower case, as below."""
        value = self._first(name)
        return None if value is None else decoded(value).replace("\x00", "")

    def people(self, name: bytes, most: int = _MOST_PEOPLE) -> list[Person]:
        """Everybody in all fields of that name, or the first of them."""
        return list(islice(chain.from_iterable(map(_people, self._named.get(name, ()))), most))

    def _first(self, name: bytes) -> bytes | None:
        return next(iter(self._named.get(name, ())), None)

    def date(self) -> Any:
        """What the Date field says, in UTC or with its zone; None where that is no date."""
        value = self._first(b"date")
        if value is None or len(value) > 200:
            return None
        try:
            when = parsedate_to_datetime(text(header.unfolded(value), None))
            return when if when.tzinfo is not None else when.astimezone()
        except (TypeError, ValueError, OverflowError, IndexError):
            return None


def _people(value: bytes) -> Iterator[Person]:
    for each in header.addresses(header.unfolded(value)):
        if each.host is None:
            continue  # the start or the end of a group
        address = f"{text(each.mailbox or b'', None)}@{text(each.host, None)}"
        yield Person(name=decoded(each.name) if each.name else "", address=address)


def numbered(root: Part) -> Iterator[Numbered]:
    """All parts with their numbers, parents before children; the whole has none if it is a multipart."""
    return (Numbered(each.section, each.part) for each in pieces(root) if each.is_numbered)


def leaves(root: Part) -> Iterator[Numbered]:
    """The parts of the message itself that hold something; not those inside a message that is attached."""
    for each in pieces(root):
        if each.part.type != "multipart" and not each.foreign:
            yield Numbered(each.section, each.part)


def text_part(root: Part, subtype: str) -> Numbered | None:
    """The first text of that kind that is the message's own."""
    wanted = (subtype, "xhtml") if subtype == "html" else (subtype,)
    for each in leaves(root):
        if each.part.type == "text" and each.part.subtype in wanted and not each.part.filename:
            return each
    return None


async def shown(store: Store, content: ContentId, part: Part) -> str:
    """The text of a part, as far as it is shown."""
    start, end = part.body
    return text_of(part, await store.contents.read(content, start, min(end, start + MOST_TEXT)))


def is_cut(part: Part) -> bool:
    """Whether that is only the beginning."""
    return part.body[1] - part.body[0] > MOST_TEXT


async def fields_of(head: bytes) -> Fields:
    """The header fields of a message."""
    return Fields(head) if len(head) <= FEW_OCTETS else await asyncio.to_thread(Fields, head)


class Dispositions(NamedTuple):
    """What a part's own header says of how it is to be shown."""

    disposition: str | None
    cid: str | None


async def dispositions(store: Store, content: ContentId, root: Part, most: int = 200) -> dict[str, Dispositions]:
    """What the first `most` parts say of themselves, by their numbers."""
    said: dict[str, Dispositions] = {}
    for number, part in numbered(root):
        if len(said) == most:
            break
        start, end = part.header
        found = header.of_structure(await store.contents.read(content, start, min(end, start + _MOST_HEAD)))
        disposition = header.token(found.get(b"content-disposition", b""))
        cid = found.get(b"content-id")
        said[number] = Dispositions(
            disposition[0] if disposition else None,
            text(cid, None).strip().removeprefix("<").removesuffix(">") if cid else None,
        )
    return said


def tree(root: Part, said: Mapping[str, Dispositions]) -> PartShape:
    """The MIME tree as the interface tells it."""
    made: dict[int, PartShape] = {}
    every = list(numbered(root))
    numbers = {id(each.part): each.number for each in every}

    # Children before their parents, without recursion: a sender decides how deep it goes.
    waiting = [root]
    order: list[Part] = []
    while waiting:
        part = waiting.pop()
        order.append(part)
        waiting.extend(part.children)
    for part in reversed(order):
        number = numbers.get(id(part), "")
        own = said.get(number, Dispositions(None, None)) if id(part) in numbers else Dispositions(None, None)
        made[id(part)] = PartShape(
            part=number,
            type=f"{part.type}/{part.subtype}",
            size=part.body[1] - part.body[0],
            encoding=part.encoding,
            charset=part.charset,
            filename=part.filename,
            cid=own.cid,
            disposition=own.disposition,
            children=[made[id(child)] for child in part.children],
        )
    return made[id(root)]
