"""Messages as a browser that tests something looks at them."""

from __future__ import annotations

import asyncio
from urllib.parse import quote

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse, RedirectResponse

from mailsystem.web.mailpit.box import Box
from mailsystem.web.mailpit.plainly import Refusal
from mailsystem.web.mailpit.reading import told_of, words_of
from mailsystem.web.mailpit.shapes import pictures


def add_to(router: APIRouter, box: Box) -> None:
    @router.get("/view/{id}.html")
    async def html(request: Request, id: str) -> Response:  # noqa: A002
        from mailsystem.web.sanitizing import policy, sanitized

        found = await box.one(request, id)
        told = await told_of(box, found)
        written = (await words_of(box, found, told))["HTML"]
        if not written:
            raise Refusal("the message has no HTML", 404)
        images = request.query_params.get("images") == "1"
        shown = await asyncio.to_thread(sanitized, written, await pictures(box.context.store, told), images=images)
        return Response(
            shown.encode("utf-8", "replace"),
            media_type="text/html; charset=utf-8",
            headers={"Content-Security-Policy": policy(images=images)},
        )

    @router.get("/view/{id}.txt")
    async def text(request: Request, id: str) -> PlainTextResponse:  # noqa: A002
        found = await box.one(request, id)
        words = await words_of(box, found, await told_of(box, found))
        return PlainTextResponse(words["Text"].encode("utf-8", "replace"))

    @router.get("/view/{id}")
    async def page(request: Request, id: str) -> RedirectResponse:  # noqa: A002
        """Where the page shows it."""
        found = await box.one(request, id)
        base = request.scope.get("mailsystem.root", "")
        return RedirectResponse(f"{base}/m/{quote(f'M{found.content}')}", 302)
