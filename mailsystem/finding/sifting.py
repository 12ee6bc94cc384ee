"""What can be told of all messages of a mailbox at once: by their numbers, by their rows, by the index of what they say.

A search begins here, on sets of UIDs which are no larger than what is found or what is in question (`those`). Only what is left
over is read, message by message.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from math import inf
from typing import Final, NamedTuple, TypeAlias

from mailsystem.finding.apart import MANY, apart
from mailsystem.finding.enveloped import Enveloped
from mailsystem.finding.key import (
    All,
    Among,
    Any,
    Arrived,
    Attached,
    Correspondent,
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
from mailsystem.finding.those import ALL, NONE, Those
from mailsystem.finding.uids import Uids
from mailsystem.mail.haystack import Words
from mailsystem.mail.headings import NAMES
from mailsystem.mail.mailbox import AccountId, ContentId, Flag, MailboxId, MessageSet
from mailsystem.mail.terms import Probe, probe_field, probe_words
from mailsystem.store import Glance, Having, Index, Said, Store
from mailsystem.store import Told as IndexTold

_FEW: Final = 20
"""Messages that are read sooner than the index is asked about them."""
_CHEAP: Final = 8
"""So many headings are as soon looked through as one row."""
_SHARE: Final = 20
"""Rows are weighed in the database if one of so many in the mailbox is in question, and else read."""


class Sifted(NamedTuple):
    """Messages for which a key surely holds, and those for which only reading can tell."""

    yes: Those
    maybe: Those

    @property
    def either(self) -> Those:
        """All but those for which it surely does not hold."""
        return self.yes | self.maybe if self.maybe else self.yes


class Glances:
    """Asks the index of an account once for all its mailboxes."""

    def __init__(self, index: Index, account: AccountId, keys: Iterable[Key]) -> None:
        """`keys` are what is looked for in them; it is asked when somebody needs to know."""
        self._index = index
        self._account = account
        self._probes = list(dict.fromkeys(probe for key in dict.fromkeys(keys) for probe in probes_of(key).values()))
        self._known: Glance | None = None

    async def known(self) -> Glance:
        """What it says about all of the keys."""
        if self._known is None:
            self._known = await self._index.glance(self._account, self._probes)
        return self._known


Recipients: TypeAlias = Callable[[Sequence[ContentId]], Awaitable[Mapping[ContentId, Sequence[str]]]]
"""Tells of contents to which addresses each was sent, as RCPT TO named them; of some of them nothing may be known."""


class Within(NamedTuple):
    """Where is searched."""

    store: Store
    account: AccountId
    """Whose mailbox it is."""
    mailbox: MailboxId
    view: Uids
    """The messages there."""
    actor: AccountId
    """Who searches."""
    glances: Glances | None = None
    """Shared by those who search in several mailboxes of the account at once."""
    recipients: Recipients | None = None
    """Who tells to whom messages were sent; None where that is nobody's business but what they tell themselves."""


