"""Sending on what a sink has caught, to those for whom that is allowed."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Request
from pydantic import Field

from mailsystem.mail.address import Address
from mailsystem.mail.errors import SyntaxFault
from mailsystem.mail.outgoing import releasable
from mailsystem.web.api.asked import EVERYWHERE, AccountName, Asked, MailboxName
from mailsystem.web.context import Context
from mailsystem.web.problems import Problem
from mailsystem.web.shapes import Shape
from mailsystem.web.visitors import READ, SEND, Doorkeeper, needs

_MOST: Final = 100


class Release(Shape):
    """To whom a message is sent on."""

    to: list[str] = Field(min_length=1, max_length=_MOST, examples=[["ann@example.org"]])
    sender: str | None = Field(
        default=None, alias="from", description="Who hears if that fails; who sent it, where nobody is named."
    )


class Released(Shape):
    queue_id: str = Field(description="By which `mailsystem queue` and `mailsystem trace` know it.")
    to: list[str]


def routes(context: Context, keeper: Doorkeeper) -> APIRouter:
    router = APIRouter(prefix="/v1/messages", tags=["sending"])
    asked = Asked(context, keeper)

    @router.post("/{id}/release", status_code=202, **needs(READ, SEND))
    async def release(
        request: Request,
        id: str,  # noqa: A002
        wanted: Release,
        account: AccountName = None,
        mailbox: MailboxName = EVERYWHERE,
    ) -> Released:
        """Send a caught message on to real people, as it came. Only addresses that `queue.sink_allow` names are allowed; of
        several, all or none."""
        if not context.is_sink:
            raise Problem(404, "only a sink holds mail back")
        whose = await asked.account(request, account, SEND)
        one = await asked.message(whose, id, mailbox)
        recipients = list(dict.fromkeys(_address(each) for each in wanted.to))
        refused = [str(each) for each in recipients if not releasable(each, context.sent_on)]
        if refused:
            raise Problem(403, f"the setting queue.sink_allow does not name {', '.join(refused)}", refused=refused)
        sender = None if wanted.sender is None else Address.NULL if wanted.sender == "" else _address(wanted.sender)
        ident = await context.delivery.release(
            one.content, recipients, sender=sender, trace=context.trace.child("web", peer=str(request.client))
        )
        return Released(queue_id=ident, to=[str(each) for each in recipients])

    return router


def _address(text: str) -> Address:
    """Raises `Problem`."""
    try:
        return Address.parse(text)
    except SyntaxFault as fault:
        raise Problem(400, f"{text[:100]} is not an address: {fault}") from None
