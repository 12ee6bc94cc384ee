"""Mailpit's checks of a message: its links, how much of its HTML mail programs show, and what SpamAssassin thinks of it."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from fastapi import APIRouter, Request

from mailsystem.web.mailpit.box import Box
from mailsystem.web.mailpit.plainly import Refusal
from mailsystem.web.mailpit.reading import told_of, words_of
from mailsystem.web.visitors import WRITE

if TYPE_CHECKING:
    from mailsystem.checks.links import Tried
    from mailsystem.checks.support import Feature

_MOST: Final = 10 << 20
"""Octets of a message that are read for links."""
_LOOKED_INTO: Final = 2
"""Messages whose HTML is looked into at the same time."""
_AT_ONCE: Final = 4
"""Messages about which spamd is asked, or whose links are tried, at the same time."""
_BLOCKED: Final = 451
"""What Mailpit says of a link that it does not follow because of where it leads."""


def add_to(router: APIRouter, box: Box) -> None:
    looking, asking, trying = asyncio.Semaphore(_LOOKED_INTO), asyncio.Semaphore(_AT_ONCE), asyncio.Semaphore(_AT_ONCE)

    @router.get("/api/v1/message/{id}/link-check")
    async def links(request: Request, id: str) -> dict[str, Any]:  # noqa: A002
        from mailsystem.checks.authentication import Missing
        from mailsystem.checks.links import try_links
        from mailsystem.mail.extraction import links_of
        from mailsystem.mail.reading import read

        # Asking is safe for us, but it knocks at other people's doors.
        found = await box.one(request, id, WRITE)
        async with trying:
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

    @router.get("/api/v1/message/{id}/html-check")
    async def html(request: Request, id: str) -> dict[str, Any]:  # noqa: A002
        found = await box.one(request, id)
        words = await words_of(box, found, await told_of(box, found))
        if not words["HTML"]:
            raise Refusal("the message has no HTML")
        async with looking:
            return await asyncio.to_thread(supported, words["HTML"])

    @router.get("/api/v1/message/{id}/sa-check")
    async def spam(request: Request, id: str) -> dict[str, Any]:  # noqa: A002
        from mailsystem.checks.spamd import LARGEST, NoAnswer, judged

        found = await box.one(request, id)
        host, _, port = box.context.spamd.rpartition(":")
        if not host:
            raise Refusal("no spamd is named by the setting sink.spamd")
        async with asking:
            octets = await box.context.store.contents.read(found.content, 0, LARGEST + 1)
            try:
                told = await judged(octets, host.strip("[]"), int(port))
            except NoAnswer as error:
                return {"IsSpam": False, "Error": str(error), "Score": 0, "Rules": []}
        return {
            "IsSpam": told.is_spam,
            "Error": "",
            "Score": told.score,
            "Rules": [{"Score": one.score, "Name": one.name, "Description": one.description} for one in told.rules],
        }

    @router.get("/api/v1/message/{id}/{check}")
    async def others(request: Request, id: str, check: str) -> None:  # noqa: A002
        raise Refusal("there is nothing at this address", 404)


def supported(html: str) -> dict[str, Any]:
    """`HTMLCheckResponse`: what of its features not all mail programs show, what hurts most in front."""
    from mailsystem.checks.features import features_of
    from mailsystem.checks.support import table

    found, known = features_of(html), table()
    nodes = max(1, found.nodes)
    each = []
    for slug, times in found.used.items():
        feature = known.features[slug]
        _, partial, unsupported = feature.shares
        if partial or unsupported:
            weight = min(1.0, times / nodes)
            each.append(((partial * weight, unsupported * weight), _warning(feature, times)))
    each.sort(key=lambda one: (-sum(one[0]), one[1]["Slug"]))
    # As Mailpit counts: what is worst tells for the whole message.
    unsupported = max((weighed for (_, weighed), _ in each), default=0.0)
    partial = min(100 - unsupported, max((weighed for (weighed, _), _ in each), default=0.0))
    return {
        "Warnings": [warning for _, warning in each],
        "Platforms": {name: list(families) for name, families in known.platforms.items()},
        "Total": {
            "Tests": len(known.features),
            "Nodes": found.nodes,
            "Supported": round(100 - partial - unsupported, 3),
            "Partial": round(partial, 3),
            "Unsupported": round(unsupported, 3),
        },
    }


def _warning(feature: Feature, times: int) -> dict[str, Any]:
    yes, partial, no = feature.shares
    return {
        "Slug": feature.slug,
        "Title": feature.title,
        "Description": "",
        "URL": feature.url,
        "Category": feature.category,
        "Tags": list(feature.tags),
        "Keywords": "",
        "Results": [
            {
                "Name": one.name,
                "Platform": one.platform,
                "Family": one.family,
                "Version": one.version,
                "Support": one.support,
                "NoteNumber": one.notes[0] if one.notes else "",
            }
            for one in feature.clients
        ],
        "NotesByNumber": dict(feature.notes),
        "Score": {
            "Found": times,
            "Supported": round(yes, 3),
            "Partial": round(partial, 3),
            "Unsupported": round(no, 3),
        },
    }


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
