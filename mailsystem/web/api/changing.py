"""What becomes of messages: flags, another mailbox, the trash, the end."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Annotated, Final

from fastapi import APIRouter, Request, Response
from fastapi import Query as Parameter

from mailsystem.finding.cursor import Cursor
from mailsystem.mail.account import Account
from mailsystem.mail.errors import SyntaxFault
from mailsystem.mail.mailbox import RECENT, Flag, Mailbox, MailboxId, MessageSet, Uid, flag_of
from mailsystem.mail.objectid import emailid
from mailsystem.mail.query import Query
from mailsystem.store import FlagOp
from mailsystem.web.api.asked import EVERYWHERE, AccountName, Asked, MailboxName, Place
from mailsystem.web.context import Context
from mailsystem.web.letters import summaries
from mailsystem.web.problems import Problem
from mailsystem.web.shapes import Bulk, Change, Changed, Deleted, Summary
from mailsystem.web.visitors import READ, WRITE, Doorkeeper, needs

_TRASH: Final = "\\Trash"
SLICE: Final = 5000
"""Messages that are changed at once."""
MOST_TOLD: Final = 10_000
"""Ids that are told of messages that were changed."""


def routes(context: Context, keeper: Doorkeeper) -> APIRouter:
    router = APIRouter(prefix="/v1/messages", tags=["messages"])
    asked = Asked(context, keeper)
    changing = Changing(context, asked)

    @router.post("/bulk", **needs(WRITE))
    async def bulk(request: Request, wanted: Bulk, account: AccountName = None) -> Changed:
        """Change several messages: those that are named, or all that a query finds. Neither changes nothing. A query takes the
        scope `read` as well. Very many are changed some thousands at a time: where that fails in between, those before it are
        changed."""
        whose = await asked.account(request, account, WRITE)
        if (wanted.ids is None) == (wanted.query is None):
            raise Problem(400, "say which messages: either ids or a query")
        if wanted.move_to is not None and wanted.delete is not None:
            raise Problem(400, "either move_to or delete")
        if wanted.query is not None and not wanted.query.strip():
            raise Problem(400, "an empty query changes nothing; larger:0 finds everything")
        if not (wanted.add_flags or wanted.remove_flags or wanted.move_to is not None or wanted.delete):
            raise Problem(400, "say what to do: add_flags, remove_flags, move_to or delete")
        flags_of(wanted.add_flags, wanted.remove_flags)
        boxes = await asked.mailboxes(whose, wanted.mailbox)
        if wanted.move_to is not None:
            await asked.mailbox(whose, wanted.move_to)
        if wanted.query is not None:
            # What is found tells what is in messages.
            await asked.visitor(request, READ)
            return await by_query(whose, wanted, asked.query(wanted.query), boxes)
        ids = wanted.ids or []
        there = await asked.messages(whose, ids, wanted.mailbox)
        if not wanted.ignore_missing:
            for id_ in ids:
                if id_ not in there:
                    raise Problem(404, f"there is no message {id_[:40]}")
        # `latest` may be one that is named as well.
        found = {one.content: one.places for one in there.values()}
        places = [place for some in found.values() for place in some]
        await changing.change(whose, places, wanted)
        return Changed(changed=len(places), ids=[emailid(content) for content, some in found.items() for _ in some])

    async def by_query(whose: Account, wanted: Bulk, query: Query, boxes: Sequence[Mailbox]) -> Changed:
        # What comes meanwhile was not meant; and what is moved comes to where it goes.
        there = {box.id: box.uidnext for box in boxes}
        changed = 0
        ids: list[str] = []
        before: Cursor | None = None
        while True:
            found = await context.finder.find(whose.id, query, mailboxes=list(there), before=before, limit=SLICE)
            hits = [hit for hit in found.messages if hit.message.uid < there[hit.mailbox.id]]
            await changing.change(whose, [Place(hit.mailbox, hit.message.uid) for hit in hits], wanted)
            changed += len(hits)
            ids += [emailid(hit.message.content) for hit in hits[: MOST_TOLD - len(ids)]]
            before = found.next
            if before is None:
                return Changed(changed=changed, ids=ids)

    @router.patch("/{id}", responses={204: {"description": "It is done, for who may not read it."}}, **needs(WRITE))
    async def change(
        request: Request,
        id: str,  # noqa: A002
        wanted: Change,
        account: AccountName = None,
        mailbox: MailboxName = EVERYWHERE,
    ) -> Summary:
        """Set flags and clear them, and move the message; told as it is then, if the scopes are those to read it."""
        visitor = await asked.visitor(request, WRITE)
        whose = await asked.account(request, account, WRITE)
        if not (wanted.add_flags or wanted.remove_flags or wanted.mailbox is not None):
            raise Problem(400, "say what to do: add_flags, remove_flags or mailbox")
        one = await asked.message(whose, id, mailbox)
        if wanted.mailbox is not None:
            await asked.mailbox(whose, wanted.mailbox)
        await changing.flag(whose, one.places, wanted.add_flags, wanted.remove_flags)
        if wanted.mailbox is not None:
            await changing.move(whose, one.places, wanted.mailbox)
        if READ not in visitor.scopes:
            return Response(status_code=204)  # type: ignore[return-value]
        if wanted.mailbox is not None:
            one = await asked.message(whose, emailid(one.content), wanted.mailbox)
        place = one.places[0]
        told = (await summaries(context.store, place.mailbox, [place.uid])).get(place.uid)
        if told is None:
            raise Problem(404, "the message is gone")
        return told

    @router.delete(
        "/{id}", responses={204: {"description": "It is gone for good."}}, response_model=Deleted, **needs(WRITE)
    )
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

    async def change(self, account: Account, places: Sequence[Place], wanted: Bulk) -> None:
        """All that is wanted; each of it in one transaction for each mailbox."""
        if not places:
            return
        await self.flag(account, places, wanted.add_flags, wanted.remove_flags)
        if wanted.move_to is not None:
            await self.move(account, places, wanted.move_to)
        elif wanted.delete is not None:
            await self.delete(account, places, permanent=wanted.delete == "permanent")

    async def flag(self, account: Account, places: Sequence[Place], add: Iterable[str], remove: Iterable[str]) -> None:
        """Raises `SyntaxFault` for what is no flag, before anything is changed."""
        added, removed = flags_of(add, remove)
        for op, flags in ((FlagOp.ADD, added), (FlagOp.REMOVE, removed)):
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
        gone = await self._store.mailboxes.remove(account.id, mailbox.id, MessageSet.of(uids))
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


def flags_of(*several: Iterable[str]) -> list[frozenset[Flag]]:
    """Flags by their names. Raises `SyntaxFault`."""
    flags = [frozenset(map(flag_of, names)) for names in several]
    if any(RECENT in each for each in flags):
        raise SyntaxFault("\\Recent is not for clients to set")
    return flags
