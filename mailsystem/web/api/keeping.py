"""How long mail is kept, and the spaces of a sink."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response

from mailsystem.mail.address import normal_domain
from mailsystem.mail.errors import MailboxExists, NoSuchRecipient, SyntaxFault
from mailsystem.mail.keeping import Keep
from mailsystem.mail.objectid import emailid
from mailsystem.mail.space import PREFIX, space_name
from mailsystem.store import Old, SpaceSummary
from mailsystem.web.api.asked import AccountName, Asked
from mailsystem.web.context import Context
from mailsystem.web.problems import Problem
from mailsystem.web.shapes import (
    GoneShape,
    Kept,
    Limits,
    NewSpace,
    NextShape,
    Retention,
    Spaces,
    SpaceShape,
    moment,
)
from mailsystem.web.visitors import READ, WRITE, Doorkeeper

SpaceName = Annotated[str, Path(description="Its name.", max_length=200)]


def routes(context: Context, keeper: Doorkeeper) -> APIRouter:
    router = APIRouter(prefix="/v1", tags=["keeping"])
    asked = Asked(context, keeper)
    store = context.store

    @router.get("/retention")
    async def retention(request: Request, account: AccountName = None) -> Retention:
        """What an account may keep and keeps, what goes next, and what went in the last 30 days."""
        whose = await asked.account(request, account)
        outlook = await store.retention.outlook(whose.id)
        return Retention(
            limits=limits_of(outlook.keep),
            kept=Kept(messages=outlook.messages, octets=outlook.octets, pinned=outlook.pinned),
            next=[_next(old, outlook.keep) for old in outlook.next],
            gone=[
                GoneShape(
                    day=moment(each.day).strftime("%Y-%m-%d"),
                    why=each.why,
                    messages=each.messages,
                    octets=each.octets,
                )
                for each in outlook.gone
            ],
        )

    async def allowed(request: Request, scope: str) -> None:
        if not context.is_sink:
            raise Problem(404, "only a sink has spaces")
        await asked.visitor(request, scope)

    @router.get("/spaces")
    async def spaces(request: Request) -> Spaces:
        """All spaces."""
        await allowed(request, READ)
        return Spaces(spaces=[_shape(each) for each in await store.spaces.list()])

    @router.post("/spaces", status_code=201)
    async def create(request: Request, wanted: NewSpace) -> SpaceShape:
        """Open a space: mailboxes of its own, which are gone `ttl` seconds after their last use."""
        await allowed(request, WRITE)
        name = space_name(wanted.name)
        domains = [_domain(each) for each in wanted.domains]
        own = wanted.retention
        try:
            await store.spaces.add(
                name,
                ttl=context.space_ttl if wanted.ttl is None else wanted.ttl,
                by_login=wanted.login,
                by_tag=wanted.tag,
                domains=domains,
                keep=Keep(own.age, own.messages, own.octets) if own is not None else Keep(),
            )
        except MailboxExists as error:
            raise Problem(409, f"{error}: {name}" if "domains" not in str(error) else str(error)) from None
        return _shape(await store.spaces.summary(name))

    @router.get("/spaces/{name}")
    async def one(request: Request, name: SpaceName) -> SpaceShape:
        """One space."""
        await allowed(request, READ)
        return _shape(await store.spaces.summary(_known(name)))

    @router.delete("/spaces/{name}", status_code=204)
    async def remove(request: Request, name: SpaceName) -> Response:
        """Remove a space at once, with all its mail, for good."""
        await allowed(request, WRITE)
        await store.spaces.remove(_known(name))
        await store.spaces.clear()
        return Response(status_code=204)

    return router


def limits_of(keep: Keep) -> Limits:
    return Limits(age=keep.age, messages=keep.messages, octets=keep.octets)


def _next(old: Old, keep: Keep) -> NextShape:
    return NextShape(
        id=emailid(old.content),
        mailbox=old.name,
        uid=old.uid,
        size=old.size,
        since=moment(old.saved),
        goes=moment(old.saved + keep.age) if keep.age else None,
        why=old.why,
    )


def _known(text: str) -> str:
    """The name of a space that may be there. Raises `NoSuchRecipient`."""
    try:
        return space_name(text.removeprefix(PREFIX))
    except SyntaxFault:
        raise NoSuchRecipient("no such space") from None


def _domain(text: str) -> str:
    """Raises `SyntaxFault`."""
    below = text.startswith("*.")
    return ("*." if below else "") + normal_domain(text[2:] if below else text)


def _shape(summary: SpaceSummary) -> SpaceShape:
    space = summary.space
    told: dict[str, Any] = {} if space.keep == Keep() else {"retention": limits_of(space.keep)}
    return SpaceShape(
        name=space.name,
        account=space.account.login,
        ttl=space.ttl,
        created=moment(space.created),
        used=moment(space.used),
        expires=moment(space.expires),
        login=space.by_login,
        tag=space.by_tag,
        domains=list(space.domains),
        accounts=summary.accounts,
        messages=summary.messages,
        octets=summary.octets,
        **told,
    )
