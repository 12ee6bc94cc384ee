"""What is read, and what is deleted."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse

from mailsystem.web.mailpit.box import Box
from mailsystem.web.mailpit.plainly import Refusal, body_of, ok, text_in, texts_in
from mailsystem.web.visitors import WRITE

_NOTHING_NAMED: Final = (
    "no IDs: nothing was deleted. Name the messages as IDs, or delete what a search finds. Whoever wants a request without IDs"
    " to delete everything, as in Mailpit, starts the sink with the setting web.delete_all (MAILSYSTEM_WEB__DELETE_ALL=true)."
)


def add_to(router: APIRouter, box: Box) -> None:
    @router.put("/api/v1/messages")
    async def mark(request: Request) -> PlainTextResponse:
        account = await box.account(request, WRITE)
        body = await body_of(request)
        read = body.get("read") or False
        if not isinstance(read, bool):
            raise Refusal("Read should be true or false")
        ids, search = texts_in(body, "IDs"), text_in(body, "Search").strip()
        if ids and search:
            raise Refusal("either IDs or Search, not both")
        if search:
            query = await box.query(account, search, request.query_params.get("tz", ""))
            await box.mark(account, await box.everything_found(account, query), read=read)
        elif ids:
            await box.mark(account, await box.named(account, ids), read=read)
        elif not (await request.body()).strip():
            raise Refusal("there is no body")
        else:
            await box.mark_everything(account, read=read)
        return ok()

    @router.delete("/api/v1/messages")
    async def delete(request: Request) -> PlainTextResponse:
        account = await box.account(request, WRITE)
        body = await body_of(request)
        ids = texts_in(body, "IDs")
        if ids:
            await box.delete(account, await box.named(account, ids))
        elif box.context.delete_all and body.get("ids") is None:
            await box.delete_everything(account)
        else:
            # A list that is empty by mistake, a body that was lost on the way: in Mailpit all mail is gone then.
            raise Refusal(_NOTHING_NAMED)
        return ok()
