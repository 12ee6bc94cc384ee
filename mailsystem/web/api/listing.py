"""Lists of messages, and what a query means."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Annotated, Final

from fastapi import APIRouter, Request
from fastapi import Query as Parameter

from mailsystem.finding.cursor import Cursor
from mailsystem.finding.finder import Hit
from mailsystem.mail.errors import SyntaxFault
from mailsystem.mail.mailbox import INBOX, Mailbox, MailboxId, Uid
from mailsystem.mail.query import explain
from mailsystem.store import Store
from mailsystem.web.api.asked import AccountName, Asked, MailboxName
from mailsystem.web.context import Context
from mailsystem.web.letters import summaries
from mailsystem.web.problems import Problem
from mailsystem.web.shapes import Explanation, Page, Summary
from mailsystem.web.visitors import READ, Doorkeeper, needs

MOST: Final = 500


def routes(context: Context, keeper: Doorkeeper) -> APIRouter:
    router = APIRouter(prefix="/v1", tags=["messages"])
    asked = Asked(context, keeper)
    store = context.store

    @router.get("/messages", **needs(READ))
    async def messages(
        request: Request,
        account: AccountName = None,
        mailbox: MailboxName = INBOX,
        query: Annotated[str, Parameter(description="What to look for; empty is everything.")] = "",
        limit: Annotated[int, Parameter(ge=1, le=MOST)] = 50,
        cursor: Annotated[str | None, Parameter(description="`next` of the page before.")] = None,
    ) -> Page:
        """Messages, the newest first, page by page; what arrives meanwhile moves none of the next pages."""
        whose = await asked.account(request, account)
        boxes = await asked.mailboxes(whose, mailbox)
        wanted = asked.query(query)
        statuses = await store.mailboxes.statuses(boxes)
        found = await context.finder.find(
            whose.id,
            wanted,
            mailboxes=[box.id for box in boxes],
            before=Cursor(cursor) if cursor else None,
            limit=limit,
        )
        return Page(
            messages=await listed(store, found.messages),
            next=found.next,
            total=found.total,
            unread=sum(status.unseen for status in statuses),
            modseq=max((status.mailbox.modseq for status in statuses), default=0),
        )

    @router.get("/query", **needs(READ))
    async def meant(request: Request, query: str = "") -> Explanation:
        """What a query is understood to mean."""
        await asked.visitor(request)
        try:
            wanted = asked.query(query)
        except SyntaxFault as error:
            raise Problem(400, str(error), position=getattr(error, "position", None)) from None
        return Explanation(query=str(wanted), explanation=explain(wanted))

    return router


async def listed(store: Store, hits: Sequence[Hit]) -> list[Summary]:
    """What was found, as lists show it, in the same order."""
    boxes: dict[MailboxId, Mailbox] = {}
    uids: defaultdict[MailboxId, list[Uid]] = defaultdict(list)
    for hit in hits:
        boxes[hit.mailbox.id] = hit.mailbox
        uids[hit.mailbox.id].append(hit.message.uid)
    told = {box: await summaries(store, boxes[box], some) for box, some in uids.items()}
    return [one for hit in hits if (one := told[hit.mailbox.id].get(hit.message.uid)) is not None]
