"""Who and what is here: the house itself, its accounts, their mailboxes."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Request, Response

from mailsystem import __version__
from mailsystem.mail.errors import NoSuchMailbox
from mailsystem.mail.mailbox import Status
from mailsystem.mail.space import DISSOLVED, PREFIX
from mailsystem.store import AccountSummary
from mailsystem.web.api.asked import AccountName, Asked
from mailsystem.web.api.keeping import limits_of
from mailsystem.web.context import Context
from mailsystem.web.shapes import Accounts, AccountShape, Info, Mailboxes, MailboxShape, Name, User
from mailsystem.web.visitors import ADMIN, READ, WRITE, Doorkeeper, needs


def routes(context: Context, keeper: Doorkeeper) -> APIRouter:
    router = APIRouter(prefix="/v1", tags=["accounts"])
    asked = Asked(context, keeper)
    store = context.store

    @router.get("/info", **needs(READ))
    async def info(request: Request) -> Info:
        """What this is, and what may be done here."""
        visitor = await asked.visitor(request)
        user = None
        if not context.is_sink or visitor.space:
            scopes = sorted(visitor.scopes)
            user = User(login=visitor.account.login, admin=ADMIN in visitor.scopes, scopes=scopes)
        return Info(
            name="mailsystem",
            version=__version__,
            role="sink" if context.is_sink else "serve",
            hostname=context.hostname,
            account=visitor.account.login,
            user=user,
            sending=context.sending,
            faults=context.faults is not None,
            spaces=context.is_sink,
            ports={name: str(place) for name, place in context.bound().items()},
            retention=limits_of(store.retention.keep) if store.retention.keep else None,
        )

    @router.get("/accounts", **needs(READ))
    async def accounts(request: Request) -> Accounts:
        """Everybody whose mail the visitor may see."""
        visitor = await asked.visitor(request)
        if ADMIN in visitor.scopes or visitor.space:
            found = [each for each in await store.accounts.list() if visitor.sees(each.account.login)]
        else:
            found = [await store.accounts.summary(visitor.account.login)]
        unread = await store.unread.of([each.account.id for each in found])
        return Accounts(
            accounts=[
                AccountShape(
                    login=each.account.login,
                    messages=each.messages,
                    unread=unread.get(each.account.id, 0),
                    octets=each.size,
                    kind=_kind(each, context.everybody),
                    space=each.space,
                )
                for each in found
                if not each.account.login.startswith(DISSOLVED)
            ]
        )

    @router.get("/mailboxes", **needs(READ))
    async def mailboxes(request: Request, account: AccountName = None) -> Mailboxes:
        """The account's own mailboxes and what is in them."""
        whose = await asked.account(request, account)
        found = await store.mailboxes.statuses(await store.mailboxes.list(whose.id))
        return Mailboxes(
            mailboxes=[_shape(status) for status in found],
            modseq=max((status.mailbox.modseq for status in found), default=0),
        )

    @router.post("/mailboxes", status_code=201, **needs(WRITE))
    async def create(request: Request, named: Name, account: AccountName = None) -> MailboxShape:
        """Make a mailbox, and those above it."""
        whose = await asked.account(request, account, WRITE)
        made = await store.mailboxes.create(whose.id, named.name)
        await store.mailboxes.subscribe(whose.id, made.name, True)
        return MailboxShape(name=made.name, special_use=made.special_use, total=0, unread=0, octets=0)

    @router.get("/mailboxes/{name:path}", **needs(READ))
    async def one(request: Request, name: str, account: AccountName = None) -> MailboxShape:
        """A mailbox and what is in it."""
        whose = await asked.account(request, account)
        for status in await store.mailboxes.statuses([await asked.mailbox(whose, name)]):
            return _shape(status)
        raise NoSuchMailbox

    @router.patch("/mailboxes/{name:path}", status_code=204, **needs(WRITE))
    async def rename(request: Request, name: str, named: Name, account: AccountName = None) -> Response:
        """Give a mailbox another name, with all below it."""
        whose = await asked.account(request, account, WRITE)
        await store.mailboxes.rename(whose.id, name, named.name)
        return Response(status_code=204)

    @router.delete("/mailboxes/{name:path}", status_code=204, **needs(WRITE))
    async def delete(request: Request, name: str, account: AccountName = None) -> Response:
        """Remove a mailbox and all that is in it, for good."""
        whose = await asked.account(request, account, WRITE)
        await store.mailboxes.delete(whose.id, name)
        return Response(status_code=204)

    return router


def _shape(status: Status) -> MailboxShape:
    return MailboxShape(
        name=status.mailbox.name,
        special_use=status.mailbox.special_use,
        total=status.messages,
        unread=status.unseen,
        octets=status.size,
    )


def _kind(summary: AccountSummary, everybody: str | None) -> Literal["address", "sink", "space"]:
    if summary.account.login == everybody:
        return "sink"
    return "space" if summary.account.login.startswith(PREFIX) and summary.space is not None else "address"