class Sifting:
    """One search, as far as nothing needs to be read for it."""

    def __init__(self, where: Within, key: Key) -> None:
        self._where = where
        self._view = where.view
        self._key = key
        self._probes = probes_of(key)
        self._index: IndexTold | None = None
        self._said: Said | None = None
        self._has_asked = False
        self._spoken: dict[Key, Those] = {}
        """What the headings have told: for a field, all messages of which they cannot tell that it is not there."""

    async def run(self) -> Sifted:
        """What can be told of all messages; some that are named may not be in the view."""
        return await self._sift(self._key, ALL if self._view.exists else NONE)

    def told(self, key: Key, uid: int) -> bool | None:
        """What headings or the index say of a text or field, if they were asked."""
        if self._said is not None and key in self._spoken:
            return None if uid in self._said.unkept else uid in self._spoken[key].uids
        probe = self._probes.get(key)
        if probe is None or self._index is None:
            return None
        if uid in self._index.found[probe]:
            return True if probe.exact else None
        return None if uid in self._index.unknown else False

    async def _sift(self, key: Key, among: Those) -> Sifted:
        if not among:
            return Sifted(NONE, NONE)
        if len(among.uids) > MANY:
            await asyncio.sleep(0)  # a step about so many takes its time, and there may be hundreds of steps
        match key:
            case All():
                return Sifted(among, NONE)
            case Among():
                return Sifted(among & await self._within(key.uids), NONE)
            case Not():
                yes, maybe = await self._sift(key.key, among)
                return Sifted(among - yes - maybe, maybe)
            case Every():
                unsure = NONE
                for one in key.keys:
                    yes, maybe = await self._sift(one, among)
                    among = yes | maybe
                    unsure = (unsure | maybe) & among
                return Sifted(among - unsure, unsure)
            case Any():
                sure = unsure = NONE
                for one in key.keys:
                    yes, maybe = await self._sift(one, among)
                    sure, unsure, among = sure | yes, (unsure | maybe) - yes, among - yes
                return Sifted(sure, unsure)
            case Field() if key.name in NAMES:
                return await self._by_headings(key, among)
            case Field() | Text() | Correspondent() | Attached() | Enveloped():
                return await self._by_index(key, among)
        if key.cost is Cost.NUMBERS:
            holds, recent = key.holds, self._view.is_recent

            def weighed() -> Sifted:
                members = among.within(self._view)
                return Sifted(Those({uid for uid in members if holds(Known(uid, recent(uid)))}), NONE)

            return await apart(among.count(self._view), weighed)
        having = _having(key)
        if having is None or among.count(self._view) * _SHARE < self._view.exists:
            return Sifted(NONE, among)
        where = self._where
        found = await where.store.mailboxes.having(where.account, where.mailbox, having, actor=where.actor)
        return await apart(len(found), lambda: Sifted(among & Those(frozenset(found)), NONE))

    async def _within(self, uids: MessageSet) -> Those:
        count = self._view.count(uids)
        if count == self._view.exists:
            return ALL
        return await apart(count, lambda: Those(frozenset(self._view.members(uids))))

    async def _by_headings(self, key: Field, among: Those) -> Sifted:
        """By the headings where they are in memory; by the index, and where that leaves much to be read, by them after all."""
        if self._said is None and among.count(self._view) <= _FEW:
            return Sifted(NONE, among)
        said = self._said
        if said is None and not self._has_asked:
            self._has_asked = True
            said = await self._ask_headings(0)
        if said is None:
            sifted = await self._by_index(key, among)
            left = sifted.maybe.count(self._view)
            said = await self._ask_headings(left) if left > _FEW else None
            if said is None:
                return sifted
        found = await apart(said.messages // _CHEAP, lambda: said.holding(key.name, key.needle))
        self._spoken[key] = spoken = Those(found)
        hits, unkept = among & spoken, among & Those(said.unkept)
        return Sifted(hits - unkept, unkept)

    async def _ask_headings(self, about: int) -> Said | None:
        where = self._where
        self._said = await where.store.headings.look(
            where.account, where.mailbox, exists=self._view.exists, about=about, actor=where.actor
        )
        return self._said

    async def _by_index(self, key: Key, among: Those) -> Sifted:
        probe = self._probes.get(key)
        if probe is None or (self._index is None and among.count(self._view) <= _FEW):
            return Sifted(NONE, among)
        if self._index is None:
            # It is asked once, for all that the keys look for.
            where, probes = self._where, list(dict.fromkeys(self._probes.values()))
            glance = None if where.glances is None else await where.glances.known()
            self._index = await where.store.index.look(
                where.account, where.mailbox, probes, actor=where.actor, glance=glance
            )
        hits, unknown = among & Those(self._index.found[probe]), among & Those(self._index.unknown)
        return Sifted(hits, unknown - hits) if probe.exact else Sifted(NONE, hits | unknown)


def probes_of(key: Key) -> dict[Key, Probe]:
    """What the index may be asked about each condition of a key, where it may be asked at all."""
    return {leaf: probe for leaf in leaves(key) if (probe := _probe(leaf)) is not None}


def _probe(leaf: Key) -> Probe | None:
    match leaf:
        case Text():
            return probe_words(leaf.words)
        case Field():
            return probe_field(leaf.name, leaf.needle)
        case Correspondent():
            probe = probe_field(leaf.name, leaf.spelled)
            return None if probe is None else replace(probe, exact=False)
        case Enveloped():
            # The sender stands in the index as a field; of most recipients nothing is written in the message.
            spelled = leaf.part or "@".join(filter(None, [leaf.local, leaf.domain]))
            probe = probe_field(b"RETURN-PATH", spelled) if leaf.is_sender and spelled.isascii() else None
            return None if probe is None else replace(probe, exact=False)
        case Attached():
            # Names of files stand in the index beside the headers of their parts.
            longest = max(re.split(r"[*?]", leaf.name or ""), key=len)
            probe = probe_words(Words(longest, headers=True)) if longest else None
            return None if probe is None else replace(probe, exact=False)
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
