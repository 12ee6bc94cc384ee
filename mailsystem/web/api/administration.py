"""What administrators do: accounts, domains and aliases."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Request, Response
from pydantic import Field

from mailsystem.directory import derive_keys, hash_password
from mailsystem.mail.address import Address, normal_domain
from mailsystem.mail.errors import NoSuchRecipient
from mailsystem.mail.mailbox import SPECIAL_USES
from mailsystem.store import Disabled, Quota
from mailsystem.web.api.asked import Asked
from mailsystem.web.context import Context
from mailsystem.web.problems import Problem
from mailsystem.web.shapes import AccountShape, Shape
from mailsystem.web.visitors import ADMIN, Doorkeeper, needs

Password = Annotated[str, Field(min_length=1, max_length=1000)]


class NewAccount(Shape):
    login: Annotated[str, Field(min_length=3, max_length=320)]
    password: Password | None = Field(default=None, description="Without one nobody can log in by a password.")


class AccountChange(Shape):
    password: Password | None = None
    disabled: Literal["", "reject", "defer"] | None = Field(
        default=None,
        description="Let nobody in, and no mail: reject it, or have it tried again (defer). Empty enables it.",
    )
    most_messages: int | None = Field(default=None, ge=0)
    most_octets: int | None = Field(default=None, ge=0)


class DomainShape(Shape):
    name: str
    catch_all: str | None = None
    disabled: bool = False


class Domains(Shape):
    domains: list[DomainShape]


class AliasShape(Shape):
    address: str
    targets: list[str] = Field(min_length=1, max_length=1000)


class Aliases(Shape):
    aliases: list[AliasShape]


def routes(context: Context, keeper: Doorkeeper) -> APIRouter:
    router = APIRouter(prefix="/v1", tags=["administration"])
    asked, accounts = Asked(context, keeper), context.store.accounts

    async def ours(login: str) -> str:
        """A login in its one spelling, of a domain that is here."""
        address = Address.parse(login)
        if not context.is_sink and address.domain not in await accounts.domains():
            raise Problem(422, f"{address.domain} is not a domain of this server")
        return address.key

    @router.post("/accounts", status_code=201, **needs(ADMIN))
    async def add(request: Request, wanted: NewAccount) -> AccountShape:
        """Add a person, with the mailboxes that everybody has."""
        await asked.visitor(request, ADMIN)
        login = await ours(wanted.login)
        if any(alias.address == login for alias in await accounts.aliases()):
            raise Problem(409, f"{login} is an alias")
        hashed = scram = None
        if wanted.password is not None:
            hashed, scram = await hash_password(wanted.password), await derive_keys(wanted.password)
        made = await accounts.add(login, hashed, scram=scram, mailboxes=tuple(SPECIAL_USES.items()))
        return AccountShape(login=made.login, messages=0, octets=0)

    @router.patch("/accounts/{login}", status_code=204, **needs(ADMIN))
    async def change(request: Request, login: str, wanted: AccountChange) -> Response:
        """Change a password, a quota, or whether somebody may be here at all."""
        await asked.visitor(request, ADMIN)
        login = (await accounts.find(context.directory.login_key(login))).login
        if wanted.password is not None:
            hashed, scram = await hash_password(wanted.password), await derive_keys(wanted.password)
            await accounts.set_password(login, hashed, scram=scram)
        if wanted.disabled is not None:
            await accounts.disable(login, Disabled(wanted.disabled) if wanted.disabled else None)
        if "most_messages" in wanted.model_fields_set or "most_octets" in wanted.model_fields_set:
            have = (await accounts.summary(login)).quota
            told = wanted.model_fields_set
            messages = wanted.most_messages if "most_messages" in told else have.messages
            octets = wanted.most_octets if "most_octets" in told else have.octets
            await accounts.set_quota(login, Quota(messages, octets))
        context.directory.forget()
        return Response(status_code=204)

    @router.delete("/accounts/{login}", status_code=204, **needs(ADMIN))
    async def remove(request: Request, login: str) -> Response:
        """Remove a person with all their mail, for good."""
        await asked.visitor(request, ADMIN)
        key = context.directory.login_key(login)
        if key == context.everybody:
            raise Problem(409, "that is the account that has a copy of everything")
        await accounts.remove(key)
        context.directory.forget()
        return Response(status_code=204)

    @router.get("/domains", **needs(ADMIN))
    async def domains(request: Request) -> Domains:
        """The domains that are here."""
        await asked.visitor(request, ADMIN)
        listed = await accounts.domain_list()
        return Domains(
            domains=[
                DomainShape(name=each.name, catch_all=each.catch_all or None, disabled=each.disabled is not None)
                for each in listed
            ]
        )

    @router.put("/domains/{name}", status_code=204, **needs(ADMIN))
    async def add_domain(request: Request, name: str) -> Response:
        """Take mail for a domain from now on. A sink takes it for all."""
        await asked.visitor(request, ADMIN)
        if context.is_sink:
            raise Problem(409, "a sink takes mail for every domain")
        await accounts.add_domain(normal_domain(name))
        context.directory.forget()
        return Response(status_code=204)

    @router.delete("/domains/{name}", status_code=204, **needs(ADMIN))
    async def remove_domain(request: Request, name: str) -> Response:
        """Take no mail for it any more."""
        await asked.visitor(request, ADMIN)
        await accounts.remove_domain(normal_domain(name))
        context.directory.forget()
        return Response(status_code=204)

    @router.get("/aliases", **needs(ADMIN))
    async def aliases(request: Request) -> Aliases:
        """Addresses that lead to others."""
        await asked.visitor(request, ADMIN)
        listed = await accounts.aliases()
        return Aliases(aliases=[AliasShape(address=each.address, targets=list(each.targets)) for each in listed])

    @router.put("/aliases", status_code=204, **needs(ADMIN))
    async def set_alias(request: Request, wanted: AliasShape) -> Response:
        """Have an address lead to exactly these."""
        await asked.visitor(request, ADMIN)
        address = await ours(wanted.address)
        try:
            await accounts.find(address)
        except NoSuchRecipient:
            await accounts.set_alias(address, [str(Address.parse(each)) for each in wanted.targets])
        else:
            raise Problem(409, f"{address} is a person")
        context.directory.forget()
        return Response(status_code=204)

    @router.delete("/aliases/{address}", status_code=204, **needs(ADMIN))
    async def remove_alias(request: Request, address: str) -> Response:
        """Have an address lead nowhere."""
        await asked.visitor(request, ADMIN)
        await accounts.remove_alias(Address.parse(address).key)
        context.directory.forget()
        return Response(status_code=204)

    return router
