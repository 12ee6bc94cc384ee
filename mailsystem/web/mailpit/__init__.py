"""What Mailpit offers to programs, in a sink: the same paths and shapes, so that its clients need another address and no more.

Its one mailbox is here the INBOX of the account that has a copy of everything, and its tags are keywords there. Where Mailpit
takes a request without a body for "everything", here nothing happens (`box`); where it takes part of an address for the
whole, here the whole is meant (`translating`).
"""

from __future__ import annotations

from fastapi import APIRouter

from mailsystem.web.context import Context
from mailsystem.web.mailpit import changing, chaos, checking, events, listing, reading, sending, tagging, telling, views
from mailsystem.web.mailpit.box import Box
from mailsystem.web.mailpit.plainly import Plainly
from mailsystem.web.visitors import Doorkeeper

PARTS = (telling, listing, changing, tagging, reading, sending, views, chaos, checking, events)


def routes(context: Context, keeper: Doorkeeper) -> APIRouter:
    router = APIRouter(route_class=Plainly, include_in_schema=False)
    box = Box(context, keeper)
    for part in PARTS:
        part.add_to(router, box)
    return router
