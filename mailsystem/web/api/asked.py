"""What requests have in common: who asks, whose mail it is about, in which mailbox, and which message."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import Query as Parameter
from fastapi import Request

from mailsystem.mail.account import Account
from mailsystem.mail.errors import NoSuchMailbox
from mailsystem.mail.mailbox import ContentId, Mailbox, MailboxId, Uid
from mailsystem.mail.query import Query, parse
from mailsystem.web.context import Context
from mailsystem.web.problems import Problem
from mailsystem.web.visitors import READ, Doorkeeper, Visitor

EVERYWHERE: Final = "*"
LATEST: Final = "latest"
_ID: Final = re.compile(r"M([1-9][0-9]{0,17})")

AccountName = Annotated[
    str | None, Parameter(alias="account", description="Whose mail, by login; one's own where nobody is named.")
]
MailboxName = Annotated[str, Parameter(alias="mailbox", description="Which mailbox; * is all of them.")]


@dataclass(frozen=True, slots=True)
class Place:
    """A copy of a message."""

    mailbox: Mailbox
    uid: Uid


@dataclass(frozen=True, slots=True)
class Found:
    """A message that somebody asks about, and all copies that the account has of it."""

    account: Account
    content: ContentId
    places: Sequence[Place]


class Asked:
    """Finds out what a request is about."""

    def __init__(self, context: Context, keeper: Doorkeeper) -> None:
        self._context = context
        self._keeper = keeper

    async def visitor(self, request: Request, scope: str = READ) -> Visitor:
        """Who asks, if they may do what takes that scope."""
        visitor: Visitor = getattr(request.state, "visitor", None) or await self._keeper.visitor(request)
        visitor.must(scope)
        return visitor

    async def account(self, request: Request, login: str | None, scope: str = READ) -> Account:
        """Whose mail it is about."""
        return await self._keeper.account(await self.visitor(request, scope), login)

    async def mailboxes(self, account: Account, name: str) -> list[Mailbox]:
        """The mailbox of that name, or all of the account's own. Raises `NoSuchMailbox`."""
        store = self._context.store
        if name == EVERYWHERE:
            return await store.mailboxes.list(account.id)
        return [await self.mailbox(account, name)]

    async def mailbox(self, account: Account, name: str) -> Mailbox:
        """The account's own mailbox of that name. Raises `NoSuchMailbox`."""
        found = await self._context.store.mailboxes.find(account.id, name)
        if found.account != account.id:
            # Somebody else's that is shared: its number is another mailbox's here.
            raise NoSuchMailbox
        return found

    async def message(self, account: Account, id_: str, mailbox: str = EVERYWHERE) -> Found:
        """The message of that id, `latest` being the newest. Raises `Problem` where the account has no such."""
        found = await self.messages(account, [id_], mailbox)
        if id_ not in found:
            raise Problem(404, f"there is no message {id_[:40]}" if id_ != LATEST else "there is no message yet")
        return found[id_]

    async def messages(self, account: Account, ids: Iterable[str], mailbox: str = EVERYWHERE) -> dict[str, Found]:
        """Those of the messages of these ids that the account has, in the order of the ids."""
        boxes = {box.id: box for box in await self.mailboxes(account, mailbox)}
        contents: dict[str, ContentId] = {}
        for id_ in dict.fromkeys(ids):
            content = await self._latest(account, list(boxes)) if id_ == LATEST else content_of(id_)
            if content is not None:
                contents[id_] = content
        places = await self._context.store.mailboxes.whereabouts(account.id, contents.values())
        found: dict[str, Found] = {}
        for id_, content in contents.items():
            there = [Place(boxes[box], uid) for box, uid in places.get(content, ()) if box in boxes]
            if there:
                found[id_] = Found(account, content, there)
        return found

    def query(self, text: str) -> Query:
        """What somebody looks for. Raises `SyntaxFault`."""
        return parse(text, now=self._context.store.clock.now())

    async def _latest(self, account: Account, boxes: Sequence[MailboxId]) -> ContentId | None:
        found = await self._context.finder.find(account.id, self.query(""), mailboxes=boxes, before=None, limit=1)
        return found.messages[0].message.content if found.messages else None


def content_of(id_: str) -> ContentId | None:
    """What an id names; None for what is none."""
    match = _ID.fullmatch(id_)
    return ContentId(int(match[1])) if match else None
