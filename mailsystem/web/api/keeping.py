"""How long mail is kept, and the spaces of a sink."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Request, Response

from mailsystem.mail.address import normal_domain
from mailsystem.mail.errors import MailboxExists, NoSuchRecipient, NotPermitted, SyntaxFault
from mailsystem.mail.keeping import Keep
from mailsystem.mail.objectid import emailid
from mailsystem.mail.space import PREFIX, login_of, space_name
from mailsystem.store import Old, SpaceSummary
from mailsystem.web.api.asked import AccountName, Asked
from mailsystem.web.context import Context
from mailsystem.web.problems import Problem
from mailsystem.web.shapes import (
    GoneShape,
    Kept,
    Limits,
    MadeToken,
    NewSpace,
    NewToken,
    NextShape,
    OpenedSpace,
    Retention,
    SpaceChange,
    Spaces,
    SpaceShape,
    Tokens,
    TokenShape,
    moment,
)
from mailsystem.web.visitors import ADMIN, OWN, READ, WRITE, Doorkeeper, Visitor, needs

FIRST: Final = "first"
"""The token that is made with its space."""

SpaceName = Annotated[str, Path(description="Its name.", max_length=200)]


def routes(context: Context, keeper: Doorkeeper) -> APIRouter:
    router = APIRouter(prefix="/v1", tags=["keeping"])
    asked = Asked(context, keeper)
    store = context.store

    @router.get("/retention", **needs(READ))
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

    async def allowed(request: Request, scope: str) -> Visitor:
        if not context.is_sink:
            raise Problem(404, "only a sink has spaces")
        return await asked.visitor(request, scope)

    async def known(request: Request, scope: str, text: str) -> str:
        """The name of a space, where the visitor may do that with it. Raises `NoSuchRecipient`, `NotPermitted`."""
        visitor = await allowed(request, scope)
        name = _known(text)
        if not visitor.sees(login_of(name)):
            raise NotPermitted(f"that is not the space {visitor.space}")
        return name

    @router.get("/spaces", **needs(READ))
    async def spaces(request: Request) -> Spaces:
        """All spaces; with a space's token, that one."""
        visitor = await allowed(request, READ)
        summaries = await store.spaces.list()
        return Spaces(spaces=[_shape(each) for each in summaries if visitor.sees(each.space.account.login)])

    @router.post("/spaces", status_code=201, **needs(ADMIN))
    async def create(request: Request, wanted: NewSpace) -> OpenedSpace:
        """Open a space: mailboxes of its own, which are gone `ttl` seconds after their last use."""
        await allowed(request, ADMIN)
        with _about("name"):
            name = space_name(wanted.name)
        with _about("domains"):
            domains = [_domain(each) for each in wanted.domains]
        try:
            await store.spaces.add(
                name,
                ttl=context.space_ttl if wanted.ttl is None else wanted.ttl,
                by_login=wanted.login,
                by_tag=wanted.tag,
                domains=domains,
                keep=_keep(wanted.retention),
            )
        except MailboxExists as error:
            if "domains" in str(error):
                raise Problem(409, str(error), field="domains") from None
            raise Problem(409, f"{error}: {name}", field="name") from None
        token = await store.access_tokens.add(login_of(name), FIRST, OWN) if wanted.token else None
        return OpenedSpace(**_told(await store.spaces.summary(name)), token=token)

    @router.get("/spaces/{name}", **needs(READ))
    async def one(request: Request, name: SpaceName) -> SpaceShape:
        """One space."""
        return _shape(await store.spaces.summary(await known(request, READ, name)))

    @router.patch("/spaces/{name}", **needs(WRITE))
    async def change(request: Request, name: SpaceName, wanted: SpaceChange) -> SpaceShape:
        """Let a space last otherwise, or keep otherwise; a `retention` of null is what holds for all."""
        there = await known(request, WRITE, name)
        keep = _keep(wanted.retention) if "retention" in wanted.model_fields_set else None
        await store.spaces.change(there, ttl=wanted.ttl, keep=keep)
        return _shape(await store.spaces.summary(there))

    @router.delete("/spaces/{name}", status_code=204, **needs(WRITE))
    async def remove(request: Request, name: SpaceName) -> Response:
        """Remove a space at once, with all its mail, for good."""
        await store.spaces.remove(await known(request, WRITE, name))
        await store.spaces.clear()
        return Response(status_code=204)

    @router.get("/spaces/{name}/tokens", **needs(ADMIN))
    async def tokens(request: Request, name: SpaceName) -> Tokens:
        """The tokens of a space, without what they are shown by."""
        there = await known(request, ADMIN, name)
        return Tokens(
            tokens=[
                TokenShape(
                    name=each.name, scopes=sorted(each.scopes), created=moment(each.created), used=moment(each.used)
                )
                for each in await store.access_tokens.of(login_of(there))
            ]
        )

    @router.post("/spaces/{name}/tokens", status_code=201, **needs(ADMIN))
    async def add_token(request: Request, name: SpaceName, wanted: NewToken) -> MadeToken:
        """Make a token that opens this space and nothing else, and that ends with it."""
        there = await known(request, ADMIN, name)
        try:
            secret = await store.access_tokens.add(login_of(there), wanted.name, wanted.scopes)
        except MailboxExists:
            raise Problem(409, f"there is a token {wanted.name} already") from None
        return MadeToken(name=wanted.name, scopes=sorted(set(wanted.scopes)), token=secret)

    @router.delete("/spaces/{name}/tokens/{token}", status_code=204, **needs(ADMIN))
    async def remove_token(request: Request, name: SpaceName, token: str) -> Response:
        """Let nobody in by that token any more."""
        await store.access_tokens.remove(login_of(await known(request, ADMIN, name)), token)
        return Response(status_code=204)

    return router


@contextmanager
def _about(field: str) -> Iterator[None]:
    """Says of what member of a request it is that something is wrong."""
    try:
        yield
    except SyntaxFault as error:
        raise Problem(400, str(error), field=field) from None


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


def _keep(limits: Limits | None) -> Keep:
    return Keep(limits.age, limits.messages, limits.octets) if limits is not None else Keep()


def _shape(summary: SpaceSummary) -> SpaceShape:
    return SpaceShape(**_told(summary))


def _told(summary: SpaceSummary) -> dict[str, Any]:
    space = summary.space
    told: dict[str, Any] = {} if space.keep == Keep() else {"retention": limits_of(space.keep)}
    return dict(
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
