"""The wait for messages that have not come yet."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Coroutine, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Final, TypeVar

from fastapi import APIRouter, Request
from fastapi import Query as Parameter

from mailsystem.finding.finder import Hit
from mailsystem.mail.account import Account
from mailsystem.mail.errors import NoSuchRecipient
from mailsystem.mail.mailbox import Mailbox, MailboxId, MessageSet, ModSeq, Uid
from mailsystem.mail.query import Query
from mailsystem.web.api.asked import EVERYWHERE, AccountName, Asked, MailboxName
from mailsystem.web.api.listing import listed
from mailsystem.web.context import Context
from mailsystem.web.problems import Problem
from mailsystem.web.shapes import Arrivals
from mailsystem.web.visitors import READ, Doorkeeper, Visitor, needs

LONGEST_WAIT: Final = 600.0
HEARTBEAT: Final = 15.0
"""Seconds of silence after which a stream says that it is still there."""
MOST_AWAITED: Final = 500
_TOLD: Final = 20
"""Arrivals that are told when what was waited for did not come."""
_AGE: Final = re.compile(r"([0-9]{1,9})(ms|s|m|h|d)")
T = TypeVar("T")
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


def routes(context: Context, keeper: Doorkeeper) -> APIRouter:
    router = APIRouter(prefix="/v1", tags=["events"])
    asked = Asked(context, keeper)

    @router.get(
        "/wait",
        responses={408: {"description": "It did not come in time; `arrived` are the latest that did."}},
        **needs(READ),
    )
    async def wait(
        request: Request,
        account: AccountName = None,
        mailbox: MailboxName = EVERYWHERE,
        query: Annotated[str, Parameter(description="What is waited for; empty is any message.")] = "",
        count: Annotated[int, Parameter(ge=1, le=MOST_AWAITED, description="How many of them.")] = 1,
        since: Annotated[
            str | None,
            Parameter(
                description="Only what came after a moment (`2026-01-31T12:00:00Z`), an age (`5m`) or a ModSeq (`412`); without"
                " it, also what is here already."
            ),
        ] = None,
        timeout: Annotated[float, Parameter(ge=0, le=LONGEST_WAIT, description="Seconds.")] = 10.0,
    ) -> Arrivals:
        """Wait until so many messages are here that the query finds, and tell them, the oldest first."""
        visitor = await asked.visitor(request)
        whose = await expected(context, keeper, visitor, account)
        waiting = _Waiting(context, whose, asked.query(query), _since(since, context.store.clock.now()))
        boxes = await asked.mailboxes(whose, mailbox)
        with keeper.lasting.place(visitor):
            hits = await _unless_gone(request, waiting.until(boxes, count, timeout, everywhere=mailbox == EVERYWHERE))
        await keeper.check_again(request, visitor, whose)
        if len(hits) < count:
            numbers = [box.id for box in boxes]
            latest = await context.finder.find(whose.id, asked.query(""), mailboxes=numbers, limit=_TOLD)
            told = "one message" if count == 1 else f"{count} messages"
            raise Problem(
                408,
                f"waited {timeout:g} s for {told} and found {len(hits)}; the latest that came are under arrived",
                arrived=[
                    each.model_dump(mode="json", by_alias=True)
                    for each in await listed(context.store, [hit for hit in latest.messages if waiting.is_recent(hit)])
                ],
            )
        return Arrivals(messages=await listed(context.store, hits[:count]))

    return router


async def expected(context: Context, keeper: Doorkeeper, visitor: Visitor, login: str | None) -> Account:
    """Whose mail is waited for. In a sink everybody exists: who waits may be earlier than the first message."""
    try:
        return await keeper.account(visitor, login)
    except NoSuchRecipient:
        if not (context.is_sink and login and "@" in login) or "/" in login or visitor.space:
            raise
    return await context.store.accounts.ensure(context.directory.login_key(login))


def _since(text: str | None, now: float) -> ModSeq | float | None:
    """A ModSeq as it is, a time in seconds since the epoch. Raises `Problem`."""
    if not text:
        return None
    if text.isascii() and text.isdigit():
        return ModSeq(int(text[:18]))
    if age := _AGE.fullmatch(text):
        return now - int(age[1]) * _SECONDS[age[2]]
    try:
        when = datetime.fromisoformat(text)
        return (when if when.tzinfo is not None else when.astimezone()).timestamp()
    except (ValueError, OverflowError):
        raise Problem(
            400, "since: should be a ModSeq, a time such as 2026-01-31T12:00:00Z, or an age such as 5m"
        ) from None


async def _unless_gone(request: Request, waiting: Coroutine[Any, Any, T]) -> T:
    """What it comes to, unless whoever asks goes away: then nobody waits any more."""
    doing, leaving = asyncio.ensure_future(waiting), asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait((doing, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not doing.done():
            raise Problem(408, "who waited has gone")
        return doing.result()
    finally:
        doing.cancel()
        leaving.cancel()
        await asyncio.gather(doing, leaving, return_exceptions=True)


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def rung(context: Context, account: Account, heard: int) -> None:
    """Wait until something may have changed in the account after stroke `heard`, or this is to end."""
    stopping = asyncio.create_task(context.stopping.wait())
    ringing = asyncio.create_task(context.store.bell.wait(heard, (account.id, MailboxId(0))))
    try:
        await asyncio.wait((stopping, ringing), return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        ringing.cancel()


class _Waiting:
    """One who waits for messages."""

    def __init__(self, context: Context, account: Account, query: Query, since: ModSeq | float | None) -> None:
        self._context = context
        self._account = account
        self._query = query
        self._since = since
        self._first: Mapping[MailboxId, Uid] = {}
        """Of each mailbox the UID from which on messages came after that ModSeq; of a new one they all did."""

    async def until(self, boxes: Sequence[Mailbox], count: int, timeout: float, *, everywhere: bool) -> list[Hit]:
        """What was found when it was enough or the time was over, the oldest first."""
        bell, mailboxes = self._context.store.bell, self._context.store.mailboxes
        hits: list[Hit] = []
        heard = bell.rung
        # A copy that another rule makes, or a client, is no second message.
        seen: set[int] = set()
        marks: dict[MailboxId, Uid] = {}
        for box in boxes:
            fresh = await mailboxes.find(self._account.id, box.name)
            marks[box.id] = fresh.uidnext
        if isinstance(self._since, int):
            self._first = await mailboxes.first_after(self._account.id, list(marks), self._since)
        for box in boxes:
            hits += self._kept(box, await self._found(box, count), seen)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while len(hits) < count and not self._context.stopping.is_set():
                    await rung(self._context, self._account, heard)
                    heard = bell.rung
                    now = await mailboxes.list(self._account.id)
                    for box in now:
                        if box.id not in marks and not everywhere:
                            continue
                        first, marks[box.id] = marks.get(box.id, Uid(1)), box.uidnext
                        if first < box.uidnext:
                            hits += self._kept(box, await self._came(box, first), seen)
        return sorted(hits, key=lambda hit: (hit.message.internaldate, hit.message.uid))

    async def _found(self, box: Mailbox, count: int) -> list[Hit]:
        """What is there already. The newest are wanted where there are more than enough."""
        limit = count if self._since is None else MOST_AWAITED
        found = await self._context.finder.find(self._account.id, self._query, mailboxes=[box.id], limit=limit)
        return list(found.messages)

    async def _came(self, box: Mailbox, first: Uid) -> list[Hit]:
        """What of that which came since then is waited for."""
        uids = MessageSet(((first, box.uidnext - 1),))
        wanted = await self._context.finder.matching(self._account.id, box.id, self._query, uids)
        return [Hit(box, message) for message in wanted]

    def _kept(self, box: Mailbox, hits: Sequence[Hit], seen: set[int]) -> list[Hit]:
        kept = []
        for hit in hits:
            if hit.message.content not in seen and self.is_recent(hit):
                seen.add(hit.message.content)
                kept.append(hit)
        return kept

    def is_recent(self, hit: Hit) -> bool:
        """Whether it came after what was asked for."""
        match self._since:
            case None:
                return True
            case float():
                return hit.message.internaldate >= self._since
            case _:
                return hit.message.uid >= self._first.get(hit.mailbox.id, Uid(1))
