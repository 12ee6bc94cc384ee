"""Faults on demand, in a sink: the rules by which things go wrong, added, told and taken away."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Request, Response
from fastapi import Path as PathParameter
from fastapi import Query as Parameter
from pydantic import Field

from mailsystem.faults import STAGES, Faults, Misruled, from_json, of_line, to_json
from mailsystem.faults.generators import Occasion, written
from mailsystem.mail.address import Address
from mailsystem.mail.errors import NotPermitted
from mailsystem.mail.space import login_of
from mailsystem.store import Evidence
from mailsystem.web.api.asked import AccountName, Asked
from mailsystem.web.context import Context
from mailsystem.web.parting import Own
from mailsystem.web.problems import Problem
from mailsystem.web.shapes import Shape
from mailsystem.web.visitors import READ, WRITE, Doorkeeper, needs

LARGEST: Final = 2**53 - 1
"""Of a number that JSON carries unharmed."""
_MOST_READ: Final = 10 << 20
"""Octets of a message that is answered."""

Number = Annotated[int, PathParameter(ge=1, le=LARGEST)]
Namespace = Annotated[str | None, Parameter(description="Only rules of this namespace.")]


class Line(Shape):
    """A rule in one line, as `mailsystem fault add` takes it."""

    line: Annotated[
        str, Field(min_length=1, max_length=2000, examples=['smtp RCPT to=*@shop.test reply="451 4.7.1 later" times=2'])
    ]


class FaultList(Shape):
    faults: list[dict[str, Any]] = Field(description="Each a rule, with `id`, `seen`, `hits`, `spent` and its `line`.")
    stages: dict[str, list[str]] = Field(description="Where something can go wrong, by door.")
    magic: bool = Field(description="Whether addresses such as 451-twice+x@example.org ask for it by themselves.")


class Removed(Shape):
    removed: int


class Reset(Shape):
    reset: int


class Answer(Shape):
    """Mail that an application has to understand, made about a message that it has sent."""

    kind: Literal["bounce", "autoreply", "complaint"]
    about: str = Field(description="The id of the message.", examples=["M12"])
    to: str | None = Field(default=None, description="Who gets it; the sender of the message, where nobody is named.")


class Answered(Shape):
    queue_id: str
    to: str


def routes(context: Context, keeper: Doorkeeper) -> APIRouter:
    router = APIRouter(prefix="/v1/faults", tags=["faults"])
    asked = Asked(context, keeper)

    async def faults(request: Request, namespace: str | None = None) -> tuple[Faults, str | None]:
        """The rules, and the namespace that is meant; in a space there is no other than that."""
        space = (await asked.visitor(request, WRITE)).space
        if context.faults is None:
            raise Problem(409, "only a sink has faults")
        if not space:
            return context.faults, namespace
        if namespace not in (None, space):
            raise NotPermitted(f"that is not in the space {space}")
        return context.faults, space

    async def is_there(ours: Faults, id_: int, namespace: str | None) -> bool:
        return namespace is None or any(told.id == id_ for told in await ours.all(namespace))

    @router.get("", **needs(WRITE))
    async def listed(request: Request, namespace: Namespace = None) -> FaultList:
        """All rules, and how often each has struck."""
        ours, within = await faults(request, namespace)
        return FaultList(
            faults=[told.as_json() for told in await ours.all(within)],
            stages={door: list(stages) for door, stages in STAGES.items()},
            magic=ours.magic,
        )

    @router.post("", status_code=201, **needs(WRITE))
    async def add(request: Request, rule: Line | dict[str, Any]) -> dict[str, Any]:
        """Add a rule: in one line (`{"line": …}`) or member by member. It is in force at once, in every process.

        Where a rule makes no sense, the problem has the member of it that is wrong, as `field`."""
        await asked.visitor(request, WRITE)
        try:
            made = of_line(rule.line) if isinstance(rule, Line) else from_json(rule)
        except Misruled as error:
            raise Problem(400, str(error), field=error.field) from None
        ours, within = await faults(request, made.namespace or None)
        if within is not None:
            made = replace(made, namespace=within)
        return {"id": await ours.add(made), **to_json(made)}

    @router.delete("/{id}", status_code=204, **needs(WRITE))
    async def remove(request: Request, id: Number) -> Response:  # noqa: A002
        """Take a rule away."""
        ours, within = await faults(request)
        if not (await is_there(ours, id, within) and await ours.remove(id)):
            raise Problem(404, f"there is no fault {id}")
        return Response(status_code=204)

    @router.delete("", **needs(WRITE))
    async def clear(request: Request, namespace: Namespace = None) -> Removed:
        """Take all rules away, or those of one namespace."""
        ours, within = await faults(request, namespace)
        return Removed(removed=await ours.clear(within))

    @router.post("/reset", **needs(WRITE))
    async def reset(
        request: Request,
        id: Annotated[int | None, Parameter(ge=1, le=LARGEST, description="One rule; without it, all.")] = None,  # noqa: A002
        namespace: Namespace = None,
    ) -> Reset:
        """Count from the beginning again."""
        ours, within = await faults(request, namespace)
        if id is not None and not await is_there(ours, id, within):
            return Reset(reset=0)
        return Reset(reset=await ours.reset(id, namespace=within))

    @router.post("/answer", status_code=201, **needs(READ, WRITE))
    async def answer(request: Request, wanted: Answer, account: AccountName = None) -> Answered:
        """Deliver what a message might come back as: a bounce, an automatic reply, a complaint."""
        await faults(request)
        space = (await asked.visitor(request)).space
        one = await asked.message(await asked.account(request, account, WRITE), wanted.about)
        message = await context.store.contents.read(one.content, 0, _MOST_READ)
        evidence = await context.store.journal.evidence(one.content)
        if evidence is None:
            raise Problem(404, "how the message came is not known, and so not whom to answer")
        if not evidence.sender and wanted.to is None:
            raise Problem(409, "the message came from the null sender, whom nobody answers")
        to = Address.parse(wanted.to or evidence.sender)
        by = evidence.recipients[0].address if not space else await _first(Own(context, space), evidence)
        occasion = Occasion(
            to=to,
            by=Address.parse(by),
            message=message,
            hostname=context.hostname,
            now=context.store.clock.now(),
            token=secrets.token_hex(8),
            ident=evidence.id,
            whole=len(message) < _MOST_READ,
        )
        made = written(wanted.kind, occasion)
        if made is None:
            raise Problem(409, "nothing is made of a message that a program wrote to answer another")
        login = login_of(space) if space else None
        ident = await context.delivery.report(to, made, login=login, trace=context.trace.child("web"))
        return Answered(queue_id=ident, to=str(to))

    return router


async def _first(own: Own, evidence: Evidence) -> str:
    """Whom of the space a message came for. Raises `Problem`."""
    for each in await own.recipients(evidence):
        return each
    raise Problem(404, "for whom the message came is not known")
