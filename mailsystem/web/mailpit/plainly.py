"""How Mailpit takes and answers: JSON whatever it is called, `ok`, and failures as a line of text."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.responses import PlainTextResponse
from fastapi.routing import APIRoute

from mailsystem.mail.errors import MailError
from mailsystem.web.problems import Problem, status_of


def whole(text: str) -> str:
    """A text without halves of characters: JSON may bring them, and neither an answer nor a message can."""
    return text.encode("utf-8", "replace").decode()


class Refusal(Exception):
    """What cannot be done, and why."""

    def __init__(self, why: str, status: int = 400) -> None:
        super().__init__(whole(why))
        self.status = status


def ok() -> PlainTextResponse:
    return PlainTextResponse("ok")


async def body_of(request: Request) -> dict[str, Any]:
    """The object that was sent; an empty one where nothing was. Raises `Refusal`."""
    return object_of(await request.body())


def object_of(octets: bytes) -> dict[str, Any]:
    """The same of what was read already."""
    if not octets.strip():
        return {}
    try:
        # Of several values with one name the last counts, in Go as in Python.
        value = json.loads(octets)
    except (ValueError, RecursionError):
        raise Refusal("the body is no JSON; nothing was changed") from None
    if not isinstance(value, dict):
        raise Refusal("the body is no JSON object; nothing was changed")
    return {str(name).lower(): one for name, one in value.items()}


def text_in(body: dict[str, Any], name: str) -> str:
    """What stands under that name, in any case; nothing where it does not. Raises `Refusal`."""
    value = body.get(name.lower())
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Refusal(f"{name} should be a string")
    return whole(value)


def texts_in(body: dict[str, Any], name: str, most: int = 10_000) -> list[str]:
    """The strings that stand under that name, each once. Raises `Refusal`."""
    value = body.get(name.lower())
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise Refusal(f"{name} should be a list of strings")
    if len(value) > most:
        raise Refusal(f"{name} may have {most} members")
    return list(dict.fromkeys(value))


class Plainly(APIRoute):
    """A route whose failures are told as Mailpit tells them."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                return await handle(request)
            except Refusal as error:
                return PlainTextResponse(str(error), error.status)
            except Problem as error:
                return PlainTextResponse(error.detail, error.status)
            except MailError as error:
                status = status_of(error)
                return PlainTextResponse(str(error), 400 if status == 422 else status)

        return answer
