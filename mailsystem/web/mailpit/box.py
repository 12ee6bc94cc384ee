"""Mailpit's one mailbox: which messages are in it, which are meant, and what becomes of them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from fastapi import Request
from starlette.requests import HTTPConnection

from mailsystem.finding.cursor import Cursor
from mailsystem.finding.finder import Hit
from mailsystem.mail.account import Account
from mailsystem.mail.errors import NoSuchMailbox, NoSuchRecipient
from mailsystem.mail.mailbox import INBOX, SEEN, ContentId, Flag, Mailbox, MessageSet, Uid
from mailsystem.mail.query import EVERYTHING, Addressed, Enveloped, Id, Is, Not, Query, either, every
from mailsystem.mail.space import login_within, space_of
from mailsystem.mail.tags import tags_of
from mailsystem.store import Evidence, FlagOp
from mailsystem.web.api.asked import LATEST, Asked, Found, Place, content_of
from mailsystem.web.api.changing import Changing, by_mailbox
from mailsystem.web.context import Context
from mailsystem.web.mailpit.plainly import Refusal
from mailsystem.web.mailpit.shapes import evidences
from mailsystem.web.mailpit.translating import BLIND, people_in, translated, zone_of
from mailsystem.web.parting import Own
from mailsystem.web.problems import Problem
from mailsystem.web.visitors import READ, Doorkeeper, Visitor

_PORTION: Final = 1000
_FEW: Final = 100
"""Messages whose tags are counted between two requests, and not by a thread."""
_MOST_BLIND: Final = 200
_MOST_PEOPLE: Final = 10
"""Who are looked for among blind copies in one search."""


@dataclass(frozen=True, slots=True)
class Counted:
    """How many messages there are."""

    total: int
    unread: int
    octets: int
    tags: Sequence[str]


class Box:
    """The INBOX of the account that has a copy of everything."""

    def __init__(self, context: Context, keeper: Doorkeeper) -> None:
        self.context = context
        self.keeper = keeper
        self._asked = Asked(context, keeper)
        self.changing = Changing(context, self._asked)

    async def account(self, request: Request, scope: str = READ) -> Account:
        return await self._asked.account(request, None, scope)

    async def visitor(self, connection: HTTPConnection, scope: str = READ) -> Visitor:
        visitor = await self.keeper.visitor(connection)
        visitor.must(scope)
        return visitor

    async def mailbox(self, account: Account) -> Mailbox:
        return await self.context.store.mailboxes.find(account.id, INBOX)

    async def counted(self, account: Account) -> Counted:
        mailboxes = self.context.store.mailboxes
        box = await self.mailbox(account)
        [status] = await mailboxes.statuses([box])
        roll = await mailboxes.roll(account.id, box.id)
        tags = tags_of(roll.keywords) if roll is not None else []
        return Counted(status.messages, status.unseen, status.size, tags)

    async def tagged(self, account: Account) -> dict[str, int]:
        """How many messages have each tag. However many tags there are, the mailbox is gone through once."""
        box = await self.mailbox(account)
        roll = await self.context.store.mailboxes.roll(account.id, box.id)
        if roll is None:
            return {}
        kinds, flags, tags = roll.kinds[:], roll.flags[:], tags_of(roll.keywords)

        def count() -> dict[str, int]:
            found: Counter[str] = Counter()
            for kind, messages in Counter(kinds).items():
                for tag in {tag.lower() for tag in tags_of(flags[kind])}:
                    found[tag] += messages
            return {tag: found[tag.lower()] for tag in tags}

        return await asyncio.to_thread(count) if len(kinds) > _FEW else count()

    # Which

    async def query(self, account: Account, search: str, zone: str = "") -> Query:
        """What a search of Mailpit's means. Raises `SyntaxFault`, and `Refusal` where it cannot be asked here."""
        people = people_in(search)
        if len(people) > _MOST_PEOPLE:
            raise Refusal(f"a search may look for {_MOST_PEOPLE} people by {' and '.join(BLIND)}")
        blind = {who: found for who in people if (found := await self._blind_copies(account, who)) is not None}
        return translated(search, now=self.context.store.clock.now(), tz=zone_of(zone), blind=blind)

    async def _blind_copies(self, account: Account, who: str) -> Query | None:
        """What holds of messages that went to somebody whom they do not name; in the space of `account`, if it has one. None
        where there are none. Raises `Refusal` where that cannot be told."""
        store = self.context.store
        space = space_of(account.login)
        hidden = Not(Addressed("addressed", who))
        # Who has a copy of everything may know to whom it went.
        by_envelope = None if space else every(Enveloped("envelope-to", who), hidden)
        address = Addressed("addressed", who).address
        if address is None:
            return by_envelope
        try:
            login = self.context.directory.login_key(str(address))
            theirs = await store.accounts.find(login_within(space, login) if space else login)
            inbox = await store.mailboxes.find(theirs.id, INBOX)
        except (NoSuchRecipient, NoSuchMailbox):
            return None
        found = await self.context.finder.find(theirs.id, hidden, mailboxes=[inbox.id], limit=_MOST_BLIND)
        if not found.messages:
            return None
        if found.next is None:
            return either(*(Id(f"M{hit.message.content}") for hit in found.messages))
        if by_envelope is not None:
            return by_envelope
        raise Refusal(
            f"more than {_MOST_BLIND} messages that do not name {who} went there; look for them by to: or cc:"
        )

    async def page(self, account: Account, query: Query, start: int, limit: int) -> tuple[Sequence[Hit], int]:
        """Those from the `start`th on, the newest first, and how many there are altogether."""
        box = await self.mailbox(account)
        found = await self.context.finder.find(account.id, query, mailboxes=[box.id], limit=max(1, start + limit))
        total, cursor = found.total, found.next
        if total is None:
            total = len(found.messages) + await self._behind(account, box, query, cursor)
        return found.messages[start : start + limit], total

    async def portions(
        self, account: Account, query: Query, start: int, limit: int | None
    ) -> AsyncIterator[Sequence[Hit]]:
        """Those from the `start`th on, the newest first and some at a time: so many, or all."""
        box = await self.mailbox(account)
        skip, left, cursor = start, limit, None
        while left != 0:
            found = await self.context.finder.find(account.id, query, mailboxes=[box.id], before=cursor, limit=_PORTION)
            some, skip = found.messages[skip:], max(0, skip - len(found.messages))
            if left is not None:
                some = some[:left]
                left -= len(some)
            if some:
                yield some
            cursor = found.next
            if cursor is None:
                return

    async def count(self, account: Account, query: Query) -> int:
        return (await self.page(account, query, 0, 1))[1]

    async def count_unread(self, account: Account, query: Query) -> int:
        return await self.count(account, every(query, Not(Is("read"))))

    async def _behind(self, account: Account, box: Mailbox, query: Query, cursor: Cursor | None) -> int:
        count = 0
        async for some in self._pages(account, box, query, cursor):
            count += len(some)
        return count

    async def _pages(
        self, account: Account, box: Mailbox, query: Query, cursor: Cursor | None
    ) -> AsyncIterator[Sequence[Hit]]:
        while cursor is not None:
            found = await self.context.finder.find(account.id, query, mailboxes=[box.id], before=cursor, limit=_PORTION)
            yield found.messages
            cursor = found.next

    async def everything_found(self, account: Account, query: Query) -> list[Place]:
        """Where all are for which the query holds."""
        box = await self.mailbox(account)
        found = await self.context.finder.find(account.id, query, mailboxes=[box.id], limit=_PORTION)
        hits = list(found.messages)
        async for some in self._pages(account, box, query, found.next):
            hits += some
        return [Place(hit.mailbox, hit.message.uid) for hit in hits]

    async def named(self, account: Account, ids: Sequence[str]) -> list[Place]:
        """Where the messages of these ids are; those that are not here are passed over, as Mailpit does."""
        box = await self.mailbox(account)
        if LATEST in ids:
            raise Refusal("latest is not an ID that can be changed")
        contents = dict.fromkeys(content for id_ in ids if (content := content_of(id_)) is not None)
        found = await self.context.store.mailboxes.whereabouts(account.id, contents)
        return [Place(box, uid) for content in contents for where, uid in found.get(content, ()) if where == box.id]

    async def one(self, request: Request, id_: str, scope: str = READ) -> Found:
        """The message of that id; of `latest` the newest, or the newest that `query` finds. Raises `Refusal`."""
        account = await self.account(request, scope)
        search = request.query_params.get("query", "").strip()
        if id_ == LATEST and search:
            query = await self.query(account, search, request.query_params.get("tz", ""))
            hits, _ = await self.page(account, query, 0, 1)
            if not hits:
                raise Refusal("no message matches", 404)
            return Found(account, hits[0].message.content, [Place(hits[0].mailbox, hits[0].message.uid)])
        try:
            # What somebody has moved elsewhere is still to be read by its id; the newest is one of the INBOX.
            return await self._asked.message(account, id_, INBOX if id_ == LATEST else "*")
        except Problem as error:
            raise Refusal(error.detail, 404) from None

    async def came(self, account: Account, contents: Sequence[ContentId]) -> Mapping[ContentId, Evidence]:
        """How messages came, as far as that is still known; in a space, to whom there."""
        found = await evidences(self.context.store, contents)
        space = space_of(account.login)
        if not space:
            return found
        own = Own(self.context, space)
        narrowed: dict[ContentId, Evidence] = {}
        for content, came in found.items():
            there = await own.recipients(came)
            narrowed[content] = replace(came, recipients=[each for each in came.recipients if each.address in there])
        return narrowed

    async def sender_of(self, content: ContentId) -> str:
        """The return path of a message, as it came; empty for the null one, or where nobody knows any more."""
        came = (await evidences(self.context.store, [content])).get(content)
        return came.sender if came is not None else ""

    # What becomes of them

    async def mark(self, account: Account, places: Sequence[Place], *, read: bool) -> None:
        add, remove = ([SEEN], []) if read else ([], [SEEN])
        await self.changing.flag(account, places, add, remove)

    async def mark_everything(self, account: Account, *, read: bool) -> None:
        wanted = Not(Is("read")) if read else Is("read")
        await self.mark(account, await self.everything_found(account, wanted), read=read)

    async def tag(self, account: Account, places: Sequence[Place], keywords: frozenset[Flag]) -> None:
        """Give them these tags, and none of those that they have."""
        mailboxes = self.context.store.mailboxes
        for box, uids in by_mailbox(places):
            have: dict[frozenset[Flag], list[Uid]] = {}
            for message in await mailboxes.messages(account.id, box.id, MessageSet.of(uids)):
                old = frozenset(flag for flag in message.flags if flag[:1] not in ("\\", "$"))
                have.setdefault(old, []).append(message.uid)
            for old, some in have.items():
                there = [Place(box, uid) for uid in some]
                await self.changing.flag(account, there, keywords - old, old - keywords)

    async def swap(self, account: Account, places: Sequence[Place], old: Flag, new: Flag | None) -> None:
        """Put one tag in the place of another, or nothing."""
        for box, uids in by_mailbox(places):
            among = MessageSet.of(uids)
            for op, flag in ((FlagOp.REMOVE, old), (FlagOp.ADD, new)):
                if flag is not None:
                    await self.context.store.mailboxes.set_flags(account.id, box.id, among, op, frozenset({flag}))

    async def delete(self, account: Account, places: Sequence[Place]) -> None:
        """For good: Mailpit has no trash."""
        await self.changing.delete(account, places, permanent=True)

    async def delete_everything(self, account: Account) -> None:
        await self.delete(account, await self.everything_found(account, EVERYTHING))
