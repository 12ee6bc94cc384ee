"""What is answered when something cannot be done: problem details (RFC 9457), and every failure in one table."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.routing import Match

from mailsystem.mail import errors
from mailsystem.mail.errors import MailError

REPLIES: Final[Mapping[type[MailError], int]] = {
    errors.SyntaxFault: 400,
    errors.WrongState: 409,
    errors.AuthRequired: 401,
    errors.AuthFailed: 401,
    errors.NotPermitted: 403,
    errors.NoSuchMailbox: 404,
    errors.MailboxExists: 409,
    errors.NoSuchRecipient: 404,
    errors.InUse: 409,
    errors.OverQuota: 507,
    errors.TooLarge: 413,
    errors.TooMany: 429,
    errors.Rejected: 422,
    errors.Unavailable: 503,
}
"""The status of each failure, which goes with its own text."""
BUG: Final = "something went wrong here"
MEDIA_TYPE: Final = "application/problem+json"
PROBLEM: Final[Mapping[str, Any]] = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What went wrong, in a sentence."},
    },
}
"""How it is described; some have more members."""


class Problem(Exception):
    """A failure that only this door knows, with more members than it takes to say what went wrong."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None, **members: Any) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers
        self.members = members


def problem(status: int, detail: str, headers: Mapping[str, str] | None = None, **members: Any) -> JSONResponse:
    """An answer that says what went wrong."""
    told = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail, **members}
    return JSONResponse(told, status, media_type=MEDIA_TYPE, headers=dict(headers) if headers else None)


def status_of(error: MailError) -> int:
    return next(REPLIES[kind] for kind in type(error).__mro__ if kind in REPLIES)


def answer_failures(app: FastAPI) -> None:
    """Have the application answer every expected failure as a problem."""

    async def failed(request: Request, error: Exception) -> Response:
        match error:
            case Problem():
                return problem(error.status, error.detail, error.headers, **error.members)
            case MailError():
                status = status_of(error)
                asks = {"WWW-Authenticate": 'Basic realm="mailsystem", charset="UTF-8"'} if status == 401 else None
                # A page asks for the password itself; a browser's own dialog would stand before it.
                if request.headers.get("sec-fetch-mode") not in (None, "navigate"):
                    asks = None
                return problem(status, str(error), asks)
            case RequestValidationError():
                return problem(400, _said(error, request), errors=_where(error))
            case HTTPException() if error.status_code == 405:
                allow = {"Allow": ", ".join(_methods(app, request))}
                if request.method == "OPTIONS":
                    return Response(status_code=204, headers=allow)
                return problem(405, _detail(error), allow)
            case HTTPException():
                return problem(error.status_code, _detail(error), error.headers)
        raise error

    async def broken(request: Request, error: Exception) -> JSONResponse:
        """A bug of ours: whoever guards the door has it told."""
        return problem(500, BUG)

    app.add_exception_handler(Exception, broken)
    for kind in (Problem, MailError, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, failed)


def _methods(app: FastAPI, request: Request) -> list[str]:
    """What may be asked at that address (RFC 9110 9.3.7)."""
    found = {"OPTIONS"}
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        asked = {**request.scope, "method": method}
        if any(route.matches(asked)[0] is Match.FULL for route in app.routes):
            found.add(method)
    return sorted(found | ({"HEAD"} if "GET" in found else set()))


def _detail(error: HTTPException) -> str:
    match error.status_code:
        case 404:
            return "there is nothing at this address"
        case 405:
            return "this address does not take that method"
        case _:
            return str(error.detail)


def _said(error: RequestValidationError, request: Request) -> str:
    """The first thing that is wrong, in a sentence."""
    first = error.errors()[0]
    if first["loc"][0] == "body":
        if first["type"] == "json_invalid":
            return "the body is no JSON"
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if len(first["loc"]) == 1 and kind != "application/json" and not kind.endswith("+json"):
            # What curl sends unless it is told otherwise is a form.
            return "the body should be JSON, which the header Content-Type: application/json says"
    where = ".".join(str(part) for part in first["loc"][1:])
    text = str(first["msg"])
    return f"{where}: {text[:1].lower()}{text[1:]}" if where else text


def _where(error: RequestValidationError) -> list[dict[str, str]]:
    """All that is wrong, without what was sent: that may be a secret."""
    return [{"where": ".".join(map(str, each["loc"])), "message": str(each["msg"])} for each in error.errors()[:20]]
