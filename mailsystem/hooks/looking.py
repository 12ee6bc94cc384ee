"""What is new to a webhook: found by looking behind its marks, and noted in the order in which it came."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import islice
from typing import Final

from mailsystem.finding.finder import Finder
from mailsystem.mail.errors import NoSuchMailbox
from mailsystem.mail.mailbox import ContentId, Mailbox, MailboxId, Message, MessageSet, ModSeq, Uid
from mailsystem.mail.query import parse
from mailsystem.mail.webhook import ARRIVED, FLAGS, GONE
from mailsystem.store import Mark, News, Step, Store, Webhook

MOST_WAITING: Final = 100_000
"""Deliveries of one hook that wait; beyond these it is looked no further, until some have gone."""
PORTION: Final = 500
"""Messages that are looked at together."""
_MOST_GONE: Final = 1000
"""UIDs that are told at once."""


async def note(store: Store, finder: Finder, hook: Webhook, *, lifetime: float) -> None:
    """Note what came to pass since this was done last. Raises `MailError`."""
    if await store.webhooks.waiting(hook.number) >= MOST_WAITING:
        return
    marks = await store.webhooks.marks(hook.number)
    for box in await store.mailboxes.list(hook.account):
        mark = marks.get(box.id)
        has_changed = mark is None or (mark.modseq < box.modseq and not {FLAGS, GONE}.isdisjoint(hook.events))
        if mark is None or has_changed or mark.uid < box.uidnext - 1:
            try:
                await _Looking(store, finder, hook, box, mark, lifetime).note()
            except NoSuchMailbox:
                continue  # it went a moment ago


class _Looking:
    """At one mailbox."""

    def __init__(
        self, store: Store, finder: Finder, hook: Webhook, box: Mailbox, mark: Mark | None, lifetime: float
    ) -> None:
        self._store = store
        self._finder = finder
        self._hook = hook
        self._box = box
        self._mark = mark
        self._lifetime = lifetime

    async def note(self) -> None:
        # Changes first: what came after the mark is news as a whole, with whatever flags it has by now.
        modseq = await self._changes()
        if modseq is not None:
            await self._arrivals(modseq)

    async def _move(self, mark: Mark, news: Sequence[News]) -> bool:
        if mark == self._mark:
            return True
        number, box = self._hook.number, self._box.id
        moved = await self._store.webhooks.note(number, box, self._mark, mark, news, lifetime=self._lifetime)
        self._mark = mark
        return moved

    async def _changes(self) -> ModSeq | None:
        """Note what became of messages that were there before; returns up to where, or None where somebody else does."""
        mark, wanted = self._mark, set(self._hook.events)
        if mark is None or not wanted & {FLAGS, GONE} or mark.modseq >= self._box.modseq:
            return self._box.modseq
        account, id_ = self._hook.account, self._box.id
        few = await self._store.mailboxes.few_changes(account, id_, mark.modseq)
        upto = self._box.modseq if few is None else few.modseq
        if FLAGS in wanted:
            async for portion in self._few(mark, few.messages) if few is not None else self._many(mark, upto):
                # A mark is a ModSeq, so what has one in common is noted together.
                if not await self._move(Mark(portion[-1].modseq, mark.uid), await self._flags(portion)):
                    return None
        news: list[News] = []
        if GONE in wanted:
            vanished = (
                await self._store.mailboxes.gone(account, id_, mark.modseq, upto) if few is None else few.vanished
            )
            gone = islice((uid for uid in vanished if uid <= mark.uid), 1_000_000)
            news = [self._news(GONE, upto, Uid(uids[-1]), ContentId(0), uids=uids) for uids in _thousands(gone)]
        return upto if await self._move(Mark(upto, mark.uid), news) else None

    async def _few(self, mark: Mark, messages: Sequence[Message]) -> AsyncIterator[list[Message]]:
        """What has changed of what was there before, in the order of the changes."""
        if changed := [message for message in messages if message.uid <= mark.uid]:
            yield sorted(changed, key=lambda message: (message.modseq, message.uid))

    async def _many(self, mark: Mark, upto: ModSeq) -> AsyncIterator[list[Message]]:
        """The same, some at a time, those of one ModSeq never apart."""
        store, account, id_ = self._store.mailboxes, self._hook.account, self._box.id
        step = Step(mark.modseq, MailboxId(1 << 62), Uid(0))
        portion: list[Message] = []
        while True:
            steps = await store.behind(account, step, upto, PORTION, mailbox=id_)
            old = MessageSet.of(each.uid for each in steps if each.uid <= mark.uid)
            there = {message.uid: message for message in await store.messages(account, id_, old)} if old else {}
            for step in steps:
                # What was changed again since then comes with that.
                if (message := there.get(step.uid)) is not None and message.modseq == step.modseq:
                    if len(portion) >= PORTION and portion[-1].modseq != message.modseq:
                        yield portion
                        portion = []
                    portion.append(message)
            if len(steps) < PORTION:
                break
        if portion:
            yield portion

    async def _flags(self, portion: Sequence[Message]) -> list[News]:
        meant = {message.uid for message in await self._meant(MessageSet.of(one.uid for one in portion))}
        return [
            self._news(FLAGS, one.modseq, one.uid, one.content, flags=sorted(one.flags))
            for one in portion
            if one.uid in meant
        ]

    async def _arrivals(self, modseq: ModSeq) -> None:
        """Note what has come, and move the mark there."""
        first, last = (self._mark.uid if self._mark is not None else 0) + 1, self._box.uidnext - 1
        if ARRIVED not in self._hook.events or first > last:
            await self._move(Mark(modseq, Uid(last)), [])
            return
        while first <= last:
            upto = min(last, first + PORTION - 1)
            news = [
                self._news(
                    ARRIVED,
                    one.modseq,
                    one.uid,
                    one.content,
                    flags=sorted(one.flags),
                    size=one.size,
                    received=one.internaldate,
                )
                for one in await self._meant(MessageSet(((first, upto),)))
            ]
            if not await self._move(Mark(modseq, Uid(upto)), news):
                return
            first = upto + 1

    async def _meant(self, uids: MessageSet) -> Sequence[Message]:
        query = parse(self._hook.query, now=self._store.clock.now())
        return await self._finder.matching(self._hook.account, self._box.id, query, uids)

    def _news(self, kind: str, modseq: ModSeq, uid: Uid, content: ContentId, **detail: object) -> News:
        return News(kind, self._box, modseq, uid, content, json.dumps(detail))


def _thousands(uids: Iterator[int]) -> Iterator[list[int]]:
    while some := list(islice(uids, _MOST_GONE)):
        yield some
