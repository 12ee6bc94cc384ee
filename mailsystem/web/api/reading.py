"""One message: as it is read, as it was sent, and its parts."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Mapping, Sequence
from itertools import islice
from typing import Annotated, Final, Literal
from urllib.parse import quote

from fastapi import APIRouter, Request, Response
from fastapi import Query as Parameter
from fastapi.responses import StreamingResponse

from mailsystem.mail.kept import Kept
from mailsystem.mail.mailbox import SEEN, ContentId, MessageSet
from mailsystem.mail.part import Part
from mailsystem.mail.transfer import Identity, decoder
from mailsystem.mail.words import decoded, text
from mailsystem.store import FlagOp
from mailsystem.web import letters
from mailsystem.web.api.asked import EVERYWHERE, AccountName, Asked, Found, MailboxName
from mailsystem.web.context import Context
from mailsystem.web.problems import Problem
from mailsystem.web.shapes import Attachment, HeaderField, Headers, Whereabouts, Whole
from mailsystem.web.visitors import READ, WRITE, Doorkeeper, needs

SHOWN: Final = frozenset(
    {"image/png", "image/jpeg", "image/gif", "image/webp", "image/avif", "image/bmp", "application/pdf", "text/plain"}
)
"""Types of parts that a browser may show; none of them can do anything. All others are downloaded."""
_BARE: Final = "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; sandbox"
_MOST_HEAD: Final = 256 << 10
MOST_FIELDS: Final = 1000
"""Header fields of one message that are told."""


def routes(context: Context, keeper: Doorkeeper) -> APIRouter:
    router = APIRouter(prefix="/v1/messages/{id}", tags=["messages"])
    asked = Asked(context, keeper)
    store = context.store

    async def found(request: Request, id: str, account: str | None, mailbox: str) -> Found:  # noqa: A002
        return await asked.message(await asked.account(request, account), id, mailbox)

    @router.get("", **needs(READ))
    async def message(
        request: Request,
        id: str,  # noqa: A002
        account: AccountName = None,
        mailbox: MailboxName = EVERYWHERE,
        seen: Annotated[bool, Parameter(description="Mark it as read.")] = False,
    ) -> Whole:
        """A message as it is read. `latest` is the newest."""
        one = await found(request, id, account, mailbox)
        if seen:
            await asked.visitor(request, WRITE)
            for place in one.places:
                await store.mailboxes.set_flags(
                    one.account.id, place.mailbox.id, MessageSet.of([place.uid]), FlagOp.ADD, frozenset({SEEN})
                )
        place = one.places[0]
        told = (await letters.summaries(store, place.mailbox, [place.uid])).get(place.uid)
        if told is None:
            raise Problem(404, f"there is no message {id[:40]}")
        root = await parts_of(context, one)
        said = await letters.dispositions(store, one.content, root)
        head = await store.contents.read(one.content, 0, min(root.header[1], _MOST_HEAD))
        fields = await letters.fields_of(head)
        plain, rich = letters.text_part(root, "plain"), letters.text_part(root, "html")
        return Whole(
            **told.model_dump(by_alias=False, exclude={"attachments", "to", "cc"}),
            to=fields.people(b"to"),
            cc=fields.people(b"cc"),
            bcc=fields.people(b"bcc"),
            reply_to=fields.people(b"reply-to"),
            message_id=fields.said(b"message-id"),
            in_reply_to=fields.said(b"in-reply-to"),
            text=None if plain is None else await letters.shown(store, one.content, plain.part),
            text_cut=plain is not None and letters.is_cut(plain.part),
            has_html=rich is not None,
            remote_content=rich is not None and await _asks_elsewhere(context, one.content, rich.part),
            parts=letters.tree(root, said),
            attachments=[
                Attachment(
                    part=each.part,
                    type=each.type,
                    filename=each.filename,
                    size=each.size,
                    cid=each.content_id,
                    inline=each.inline,
                )
                for each in await letters.attached(root, await _kept(context, one, Kept.BODYSTRUCTURE))
            ],
            mailboxes=[Whereabouts(mailbox=each.mailbox.shown, uid=each.uid) for each in one.places],
        )

    @router.get("/raw", response_class=Response, responses={200: {"content": {"message/rfc822": {}}}}, **needs(READ))
    async def raw(
        request: Request,
        id: str,  # noqa: A002
        account: AccountName = None,
        download: bool = False,
    ) -> Response:
        """The message octet by octet, with the trace fields that were added when it came in."""
        one = await found(request, id, account, EVERYWHERE)
        kind = "message/rfc822" if download else "text/plain; charset=utf-8"
        headers = {"Content-Security-Policy": _BARE, **await _kept_as(context, one, "raw", download)}
        if _has(request, headers):
            return Response(status_code=304, headers=headers)
        if download:
            headers["Content-Disposition"] = _attachment(f"{id}.eml")
        return StreamingResponse(store.contents.stream(one.content), media_type=kind, headers=headers)

    @router.get("/headers", **needs(READ))
    async def headers(request: Request, id: str, account: AccountName = None) -> Headers:  # noqa: A002
        """All header fields in their order: of very many the first thousand, of a very long header what is in 256 KiB."""
        one = await found(request, id, account, EVERYWHERE)
        root = await parts_of(context, one)
        head = await store.contents.read(one.content, 0, min(root.header[1], _MOST_HEAD))
        fields = await letters.fields_of(head)
        few = fields.all[:MOST_FIELDS]
        told = await asyncio.to_thread(_told, few) if len(head) > letters.FEW_OCTETS else _told(few)
        return Headers(
            headers=told, total=len(fields.all), cut=len(few) < len(fields.all) or root.header[1] > _MOST_HEAD
        )

    @router.get("/text", response_class=Response, responses={200: {"content": {"text/plain": {}}}}, **needs(READ))
    async def plain(request: Request, id: str, account: AccountName = None) -> Response:  # noqa: A002
        """The message's text alone."""
        one = await found(request, id, account, EVERYWHERE)
        part = letters.text_part(await parts_of(context, one), "plain")
        if part is None:
            raise Problem(404, "the message has no text")
        words = await letters.shown(store, one.content, part.part)
        return Response(
            words.encode("utf-8", "replace"),
            media_type="text/plain; charset=utf-8",
            headers=_cut(part.part, f"parts/{part.number}"),
        )

    @router.get("/html", response_class=Response, responses={200: {"content": {"text/html": {}}}}, **needs(READ))
    async def html(
        request: Request,
        id: str,  # noqa: A002
        account: AccountName = None,
        images: Annotated[bool, Parameter(description="Let pictures be fetched from other servers.")] = False,
        theme: Annotated[Literal["light", "dark"], Parameter(description="What it is shown on.")] = "light",
    ) -> Response:
        """The message's HTML, as it may be shown: it runs nothing and, without `images`, fetches nothing."""
        from mailsystem.web.sanitizing import policy, sanitized

        one = await found(request, id, account, EVERYWHERE)
        root = await parts_of(context, one)
        part = letters.text_part(root, "html")
        if part is None:
            raise Problem(404, "the message has no HTML")
        written = await letters.shown(store, one.content, part.part)
        pictures = await _pictures(context, one.content, root, written)
        shown = await asyncio.to_thread(sanitized, written, pictures, images=images, dark=theme == "dark")
        return Response(
            shown.encode("utf-8", "replace"),
            media_type="text/html; charset=utf-8",
            headers={"Content-Security-Policy": policy(images=images)},
        )

    @router.get(
        "/parts/{part}",
        response_class=Response,
        responses={200: {"content": {"application/octet-stream": {}}}},
        **needs(READ),
    )
    async def part(
        request: Request,
        id: str,  # noqa: A002
        part: str,
        account: AccountName = None,
        download: bool = False,
    ) -> Response:
        """A part's octets, its transfer encoding undone. What could do harm in a browser is only downloaded. Text is shown in
        UTF-8 and, where it is very long, its beginning: then `X-Cut` says after how many octets, and `Link` where all of it is.
        With `download` it comes whole, as it was written."""
        one = await found(request, id, account, EVERYWHERE)
        root = await parts_of(context, one)
        wanted = next((each.part for each in letters.numbered(root) if each.number == part), None)
        if wanted is None or wanted.type == "multipart":
            raise Problem(404, f"the message has no part {part[:40]}")
        kind = f"{wanted.type}/{wanted.subtype}"
        # The viewers of browsers for this are sandboxes themselves, and work in no other.
        bare = "frame-ancestors 'self'" if kind == "application/pdf" else _BARE
        answer: dict[str, str] = {"Content-Security-Policy": bare}
        if download or kind not in SHOWN:
            answer["Content-Disposition"] = _attachment(wanted.filename or f"part-{part}")
        answer |= await _kept_as(context, one, part, download)
        if _has(request, answer):
            return Response(status_code=304, headers=answer)
        if kind not in SHOWN:
            kind = "application/octet-stream"
        elif kind == "text/plain" and download:
            # Not `charset=`: the name that somebody has written there may be anything.
            kind = "application/octet-stream"
        elif kind == "text/plain":
            answer |= _cut(wanted, part)
            words = await letters.shown(store, one.content, wanted)
            return Response(words.encode("utf-8", "replace"), media_type="text/plain; charset=utf-8", headers=answer)
        return StreamingResponse(_octets(context, one.content, wanted), media_type=kind, headers=answer)

    return router


