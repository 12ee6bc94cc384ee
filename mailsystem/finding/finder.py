"""Finding the newest messages of an account for which a query holds, page by page."""

from __future__ import annotations

import heapq
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final, NamedTuple

from mailsystem.finding.apart import apart
from mailsystem.finding.asking import EVERYTHING, NOTHING, key_of
from mailsystem.finding.cursor import Cursor, Place, cursor_at, place_of
from mailsystem.finding.key import Key, Known
from mailsystem.finding.orders import Order, Orders
from mailsystem.finding.searching import Searching
from mailsystem.finding.sifting import Glances, Recipients, Sifted, Within
from mailsystem.finding.those import ALL, NONE, Those
from mailsystem.finding.uids import Uids
from mailsystem.mail.errors import NoSuchMailbox
from mailsystem.mail.mailbox import AccountId, Mailbox, MailboxId, Message, MessageSet
from mailsystem.mail.query import Query
from mailsystem.store import Store

_SPARSE: Final = 8
"""Where one message of so many is in question, those are put in order; otherwise all are gone through."""
_PORTION: Final = 1000
"""Messages of which it is seen at once whether they are meant."""


class Hit(NamedTuple):
    """A message that was found, as it is now, and the mailbox it is in."""

    mailbox: Mailbox
    message: Message


@dataclass(frozen=True, slots=True)
class Found:
    """A page."""

    messages: Sequence[Hit]
    """The newest first."""
    next: Cursor | None
    """Where the next page begins; None where this is the last one."""
    total: int | None
    """How many there are on all pages, where that is known without reading them."""


class _Entry(NamedTuple):
    place: Place
    source: _Source
    is_sure: bool


class _Source:
    """One mailbox: the messages that are meant or may be, by the time at which they came."""

    def __init__(
        self,
        mailbox: Mailbox,
        key: Key,
        searching: Searching,
        view: Uids,
        dates: array[float],
        order: Order,
        sifted: Sifted,
        total: int | None,
    ) -> None:
        self.mailbox = mailbox
        self.key = key
        self.searching = searching
        self._view = view
        self._dates = dates
        self._order = order
        """Of those that may be meant, if they are few, else of all."""
        self._sifted = sifted
        self.total = total
        """How many are meant, if that is known."""

    def backwards(self, before: Place | None) -> Iterator[_Entry]:
        """Those that may be meant, from the newest on, or from the first one that stands behind that place."""
        yes, may_be = self._sifted.yes, self._sifted.either
        at = len(self._order) if before is None else bisect_left(self._order, before, key=self._place)
        while at:
            at -= 1
            place = self._place(self._order[at])
            if (place.uid in may_be.uids) is not may_be.but:
                yield _Entry(place, self, (place.uid in yes.uids) is not yes.but)

    def _place(self, at: int) -> Place:
        return Place(self._dates[at], self.mailbox.id, self._view.uids[at])


