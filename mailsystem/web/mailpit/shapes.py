"""Messages as Mailpit tells them."""

from __future__ import annotations

import asyncio
import base64
import datetime
import hashlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from mailsystem.finding.finder import Hit
from mailsystem.mail import header
from mailsystem.mail.attachment import Attachment, attachments
from mailsystem.mail.kept import Kept
from mailsystem.mail.mailbox import SEEN, ContentId, Mailbox, MailboxId, MessageSet, Uid
from mailsystem.mail.objectid import emailid
from mailsystem.mail.part import Facts, Part
from mailsystem.mail.preview import REACH, preview_of
from mailsystem.mail.transfer import Identity, decoder
from mailsystem.mail.words import text
from mailsystem.store import Evidence, Store
from mailsystem.web.letters import Fields, numbered
from mailsystem.web.mailpit.tags import tags_of
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

Told = Mapping[Kept, Any]


async def rows(store: Store, mailbox: Mailbox, uids: Iterable[Uid]) -> AsyncIterator[dict[Kept, Any]]:
    """What is told of messages, with the header read where that is long; those that are gone are left out."""
    async for columns in store.fetching.columns(mailbox.account, mailbox.id, MessageSet.of(uids), _THINGS):
        for values in zip(*columns.values(), strict=True):
            told = dict(zip(columns, values, strict=True))
            if told[Kept.HEAD] is None:
                told[Kept.HEAD] = await store.contents.read(told[Kept.CONTENT], 0, MOST_HEAD)
            if told[Kept.PREVIEW] is None:
                octets = await store.contents.read(told[Kept.CONTENT], 0, REACH)
                told[Kept.PREVIEW] = preview_of(Part.load(told[Kept.PARTS]), octets)
            yield told


async def summaries(
    store: Store, hits: Sequence[Hit], came_by: Callable[[Sequence[ContentId]], Awaitable[Mapping[ContentId, Evidence]]]
) -> list[dict[str, Any]]:
    """`MessageSummary` of each, in the same order; `came_by` tells how they came."""
    boxes: dict[MailboxId, Mailbox] = {hit.mailbox.id: hit.mailbox for hit in hits}
    found: dict[tuple[MailboxId, Uid], dict[Kept, Any]] = {}
    for box in boxes.values():
        uids = [hit.message.uid for hit in hits if hit.mailbox.id == box.id]
        async for told in rows(store, box, uids):
            found[box.id, told[Kept.UID]] = told
    there = [one for hit in hits if (one := found.get((hit.mailbox.id, hit.message.uid))) is not None]
    came = await came_by([one[Kept.CONTENT] for one in there])
    return [summary(one, came.get(one[Kept.CONTENT])) for one in there]


async def evidences(store: Store, contents: Sequence[ContentId]) -> Mapping[ContentId, Evidence]:
    """How messages came, as far as that is still known."""
    if not contents:
        return {}
    await store.journal.settled()
    return await store.journal.evidences(contents)


def summary(told: Told, came: Evidence | None) -> dict[str, Any]:
    """`MessageSummary`."""
    return {
        **_both(told, Fields(told[Kept.HEAD]), came),
        "Read": SEEN in told[Kept.FLAGS],
        "Created": rfc3339(moment(told[Kept.INTERNALDATE])),
        "Attachments": sum(1 for each in attached(told) if not each.inline),
        "Snippet": told[Kept.PREVIEW],
    }


def _both(told: Told, fields: Fields, came: Evidence | None) -> dict[str, Any]:
    """What `MessageSummary` and `Message` have in common."""
    sender = next(iter(fields.people(b"from")), None)
    return {
        "ID": emailid(told[Kept.CONTENT]),
        "MessageID": message_id(fields),
        "From": person(sender) if sender is not None else {"Name": "", "Address": ""},
        "To": people(fields, b"to"),
        "Cc": people(fields, b"cc"),
        "Bcc": [*people(fields, b"bcc"), *_unnamed(fields, came)],
        "ReplyTo": people(fields, b"reply-to"),
        "Subject": fields.said(b"subject") or "",
        "Tags": tags_of(told[Kept.FLAGS]),
        "Username": (came.login if came is not None else None) or "",
        "Size": told[Kept.SIZE],
    }


async def message(store: Store, told: Told, words: Mapping[str, str], came: Evidence | None) -> dict[str, Any]:
    """`Message`; `words` are its Text and its HTML, `came` is how it did."""
    fields = Fields(told[Kept.HEAD])
    content = told[Kept.CONTENT]
    parts = parts_of(told)
    each = [(one.inline, await _attachment(store, content, one, parts[one.part])) for one in attached(told)]
    return_path = fields.said(b"return-path")
    return {
        **_both(told, fields, came),
        "ReturnPath": came.sender if came is not None else (return_path or "").strip().strip("<>"),
        "ListUnsubscribe": unsubscribe(fields),
        "Date": rfc3339(fields.date() or moment(told[Kept.INTERNALDATE])),
        **words,
        "Inline": [shape for inline, shape in each if inline],
        "Attachments": [shape for inline, shape in each if not inline],
    }


def parts_of(told: Told) -> dict[str, Part]:
    """The parts of a message by the numbers by which they are asked for."""
    return {number: part for number, part in numbered(Part.load(told[Kept.PARTS])) if part.type != "multipart"}


def attached(told: Told) -> list[Attachment]:
    """What comes with a message, by what is known of it."""
    known = Facts(0, 0, b"", told[Kept.BODYSTRUCTURE], b"", told[Kept.PARTS])
    numbers = parts_of(told)
    return [each for each in attachments(known) if each.part in numbers]


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
        "FileName": one.filename or "",
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

    parts, room = parts_of(told), MOST_PICTURES
    found: dict[str, str] = {}
    for one in attached(told):
        if one.content_id and _PICTURE.fullmatch(one.type):
            room -= one.size
            if room < 0:
                break
            octets = b"".join([piece async for piece in octets_of(store, told[Kept.CONTENT], parts[one.part])])
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
