"""What a receiver is told: the JSON of a delivery, within the octets that are allowed."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

from mailsystem.mail import webhook
from mailsystem.mail.errors import Unavailable
from mailsystem.mail.extraction import html_of, text_of
from mailsystem.mail.objectid import emailid
from mailsystem.mail.reading import Reading, read
from mailsystem.mail.webhook import Include
from mailsystem.store import Delivery, Store, Webhook

_SHORT: Final = 200
"""Characters to which each string is cut where even the least is too much."""
_FEW: Final = 5
"""Members to which each list is."""
_LARGE: Final = 256 << 10
"""Octets above which messages are in memory a few at a time."""
_AT_ONCE: Final = 4

Summary: TypeAlias = Callable[[Webhook, Delivery], Awaitable[dict[str, Any]]]
"""What lists show of the message that a delivery is about. Raises `Unavailable` where nothing is left of it."""


class Telling:
    """Makes up what is sent."""

    def __init__(self, store: Store, summary: Summary) -> None:
        self._store = store
        self._summary = summary
        self._turn = asyncio.Semaphore(_AT_ONCE)

    async def body(self, hook: Webhook, delivery: Delivery) -> bytes:
        """The body of the POST. Raises `MailError`."""
        if hook.include is Include.MAILPIT and delivery.kind == webhook.ARRIVED:
            alone = await self._arrived(hook, delivery)
            octets = _dumped(alone)
            return octets if len(octets) <= hook.most else _dumped(_shortened(alone))
        told: dict[str, Any] = {
            "type": delivery.kind,
            "timestamp": _iso(delivery.noted),
            "account": hook.login,
            "data": await self._data(hook, delivery),
        }
        octets = _dumped(told)
        if len(octets) > hook.most:
            octets = _dumped({**told, "truncated": True, "data": _shortened(told["data"])})
        return octets

    async def _data(self, hook: Webhook, delivery: Delivery) -> dict[str, Any]:
        detail = json.loads(delivery.detail)
        where = {"mailbox": delivery.mailbox, "uid": delivery.uid, "modseq": delivery.modseq}
        match delivery.kind:
            case webhook.ARRIVED:
                return await self._arrived(hook, delivery)
            case webhook.FLAGS:
                flags: list[str] = detail["flags"]
                return {
                    "id": emailid(delivery.content),
                    **where,
                    "flags": flags,
                    "unread": "\\Seen" not in flags,
                    "pinned": "\\Flagged" in flags,
                    "tags": [flag for flag in flags if not flag.startswith("\\")],
                }
            case webhook.GONE:
                return {"mailbox": delivery.mailbox, "uids": detail["uids"], "modseq": delivery.modseq}
            case _:
                return {}

    async def _arrived(self, hook: Webhook, delivery: Delivery) -> dict[str, Any]:
        try:
            data = await self._summary(hook, delivery)
        except Unavailable:
            # Nothing is left of the message; that it came is told all the same.
            where = {"mailbox": delivery.mailbox, "uid": delivery.uid, "modseq": delivery.modseq}
            return {"id": emailid(delivery.content), **where, "lost": True}
        if hook.include in (Include.SUMMARY, Include.MAILPIT):
            return data
        try:
            if int(data["size"]) <= _LARGE:
                return await self._more(hook, delivery, data)
            async with self._turn:
                return await self._more(hook, delivery, data)
        except Unavailable:
            # Its octets are damaged or gone: all that comes behind it shall not wait for them for ever.
            return {**data, "lost": True}

    async def _more(self, hook: Webhook, delivery: Delivery, data: dict[str, Any]) -> dict[str, Any]:
        room = hook.most - len(_dumped(data)) - 1000
        octets = await self._store.contents.read(delivery.content, 0, hook.most)
        if hook.include is Include.RAW:
            whole = len(octets) >= int(data["size"]) and 4 * len(octets) // 3 + 4 <= room
            return {**data, "raw": base64.b64encode(octets).decode() if whole else None, "truncated": not whole}
        return {**data, **await asyncio.to_thread(_whole, octets, max(room, 0), len(octets) < int(data["size"]))}


def _whole(octets: bytes, room: int, cut: bool) -> dict[str, Any]:
    """The text and HTML of a message, and what files come with it."""
    message = read(octets)
    files = [
        {
            "part": piece.section,
            "type": f"{piece.part.type}/{piece.part.subtype}",
            "filename": piece.part.filename,
            "size": piece.part.body[1] - piece.part.body[0],
        }
        for piece, _ in zip(message.attachments(), range(100), strict=False)
    ]
    room -= len(_dumped(files))
    text, rest = _fitting(text_of(message), room)
    html, rest = _fitting(html_of(message), rest)
    whole = {"text": text, "html": html, "files": files, "message_id": _said(message, "Message-ID")}
    return {**whole, "truncated": cut or rest < 0}


def _fitting(text: str | None, room: int) -> tuple[str | None, int]:
    """A text, or its beginning, and the octets that are left then; fewer than none where it was cut or there were none."""
    if text is None or room < 0:
        return text and "", room
    length = len(_dumped(text))
    if length <= room:
        return text, room - length
    # A character takes up to six octets in JSON.
    return text[: room // 6], -1


def _said(message: Reading, name: str) -> str | None:
    value = message.header(name)
    return None if value is None else value[:1000]


def _shortened(value: Any) -> Any:
    if isinstance(value, str):
        return value[:_SHORT]
    if isinstance(value, list):
        return [_shortened(one) for one in value[:_FEW]]
    if isinstance(value, dict):
        return {name: _shortened(one) for name, one in value.items()} | ({"raw": None} if "raw" in value else {})
    return value


def _dumped(value: Any) -> bytes:
    # Surrogates that somebody wrote are no UTF-8.
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace")


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
