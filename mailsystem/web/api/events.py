"""The stream of everything that changes in an account, as it does; and first of what did while somebody was away."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Sequence
from itertools import islice, pairwise
from operator import itemgetter
from typing import Annotated, Any, Final, NamedTuple

from fastapi import APIRouter, Request
from fastapi import Query as Parameter
from fastapi.responses import StreamingResponse

from mailsystem.mail.account import Account
from mailsystem.mail.errors import MailError, NoSuchMailbox
from mailsystem.mail.mailbox import Changes, Mailbox, MailboxId, Message, MessageSet, ModSeq, Uid
from mailsystem.mail.objectid import emailid
from mailsystem.store import Step
from mailsystem.web.api.asked import AccountName, Asked
from mailsystem.web.api.waiting import HEARTBEAT, expected, rung
from mailsystem.web.context import Context
from mailsystem.web.lasting import Stream
from mailsystem.web.letters import of_flags, summaries
from mailsystem.web.visitors import READ, Doorkeeper, needs

SLICE: Final = 100
"""Messages that are made into events at once, and only when the ones before have been sent."""
_MOST_AHEAD: Final = 10_000
"""Messages of which it is known that they are told next: three numbers of each."""
_MOST_GONE: Final = 10_000
"""UIDs in one event."""


def routes(context: Context, keeper: Doorkeeper) -> APIRouter:
    router = APIRouter(prefix="/v1", tags=["events"])
    asked = Asked(context, keeper)

    @router.get(
        "/events",
        response_class=StreamingResponse,
        responses={200: {"content": {"text/event-stream": {}}}},
        **needs(READ),
    )
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
        whose = await expected(context, keeper, visitor, account)
        last = request.headers.get("last-event-id", "")
        after = int(last) if last.isascii() and last.isdigit() and len(last) < 19 else since

        async def check() -> None:
            await keeper.check_again(request, visitor, whose)

        return Stream(_Telling(context, whose, after, check).events(), keeper.lasting, visitor)

    return router


class _Known(NamedTuple):
    """Up to where everything was told of a mailbox."""

    name: str = ""
    modseq: ModSeq = ModSeq(0)
    first_new: Uid = Uid(1)
    """Messages from here on have not been told yet, or not all of them."""


class _Told(NamedTuple):
    """An event, by the ModSeq after which it is known."""

    number: int
    name: str
    data: dict[str, Any]


class _Telling:
    """One who watches an account."""

    def __init__(
        self, context: Context, account: Account, since: int | None, check: Callable[[], Awaitable[None]]
    ) -> None:
        self._context = context
        self._mailboxes = context.store.mailboxes
        self._check = check
        """Raises a `MailError` once they may watch it no more."""
        self._account = account
        self._after = since
        self._known: dict[MailboxId, _Known] = {}
        self._told = 0
        """Up to which ModSeq an event has borne a number."""

    async def events(self) -> AsyncGenerator[bytes, None]:
        bell, stopping = self._context.store.bell, self._context.stopping
        heard = bell.rung
        yield await self._begin()
        async for events in self._look():
            yield events
        while not stopping.is_set():
            try:
                async with asyncio.timeout(HEARTBEAT):
                    await rung(self._context, self._account, heard)
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
            async for events in self._look():
                yield events

    async def _begin(self) -> bytes:
        """Where it begins; who names a ModSeq hears then what came after it."""
        account, after = self._account.id, self._after
        boxes = await self._mailboxes.list(account)
        now = _now(boxes)
        self._known = {box.id: _Known(box.name, box.modseq, box.uidnext) for box in boxes}
        if after is not None:
            changed = {box.id: box for box in boxes if after < box.modseq}
            for id_, first in (await self._mailboxes.first_after(account, list(changed), ModSeq(after))).items():
                self._known[id_] = _Known(changed[id_].name, ModSeq(after), first)
        self._told = now if after is None else min(now, after)
        return b"retry: 1000\n" + _event(self._told, "ready", {"modseq": now})

    async def _look(self) -> AsyncIterator[bytes]:
        """What came to pass since it was looked last. Where that is much, slice by slice, and then what came meanwhile."""
        while not self._context.stopping.is_set():
            boxes = await self._mailboxes.list(self._account.id)
            # What comes while we look from mailbox to mailbox bears no number beyond this: whoever comes again with the id of
            # an event has heard of everything up to it, and may hear of some of that again.
            now = _now(boxes)
            told = self._renamed(boxes, now)
            changed = [box for box in boxes if box.modseq > self._of(box).modseq]
            few = await self._few(changed)
            if few is not None:
                for box, changes in few:
                    told += await self._news(box, changes, now)
                later = any(changes.modseq > now for _, changes in few)
                if not later and now > max([self._told, *(each.number for each in told)]):
                    # Whoever waits for that number hears that it will not come by anything else.
                    told.append(_Told(now, "seen", {"modseq": now}))
                self._told = max([self._told, *(each.number for each in told)])
                for event in _in_order(told):
                    yield event
                if not later:
                    return
                continue
            for each in told:
                yield _event(None, each.name, each.data)
            async for events in self._much(changed, now):
                yield events

    def _of(self, box: Mailbox) -> _Known:
        return self._known.get(box.id, _Known())

    def _renamed(self, boxes: Sequence[Mailbox], now: ModSeq) -> list[_Told]:
        """Whether there are other mailboxes than before."""
        names = {box.id: box.name for box in boxes}
        before = {number: known.name for number, known in self._known.items()}
        self._known = {box.id: self._of(box)._replace(name=box.name) for box in boxes}
        return [] if names == before else [_Told(now, "mailboxes", {"names": list(names.values())})]

    async def _few(self, changed: Sequence[Mailbox]) -> list[tuple[Mailbox, Changes]] | None:
        """What has changed, if that is told at once."""
        found: list[tuple[Mailbox, Changes]] = []
        room = SLICE
        for box in changed:
            try:
                changes = await self._mailboxes.few_changes(self._account.id, box.id, self._of(box).modseq)
            except NoSuchMailbox:
                continue
            if changes is None:
                return None
            room -= len(changes.messages) + len(changes.vanished) // SLICE
            if room < 0:
                return None
            found.append((box, changes))
        return found

    async def _news(self, box: Mailbox, changes: Changes, upto: ModSeq) -> list[_Told]:
        """The few things that came to pass in a mailbox. What is later than `upto` is told already, but by that number."""
        known = self._of(box)
        new = [message.uid for message in changes.messages if message.uid >= known.first_new]
        told = [
            _Told(min(summary.modseq, upto), "arrived", summary.model_dump(mode="json", by_alias=True))
            for summary in (await summaries(self._context.store, box, new)).values()
        ]
        told += [
            _Told(min(message.modseq, upto), "flags", _flags(box, message))
            for message in changes.messages
            if message.uid < known.first_new
        ]
        if known.modseq:
            told += [
                _Told(min(changes.modseq, upto), "gone", data) for data in _gone(box, changes.vanished, changes.modseq)
            ]
        first = Uid(max([known.first_new, *(uid + 1 for uid in new)]))
        self._known[box.id] = _Known(box.name, changes.modseq, first)
        return told

    async def _much(self, changed: Sequence[Mailbox], upto: ModSeq) -> AsyncIterator[bytes]:
        """What came to pass up to that ModSeq. Whoever is told does not get on to the next slice before this one was sent.

        A message that is changed meanwhile comes behind that, and so `first_new` stays until a look finds few.
        """
        account = self._account.id
        # They bear no number: whoever comes again before the end hears of them again.
        for box in changed:
            if since := self._of(box).modseq:  # else nobody has heard of anything that could be gone
                with contextlib.suppress(NoSuchMailbox):
                    for data in _gone(box, await self._mailboxes.gone(account, box.id, since, upto), upto):
                        yield _event(None, "gone", data)
        boxes = {box.id: box for box in changed}
        step = Step(min(self._of(box).modseq for box in changed), MailboxId(2**62), Uid(0))
        while True:
            steps = await self._mailboxes.behind(account, step, upto, _MOST_AHEAD)
            # Of several that have one number only the last bears it; of what stands at the end here, nobody knows.
            ends = [one.modseq != next_.modseq for one, next_ in pairwise(steps)] + [len(steps) < _MOST_AHEAD]
            told = [
                (each, end)
                for each, end in zip(steps, ends, strict=False)
                if each.mailbox in boxes and each.modseq > self._of(boxes[each.mailbox]).modseq
            ]
            for start in range(0, len(told), SLICE):
                async for event in self._slice(boxes, told[start : start + SLICE]):
                    yield event
            if len(steps) < _MOST_AHEAD:
                break
            step = steps[-1]
        for box in changed:
            self._known[box.id] = self._of(box)._replace(modseq=box.modseq)

    async def _slice(self, boxes: dict[MailboxId, Mailbox], steps: Sequence[tuple[Step, bool]]) -> AsyncIterator[bytes]:
        uids: defaultdict[MailboxId, list[Uid]] = defaultdict(list)
        for step, _ in steps:
            uids[step.mailbox].append(step.uid)
        made: dict[tuple[MailboxId, Uid], tuple[str, dict[str, Any]]] = {}
        for id_, some in uids.items():
            box, first_new = boxes[id_], self._of(boxes[id_]).first_new
            with contextlib.suppress(NoSuchMailbox):
                new = await summaries(self._context.store, box, [uid for uid in some if uid >= first_new])
                for uid, summary in new.items():
                    made[id_, uid] = "arrived", summary.model_dump(mode="json", by_alias=True)
                old = MessageSet.of(uid for uid in some if uid < first_new)
                for message in await self._mailboxes.messages(self._account.id, id_, old) if old else ():
                    made[id_, message.uid] = "flags", _flags(box, message)
        for step, bears in steps:
            if (event := made.pop((step.mailbox, step.uid), None)) is not None:
                self._told = max(self._told, step.modseq if bears else 0)
                yield _event(step.modseq if bears else None, *event)


def _now(boxes: Sequence[Mailbox]) -> ModSeq:
    return max((box.modseq for box in boxes), default=ModSeq(0))


def _flags(box: Mailbox, message: Message) -> dict[str, Any]:
    return {
        "id": emailid(message.content),
        "mailbox": box.name,
        "uid": message.uid,
        "modseq": message.modseq,
        **of_flags(message.flags),
    }


def _gone(box: Mailbox, vanished: MessageSet, modseq: ModSeq) -> Iterator[dict[str, Any]]:
    uids = iter(vanished)
    while some := list(islice(uids, _MOST_GONE)):
        yield {"mailbox": box.name, "uids": some, "modseq": modseq}


def _in_order(told: list[_Told]) -> Iterator[bytes]:
    """As they came. Of several that have one number only the last bears it: who hears of it, has heard of all."""
    ordered = sorted(told, key=itemgetter(0))
    ends = [one.number != next_.number for one, next_ in pairwise(ordered)] + [True]
    for each, last in zip(ordered, ends, strict=False):
        yield _event(each.number if last else None, each.name, each.data)


def _event(number: int | None, name: str, data: dict[str, Any]) -> bytes:
    """One event (HTML Living Standard 9.2.5)."""
    id_ = "" if number is None else f"id: {number}\n"
    return f"{id_}event: {name}\ndata: {json.dumps(data, separators=(',', ':'), ensure_ascii=False)}\n\n".encode()
