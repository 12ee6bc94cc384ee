"""Messages as Mailpit tells them."""

from __future__ import annotations

import asyncio
import base64
import datetime
import hashlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from urllib.parse import quote

from mailsystem.finding.finder import Hit
from mailsystem.mail import header
from mailsystem.mail.attachment import Attachment
from mailsystem.mail.kept import Kept
from mailsystem.mail.mailbox import SEEN, ContentId, Flag, Mailbox, MailboxId, MessageSet, Uid
from mailsystem.mail.objectid import emailid
from mailsystem.mail.part import Part
from mailsystem.mail.preview import REACH, preview_of
from mailsystem.mail.tags import tags_of
from mailsystem.mail.transfer import Identity, decoder
from mailsystem.mail.words import text
from mailsystem.store import Evidence, Store
from mailsystem.web.letters import Fields, attached, numbered, tree_of
from mailsystem.web.shapes import Person, moment

MOST_HEAD: Final = 256 << 10
_THINGS: Final = (
    Kept.UID,
    Kept.FLAGS,
    Kept.INTERNALDATE,
    Kept.SIZE,
    Kept.CONTENT,
    Kept.HEAD,
    Kept.PARTS,
    Kept.BODYSTRUCTURE,
    Kept.PREVIEW,
)
_LINK: Final = re.compile(r"<([^<>]*)>")
_COMMENT: Final = re.compile(r"\([^()]*\)")
_PICTURE: Final = re.compile(r"image/(?:png|jpeg|gif|webp|avif|bmp)")
_MUCH: Final = 64 << 10
"""Octets that are not hashed between two requests, but by a thread."""
_LONG_HEAD: Final = 32 << 10
"""Octets of a header that is read by a thread."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Told:
    """What is known of a message, as much as it takes to tell of it."""

    uid: Uid
    flags: frozenset[Flag]
    received: float
    size: int
    content: ContentId
    head: bytes
    parts: Mapping[str, Part]
    """Those that may be asked for, by their numbers; `1` may be the message itself."""
    root: Part
    files: Sequence[Attachment]
    """What comes with it."""
    snippet: str


async def rows(store: Store, mailbox: Mailbox, uids: Iterable[Uid]) -> AsyncIterator[Told]:
    """What is told of messages, with the header read where that is long; those that are gone are left out."""
    async for columns in store.fetching.columns(mailbox.account, mailbox.id, MessageSet.of(uids), _THINGS):
        for values in zip(*columns.values(), strict=True):
            known = dict(zip(columns, values, strict=True))
            content, head, snippet = known[Kept.CONTENT], known[Kept.HEAD], known[Kept.PREVIEW]
            if head is None:
                head = await store.contents.read(content, 0, MOST_HEAD)
            root = await tree_of(known[Kept.PARTS])
            if snippet is None:
                snippet = preview_of(root, await store.contents.read(content, 0, REACH))
            parts = {number: part for number, part in numbered(root) if part.type != "multipart"}
            files = [each for each in await attached(root, known[Kept.BODYSTRUCTURE]) if each.part in parts]
            yield Told(
                known[Kept.UID],
                known[Kept.FLAGS],
                known[Kept.INTERNALDATE],
                known[Kept.SIZE],
                content,
                head,
                parts,
                root,
                files,
                snippet,
            )


async def summaries(
    store: Store, hits: Sequence[Hit], came_by: Callable[[Sequence[ContentId]], Awaitable[Mapping[ContentId, Evidence]]]
) -> list[dict[str, Any]]:
    """`MessageSummary` of each, in the same order; `came_by` tells how they came."""
    boxes: dict[MailboxId, Mailbox] = {hit.mailbox.id: hit.mailbox for hit in hits}
    found: dict[tuple[MailboxId, Uid], Told] = {}
    for box in boxes.values():
        uids = [hit.message.uid for hit in hits if hit.mailbox.id == box.id]
        async for told in rows(store, box, uids):
            found[box.id, told.uid] = told
    there = [one for hit in hits if (one := found.get((hit.mailbox.id, hit.message.uid))) is not None]
    came = await came_by([one.content for one in there])
    return [await summary(one, came.get(one.content)) for one in there]


async def evidences(store: Store, contents: Sequence[ContentId]) -> Mapping[ContentId, Evidence]:
    """How messages came, as far as that is still known."""
    if not contents:
        return {}
    await store.journal.settled()
    return await store.journal.evidences(contents)


async def summary(told: Told, came: Evidence | None) -> dict[str, Any]:
    """`MessageSummary`."""
    return {
        **await _common(told, came),
        "Read": SEEN in told.flags,
        "Created": rfc3339(moment(told.received)),
        "Attachments": sum(1 for each in told.files if not each.inline),
        "Snippet": told.snippet,
    }


async def _common(told: Told, came: Evidence | None) -> dict[str, Any]:
    """What `MessageSummary` and `Message` have in common."""
    return await apart(told.head, lambda head: _both(told, Fields(head), came))


async def apart(head: bytes, make: Callable[[bytes], T]) -> T:
    """What is made of a header: by a thread where that may take a while, since its sender says how long it is."""
    return make(head) if len(head) <= _LONG_HEAD else await asyncio.to_thread(make, head)


def _both(told: Told, fields: Fields, came: Evidence | None) -> dict[str, Any]:
    sender = next(iter(fields.people(b"from")), None)
    return {
        "ID": emailid(told.content),
        "MessageID": message_id(fields),
        "From": person(sender) if sender is not None else {"Name": "", "Address": ""},
        "To": people(fields, b"to"),
        "Cc": people(fields, b"cc"),
        "Bcc": [*people(fields, b"bcc"), *_unnamed(fields, came)],
        "ReplyTo": people(fields, b"reply-to"),
        "Subject": fields.said(b"subject") or "",
        "Tags": tags_of(told.flags),
        "Username": (came.login if came is not None else None) or "",
        "Size": told.size,
    }


async def message(store: Store, told: Told, words: Mapping[str, str], came: Evidence | None) -> dict[str, Any]:
    """`Message`; `words` are its Text and its HTML, `came` is how it did."""
    each = [(one.inline, await _attachment(store, told.content, one, told.parts[one.part])) for one in told.files]
    return {
        **await _common(told, came),
        **await apart(told.head, lambda head: _further(told, Fields(head), came)),
        **words,
        "Inline": [shape for inline, shape in each if inline],
        "Attachments": [shape for inline, shape in each if not inline],
    }


def _further(told: Told, fields: Fields, came: Evidence | None) -> dict[str, Any]:
    """What `Message` alone says of the header."""
    return_path = fields.said(b"return-path")
    return {
        "ReturnPath": came.sender if came is not None else (return_path or "").strip().strip("<>"),
        "ListUnsubscribe": unsubscribe(fields),
        "Date": rfc3339(fields.date() or moment(told.received)),
    }


async def _attachment(store: Store, content: ContentId, one: Attachment, part: Part) -> dict[str, Any]:
    size, sums = 0, {"MD5": hashlib.md5(usedforsecurity=False), "SHA1": hashlib.sha1(usedforsecurity=False)}
    sums["SHA256"] = hashlib.sha256()

    def add(piece: bytes) -> None:
        for each in sums.values():
            each.update(piece)

    async for piece in octets_of(store, content, part):
        size += len(piece)
        if len(piece) > _MUCH:
            await asyncio.to_thread(add, piece)
        else:
            add(piece)
    return {
        "PartID": one.part,
        "FileName": one.filename or one.content_id or "",
        "ContentType": one.type,
        "ContentID": one.content_id or "",
        "Size": size,
        "Checksums": {name: each.hexdigest() for name, each in sums.items()},
    }


async def octets_of(store: Store, content: ContentId, part: Part) -> AsyncIterator[bytes]:
    """A part as it was before it was encoded for the way."""
    undo = decoder(part.encoding) or Identity()
    async for piece in store.contents.stream(content, *part.body):
        if octets := undo.feed(piece):
            yield octets
    if octets := undo.close():
        yield octets


async def pictures(store: Store, told: Told) -> dict[str, str]:
    """The pictures out of a message, as data URLs by their Content-ID."""
    from mailsystem.web.sanitizing import MOST_PICTURES

    room = MOST_PICTURES
    found: dict[str, str] = {}
    for one in told.files:
        if one.content_id and _PICTURE.fullmatch(one.type):
            room -= one.size
            if room < 0:
                break
            octets = b"".join([piece async for piece in octets_of(store, told.content, told.parts[one.part])])
            url = f"data:{one.type};base64,{base64.b64encode(octets).decode()}"
            found[one.content_id] = found[quote(one.content_id)] = url
    return found


def _unnamed(fields: Fields, came: Evidence | None) -> list[dict[str, str]]:
    """Those who got it and whom it does not name."""
    if came is None:
        return []
    named = {one.address.casefold() for name in (b"to", b"cc", b"bcc") for one in fields.people(name)}
    return [{"Name": "", "Address": one.address} for one in came.recipients if one.address.casefold() not in named]


def person(one: Person) -> dict[str, str]:
    return {"Name": one.name, "Address": one.address}


def people(fields: Fields, name: bytes) -> list[dict[str, str]]:
    return [person(one) for one in fields.people(name)]


def message_id(fields: Fields) -> str:
    """Without its angle brackets."""
    return (fields.said(b"message-id") or "").strip().removeprefix("<").removesuffix(">")


def rfc3339(when: datetime.datetime) -> str:
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def headers(head: bytes) -> dict[str, list[str]]:
    """Every field by its name, each word of which begins with a capital, in the order of names."""
    found: dict[str, list[str]] = {}
    for name, value in header.fields(head):
        known = "-".join(part.capitalize() for part in text(name, None).split("-"))
        found.setdefault(known, []).append(text(header.unfolded(value), None).strip())
    return dict(sorted(found.items()))


def unsubscribe(fields: Fields) -> dict[str, Any]:
    """`ListUnsubscribe`: at most one address and one link are of use (RFC 2369, RFC 8058)."""
    said = (fields.said(b"list-unsubscribe") or "")[:10_000]
    links: list[str] = []
    errors: list[str] = []
    if said:
        rest = _COMMENT.sub("", said).strip()
        if not _LINK.search(rest):
            errors.append("there is no link within <>")
        elif [piece for piece in _LINK.sub("\n", rest).split("\n")[1:-1] if piece.strip() != ","] or _outside(rest):
            errors.append("links should each be within <>, with commas between them")
        kinds: set[str] = set()
        for link in _LINK.findall(rest):
            kind = next((one for one in ("mailto", "http") if link.lower().startswith(one)), "")
            if re.search(r"\s", link) or not re.match(r"(?:mailto:|https?://)[a-z0-9\[]", link, re.IGNORECASE):
                errors.append(f"{link[:100]!r} is neither a mailto: nor an http(s):// link")
            elif kind in kinds:
                errors.append(f"there is more than one {kind} link")
            else:
                kinds.add(kind)
                links.append(link)
    return {
        "Header": said,
        "Links": links,
        "Errors": "; ".join(errors),
        "HeaderPost": fields.said(b"list-unsubscribe-post") or "",
    }


def _outside(rest: str) -> bool:
    pieces = _LINK.sub("\n", rest).split("\n")
    return bool(pieces[0].strip() or pieces[-1].strip())
