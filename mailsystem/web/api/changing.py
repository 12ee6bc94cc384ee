"""What becomes of messages: flags, another mailbox, the trash, the end."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Annotated, Final

from fastapi import APIRouter, Request, Response
from fastapi import Query as Parameter

from mailsystem.mail.account import Account
from mailsystem.mail.errors import SyntaxFault
from mailsystem.mail.mailbox import DELETED, RECENT, Flag, Mailbox, MailboxId, MessageSet, Uid, flag_of
from mailsystem.mail.objectid import emailid
from mailsystem.store import FlagOp
from mailsystem.web.api.asked import EVERYWHERE, AccountName, Asked, MailboxName, Place
from mailsystem.web.context import Context
from mailsystem.web.letters import summaries
from mailsystem.web.problems import Problem
from mailsystem.web.shapes import Bulk, Change, Changed, Deleted, Summary
from mailsystem.web.visitors import WRITE, Doorkeeper

_TRASH: Final = "\\Trash"
_MOST: Final = 10_000
"""Messages that one request changes."""


def routes(context: Context, keeper: Doorkeeper) -> APIRouter:
    router = APIRouter(prefix="/v1/messages", tags=["messages"])
    asked = Asked(context, keeper)
    changing = Changing(context, asked)

    @router.post("/bulk")
    async def bulk(request: Request, wanted: Bulk, account: AccountName = None) -> Changed:
        """Change several messages: those that are named, or all that a query finds. Neither changes nothing."""
        whose = await asked.account(request, account, WRITE)
        if (wanted.ids is None) == (wanted.query is None):
            raise Problem(400, "say which messages: either ids or a query")
        if wanted.move_to is not None and wanted.delete is not None:
            raise Problem(400, "either move_to or delete")
        if wanted.query is not None and not wanted.query.strip():
            raise Problem(400, "an empty query changes nothing; larger:0 finds everything")
        boxes = await asked.mailboxes(whose, wanted.mailbox)
        if wanted.ids is not None:
            places: list[tuple[str, Place]] = []
            for id_ in dict.fromkeys(wanted.ids):
                one = await asked.message(whose, id_, wanted.mailbox)
                places += [(emailid(one.content), place) for place in one.places]
        else:
            query = asked.query(wanted.query or "")
            found = await context.finder.find(
                whose.id, query, mailboxes=[box.id for box in boxes], before=None, limit=_MOST
            )
            places = [(emailid(hit.message.content), Place(hit.mailbox, hit.message.uid)) for hit in found.messages]
        where = [place for _, place in places]
        if wanted.move_to is not None:
            await asked.mailbox(whose, wanted.move_to)
        await changing.flag(whose, where, wanted.add_flags, wanted.remove_flags)
        if wanted.move_to is not None:
            await changing.move(whose, where, wanted.move_to)
        elif wanted.delete is not None:
            await changing.delete(whose, where, permanent=wanted.delete == "permanent")
        return Changed(changed=len(where), ids=[id_ for id_, _ in places])

    @router.patch("/{id}")
    async def change(
        request: Request,
        id: str,  # noqa: A002
        wanted: Change,
        account: AccountName = None,
        mailbox: MailboxName = EVERYWHERE,
    ) -> Summary:
        """Set flags and clear them, and move the message; told as it is then."""
        whose = await asked.account(request, account, WRITE)
        one = await asked.message(whose, id, mailbox)
        if wanted.mailbox is not None:
            await asked.mailbox(whose, wanted.mailbox)
        await changing.flag(whose, one.places, wanted.add_flags, wanted.remove_flags)
        if wanted.mailbox is not None:
            await changing.move(whose, one.places, wanted.mailbox)
            one = await asked.message(whose, emailid(one.content), wanted.mailbox)
        place = one.places[0]
        told = (await summaries(context.store, place.mailbox, [place.uid])).get(place.uid)
        if told is None:
            raise Problem(404, "the message is gone")
        return told

    @router.delete("/{id}", responses={204: {"description": "It is gone for good."}}, response_model=Deleted)
    async def delete(
        request: Request,
        id: str,  # noqa: A002
        account: AccountName = None,
        mailbox: MailboxName = EVERYWHERE,
        permanent: Annotated[bool, Parameter(description="Not into the trash, but for good.")] = False,
    ) -> Deleted | Response:
        """Put a message into the trash; what is there already, is removed for good."""
        whose = await asked.account(request, account, WRITE)
        one = await asked.message(whose, id, mailbox)
        trash = await changing.delete(whose, one.places, permanent=permanent)
        return Response(status_code=204) if trash is None else Deleted(moved={"mailbox": trash})

    return router


class Changing:
    """Changes of messages in several mailboxes at once, mailbox by mailbox, and what is told of them to the journal."""

    def __init__(self, context: Context, asked: Asked) -> None:
        self._asked = asked
        self._store = context.store
        self._trace = context.trace.child("web")

    async def flag(self, account: Account, places: Sequence[Place], add: Iterable[str], remove: Iterable[str]) -> None:
        """Raises `SyntaxFault` for what is no flag, before anything is changed."""
        wanted = [(FlagOp.ADD, frozenset(_flags(add))), (FlagOp.REMOVE, frozenset(_flags(remove)))]
        for op, flags in wanted:
            if not flags:
                continue
            for mailbox, uids in by_mailbox(places):
                changes = await self._store.mailboxes.set_flags(account.id, mailbox.id, MessageSet.of(uids), op, flags)
                if changes.messages:
                    self._trace.event(
                        "flagged",
                        login=account.login,
                        mailbox=mailbox.name,
                        contents=[each.content for each in changes.messages],
                        flags=sorted(flags),
                    )

    async def move(self, account: Account, places: Sequence[Place], target: str) -> None:
        """Raises `NoSuchMailbox`, `OverQuota`."""
        there = await self._asked.mailbox(account, target)
        for mailbox, uids in by_mailbox(places):
            if mailbox.id != there.id:
                moved = await self._store.mailboxes.move(account.id, mailbox.id, MessageSet.of(uids), target)
                self._trace.event(
                    "moved", login=account.login, mailbox=mailbox.name, to=target, contents=list(moved.contents)
                )

    async def delete(self, account: Account, places: Sequence[Place], *, permanent: bool) -> str | None:
        """Into the trash, whose name is told; or for good where that is asked for, or they are in it, or there is none."""
        boxes = await self._store.mailboxes.list(account.id)
        trash = next((box for box in boxes if box.special_use and _TRASH in box.special_use.split()), None)
        if trash is None and not permanent:
            trash = await self._store.mailboxes.create(account.id, "Trash", _TRASH)
        told: str | None = None
        for mailbox, uids in by_mailbox(places):
            if permanent or trash is None or mailbox.id == trash.id:
                await self._expunge(account, mailbox, uids)
            else:
                await self.move(account, [Place(mailbox, uid) for uid in uids], trash.name)
                told = trash.name
        return told

    async def _expunge(self, account: Account, mailbox: Mailbox, uids: Sequence[Uid]) -> None:
        among = MessageSet.of(uids)
        await self._store.mailboxes.set_flags(account.id, mailbox.id, among, FlagOp.ADD, frozenset({DELETED}))
        gone = await self._store.mailboxes.expunge(account.id, mailbox.id, among)
        self._trace.event(
            "expunged",
            login=account.login,
            mailbox=mailbox.name,
            contents=list(gone.contents),
            uids=list(gone.vanished),
        )


def by_mailbox(places: Iterable[Place]) -> list[tuple[Mailbox, list[Uid]]]:
    boxes: dict[MailboxId, Mailbox] = {}
    uids: defaultdict[MailboxId, list[Uid]] = defaultdict(list)
    for place in places:
        boxes[place.mailbox.id] = place.mailbox
        uids[place.mailbox.id].append(place.uid)
    return [(boxes[box], some) for box, some in uids.items()]


def _flags(names: Iterable[str]) -> list[Flag]:
    flags = [flag_of(name) for name in names]
    if RECENT in flags:
        raise SyntaxFault("\\Recent is not for clients to set")
    return flags
