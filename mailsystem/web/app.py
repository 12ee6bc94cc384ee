"""The application: every part of the interface in its place, behind what guards it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import Depends, FastAPI
from fastapi.responses import PlainTextResponse

from mailsystem import __version__
from mailsystem.web import pages
from mailsystem.web.api import (
    access,
    accounts,
    administration,
    changing,
    events,
    faults,
    flow,
    history,
    inspecting,
    keeping,
    listing,
    reading,
    releasing,
    sending,
    waiting,
    webhooks,
)
from mailsystem.web.context import Context
from mailsystem.web.guarding import Guarding
from mailsystem.web.locking import Locked, Rooted
from mailsystem.web.origins import Origins
from mailsystem.web.problems import MEDIA_TYPE, PROBLEM, answer_failures
from mailsystem.web.visitors import Doorkeeper

if TYPE_CHECKING:
    from starlette.types import ASGIApp

PARTS = (
    access,
    accounts,
    listing,
    reading,
    inspecting,
    changing,
    history,
    waiting,
    events,
    sending,
    administration,
    faults,
    flow,
    keeping,
    webhooks,
    releasing,
)
"""Each has `routes`, which makes its part of the interface."""


class Interface(FastAPI):
    """The application, which describes itself as it is: whatever goes wrong is told as a problem."""

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            told = super().openapi()
            told["components"]["schemas"] = {
                name: schema
                for name, schema in told["components"]["schemas"].items()
                if name not in ("HTTPValidationError", "ValidationError")
            } | {"Problem": PROBLEM}
            for path in told["paths"].values():
                for operation in path.values():
                    operation["responses"].pop("422", None)
                    operation["responses"]["default"] = {
                        "description": "It cannot be done, and why (RFC 9457).",
                        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
                    }
        return self.openapi_schema or {}


def interface(context: Context) -> FastAPI:
    """The application itself, without what stands before it. Blocks for some tenths of a second."""
    app = Interface(
        title="mailsystem",
        version=__version__,
        summary="Mail as it arrives, to be read, searched, waited for and changed.",
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
    )
    answer_failures(app)
    keeper = Doorkeeper(context)

    async def here() -> PlainTextResponse:
        """Whoever answers lives; what needs the store shall ask for something that does."""
        return PlainTextResponse("ok")

    for path in ("/livez", "/readyz"):
        app.add_api_route(path, here, include_in_schema=False)
    for part in PARTS:
        app.include_router(part.routes(context, keeper), dependencies=[Depends(keeper.admit)])
    if context.is_sink:
        from mailsystem.web import mailpit

        app.include_router(mailpit.routes(context, keeper))
    pages.mount(app, context.root)
    # FastAPI makes the rest of its routes when it first looks for one, which takes a tenth of a second.
    nothing = {"type": "http", "method": "GET", "path": "/", "root_path": "", "headers": [], "query_string": b""}
    for route in app.routes:
        route.matches(nothing)
    return app


def application(context: Context) -> ASGIApp:
    """Everything that this door serves."""
    app: ASGIApp = interface(context)
    if context.passwords is not None:
        app = Locked(app, context.passwords, context.store.access_tokens)
    if context.root:
        app = Rooted(app, context.root)
    return Guarding(
        app,
        trace=context.trace.child("web"),
        names=frozenset({context.hostname.lower(), *(name.lower() for name in context.hosts)}),
        largest=context.largest_message,
        origins=Origins(context.origins, context.root),
    )