class Finder:
    """Answers queries about the mail of one store; it may be shared by everybody who asks."""

    def __init__(self, store: Store, recipients: Recipients | None = None) -> None:
        """`recipients` tells to whom messages were sent, where everybody who asks may know that: also of blind copies. Without
        it `envelope-to:` finds what was sent to one alone, as the message itself tells."""
        self._store = store
        self._recipients = recipients
        self._orders = Orders()

    async def find(
        self,
        account: AccountId,
        query: Query,
        *,
        mailboxes: Sequence[MailboxId] | None = None,
        before: Cursor | None = None,
        limit: int,
        actor: AccountId | None = None,
    ) -> Found:
        """The newest messages for which the query holds, at most `limit`: of all mailboxes of the account, or of these.

        `before` is where an earlier page ended. Messages that come or go between two pages neither move others onto a page
        twice nor hide them. As much is read as this page takes. `actor` is who asks, if that is not the owner.

        Raises `NoSuchMailbox` where one of `mailboxes` is not there, and `SyntaxFault` for a bad cursor.
        """
        place = None if before is None else place_of(before)
        keys = {mailbox: key_of(query, mailbox.shown) for mailbox in await self._mailboxes(account, mailboxes)}
        keys = {mailbox: key for mailbox, key in keys.items() if key != NOTHING}
        glances = Glances(self._store.index, account, keys.values())
        sources: list[_Source] = []
        for mailbox, key in keys.items():
            try:
                sources.append(await self._source(mailbox, key, actor or account, glances))
            except NoSuchMailbox:
                if mailboxes is not None:
                    raise
                # It went a moment ago, with all its mail.
        entries = heapq.merge(*(source.backwards(place) for source in sources), reverse=True, key=_place_of)
        hits: list[_Entry] = []
        portion = limit + 1
        while len(hits) <= limit:
            some = list(islice(entries, portion))
            if not some:
                break
            hits += await _settled(some)
            portion = min(portion * 2, max(_PORTION, limit + 1))
        page = hits[:limit]
        next_ = cursor_at(page[-1].place) if page and len(hits) > limit else None
        total = _sum([source.total for source in sources])
        if total is None and before is None and len(hits) <= limit:
            total = len(hits)
        return Found(await self._read(page, actor or account), next_, total)

    async def matching(
        self,
        account: AccountId,
        mailbox: MailboxId,
        query: Query,
        uids: MessageSet,
        *,
        actor: AccountId | None = None,
    ) -> Sequence[Message]:
        """Those of these messages for which the query holds, by ascending UID: for whoever waits for one to come.

        Only these are looked at, so that it costs the same in a mailbox of any size. Raises `NoSuchMailbox`.
        """
        [where] = await self._mailboxes(account, [mailbox])
        key = key_of(query, where.shown)
        if key == NOTHING:
            return []
        store = self._store.mailboxes
        messages = {message.uid: message for message in await store.messages(account, mailbox, uids, actor=actor)}
        verdicts = {uid: key.holds(Known(uid, message=message)) for uid, message in messages.items()}
        unsure = sorted(uid for uid, verdict in verdicts.items() if verdict is None)
        if unsure:
            view = Uids(messages)
            within = Within(self._store, account, mailbox, view, actor or account, recipients=self._recipients)
            settled = frozenset(await Searching(within, key).settled(list(unsure)))
            verdicts.update((uid, uid in settled) for uid in unsure)
        return [message for uid, message in messages.items() if verdicts[uid]]

    async def _mailboxes(self, account: AccountId, ids: Sequence[MailboxId] | None) -> Sequence[Mailbox]:
        own = await self._store.mailboxes.list(account)
        if ids is None:
            return own
        known = {mailbox.id: mailbox for mailbox in own}
        try:
            return [known[id_] for id_ in dict.fromkeys(ids)]
        except KeyError:
            raise NoSuchMailbox from None

    async def _source(self, mailbox: Mailbox, key: Key, actor: AccountId, glances: Glances) -> _Source:
        roll = await self._store.mailboxes.roll(mailbox.account, mailbox.id, actor=actor)
        if roll is None:
            raise NoSuchMailbox
        # The roll moves on while we wait.
        view, dates = Uids(roll.lent()), roll.dates[:]
        where = Within(self._store, mailbox.account, mailbox.id, view, actor, glances, self._recipients)
        searching = Searching(where, key)
        sifted = Sifted(ALL, NONE) if key == EVERYTHING else await searching.sifted()
        may_be = sifted.either
        if may_be.but or len(may_be.uids) * _SPARSE > view.exists:
            order = await self._orders.of(mailbox.account, mailbox.id, view.uids, dates)
        else:
            order = await apart(len(may_be.uids), lambda: _few_in_order(may_be, view, dates))
        total = None if sifted.maybe else await apart(len(sifted.yes.uids), lambda: _count(sifted.yes, view))
        return _Source(mailbox, key, searching, view, dates, order, sifted, total)

    async def _read(self, page: Sequence[_Entry], actor: AccountId) -> Sequence[Hit]:
        """The messages as they are now; what has gone meanwhile, or become another than was asked for, is left out."""
        store = self._store.mailboxes
        hits: dict[Place, Hit] = {}
        for source in dict.fromkeys(entry.source for entry in page):
            mailbox = source.mailbox
            uids = MessageSet.of(entry.place.uid for entry in page if entry.source is source)
            try:
                messages = await store.messages(mailbox.account, mailbox.id, uids, actor=actor)
            except NoSuchMailbox:
                continue
            for message in messages:
                if source.key.holds(Known(message.uid, message=message)) is not False:
                    hits[Place(message.internaldate, mailbox.id, message.uid)] = Hit(mailbox, message)
        return [hits[entry.place] for entry in page if entry.place in hits]


async def _settled(entries: Sequence[_Entry]) -> list[_Entry]:
    """Those of the entries that are meant, in the same order."""
    unsure: dict[_Source, list[int]] = {}
    for entry in entries:
        if not entry.is_sure:
            unsure.setdefault(entry.source, []).append(entry.place.uid)
    settled = {source: frozenset(await source.searching.settled(sorted(uids))) for source, uids in unsure.items()}
    return [entry for entry in entries if entry.is_sure or entry.place.uid in settled[entry.source]]


def _few_in_order(these: Those, view: Uids, dates: array[float]) -> Order:
    places = [at - 1 for uid in these.uids if (at := view.number(uid))]
    places.sort()
    places.sort(key=dates.__getitem__)
    return places


def _count(these: Those, view: Uids) -> int:
    there = len(Those(these.uids).within(view))
    return view.exists - there if these.but else there


def _sum(totals: Sequence[int | None]) -> int | None:
    known = [total for total in totals if total is not None]
    return sum(known) if len(known) == len(totals) else None


def _place_of(entry: _Entry) -> Place:
    return entry.place
