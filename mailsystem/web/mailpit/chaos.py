"""Mailpit's chaos: three faults of SMTP, each with a code and how likely it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request

from mailsystem.faults import Faults
from mailsystem.faults.chaos import OFF, Trigger, trigger, triggers
from mailsystem.web.mailpit.box import Box
from mailsystem.web.mailpit.plainly import Refusal, body_of
from mailsystem.web.visitors import WRITE


def add_to(router: APIRouter, box: Box) -> None:
    def faults() -> Faults:
        if box.context.faults is None:
            raise Refusal("Chaos is not enabled")
        return box.context.faults

    @router.get("/api/v1/chaos")
    async def told(request: Request) -> dict[str, dict[str, int]]:
        space = (await box.visitor(request)).space
        return _shape(await triggers(faults(), space))

    @router.put("/api/v1/chaos")
    async def change(request: Request) -> dict[str, dict[str, int]]:
        space = (await box.visitor(request, WRITE)).space
        own = faults()
        body = await body_of(request)
        wanted = {name: _trigger(body.get(name.lower()), name) for name in OFF}
        await trigger(own, space, wanted)
        return _shape(await triggers(own, space, wanted))


def _shape(found: Mapping[str, Trigger]) -> dict[str, dict[str, int]]:
    return {name: {"ErrorCode": one.code, "Probability": one.percent} for name, one in found.items()}


def _trigger(value: object, name: str) -> Trigger:
    """Its code and its percentage. Raises `Refusal`."""
    if value is None:
        return OFF[name]
    if not isinstance(value, dict):
        raise Refusal(f"{name} should be an object")
    given: dict[str, Any] = {str(key).lower(): one for key, one in value.items()}
    code, percent = given.get("errorcode") or OFF[name].code, given.get("probability") or 0
    if type(code) is not int or not 400 <= code <= 599:
        raise Refusal("error code must be between 400 and 599")
    if type(percent) is not int or not 0 <= percent <= 100:
        raise Refusal("probability must be between 0 and 100")
    return Trigger(code, percent)
