"""What is in a message for a program, what is wrong with it, and how it differs from another."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from fastapi import APIRouter, Request
from fastapi import Query as Parameter
from pydantic import Field

from mailsystem.web.api.asked import EVERYWHERE, AccountName, Asked, Found, MailboxName
from mailsystem.web.context import Context
from mailsystem.web.problems import Problem
from mailsystem.web.shapes import Shape
from mailsystem.web.visitors import READ, Doorkeeper, needs

if TYPE_CHECKING:
    from mailsystem.checks import Report
    from mailsystem.mail.extraction import Extract

LARGEST: Final = 8 << 20
"""Octets of a message that is looked into."""
MOST_LINES: Final = 20_000
"""Lines of a message that are compared: what it takes grows faster than they do."""
_AT_ONCE: Final = 2
"""Messages that are looked into at the same time: each is in memory as a whole."""


class LinkShape(Shape):
    url: str = Field(description="As it is written there.")
    text: str = Field(description="What is to be read on it.")
    kind: Literal["html", "text"]
    part: str = Field(description="The number of the part in which it stands.")


class CodeShape(Shape):
    """Something that may be a one-time code."""

    value: str
    score: int = Field(description="From 25 to 100: how likely it is one.")
    context: str = Field(description="The line in which it stands.")


class UnsubscribeShape(Shape):
    http: str | None
    mailto: str | None
    one_click: bool = Field(description="Whether a POST to `http` is all it takes (RFC 8058).")
    errors: list[str]


class ExtractShape(Shape):
    links: list[LinkShape] = Field(description="Those of the HTML first, each in its order.")
    codes: list[CodeShape] = Field(description="The likeliest first.")
    unsubscribe: UnsubscribeShape | None


class WhereShape(Shape):
    line: int | None
    part: str | None
    header: str | None


class FindingShape(Shape):
    rule: str
    severity: Literal["error", "warning", "info"]
    message: str
    where: WhereShape
    hint: str
    source: str


class ChecksShape(Shape):
    findings: list[FindingShape] = Field(description="The worst first.")
    errors: int
    warnings: int


class Pair(Shape):
    """Two messages."""

    a: str = Field(max_length=40, examples=["M12"])
    b: str = Field(max_length=40, examples=["M13"])


class DiffShape(Shape):
    same: bool = Field(description="Whether they say the same, but for what is another each time a message is made.")
    diff: list[str] = Field(description="The lines of a unified diff; none where they are the same.")


def routes(context: Context, keeper: Doorkeeper) -> APIRouter:
    router = APIRouter(prefix="/v1", tags=["inspecting"])
    asked = Asked(context, keeper)
    turn = asyncio.Semaphore(_AT_ONCE)
    too_large: dict[int | str, dict[str, Any]] = {413: {"description": f"The message is larger than {LARGEST} octets."}}

    async def octets(request: Request, id_: str, account: str | None, mailbox: str = EVERYWHERE) -> bytes:
        return await whole(await asked.message(await asked.account(request, account), id_, mailbox), id_)

    async def whole(one: Found, id_: str) -> bytes:
        read_ = await context.store.contents.read(one.content, 0, LARGEST + 1)
        if len(read_) > LARGEST:
            raise Problem(413, f"{id_[:40]} is larger than the {LARGEST} octets that are looked into")
        return read_

    @router.get("/messages/{id}/extract", responses=too_large, **needs(READ))
    async def extract(
        request: Request,
        id: str,  # noqa: A002
        account: AccountName = None,
        mailbox: MailboxName = EVERYWHERE,
    ) -> ExtractShape:
        """The links and one-time codes of a message, and how to unsubscribe."""
        async with turn:
            message = await octets(request, id, account, mailbox)
            found = await asyncio.to_thread(_extracted, message)
        leave = found.unsubscribe
        return ExtractShape(
            links=[LinkShape(url=one.url, text=one.text, kind=one.kind, part=one.part) for one in found.links],
            codes=[CodeShape(value=one.value, score=one.score, context=one.context) for one in found.codes],
            unsubscribe=None
            if leave is None
            else UnsubscribeShape(
                http=leave.http, mailto=leave.mailto, one_click=leave.one_click, errors=list(leave.errors)
            ),
        )

    @router.get("/messages/{id}/checks", responses=too_large, **needs(READ))
    async def checks(
        request: Request,
        id: str,  # noqa: A002
        account: AccountName = None,
        mailbox: MailboxName = EVERYWHERE,
        html_support: Annotated[
            float | None,
            Parameter(
                ge=0,
                le=100,
                allow_inf_nan=False,
                description="Per cent of mail programs that should show each feature of the HTML; without it nobody looks.",
            ),
        ] = None,
    ) -> ChecksShape:
        """What is wrong with a message. Nothing is asked of the network."""
        async with turn:
            one = await asked.message(await asked.account(request, account), id, mailbox)
            message = await whole(one, id)
            came = await context.store.journal.evidence(one.content)
            wide = came is not None and came.protocol.startswith("UTF8")
            report = await asyncio.to_thread(_checked, message, html_support, wide)
        return ChecksShape(
            findings=[
                FindingShape(
                    rule=each.rule,
                    severity=each.severity.value,
                    message=each.message,
                    where=WhereShape(line=each.where.line, part=each.where.part, header=each.where.header),
                    hint=each.hint,
                    source=each.source,
                )
                for each in report.findings
            ],
            errors=sum(each.severity == "error" for each in report.findings),
            warnings=sum(each.severity == "warning" for each in report.findings),
        )

    @router.post("/diff", responses=too_large, **needs(READ))
    async def diff(request: Request, pair: Pair, account: AccountName = None) -> DiffShape:
        """Whether two messages say the same, and where they do not: dates, ids, boundaries, encodings and signatures make no
        difference."""
        async with turn:
            one, other = [await octets(request, id_, account) for id_ in (pair.a, pair.b)]
            lines = await asyncio.to_thread(_compared, pair, one, other)
        return DiffShape(same=not lines, diff=lines)

    return router


# What it takes to look into messages is brought in when that is asked for: the first visitor of the page does not wait for it.


def _extracted(octets: bytes) -> Extract:
    from mailsystem.mail.extraction import extracted
    from mailsystem.mail.reading import read

    return extracted(read(octets))


def _checked(octets: bytes, html_support: float | None, smtputf8: bool) -> Report:
    from mailsystem.checks import Options, check

    return check(octets, options=Options(smtputf8=smtputf8, html_support=html_support))


def _compared(pair: Pair, one: bytes, other: bytes) -> list[str]:
    """The lines in which they differ, with those around them. Raises `Problem`."""
    import difflib

    from mailsystem.mail.golden import normal
    from mailsystem.mail.reading import read

    first, second = (normal(read(octets)).splitlines() for octets in (one, other))
    if first == second:
        return []
    if len(first) + len(second) > MOST_LINES:
        raise Problem(413, f"the two have more than the {MOST_LINES} lines that are compared")
    return list(difflib.unified_diff(first, second, pair.a, pair.b, lineterm=""))
