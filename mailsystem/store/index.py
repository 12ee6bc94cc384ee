"""The index of what messages say: built behind the delivery, never in its way, and never needed to be right.

Whoever looks learns of which contents the index knows; all others must be read. So it may lag, be thrown away and be built
anew at any time, and need not reach the disk before anybody is answered.
"""

from __future__ import annotations

import asyncio
import secrets
from array import array
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, compress
from typing import Final, NamedTuple

from mailsystem.mail.clock import Clock
from mailsystem.mail.errors import Unavailable
from mailsystem.mail.haystack import blocks, pieces
from mailsystem.mail.mailbox import AccountId, ContentId, MailboxId
from mailsystem.mail.part import Part
from mailsystem.mail.preview import REACH, preview_of
from mailsystem.mail.terms import LONGEST, Gathered, Probe
from mailsystem.store import indexing, looking, rights
from mailsystem.store.contents import WHOLE, Contents
from mailsystem.store.database import Database, Row
from mailsystem.store.indexing import Batch, Counted, Overtaken, Waiting
from mailsystem.store.listed import Listed
from mailsystem.store.merging import renew, sweep
from mailsystem.store.shelves import SORTED, Shelf, breathe, pile_up, shelve, to_merge
from mailsystem.telemetry import Trace

_BATCH: Final = 512
_BATCH_OCTETS: Final = 2 << 20
_QUIET: Final = 1.0
"""Seconds without news before they are indexed: while mail comes in nothing shall be in its way."""
_LATEST: Final = 15.0
"""Seconds of unceasing news after which they are indexed nevertheless, at leisure."""
_LEISURE: Final = 4
"""While others are at work we rest so many times as long as we worked."""
_TURN: Final = 30.0
"""Seconds for which one process has the work to itself; it ends by itself, should the process die."""
_TIDY_EVERY: Final = 3600.0
_REMEMBERED: Final = 8
_A_FEW: Final = 8
"""Messages that are read before others have a turn."""
_FEW: Final = 500
"""Messages about which so little is to be done that no thread is asked for it."""
_MANY: Final = 1 << 32
_TOO_MANY: Final = 200
"""Messages to read in one search: then they are indexed at once."""
_SHELVES: Final = 32
"""Shelves that are looked at in one go."""

_Kinds = list[set[bytes]]


@dataclass(frozen=True, slots=True)
class Told:
    """What the index says about a mailbox."""

    found: Mapping[Probe, Set[int]]
    """UIDs of messages in which no clue of the probe is missing."""
    unknown: Set[int]
    """UIDs of messages of which it says nothing."""


@dataclass(frozen=True, slots=True)
class Glance:
    """What the shelves of an account say, whatever mailbox the messages are in."""

    found: Mapping[Probe, Set[int]]
    """Contents in which no clue of the probe is missing."""
    shelves: frozenset[int]
    """Those that were looked at."""


class _Known(NamedTuple):
    """What was worked out for a mailbox, and stays true of these shelves and up to this message."""

    shelves: frozenset[int]
    last: int
    upto: int
    """The newest content that lies on one of them."""
    unknown: Mapping[int, int]
    """UIDs and contents of those that lie on none."""