def _told(fields: Sequence[tuple[bytes, bytes]]) -> list[HeaderField]:
    return [
        HeaderField(name=text(name, None), value=decoded(value), raw=text(value.strip(b" "), None))
        for name, value in fields
    ]


def _cut(part: Part, where: str) -> dict[str, str]:
    """Where only the beginning of a text is told: that it is so, and where all of it is (RFC 8288)."""
    if not letters.is_cut(part):
        return {}
    return {"X-Cut": str(letters.MOST_TEXT), "Link": f'<{quote(where)}?download=true>; rel="alternate"'}


async def _kept_as(context: Context, one: Found, what: str, download: bool) -> dict[str, str]:
    """By what a browser knows whether it has that already (RFC 9110 8.8.3). It has to ask each time: the address may be that of
    another message once a sink was begun anew, and who asks may have logged out."""
    digest = (await context.store.contents.digest(one.content)).hex()[:32]
    return {"ETag": f'"{digest}-{what[:40]}{"-d" * download}"', "Cache-Control": "private, no-cache"}


def _has(request: Request, answer: Mapping[str, str]) -> bool:
    """Whether whoever asks has that already (RFC 9110 13.1.2)."""
    known = [each.strip().removeprefix("W/") for each in request.headers.get("if-none-match", "").split(",")]
    return answer["ETag"] in known or known == ["*"]


