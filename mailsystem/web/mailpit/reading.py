"""One message: as it is read, as it came, and its parts."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any, Final
from urllib.parse import quote

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from mailsystem.mail.hypertext import page_of
from mailsystem.mail.part import Part
from mailsystem.web.api.asked import Found
from mailsystem.web.letters import shown, text_part
from mailsystem.web.mailpit.box import Box
from mailsystem.web.mailpit.plainly import Refusal
from mailsystem.web.mailpit.shapes import Told, apart, headers, message, octets_of, rows
from mailsystem.web.mailpit.thumbnails import LARGEST, Missing, thumbnail

_TYPE: Final = re.compile(r"[a-z0-9!#$&^_.+-]{1,60}/[a-z0-9!#$&^_.+-]{1,100}")
_CHARSET: Final = re.compile(r"[a-z0-9][a-z0-9_.:+-]{0,40}")
_ACTIVE: Final = re.compile(r".*/(?:.*html.*|.*xml.*|.*xsl.*|.*script.*|svg.*|mathml.*|pdf\+.*)")
"""What a browser might run, or show as a page."""
_SHOWN: Final = re.compile(r"image/(?:png|jpeg|gif|webp|avif|bmp)|application/pdf|text/plain")
_BARE: Final = "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; sandbox"
_AT_ONCE: Final = 2
"""Pictures that are made small at the same time."""
_NO_PICTURE: Final = bytes.fromhex(
    "47494638396101000100800000ffffff00000021f90401000000002c00000000010001000002024401003b"
)
"""One white point, as GIF: what Mailpit shows of what is no image is white as well."""


async def told_of(box: Box, found: Found) -> Told:
    """What is known of a message. Raises `Refusal` where it is gone by now."""
    place = found.places[0]
    async for told in rows(box.context.store, place.mailbox, [place.uid]):
        return told
    raise Refusal("the message is gone", 404)


async def words_of(box: Box, found: Found, told: Told) -> dict[str, str]:
    """Its text, and its HTML as it was written."""
    words = {}
    for name, kind in (("Text", "plain"), ("HTML", "html")):
        part = text_part(told.root, kind)
        words[name] = "" if part is None else await shown(box.context.store, found.content, part.part)
    if words["HTML"] and not words["Text"]:
        # As in Mailpit, what is to be read in it.
        words["Text"] = (await asyncio.to_thread(page_of, words["HTML"])).text
    return words


def add_to(router: APIRouter, box: Box) -> None:
    store = box.context.store
    making = asyncio.Semaphore(_AT_ONCE)

    @router.get("/api/v1/message/{id}")
    async def whole(request: Request, id: str) -> dict[str, Any]:  # noqa: A002
        found = await box.one(request, id)
        # As in Mailpit, whoever asks for it has read it.
        await box.mark(found.account, found.places, read=True)
        told = await told_of(box, found)
        came = (await box.came(found.account, [found.content])).get(found.content)
        return await message(store, told, await words_of(box, found, told), came)

    @router.get("/api/v1/message/{id}/headers")
    async def fields(request: Request, id: str) -> dict[str, list[str]]:  # noqa: A002
        return await apart((await told_of(box, await box.one(request, id))).head, headers)

    @router.get("/api/v1/message/{id}/raw")
    async def raw(request: Request, id: str) -> Response:  # noqa: A002
        found = await box.one(request, id)
        answer = {"Content-Security-Policy": _BARE}
        if request.query_params.get("dl") == "1":
            answer["Content-Disposition"] = f'attachment; filename="M{found.content}.eml"'
        return StreamingResponse(
            store.contents.stream(found.content), media_type="text/plain; charset=utf-8", headers=answer
        )

    async def found_part(request: Request, id_: str, number: str) -> tuple[Found, Part]:
        found = await box.one(request, id_)
        part = (await told_of(box, found)).parts.get(number)
        if part is None:
            raise Refusal("the message has no such part", 404)
        return found, part

    @router.get("/api/v1/message/{id}/part/{part}")
    async def octets(request: Request, id: str, part: str) -> Response:  # noqa: A002
        found, one = await found_part(request, id, part)
        kind = f"{one.type}/{one.subtype}"
        if not _TYPE.fullmatch(kind) or _ACTIVE.fullmatch(kind):
            kind = "application/octet-stream"
        how = "inline" if _SHOWN.fullmatch(kind) else "attachment"
        name = quote((one.filename or f"part-{part}").replace("/", "_").replace("\\", "_"), safe=" ()[]@,+")[:300]
        if kind.startswith("text/"):
            kind += f"; charset={one.charset if _CHARSET.fullmatch(one.charset or '') else 'utf-8'}"
        answer = {
            "Content-Security-Policy": _BARE,
            "Content-Disposition": f'{how}; filename="{name}"',
            "Content-Type": kind,  # said here, since of a `media_type` UTF-8 would be said whatever it is
        }
        return StreamingResponse(octets_of(store, found.content, one), headers=answer)

    @router.get("/api/v1/message/{id}/part/{part}/thumb")
    async def picture(request: Request, id: str, part: str) -> Response:  # noqa: A002
        found, one = await found_part(request, id, part)
        kind = f"{one.type}/{one.subtype}"
        answer = {"Content-Security-Policy": _BARE}
        is_shown = one.type == "image" and _SHOWN.fullmatch(kind) is not None
        try:
            async with making:
                octets = await _first(octets_of(store, found.content, one), LARGEST + 1) if is_shown else b""
                # What is cut off is no picture any more.
                small = await asyncio.to_thread(thumbnail, octets if len(octets) <= LARGEST else b"")
            return Response(small, media_type="image/jpeg", headers=answer)
        except Missing:
            pass
        if not is_shown:
            return Response(_NO_PICTURE, media_type="image/gif", headers=answer)
        return StreamingResponse(octets_of(store, found.content, one), media_type=kind, headers=answer)


async def _first(pieces: AsyncIterator[bytes], most: int) -> bytes:
    """So many octets, or all where there are fewer."""
    octets = bytearray()
    async for piece in pieces:
        octets += piece
        if len(octets) >= most:
            break
    return bytes(octets[:most])