class Index:
    """Looks into the index, and keeps it up to date."""

    def __init__(self, database: Database, contents: Contents, *, clock: Clock) -> None:
        self._database = database
        self._contents = contents
        self._clock = clock
        self._holder = secrets.token_hex(8)
        self._held_until = 0.0
        self._asked = asyncio.Event()
        self._known: OrderedDict[tuple[AccountId, MailboxId], _Known] = OrderedDict()
        self._of_mailbox: OrderedDict[tuple[AccountId, MailboxId], Listed] = OrderedDict()

    # -- looking

    async def look(
        self,
        account: AccountId,
        mailbox: MailboxId,
        probes: Sequence[Probe],
        *,
        actor: AccountId | None = None,
        glance: Glance | None = None,
    ) -> Told:
        """What is known of a mailbox, each shelf as it is when we come to it; some UIDs may have been expunged.

        With a `glance`, which knows all the `probes`, as it was at that time: what came since is unknown. `actor` is who asks,
        if that is not the owner. Raises as `Mailboxes.fetch` does.
        """
        listed = await self._contents_of(account, mailbox, actor)
        glance = glance or await self.glance(account, probes)
        found = {probe: glance.found[probe] for probe in probes}
        unknown = await self._unknown(account, mailbox, glance.shelves, listed)
        if len(unknown) >= _TOO_MANY:
            self._asked.set()
        every = set().union(*found.values())
        if len(every) * 8 < len(listed.uids):
            # What these are in other mailboxes, or for other people who got the same, nobody asks.
            uids_of = {content: listed.having(content) for content in every}
            return Told(
                {probe: {uid for content in contents for uid in uids_of[content]} for probe, contents in found.items()},
                unknown,
            )

        def apart() -> dict[Probe, Set[int]]:
            return {
                probe: set(compress(listed.uids, map(contents.__contains__, listed.contents)))
                for probe, contents in found.items()
            }

        return Told(await asyncio.to_thread(apart) if len(listed.uids) > _FEW else apart(), unknown)

    async def glance(self, account: AccountId, probes: Sequence[Probe]) -> Glance:
        """What all shelves of an account say, each as it is when we come to it."""
        found: dict[Probe, set[int]] = {probe: set() for probe in probes}
        seen: set[int] = set()
        # A shelf may be merged into another one before we come to it: then that one is looked at, too.
        for _ in range(3):
            there = await self._database.read(indexing.counts([account]), brief=True)
            ids = [shelf for _, shelf, _, _ in there if shelf not in seen]
            if not ids:
                break
            for at in range(0, len(ids), _SHELVES):
                unit = looking.look(account, ids[at : at + _SHELVES], list(found))
                looked = await self._database.read(unit)
                seen.update(looked.shelves)
                for probe, contents in zip(found, looked.found, strict=True):
                    found[probe].update(contents)
        return Glance(found, frozenset(seen))

    async def _unknown(
        self, account: AccountId, mailbox: MailboxId, shelves: frozenset[int], listed: Listed
    ) -> Set[int]:
        """UIDs of messages that are on none of these shelves."""
        last = listed.uids[-1] if listed.uids else 0
        known = self._known.get((account, mailbox))
        if known is None or known[:2] != (shelves, last):
            after = bisect_right(listed.uids, known.last) if known is not None else 0
            came = listed.contents[after:]
            if known is not None and known.shelves <= shelves and (not came or min(came) > known.upto):
                # What was known is known still, and nothing came that may lie on a shelf since long.
                more, upto, asked = shelves - known.shelves, known.upto, known.unknown
            else:
                more, upto, asked, after, came = shelves, 0, {}, 0, listed.contents
            covered: Set[int] = set()
            if more:
                covered = await self._database.read(looking.covered(account, sorted(more)))

            def apart() -> _Known:
                beyond = chain(asked.items(), zip(listed.uids[after:], came, strict=True))
                unknown = {uid: content for uid, content in beyond if content not in covered}
                return _Known(shelves, last, max(upto, max(covered, default=0)), unknown)

            many = len(asked) + len(came) + len(covered) > _FEW
            known = self._known[account, mailbox] = await asyncio.to_thread(apart) if many else apart()
            self._known.move_to_end((account, mailbox))
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        return known.unknown.keys()

    async def _contents_of(self, account: AccountId, mailbox: MailboxId, actor: AccountId | None) -> Listed:
        # A message never changes its content, so only those beyond the last one are new.
        listed = self._of_mailbox.get((account, mailbox), Listed(array("I"), array("Q")))
        uids = listed.uids
        rows: Sequence[Row] = ()
        for most in (_FEW, _MANY) if uids else (_MANY,):
            # Whoever searches again finds few that are new.
            unit = looking.contents_of(account, mailbox, uids[-1] if uids else 0, most)
            rows = await self._database.read(rights.within(actor, account, mailbox, "r", unit), brief=most == _FEW)
            if len(rows) < most:
                break
        if rows:
            listed = await asyncio.to_thread(listed.and_more, rows) if len(rows) > _FEW else listed.and_more(rows)
        self._of_mailbox[account, mailbox] = listed
        self._of_mailbox.move_to_end((account, mailbox))
        if len(self._of_mailbox) > _REMEMBERED:
            self._of_mailbox.popitem(last=False)
        return listed

    # -- building

    async def keep(self, trace: Trace) -> None:
        """Follow the bell and index what is new, for as long as the store is open."""
        bell, loop, tidied = self._database.bell, asyncio.get_running_loop(), self._clock.now()
        while True:
            heard, rest = bell.rung, 0.0
            try:
                while await self._is_ours():
                    before, began = bell.rung, loop.time()
                    if not await self.step():
                        break
                    # Those who only read ring no bell: they get as much of the processor as we do.
                    await self._rest((loop.time() - began) * (_LEISURE if bell.rung > before + 2 else 1))
                self._asked.clear()
                if await self._database.read(indexing.is_behind()):
                    # It is another's turn; perhaps that one has died.
                    heard, rest = bell.rung - 1, _TURN / 6
                if self._clock.now() - tidied > _TIDY_EVERY and await self._is_ours(work=True):
                    tidied = self._clock.now()
                    await self.tidy()
            except (Unavailable, OSError) as error:
                trace.event("store failed", what="index", reason=str(error))
                heard, rest = bell.rung - 1, _TURN
            with suppress(TimeoutError):
                async with asyncio.timeout(_TIDY_EVERY):
                    await bell.wait(heard)
            await asyncio.sleep(rest)
            await self._settle()

    async def _settle(self) -> None:
        """Wait until there is no more news for a moment, but not for ever."""
        bell, loop = self._database.bell, asyncio.get_running_loop()
        until = loop.time() + _LATEST
        quiet = -1
        while quiet != bell.rung and loop.time() < until and not self._asked.is_set():
            quiet = bell.rung
            await self._rest(_QUIET)

    async def _rest(self, seconds: float) -> None:
        """Sleep, but not while somebody searches what is not indexed: each search would have to read it."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._asked.wait()

    async def release(self) -> None:
        """Let another process have its turn at once."""
        if self._held_until > self._clock.now():
            with suppress(Unavailable):
                await self._database.write(indexing.claim(self._holder, 0.0, 0.0), durable=False)

    async def _is_ours(self, *, work: bool = False) -> bool:
        """Whether there is something to do and it is our turn to do it."""
        if not work and not await self._database.read(indexing.is_behind()):
            return False
        now = self._clock.now()
        if now > self._held_until - _TURN / 2:
            unit = indexing.claim(self._holder, now, now + _TURN)
            if not await self._database.write(unit, durable=False, patient=True):
                return False
            self._held_until = now + _TURN
        return True

    async def catch_up(self) -> int:
        """Index all there is; returns how many contents were looked at."""
        count = 0
        while done := await self.step():
            count += done
        return count

    async def step(self) -> int:
        """Index the next few contents; returns how many, 0 when all is done."""
        batch = await self._database.read(indexing.next_batch(_BATCH, _BATCH_OCTETS))
        if batch is None:
            return 0
        with suppress(Overtaken):
            await self._index(batch)
        return max(len(batch.waiting), 1)

    async def _index(self, batch: Batch) -> None:
        read: dict[ContentId, _Kinds | None] = {}
        previews: dict[ContentId, str] = {}
        # What cannot be read now is left to whoever searches.
        small: list[Waiting] = []
        large: list[Waiting] = []
        for one in batch.waiting:
            if one.raw is None and one.size <= WHOLE:
                with suppress(Unavailable):
                    small.append(one._replace(raw=await self._contents.read(one.id)))
            else:
                (small if one.raw is not None else large).append(one)
        for content, kinds, preview in await asyncio.to_thread(_read_all, small):
            read[content], previews[content] = kinds, preview
        for one in large:
            with suppress(Unavailable):
                read[one.id], previews[one.id] = await self._read_file(one)
        shelves = await asyncio.to_thread(_shelves, batch.holders, read)
        weight = sum(shelf.octets for _, shelf in shelves)
        await self._database.write(
            indexing.put_up(batch, shelves, previews), weight=weight, durable=False, patient=True
        )
        await self._merge(list(dict.fromkeys(account for account, _ in shelves)))

    async def _read_file(self, one: Waiting) -> tuple[_Kinds | None, str]:
        """As `_read`, for a message that is too large to be read at once."""
        root = await asyncio.to_thread(Part.load, one.parts)
        gathered = Gathered(root)
        for block in blocks(pieces(root, LONGEST)):
            start = block[0].start
            octets = await self._contents.read(one.id, start, block[-1].end)
            for piece in block:
                await asyncio.to_thread(gathered.add, piece, octets[piece.start - start : piece.end - start])
            if gathered.too_many:
                break
        beginning = await self._contents.read(one.id, 0, REACH)
        return await asyncio.to_thread(gathered.kinds), await asyncio.to_thread(preview_of, root, beginning)

    async def _merge(self, accounts: Sequence[AccountId]) -> None:
        """Make one large shelf of many small ones, where there are as many."""
        while accounts:
            per_account: dict[AccountId, list[tuple[int, int, bool]]] = {}
            for account, shelf, messages, in_pile in await self._database.read(indexing.crowded(accounts)):
                per_account.setdefault(AccountId(account), []).append((shelf, messages, bool(in_pile)))
            chosen = {account: ids for account, counts in per_account.items() if (ids := to_merge(counts))}
            for account, ids in chosen.items():
                await renew(self._database, account, ids)
            accounts = list(chosen)

    # -- keeping house

    async def tidy(self) -> None:
        """Take what has left an account's mail off its shelves, and index what came there when it was not new any more.

        A shelf is made anew when much has left it, and otherwise once a day. What a merging has left behind that did not come
        to its end is removed.
        """
        for account, shelf in await self._database.read(indexing.remnants()):
            await sweep(self._database, account, [shelf])
        hour = int(self._clock.now() / 3600) % 24
        for account in await self._database.read(indexing.accounts()):
            for shelf, messages, gone in await self._database.read(indexing.stale(account)):
                if gone * 16 >= messages or shelf % 24 == hour:
                    with suppress(Overtaken):
                        await renew(self._database, account, [shelf])
            with suppress(Overtaken):
                while batch := await self._database.read(indexing.forgotten(account, _BATCH)):
                    await self._index(batch)

    async def rebuild(self) -> None:
        """Forget everything, so that it is read anew."""
        await self._database.write(indexing.clear())

    async def counted(self) -> Counted:
        """How far it is."""
        return await self._database.read(indexing.counted())


def _read_all(waiting: Sequence[Waiting]) -> list[tuple[ContentId, _Kinds | None, str]]:
    found = []
    for number, one in enumerate(waiting, 1):
        found.append(_read(one, one.raw or b""))
        if not number % _A_FEW:
            breathe()
    return found


def _read(one: Waiting, raw: bytes) -> tuple[ContentId, _Kinds | None, str]:
    root = Part.load(one.parts)
    gathered = Gathered(root)
    for piece in pieces(root, LONGEST):
        gathered.add(piece, raw[piece.start : piece.end])
    return one.id, gathered.kinds(), preview_of(root, raw[:REACH])


def _shelves(
    holders: Sequence[tuple[AccountId, ContentId]], read: Mapping[ContentId, _Kinds | None]
) -> list[tuple[AccountId, Shelf]]:
    """A shelf for each account; those who got the same mail get the same one."""
    of_account: dict[AccountId, list[ContentId]] = {}
    for account, content in holders:
        of_account.setdefault(account, []).append(content)
    made: dict[tuple[ContentId, ...], Shelf] = {}
    shelves: list[tuple[AccountId, Shelf]] = []
    for account, contents in of_account.items():
        same = tuple(contents)
        if same not in made:
            of_these = [(content, read.get(content)) for content in contents]
            made[same] = shelve(of_these) if len(of_these) >= SORTED // 2 else pile_up(of_these)
        shelves.append((account, made[same]))
    return shelves
