"""Which messages a search key holds for: what can be told of all is asked first (`sifting`), and only the rest is read."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Final

from mailsystem.finding.apart import apart
from mailsystem.finding.enveloped import Enveloped
from mailsystem.finding.header import Header
from mailsystem.finding.key import Cost, Key, Known, Text, leaves, scope
from mailsystem.finding.mustering import columns, is_for_the_roll, mustered
from mailsystem.finding.sifting import Sifted, Sifting, Within
from mailsystem.finding.those import NONE, Those
from mailsystem.finding.uids import Uids
from mailsystem.mail.attachment import attachments
from mailsystem.mail.content import Facts, Part
from mailsystem.mail.haystack import Words, at_once, blocks, found_in, pieces
from mailsystem.mail.kept import Columns, Kept
from mailsystem.mail.mailbox import ContentId, MessageSet
from mailsystem.store import Fetched, Want

_CHEAP: Final = 8
"""So many messages of a column are as soon looked at as one row."""
_SKIMMED: Final = (Kept.UID, Kept.PARTS, Kept.HEAD, Kept.REST)
_A_FEW: Final = 8
"""Messages that are read as a whole sooner than skimmed first."""
_NEW: Final = 3.0
_TRIES: Final = 20
_REST: Final = 0.1
"""Seconds: who were the recipients of a message that is newer is asked again, so many times, after a rest."""


class Searching:
    """One search: of the candidates some become hits, some are out, and the rest is looked at more closely."""

    def __init__(self, where: Within, key: Key, *, done: Callable[[int], None] | None = None) -> None:
        """`done` hears each time of how many more messages it is settled whether the key holds."""
        self._where = where
        self._view = where.view
        self._done = done or _nobody
        self._key = key
        self._sifting = Sifting(where, key)
        found = list(leaves(key))
        self._conditions = len(found)
        """Conditions that have to be weighed for each message."""
        self._words = frozenset(leaf.words for leaf in found if isinstance(leaf, Text))
        self._longest = max((len(words.needle) for words in self._words), default=0)
        self._is_of_parts = any(leaf.cost is Cost.PARTS for leaf in found)
        self._asks_recipients = where.recipients is not None and any(
            isinstance(leaf, Enveloped) and not leaf.is_sender for leaf in found
        )
        self._candidates: list[int] = []
        """UIDs, ascending."""
        self._hits: list[int] = []

    async def run(self) -> Sequence[int]:
        """The UIDs of all messages for which the key holds, ascending."""
        view, within = self._view, scope(self._key)
        hits = await self._mustered()
        if hits is not None:
            self._done(view.exists if within is None else view.count(within))
            return hits
        yes, maybe = await self._sifting.run()
        sure = await apart(yes.count(view), lambda: yes.within(view))
        candidates = await apart(maybe.count(view), lambda: maybe.within(view))
        count = view.exists if within is None else view.count(within)
        self._done(count - len(candidates))
        return sorted(sure + await self.settled(candidates))

    async def sifted(self) -> Sifted:
        """What can be told without reading any message. Some that are named may not be in the view."""
        hits = await self._mustered()
        if hits is None:
            return await self._sifting.run()
        return Sifted(await apart(len(hits), lambda: Those(frozenset(hits))), NONE)

    async def settled(self, candidates: list[int]) -> list[int]:
        """Those of these messages (UIDs, ascending) for which the key holds, ascending: each is read as far as that takes."""
        self._hits, self._candidates = [], candidates
        costs = {leaf.cost for leaf in leaves(self._key)}
        parts = Want.FACTS if Cost.PARTS in costs else Want.NONE
        if Cost.MESSAGE in costs:
            await self._closer(Want.NONE, bridge=500)
        if Cost.PARTS in costs:
            await self._closer(parts, bridge=100)
        if Cost.HEADER in costs:
            await self._closer(parts | Want.HEAD, bridge=20)
        if Cost.TEXT in costs:
            await self._skim()
            await self._closer(Want.FACTS | Want.RAW, bridge=8)
        self._hits.sort()
        return self._hits

    async def _mustered(self) -> Sequence[int] | None:
        """What is found out of the roll alone; None where that does not tell all, or is not worth the reading."""
        key, view, where = self._key, self._view, self._where
        if not is_for_the_roll(key):
            return None
        within = scope(key)
        roll = await where.store.mailboxes.roll(
            where.account,
            where.mailbox,
            actor=where.actor,
            about=view.exists if within is None else view.count(within),
        )
        if roll is None:
            return None
        of, same = columns(roll, key), roll.uids == view.uids

        def work() -> Sequence[int]:
            hits = mustered(of, key, view.is_recent)
            return hits if same else Those(frozenset(hits)).within(view)

        return await apart(len(of.uids) // _CHEAP, work)

    async def _closer(self, want: Want, *, bridge: int) -> None:
        """Read what `want` says of the candidates and settle those for which that is enough."""
        if not self._candidates:
            return
        where, among = self._where, self._candidates
        candidates = frozenset(among)
        uids = await apart(len(among), lambda: _ranges(self._view, among, bridge))
        self._candidates = []
        async for read in where.store.mailboxes.fetch(where.account, where.mailbox, uids, want, actor=where.actor):
            slice_ = [each for each in read if each.message.uid in candidates]
            if want is Want.NONE:
                weigh = partial(self._weighed, slice_, want, {})
                self._settle(await apart(len(slice_) * self._conditions, weigh))
            else:
                sent_to = (
                    await self._recipients(slice_) if self._asks_recipients and want & (Want.HEAD | Want.RAW) else {}
                )
                # To decode and fold takes its time, and the loop serves others meanwhile.
                self._settle(await asyncio.to_thread(self._weighed, slice_, want, sent_to))
                if want & Want.RAW:
                    for each in slice_:
                        if each.raw is None and each.facts is not None:
                            self._settle([(each.message.uid, await self._weigh_file(each, each.facts, sent_to))])

    async def _skim(self) -> None:
        """Settle those candidates of which octets that lie in the database tell enough as they are: of a phrase of frequent
        words the index leaves most, and most of those do not have it."""
        if len(self._candidates) < _A_FEW or not self._words:
            return
        where, among = self._where, self._candidates
        candidates = frozenset(among)
        uids = await apart(len(among), lambda: _ranges(self._view, among, 8))

        def looked(columns: Columns) -> list[tuple[int, bool]]:
            rows = zip(*(columns[thing] for thing in _SKIMMED), strict=True)
            verdicts = ((uid, self._skimmed(uid, *row)) for uid, *row in rows if uid in candidates)
            return [(uid, verdict) for uid, verdict in verdicts if verdict is not None]

        settled: dict[int, bool] = {}
        reading = where.store.fetching.made(
            where.account, where.mailbox, uids, _SKIMMED, looked, actor=where.actor, about=len(among)
        )
        async for some in reading:
            settled.update(some)
        self._candidates = [uid for uid in among if uid not in settled]
        self._settle(settled.items())

    def _skimmed(self, uid: int, parts: bytes, head: bytes | None, rest: bytes | None) -> bool | None:
        if head is None or rest is None:
            return None
        at_first = at_once(self._words, parts, head + rest)
        if not at_first:
            return None

        def told(key: Key, uid: int) -> bool | None:
            if isinstance(key, Text) and (there := at_first.get(key.words)) is not None:
                return there
            return self._sifting.told(key, uid)

        return self._key.holds(Known(uid, self._view.is_recent(uid), told=told))

    async def _recipients(self, slice_: Sequence[Fetched]) -> Mapping[ContentId, Sequence[str]]:
        """To whom these were sent, as far as that is known."""
        ask, clock = self._where.recipients, self._where.store.clock
        if ask is None:
            return {}
        known = dict(await ask([each.message.content for each in slice_]))
        now = clock.now()
        # It is told right after a message is on disk, in another process perhaps, and of one that somebody put here never.
        new = [
            each.message.content
            for each in slice_
            if 0 <= now - each.message.savedate < _NEW
            and each.message.content not in known
            and each.head is not None
            and (header := Header(each.head)).sender() is not None
            and not header.recipient()
        ]
        for _ in range(_TRIES):
            if not new:
                break
            await asyncio.sleep(_REST)
            known |= await ask(new)
            new = [content for content in new if content not in known]
        return known

    def _settle(self, verdicts: Iterable[tuple[int, bool | None]]) -> None:
        for uid, verdict in verdicts:
            if verdict:
                self._hits.append(uid)
            elif verdict is None:
                self._candidates.append(uid)
            if verdict is not None:
                self._done(1)

    def _weighed(
        self, slice_: Sequence[Fetched], want: Want, sent_to: Mapping[ContentId, Sequence[str]]
    ) -> list[tuple[int, bool | None]]:
        """What the key says of these, each seen with all that was read of it; texts in files are left out."""
        verdicts: list[tuple[int, bool | None]] = []
        for fetched in slice_:
            found = None
            if fetched.facts is not None and want & Want.RAW:
                if fetched.raw is None:
                    continue
                told = at_once(self._words, fetched.facts.parts, fetched.raw)
                found = {words for words, there in told.items() if there}
                if len(told) < len(self._words):
                    cut = pieces(Part.load(fetched.facts.parts), self._longest)
                    found |= found_in(self._words - told.keys(), cut, fetched.raw, 0)
            verdicts.append((fetched.message.uid, self._verdict(fetched, found, sent_to)))
        return verdicts

    def _verdict(
        self, fetched: Fetched, found: set[Words] | None, sent_to: Mapping[ContentId, Sequence[str]]
    ) -> bool | None:
        uid = fetched.message.uid
        header = Header(fetched.head) if fetched.head is not None else None
        attached = attachments(fetched.facts) if self._is_of_parts and fetched.facts is not None else None
        recipients = sent_to.get(fetched.message.content)
        return self._key.holds(
            Known(
                uid, self._view.is_recent(uid), fetched.message, header, found, self._sifting.told, attached, recipients
            )
        )

    async def _weigh_file(
        self, fetched: Fetched, facts: Facts, sent_to: Mapping[ContentId, Sequence[str]]
    ) -> bool | None:
        """As `_weighed`, for one message that is too large to be read at once."""
        root = await asyncio.to_thread(Part.load, facts.parts)
        found: set[Words] = set()
        for block in blocks(pieces(root, self._longest)):
            missing = self._words - found
            if not missing:
                break
            start = block[0].start
            octets = await self._where.store.contents.read(fetched.message.content, start, block[-1].end)
            found |= await asyncio.to_thread(found_in, missing, block, octets, start)
        return self._verdict(fetched, found, sent_to)


def _nobody(count: int) -> None:
    """Nobody wants to hear how far it is."""


def _ranges(view: Uids, candidates: Sequence[int], bridge: int) -> MessageSet:
    """Ascending UIDs as few ranges: up to `bridge` messages between two are taken in, for a range costs more to read."""
    uids = view.uids
    if len(candidates) == len(uids):
        return MessageSet(((candidates[0], candidates[-1]),))
    ranges: list[tuple[int, int]] = []
    first = last = candidates[0]
    at = bisect_left(uids, first)
    for uid in candidates[1:]:
        before, at = at, bisect_left(uids, uid, at + 1, min(at + 2, len(uids)))
        if at >= len(uids) or uids[at] != uid:
            at = bisect_left(uids, uid, before + 1)
        if at - before > bridge + 1:
            ranges.append((first, last))
            first = uid
        last = uid
    ranges.append((first, last))
    return MessageSet(tuple(ranges))
