"""Lists of messages."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from functools import partial
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse, StreamingResponse

from mailsystem.mail.account import Account
from mailsystem.mail.query import EVERYTHING, Before, Query, every
from mailsystem.web.mailpit.box import Box, Counted
from mailsystem.web.mailpit.plainly import Refusal, ok
from mailsystem.web.mailpit.shapes import summaries
from mailsystem.web.mailpit.translating import moment_of, zone_of
from mailsystem.web.visitors import WRITE

MOST: Final = 1000
"""Messages of one page that is made at once; a longer one is sent as it is made."""
_TOGETHER: Final = 100
"""Messages of that which are made together."""
FARTHEST: Final = 100_000
"""Where a page may begin: to count so many off takes as long as to read them."""


def add_to(router: APIRouter, box: Box) -> None:
    async def page(
        request: Request, account: Account, query: Query, counted: Counted, search: bool
    ) -> dict[str, Any] | StreamingResponse:
        start = min(_number(request, "start", 0), FARTHEST)
        limit = _number(request, "limit", 50)
        # Mailpit's own `dump` asks for none, and means all.
        is_long = limit > MOST or (not limit and not search)
        before = request.query_params.get("before", "")
        narrowed = query
        if before:
            zone = zone_of(request.query_params.get("tz", ""))
            narrowed = every(query, Before(moment_of(before, box.context.store.clock.now(), zone)))
        hits, total = await box.page(account, narrowed, *((0, 1) if is_long else (start, limit)))
        counts = (total, await box.count_unread(account, query)) if search else (counted.total, counted.unread)
        came = partial(box.came, account)
        told = {
            "total": counted.total,
            "unread": counted.unread,
            "count": max(0, min(total - start, limit or total)) if is_long else len(hits),
            "messages_count": counts[0],
            "messages_unread": counts[1],
            "start": start,
            "tags": list(counted.tags),
        }
        if not is_long:
            return {**told, "messages": await summaries(box.context.store, hits, came)}

        async def pieces() -> AsyncIterator[bytes]:
            yield _dumped(told)[:-1] + b',"messages":['
            between = b""
            async for some in box.portions(account, narrowed, start, limit or None):
                for few in (some[at : at + _TOGETHER] for at in range(0, len(some), _TOGETHER)):
                    for one in await summaries(box.context.store, few, came):
                        yield between + _dumped(one)
                        between = b","
            yield b"]}"

        return StreamingResponse(pieces(), media_type="application/json")

    @router.get("/api/v1/messages", response_model=None)
    async def messages(request: Request) -> dict[str, Any] | StreamingResponse:
        account = await box.account(request)
        return await page(request, account, EVERYTHING, await box.counted(account), search=False)

    @router.get("/api/v1/search", response_model=None)
    async def search(request: Request) -> dict[str, Any] | StreamingResponse:
        account = await box.account(request)
        query = await box.query(account, *asked_for(request))
        return await page(request, account, query, await box.counted(account), search=True)

    @router.delete("/api/v1/search")
    async def delete(request: Request) -> PlainTextResponse:
        account = await box.account(request, WRITE)
        query = await box.query(account, *asked_for(request))
        await box.delete(account, await box.everything_found(account, query))
        return ok()


def asked_for(request: Request) -> tuple[str, str]:
    """The search and its time zone. Raises `Refusal`."""
    search = request.query_params.get("query", "").strip()
    if not search:
        raise Refusal("there is no search query")
    return search, request.query_params.get("tz", "")


def _dumped(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def _number(request: Request, name: str, default: int) -> int:
    text = request.query_params.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else default
