"""What is told as it comes: the wait for messages that have not come yet, and the stream of everything that changes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import datetime
from itertools import islice, pairwise
from operator import itemgetter
from typing import Annotated, Any, Final, NamedTuple

from fastapi import APIRouter, Request
from fastapi import Query as Parameter
from fastapi.responses import StreamingResponse

from mailsystem.finding.finder import Hit
from mailsystem.mail.account import Account
from mailsystem.mail.errors import MailError, NoSuchMailbox, NoSuchRecipient
from mailsystem.mail.mailbox import STAR, Mailbox, MailboxId, MessageSet, ModSeq, Uid
from mailsystem.mail.objectid import emailid
from mailsystem.mail.query import Query
from mailsystem.web.api.asked import EVERYWHERE, AccountName, Asked, MailboxName
from mailsystem.web.api.listing import listed
from mailsystem.web.context import Context
from mailsystem.web.letters import of_flags, summaries
from mailsystem.web.problems import Problem
from mailsystem.web.shapes import Arrivals
from mailsystem.web.visitors import Doorkeeper, Visitor

LONGEST_WAIT: Final = 600.0
HEARTBEAT: Final = 15.0
"""Seconds of silence after which a stream says that it is still there."""
MOST_AWAITED: Final = 500
_MOST_GONE: Final = 100_000
_TOLD: Final = 20
"""Arrivals that are told when what was waited for did not come."""
_AGE: Final = re.compile(r"([0-9]{1,9})(ms|s|m|h|d)")
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


def routes(context: Context, keeper: Doorkeeper) -> APIRouter:
    router = APIRouter(prefix="/v1", tags=["events"])
    asked = Asked(context, keeper)

    async def expected(visitor: Visitor, login: str | None) -> Account:
        """Whose mail is waited for. In a sink everybody exists: who waits may be earlier than the first message."""
        try:
            return await keeper.account(visitor, login)
        except NoSuchRecipient:
            if not (context.is_sink and login and "@" in login) or "/" in login or visitor.space:
                raise
        return await context.store.accounts.ensure(context.directory.login_key(login))

    @router.get(
        "/wait", responses={408: {"description": "It did not come in time; `arrived` are the latest that did."}}
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
                description="Only what came after a moment (`2026-01-31T12:00:00Z`) or so long ago (`5m`), or what came or was"
                " changed after a ModSeq (`412`); without it, also what is here already."
            ),
        ] = None,
        timeout: Annotated[float, Parameter(ge=0, le=LONGEST_WAIT, description="Seconds.")] = 10.0,
    ) -> Arrivals:
        """Wait until so many messages are here that the query finds, and tell them, the oldest first."""
        visitor = await asked.visitor(request)
        whose = await expected(visitor, account)
        waiting = _Waiting(context, whose, asked.query(query), _since(since, context.store.clock.now()))
        boxes = await asked.mailboxes(whose, mailbox)
        hits = await waiting.until(boxes, count, timeout, everywhere=mailbox == EVERYWHERE)
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

    @router.get("/events", response_class=StreamingResponse, responses={200: {"content": {"text/event-stream": {}}}})
    async def events(
        request: Request,
        account: AccountName = None,
        since: Annotated[
            int | None, Parameter(ge=0, le=2**53 - 1, description="A ModSeq: what came after it is told first.")
        ] = None,
    ) -> StreamingResponse:
        """Everything that changes, as it does: `arrived`, `flags`, `gone`, `mailboxes`. The id of an event is the ModSeq of
        the account; who comes again with it as Last-Event-ID misses nothing."""
        visitor = await asked.visitor(request)
        whose = await expected(visitor, account)
        last = request.headers.get("last-event-id", "")
        after = int(last) if last.isascii() and last.isdigit() and len(last) < 19 else since

        async def check() -> None:
            await keeper.check_again(request, visitor, whose)

        return StreamingResponse(
            _Stream(context, whose, after, check).events(),
            media_type="text/event-stream",
            headers={"X-Accel-Buffering": "no"},
        )

    return router


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


async def _rung(context: Context, account: Account, heard: int) -> None:
    """Wait until something may have changed in the account after stroke `heard`, or this is to end."""
    stopping = asyncio.create_task(context.stopping.wait())
    ringing = asyncio.create_task(context.store.bell.wait(heard, (account.id, MailboxId(0))))
    try:
        await asyncio.wait((stopping, ringing), return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        ringing.cancel()


async def _first_new(context: Context, box: Mailbox, after: ModSeq) -> Uid:
    """Behind the last message that surely was there at that ModSeq: what has changed since may be older all the same."""
    messages = await context.store.mailboxes.messages(box.account, box.id, MessageSet(((1, STAR),)))
    return Uid(max((each.uid for each in messages if each.modseq <= after), default=0) + 1)


class _Waiting:
    """One who waits for messages."""

    def __init__(self, context: Context, account: Account, query: Query, since: ModSeq | float | None) -> None:
        self._context = context
        self._account = account
        self._query = query
        self._since = since

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
        for box in boxes:
            hits += self._kept(box, await self._found(box, count), seen)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while len(hits) < count and not self._context.stopping.is_set():
                    await _rung(self._context, self._account, heard)
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
                return hit.message.modseq > self._since


class _Stream:
    """One who watches an account."""

    def __init__(
        self, context: Context, account: Account, since: int | None, check: Callable[[], Awaitable[None]]
    ) -> None:
        self._context = context
        self._check = check
        """Raises a `MailError` once they may watch it no more."""
        self._account = account
        self._after = since
        self._known: dict[MailboxId, tuple[str, ModSeq, Uid]] = {}
        """Of each mailbox its name, and up to where everything was told."""

    async def events(self) -> AsyncIterator[bytes]:
        bell, stopping = self._context.store.bell, self._context.stopping
        heard = bell.rung
        for event in await self._begin():
            yield event
        while not stopping.is_set():
            try:
                async with asyncio.timeout(HEARTBEAT):
                    await _rung(self._context, self._account, heard)
                is_news = True
            except TimeoutError:
                is_news = False
            if stopping.is_set():
                return
            try:
                await self._check()
            except MailError:
                return
            if not is_news:
                yield b": still here\n\n"
                continue
            heard = bell.rung
            for event in await self._look():
                yield event

    async def _begin(self) -> list[bytes]:
        """Where it begins; who names a ModSeq hears first what came after it."""
        boxes = await self._context.store.mailboxes.list(self._account.id)
        now = max((box.modseq for box in boxes), default=ModSeq(0))
        told: list[_Told] = []
        for box in boxes:
            self._known[box.id] = box.name, box.modseq, box.uidnext
            if self._after is not None and self._after < box.modseq:
                with contextlib.suppress(NoSuchMailbox):
                    first = await _first_new(self._context, box, ModSeq(self._after))
                    told += await self._news(box, ModSeq(self._after), first, now)
        began = now if self._after is None else min(now, self._after)
        return [b"retry: 1000\n" + _event(began, "ready", {"modseq": now}), *_in_order(told)]

    async def _look(self) -> list[bytes]:
        told: list[_Told] = []
        boxes = await self._context.store.mailboxes.list(self._account.id)
        # What comes while we look from mailbox to mailbox bears no number beyond this: whoever comes again with the id of an
        # event has heard of everything up to it, and may hear of some of that again.
        now = max((box.modseq for box in boxes), default=ModSeq(0))
        names = {box.id: box.name for box in boxes}
        if names != {number: known[0] for number, known in self._known.items()}:
            told.append(_Told(now, "mailboxes", {"names": list(names.values())}))
            self._known = {number: known for number, known in self._known.items() if number in names}
        for box in boxes:
            _, since, uidnext = self._known.get(box.id, ("", ModSeq(0), Uid(1)))
            if box.modseq > since:
                with contextlib.suppress(NoSuchMailbox):
                    told += await self._news(box, since, uidnext, now)
            else:
                self._known[box.id] = box.name, since, uidnext
        return _in_order(told)

    async def _news(self, box: Mailbox, since: ModSeq, first_new: Uid, upto: ModSeq) -> list[_Told]:
        """What came to pass in a mailbox after `since`. What is later than `upto` is told already, but by that number."""
        store = self._context.store
        changes = await store.mailboxes.changes(self._account.id, box.id, since)
        new = [message.uid for message in changes.messages if message.uid >= first_new]
        told = [
            _Told(min(summary.modseq, upto), "arrived", summary.model_dump(mode="json", by_alias=True))
            for summary in (await summaries(store, box, new)).values()
        ]
        for message in changes.messages:
            if message.uid < first_new:
                data = {
                    "id": emailid(message.content),
                    "mailbox": box.name,
                    "uid": message.uid,
                    "modseq": message.modseq,
                    **of_flags(message.flags),
                }
                told.append(_Told(min(message.modseq, upto), "flags", data))
        done = min(changes.modseq, upto)
        if changes.vanished:
            gone = list(islice(changes.vanished, _MOST_GONE))
            told.append(_Told(done, "gone", {"mailbox": box.name, "uids": gone, "modseq": changes.modseq}))
        last = max(new, default=0)
        self._known[box.id] = box.name, changes.modseq, Uid(max(first_new, last + 1))
        return told


class _Told(NamedTuple):
    """An event, by the ModSeq after which it is known."""

    number: int
    name: str
    data: dict[str, Any]


def _in_order(told: list[_Told]) -> list[bytes]:
    """As they came. Of several that have one number only the last bears it: who hears of it, has heard of all."""
    ordered = sorted(told, key=itemgetter(0))
    ends = [one.number != next_.number for one, next_ in pairwise(ordered)] + [True]
    return [
        _event(each.number if last else None, each.name, each.data) for each, last in zip(ordered, ends, strict=False)
    ]


def _event(number: int | None, name: str, data: dict[str, Any]) -> bytes:
    """One event (HTML Living Standard 9.2.5)."""
    id_ = "" if number is None else f"id: {number}\n"
    return f"{id_}event: {name}\ndata: {json.dumps(data, separators=(',', ':'), ensure_ascii=False)}\n\n".encode()
