"""Tags."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse

from mailsystem.mail.account import Account
from mailsystem.mail.mailbox import Flag
from mailsystem.mail.query import Tag
from mailsystem.mail.tags import keyword_of
from mailsystem.web.api.asked import Place
from mailsystem.web.mailpit.box import Box
from mailsystem.web.mailpit.plainly import Refusal, body_of, ok, text_in, texts_in
from mailsystem.web.visitors import WRITE

MOST = 100
"""Tags of one message."""


def add_to(router: APIRouter, box: Box) -> None:
    @router.get("/api/v1/tags")
    async def tags(request: Request) -> list[str]:
        return list((await box.counted(await box.account(request))).tags)

    @router.put("/api/v1/tags")
    async def tag(request: Request) -> PlainTextResponse:
        account = await box.account(request, WRITE)
        body = await body_of(request)
        ids = texts_in(body, "IDs")
        if not ids:
            raise Refusal("no IDs: nothing was tagged")
        found = (keyword_of(name) for name in texts_in(body, "Tags", MOST))
        await box.tag(account, await box.named(account, ids), frozenset(filter(None, found)))
        return ok()

    @router.put("/api/v1/tags/{tag:path}")
    async def rename(request: Request, tag: str) -> PlainTextResponse:
        account = await box.account(request, WRITE)
        new = keyword_of(text_in(await body_of(request), "Name"))
        if new is None:
            raise Refusal("Name has nothing of which a tag can be made")
        old = _known(tag)
        places = await _tagged(account, tag, old)
        if new.lower() != old.lower() and await box.count(account, Tag(new)):
            # Two tags that became one could not be parted again.
            raise Refusal("there is a tag of that name already")
        await box.swap(account, places, old, new)
        return ok()

    @router.delete("/api/v1/tags/{tag:path}")
    async def delete(request: Request, tag: str) -> PlainTextResponse:
        account = await box.account(request, WRITE)
        old = _known(tag)
        await box.swap(account, await _tagged(account, tag, old), old, None)
        return ok()

    async def _tagged(account: Account, tag: str, keyword: Flag) -> list[Place]:
        """Those that have it. Raises `Refusal` where nothing has."""
        places = await box.everything_found(account, Tag(keyword))
        if not places:
            raise Refusal(f"there is no tag {tag[:100]}")
        return places


def _known(tag: str) -> Flag:
    keyword = keyword_of(tag)
    if keyword is None:
        raise Refusal("that is no tag")
    return keyword
