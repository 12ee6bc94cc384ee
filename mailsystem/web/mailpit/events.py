"""Mailpit's stream of events, by WebSocket: what arrives, changes and goes."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from contextlib import ExitStack
from typing import Any, Final, NamedTuple

from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from fastapi.responses import PlainTextResponse

from mailsystem.mail.account import Account
from mailsystem.mail.errors import MailError
from mailsystem.mail.mailbox import INBOX, SEEN, Mailbox, Message, MessageSet, ModSeq, Uid
from mailsystem.mail.objectid import emailid
from mailsystem.mail.tags import tags_of
from mailsystem.web.mailpit.box import Box
from mailsystem.web.mailpit.shapes import rows, summary
from mailsystem.web.mailpit.telling import VERSION
from mailsystem.web.problems import Problem
from mailsystem.web.visitors import Visitor

MOST_KNOWN: Final = 10_000
"""Messages of which one who listens is told what exactly has become of them; of older ones that something has."""
MOST_DELETED: Final = 200
"""Of more that go at once, only that they went."""
PAUSE: Final = 0.25
"""Seconds between two looks, so that many messages cost one."""


class _Known(NamedTuple):
    id: str
    read: bool
    tags: list[str]


def add_to(router: APIRouter, box: Box) -> None:
    @router.websocket("/api/events")
    async def events(socket: WebSocket) -> None:
        try:
            visitor = await box.visitor(socket)
        except MailError:
            await socket.close(1008)
            return
        with ExitStack() as stack:
            try:
                stack.enter_context(box.keeper.lasting.place(visitor))
            except Problem as full:
                # Whoever speaks WebSocket sees the answer to its handshake.
                await socket.send_denial_response(PlainTextResponse(full.detail, full.status, full.headers))
                return
            await _tell_until_the_end(box, visitor, socket)


async def _tell_until_the_end(box: Box, visitor: Visitor, socket: WebSocket) -> None:
    await socket.accept()

    async def check() -> None:
        await box.keeper.check_again(socket, visitor, visitor.account)

    telling = asyncio.create_task(_Telling(box, visitor.account, socket, check).run())
    hearing = asyncio.create_task(_heard_out(socket))
    stopping = asyncio.create_task(box.context.stopping.wait())
    each = (telling, hearing, stopping)
    try:
        await asyncio.wait(each, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in each:
            one.cancel()
        await asyncio.gather(*each, return_exceptions=True)
    with contextlib.suppress(RuntimeError, WebSocketDisconnect):
        await socket.close(1001)


async def _heard_out(socket: WebSocket) -> None:
    """Until they go; what they say means nothing."""
    with contextlib.suppress(WebSocketDisconnect, RuntimeError):
        while True:
            await socket.receive()


class _Telling:
    """Tells one who listens."""

    def __init__(self, box: Box, account: Account, socket: WebSocket, check: Callable[[], Awaitable[None]]) -> None:
        self._box = box
        self._check = check
        """Raises a `MailError` once they may hear no more."""
        self._store = box.context.store
        self._account = account
        self._socket = socket
        self._known: OrderedDict[Uid, _Known] = OrderedDict()
        self._since = ModSeq(0)
        self._uidnext = Uid(1)
        self._counts: tuple[int, int] | None = None

    async def run(self) -> None:
        bell = self._store.bell
        heard = bell.rung
        inbox = await self._store.mailboxes.find(self._account.id, INBOX)
        first = Uid(max(1, inbox.uidnext - MOST_KNOWN))
        self._remember(await self._messages(inbox, first))
        self._since, self._uidnext = inbox.modseq, inbox.uidnext
        await self._tell_counts(inbox)
        while True:
            await bell.wait(heard, (self._account.id, inbox.id))
            heard = bell.rung
            try:
                await self._check()
            except MailError:
                return
            try:
                inbox = await self._store.mailboxes.find(self._account.id, INBOX)
                if inbox.modseq > self._since:
                    await self._look(inbox)
            except MailError:
                await asyncio.sleep(1.0)
                continue
            await asyncio.sleep(PAUSE)

    async def _messages(self, inbox: Mailbox, first: Uid) -> Iterable[Message]:
        last = Uid(inbox.uidnext - 1)
        if first > last:
            return ()
        return await self._store.mailboxes.messages(self._account.id, inbox.id, MessageSet(((first, last),)))

    def _remember(self, messages: Iterable[Message]) -> None:
        for message in messages:
            self._known[message.uid] = _known(message)
        while len(self._known) > MOST_KNOWN:
            self._known.popitem(last=False)

    async def _look(self, inbox: Mailbox) -> None:
        changes = await self._store.mailboxes.changes(self._account.id, inbox.id, self._since)
        fresh = [message for message in changes.messages if message.uid >= self._uidnext]
        is_unclear = False
        for message in changes.messages:
            if message.uid >= self._uidnext:
                continue
            old, now = self._known.get(message.uid), _known(message)
            if old is None:
                is_unclear = True
                continue
            if old.read != now.read:
                await self._tell("update", {"ID": now.id, "Read": now.read})
            if old.tags != now.tags:
                await self._tell("update", {"ID": now.id, "Tags": now.tags})
            self._known[message.uid] = now
        await self._tell_new(inbox, fresh)
        self._since = changes.modseq
        self._uidnext = Uid(max([self._uidnext, *(message.uid + 1 for message in fresh)]))
        total = (await self._count(inbox))[0]
        if changes.vanished:
            await self._tell_gone(changes.vanished, empty=not total)
        if is_unclear:
            await self._tell("prune", None)
        await self._tell_counts(inbox)

    async def _tell_new(self, inbox: Mailbox, fresh: list[Message]) -> None:
        if not fresh:
            return
        found = [told async for told in rows(self._store, inbox, [message.uid for message in fresh])]
        came = await self._box.came(self._account, [told.content for told in found])
        for told in found:
            await self._tell("new", await summary(told, came.get(told.content)))
            if SEEN in told.flags:
                # It was read before it was told of, and somebody may wait to hear of that.
                await self._tell("update", {"ID": emailid(told.content), "Read": True})
        self._remember(fresh)

    async def _tell_gone(self, vanished: MessageSet, *, empty: bool) -> None:
        gone = [uid for uid in self._known if uid in vanished]
        if not empty and (len(vanished) > MOST_DELETED or len(gone) < len(vanished)):
            # Some of them may have come and gone between two looks, or are too old to be known by their ids.
            await self._tell("prune", None)
        if len(gone) <= MOST_DELETED:
            for uid in gone:
                await self._tell("delete", {"ID": self._known[uid].id})
        if empty:
            # Whether the last one was deleted or all were is not seen: who waits for either hears it.
            await self._tell("truncate", None)
        for uid in gone:
            del self._known[uid]

    async def _count(self, inbox: Mailbox) -> tuple[int, int]:
        [status] = await self._store.mailboxes.statuses([inbox])
        return status.messages, status.unseen

    async def _tell_counts(self, inbox: Mailbox) -> None:
        counts = await self._count(inbox)
        if counts != self._counts:
            self._counts = counts
            await self._tell("stats", {"Total": counts[0], "Unread": counts[1], "Version": VERSION})

    async def _tell(self, kind: str, data: dict[str, Any] | None) -> None:
        await self._socket.send_text(json.dumps({"Type": kind, "Data": data}, ensure_ascii=False))


def _known(message: Message) -> _Known:
    return _Known(emailid(message.content), SEEN in message.flags, tags_of(message.flags))
