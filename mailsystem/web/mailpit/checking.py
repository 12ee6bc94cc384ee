"""Mailpit's checks of a message: the links in it; the others are not here."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from fastapi import APIRouter, Request

from mailsystem.web.mailpit.box import Box
from mailsystem.web.mailpit.plainly import Refusal
from mailsystem.web.visitors import WRITE

if TYPE_CHECKING:
    from mailsystem.checks.links import Tried

_MOST: Final = 10 << 20
"""Octets of a message that are read for links."""
_BLOCKED: Final = 451
"""What Mailpit says of a link that it does not follow because of where it leads."""


def add_to(router: APIRouter, box: Box) -> None:
    @router.get("/api/v1/message/{id}/link-check")
    async def links(request: Request, id: str) -> dict[str, Any]:  # noqa: A002
        from mailsystem.checks.authentication import Missing
        from mailsystem.checks.links import try_links
        from mailsystem.mail.extraction import links_of
        from mailsystem.mail.reading import read

        # Asking is safe for us, but it knocks at other people's doors.
        found = await box.one(request, id, WRITE)
        octets = await box.context.store.contents.read(found.content, 0, _MOST)
        named = await asyncio.to_thread(lambda: [link.url for link in links_of(read(octets))])
        try:
            tried = await try_links(named)
        except Missing as error:
            raise Refusal(str(error)) from None
        return {
            "Errors": sum(not one.works for one in tried),
            "Links": [{"URL": one.url, "StatusCode": _code(one), "Status": _said(one)} for one in tried],
        }

    @router.get("/api/v1/message/{id}/{check}")
    async def others(request: Request, id: str, check: str) -> None:  # noqa: A002
        if check not in ("html-check", "sa-check"):
            raise Refusal("there is nothing at this address", 404)
        await box.one(request, id)
        raise Refusal(f"{check} is not available here")


def _code(one: Tried) -> int:
    return _BLOCKED if one.refused else one.status or 0


def _said(one: Tried) -> str:
    if one.refused:
        return f"Blocked private/reserved address: {one.error}"
    if one.status is None:
        return str(one.error)
    try:
        return HTTPStatus(one.status).phrase
    except ValueError:
        return str(one.status)
