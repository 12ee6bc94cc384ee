"""What can be told of all messages of a mailbox at once: by their numbers, by their rows, by the index of what they say.

A search begins here, on sets of UIDs. Only what is left over is read, message by message.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left, bisect_right
from collections.abc import Set
from math import inf
from typing import Final, NamedTuple

from mailsystem.imap.apart import MANY, apart
from mailsystem.imap.search_key import (
    All,
    Among,
    Any,
    Arrived,
    Cost,
    Every,
    Field,
    Flagged,
    Key,
    Keyword,
    Known,
    Not,
    Size,
    Text,
    leaves,
)
from mailsystem.imap.session import Selected, Session
from mailsystem.imap.view import View
from mailsystem.mail.mailbox import Flag, MessageSet
from mailsystem.mail.terms import Probe, probe_field, probe_words
from mailsystem.store import Having
from mailsystem.store import Told as IndexTold

_FEW: Final = 20
"""Messages that are read sooner than the index is asked about them."""
_SHARE: Final = 20
"""Rows are weighed in the database if one of so many in the mailbox is in question, and else read."""


class Sifted(NamedTuple):
    """UIDs for which a key surely holds, and those for which only reading can tell."""

    yes: Set[int]
    maybe: Set[int]


class Sifting:
    """One search, as far as nothing needs to be read for it."""

    def __init__(self, session: Session, selected: Selected, key: Key) -> None:
        self._session = session
        self._mailbox = selected.mailbox
        self._view = selected.view
        self._key = key
        self._probes: dict[Key, Probe] = {leaf: probe for leaf in leaves(key) if (probe := _probe(leaf)) is not None}
        self._index: IndexTold | None = None

    async def run(self, candidates: Set[int]) -> Sifted:
        """What can be told of these UIDs."""
        return await self._sift(self._key, candidates)

    def told(self, key: Key, uid: int) -> bool | None:
        """What the index says of a text or field, if it was asked."""
        probe = self._probes.get(key)
        if probe is None or self._index is None:
            return None
        if uid in self._index.found[probe]:
            return True if probe.exact else None
        return None if uid in self._index.unknown else False

    async def _sift(self, key: Key, among: Set[int]) -> Sifted:
        if not among:
            return Sifted(among, among)
        if len(among) > MANY:
            await asyncio.sleep(0)  # a step about so many takes its time, and there may be hundreds of steps
        match key:
            case All():
                return Sifted(among, frozenset())
            case Among():
                return Sifted(among & frozenset(members_of(self._view, key.uids)), frozenset())
            case Not():
                yes, maybe = await self._sift(key.key, among)
                return Sifted(among - yes - maybe, maybe)
            case Every():
                unsure: Set[int] = frozenset()
                for one in key.keys:
                    yes, maybe = await self._sift(one, among)
                    among = yes | maybe
                    unsure = (unsure | maybe) & among
                return Sifted(among - unsure, unsure)
            case Any():
                sure: Set[int] = frozenset()
                unsure = frozenset()
                for one in key.keys:
                    yes, maybe = await self._sift(one, among)
                    sure, unsure, among = sure | yes, (unsure | maybe) - yes, among - yes
                return Sifted(sure, unsure)
            case Field() | Text():
                return await self._by_index(key, among)
        if key.cost is Cost.NUMBERS:
            holds, recent = key.holds, self._view.is_recent

            def weighed() -> Sifted:
                return Sifted({uid for uid in among if holds(Known(uid, recent(uid)))}, frozenset())

            return await apart(len(among), weighed)
        having = _having(key)
        if having is None or len(among) * _SHARE < self._view.exists:
            return Sifted(frozenset(), among)
        mailbox, actor = self._mailbox, self._session.account.id
        found = await self._session.store.mailboxes.having(mailbox.account, mailbox.id, having, actor=actor)
        return Sifted(among & frozenset(found), frozenset())

    async def _by_index(self, key: Key, among: Set[int]) -> Sifted:
        probe = self._probes.get(key)
        if probe is None or (self._index is None and len(among) <= _FEW):
            return Sifted(frozenset(), among)
        if self._index is None:
            # It is asked once, for all that the keys look for.
            mailbox, probes = self._mailbox, list(dict.fromkeys(self._probes.values()))
            self._index = await self._session.store.index.look(
                mailbox.account, mailbox.id, probes, actor=self._session.account.id
            )
        hits, unknown = among & self._index.found[probe], among & self._index.unknown
        return Sifted(hits, unknown - hits) if probe.exact else Sifted(frozenset(), hits | unknown)


def _probe(leaf: Key) -> Probe | None:
    match leaf:
        case Text():
            return probe_words(leaf.words)
        case Field():
            return probe_field(leaf.name, leaf.needle)
        case _:
            return None


def _having(leaf: Key) -> Having | None:
    """The same condition in the store's words; None for keys that must be weighed here."""
    match leaf:
        case Flagged():
            return Having(flag=leaf.flag)
        case Keyword():
            return Having(flag=Flag(leaf.name))
        case Size():
            return Having(above=_finite(leaf.above), below=_finite(leaf.below))
        case Arrived():
            return Having(since=_finite(leaf.first), before=_finite(leaf.end))
        case _:
            return None


def _finite(bound: float) -> float | None:
    return None if bound in (inf, -inf) else bound


def members_of(view: View, within: MessageSet | None) -> list[int]:
    """The UIDs of the view, or those of them within a set."""
    uids = view.uids
    if within is None:
        return list(uids)
    members: list[int] = []
    for low, high in within.ranges:
        members.extend(uids[bisect_left(uids, low) : bisect_right(uids, high)])
    return members