async def parts_of(context: Context, one: Found) -> Part:
    """The MIME tree of a message."""
    return await letters.tree_of(await _kept(context, one, Kept.PARTS))


async def _kept(context: Context, one: Found, thing: Kept) -> bytes:
    """One thing that is kept of a message. Raises `Problem`."""
    place = one.places[0]
    uids = MessageSet.of([place.uid])
    async for columns in context.store.fetching.columns(one.account.id, place.mailbox.id, uids, (Kept.UID, thing)):
        for kept in columns[thing]:
            return bytes(kept)
    raise Problem(404, "the message is gone")


async def _asks_elsewhere(context: Context, content: ContentId, part: Part) -> bool:
    from mailsystem.web.sanitizing import asks_elsewhere

    return await asyncio.to_thread(asks_elsewhere, await letters.shown(context.store, content, part))


async def _pictures(context: Context, content: ContentId, root: Part, html: str) -> dict[str, str]:
    """The pictures out of the message that its HTML refers to, as data URLs by Content-ID: a frame without an origin may not
    come and fetch them."""
    from mailsystem.web.sanitizing import MOST_PICTURES, referred

    wanted = set(islice(referred(html), 1000))
    if not wanted:
        return {}
    said = await letters.dispositions(context.store, content, root)
    found: dict[str, str] = {}
    room = MOST_PICTURES
    for number, part in letters.leaves(root):
        cid = said[number].cid if number in said else None
        kind = f"{part.type}/{part.subtype}"
        if cid is None or kind not in SHOWN or part.type != "image" or not {cid, quote(cid)} & wanted:
            continue
        room -= part.body[1] - part.body[0]
        if room < 0:
            break
        octets = b"".join([piece async for piece in _octets(context, content, part)])
        found[cid] = found[quote(cid)] = f"data:{kind};base64,{base64.b64encode(octets).decode()}"
    return found


async def _octets(context: Context, content: ContentId, part: Part) -> AsyncIterator[bytes]:
    undo = decoder(part.encoding) or Identity()
    async for piece in context.store.contents.stream(content, *part.body):
        if octets := undo.feed(piece):
            yield octets
    if octets := undo.close():
        yield octets


def _attachment(filename: str) -> str:
    """Content-Disposition for a download (RFC 6266): a name in ASCII, and the same as it was meant."""
    clean = "".join(c for c in filename.replace("/", "_").replace("\\", "_") if c.isprintable()).strip(". ") or "part"
    plain = clean.encode("ascii", "replace").decode().replace('"', "_").replace("?", "_")
    return f"attachment; filename=\"{plain[:150]}\"; filename*=UTF-8''{quote(clean[:150], safe='')}"
