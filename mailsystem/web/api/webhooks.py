"""Webhooks: who is told by HTTP what comes to pass, and how that goes."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Request, Response
from fastapi import Query as Parameter
from pydantic import Field

from mailsystem.mail.account import Account
from mailsystem.mail.errors import NoSuchRecipient
from mailsystem.mail.query import parse
from mailsystem.mail.webhook import (
    BODY,
    LEAST_BODY,
    MOST_BODY,
    MOST_URL,
    Include,
    events_of,
    good_secret,
    new_secret,
    receiver,
)
from mailsystem.net import public
from mailsystem.store import Delivery, Webhook
from mailsystem.web.api.asked import AccountName
from mailsystem.web.context import Context
from mailsystem.web.shapes import Moment, Shape, moment
from mailsystem.web.visitors import ADMIN, READ, WRITE, Doorkeeper, needs

_MOST_QUERY: Final = 2000
_MOST_LISTED: Final = 500
# What is told is what is in messages.
_NEEDS: Final = needs(READ, ADMIN, in_space=(READ, WRITE))

Url = Annotated[
    str, Field(max_length=MOST_URL, description="Where a POST goes.", examples=["https://example.org/hook"])
]
Events = Annotated[
    list[Literal["arrived", "flags", "gone"]], Field(min_length=1, max_length=3, description="What is told.")
]
QueryText = Annotated[
    str, Field(max_length=_MOST_QUERY, description="Only messages are told for which it holds; empty is any.")
]
Much = Annotated[
    Include,
    Field(description="How much of a message that has come is told: what lists show, its text too, or all octets."),
]
Octets = Annotated[int, Field(ge=LEAST_BODY, le=MOST_BODY, description="Octets of a body; what is more is cut.")]
Secret = Annotated[
    str, Field(max_length=100, description="`whsec_` and 24 to 64 octets in Base64, by which a body is signed.")
]


class NewWebhook(Shape):
    url: Url
    events: Events = Field(default=["arrived"], description="What is told.")
    query: QueryText = ""
    account: str | None = Field(default=None, description="Whose mail, by login; one's own where nobody is named.")
    secret: Secret | None = Field(default=None, description="One is made where none is given.")
    include: Much = Include.SUMMARY
    max_body: Octets = BODY


class WebhookChange(Shape):
    """What shall be another; what is not named stays."""

    url: Url | None = None
    events: Events | None = None
    query: QueryText | None = None
    secret: Secret | None = None
    include: Much | None = None
    max_body: Octets | None = None
    enabled: bool | None = Field(
        default=None, description="Without, nothing is sent, and nothing that comes is missed."
    )


class LastTry(Shape):
    at: Moment
    status: int | None = Field(description="What was answered; null where nothing was.")
    error: str | None = Field(description="Why it was not taken.")


class WebhookShape(Shape):
    id: str
    account: str
    url: str
    events: list[str]
    query: str
    include: Include
    max_body: int
    created: Moment
    enabled: bool
    disabled: str | None = Field(description="Why it rests.")
    waiting: int = Field(description="How much is still to be told.")
    failed: int = Field(description="How much was given up.")
    delivered: int
    last: LastTry | None
    next: Moment | None = Field(description="When it is tried again after a failure.")


class Made(WebhookShape):
    secret: str = Field(description="Shown this once.")


class Webhooks(Shape):
    webhooks: list[WebhookShape]


class DeliveryShape(Shape):
    id: int
    event: str
    mailbox: str
    uid: int | None
    at: Moment
    attempts: int
    state: Literal["waiting", "failed"]
    status: int | None
    error: str | None


class Deliveries(Shape):
    deliveries: list[DeliveryShape] = Field(description="The oldest first.")


class Retried(Shape):
    again: int = Field(description="How many that were given up are tried again.")


def routes(context: Context, keeper: Doorkeeper) -> APIRouter:
    router = APIRouter(prefix="/v1/webhooks", tags=["webhooks"])
    store = context.store.webhooks

    def check(url: str) -> str:
        return public.check(receiver(url), private=context.private_webhooks)

    def query(text: str) -> str:
        parse(text, now=context.store.clock.now())
        return text

    async def whose(request: Request, login: str | None) -> Account:
        visitor = await keeper.visitor(request)
        visitor.must_own()
        return await keeper.account(visitor, login)

    async def known(request: Request, ident: str) -> Webhook:
        """One that the visitor may see to. Raises `NoSuchRecipient`."""
        visitor = await keeper.visitor(request)
        visitor.must_own()
        hook = await store.find(ident)
        if not visitor.sees(hook.login):
            raise NoSuchRecipient("no such webhook")
        return hook

    @router.post("", status_code=201, **_NEEDS)
    async def add(request: Request, new: NewWebhook) -> Made:
        """Tell an address from now on what comes to pass. Each POST is signed as Standard Webhooks say."""
        account = await whose(request, new.account)
        events = events_of(new.events, query(new.query))
        secret = new_secret() if new.secret is None else good_secret(new.secret)
        hook = await store.add(
            account.login,
            check(new.url),
            events,
            secret=secret,
            query=new.query,
            include=new.include,
            most=new.max_body,
        )
        return Made(**_shape(hook).model_dump(), secret=secret)

    @router.get("", **_NEEDS)
    async def all_(request: Request, account: AccountName = None) -> Webhooks:
        """All webhooks, or those about somebody's mail, the oldest first."""
        visitor = await keeper.visitor(request)
        visitor.must_own()
        login = None if account is None else (await whose(request, account)).login
        return Webhooks(webhooks=[_shape(hook) for hook in await store.all(login) if visitor.sees(hook.login)])

    @router.get("/{id}", **_NEEDS)
    async def one(request: Request, id: str) -> WebhookShape:  # noqa: A002
        """One webhook, and how it fares."""
        return _shape(await known(request, id))

    @router.patch("/{id}", **_NEEDS)
    async def change(request: Request, id: str, change: WebhookChange) -> WebhookShape:  # noqa: A002
        """Change it, stop it, or let it go on where it stopped."""
        before = await known(request, id)
        changes: dict[str, Any] = {}
        if change.url is not None:
            changes["url"] = check(change.url)
        if change.events is not None or change.query is not None:
            text = before.query if change.query is None else query(change.query)
            events = events_of(before.events if change.events is None else change.events, text)
            if change.query is not None:
                changes["query"] = text
            if events != before.events:
                changes["events"] = events
        if change.secret is not None:
            changes["secret"] = good_secret(change.secret)
        if change.include is not None:
            changes["include"] = change.include.value
        if change.max_body is not None:
            changes["most"] = change.max_body
        if change.enabled is not None:
            changes["disabled"] = None if change.enabled else "somebody has stopped it"
        return _shape(await store.change(id, changes))

    @router.delete("/{id}", status_code=204, **_NEEDS)
    async def remove(request: Request, id: str) -> Response:  # noqa: A002
        """Tell it no more; what waits for it is gone."""
        await known(request, id)
        await store.remove(id)
        return Response(status_code=204)

    @router.post("/{id}/retry", **_NEEDS)
    async def retry(request: Request, id: str) -> Retried:  # noqa: A002
        """Try at once, what was given up included; that comes first."""
        await known(request, id)
        return Retried(again=await store.retry(id, lifetime=context.webhook_lifetime))

    @router.get("/{id}/deliveries", **_NEEDS)
    async def deliveries(
        request: Request,
        id: str,  # noqa: A002
        state: Literal["waiting", "failed"] = "failed",
        limit: Annotated[int, Parameter(ge=1, le=_MOST_LISTED)] = 50,
    ) -> Deliveries:
        """What waits for it, or was given up."""
        await known(request, id)
        there = await store.deliveries(id, failed=state == "failed", limit=limit)
        return Deliveries(deliveries=[_delivery(one) for one in there])

    @router.delete("/{id}/deliveries/{delivery}", status_code=204, **_NEEDS)
    async def drop(request: Request, id: str, delivery: int) -> Response:  # noqa: A002
        """Never tell this one, so that those behind it need not wait."""
        await known(request, id)
        if not 0 < delivery < 1 << 62:
            raise NoSuchRecipient("no such delivery")
        await store.drop(id, delivery)
        return Response(status_code=204)

    return router


def _shape(hook: Webhook) -> WebhookShape:
    return WebhookShape(
        id=hook.id,
        account=hook.login,
        url=hook.url,
        events=list(hook.events),
        query=hook.query,
        include=hook.include,
        max_body=hook.most,
        created=moment(hook.created),
        enabled=hook.disabled is None,
        disabled=hook.disabled,
        waiting=hook.waiting,
        failed=hook.failed,
        delivered=hook.delivered,
        last=None
        if hook.tried is None
        else LastTry(at=moment(hook.tried), status=hook.status, error=hook.said or None),
        next=moment(hook.due) if hook.due and hook.disabled is None else None,
    )


def _delivery(one: Delivery) -> DeliveryShape:
    return DeliveryShape(
        id=one.number,
        event=one.kind,
        mailbox=one.mailbox,
        uid=one.uid or None,
        at=moment(one.noted),
        attempts=one.attempts,
        state="failed" if one.failed else "waiting",
        status=one.status,
        error=one.said or None,
    )
