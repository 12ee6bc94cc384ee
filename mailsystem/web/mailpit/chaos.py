"""Mailpit's chaos: three faults of SMTP, each with a code and how likely it is. Here they are rules like all others."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from fastapi import APIRouter, Request

from mailsystem.faults import Faults, Rule
from mailsystem.web.mailpit.box import Box
from mailsystem.web.mailpit.plainly import Refusal, body_of
from mailsystem.web.visitors import WRITE

_STAGES: Final = {"Sender": ("MAIL", 451), "Recipient": ("RCPT", 451), "Authentication": ("AUTH", 535)}
"""Where each strikes, and by which code unless another is named."""


def add_to(router: APIRouter, box: Box) -> None:
    def faults() -> Faults:
        if box.context.faults is None:
            raise Refusal("Chaos is not enabled")
        return box.context.faults

    async def told(codes: Mapping[str, int], space: str) -> dict[str, dict[str, int]]:
        found = {name: {"ErrorCode": codes[name], "Probability": 0} for name in _STAGES}
        for one in await faults().all(space):
            for name in _STAGES:
                if _is_of(one.rule, name):
                    found[name] = {
                        "ErrorCode": int(one.rule.reply[:3]),
                        "Probability": round(one.rule.probability * 100),
                    }
        return found

    @router.get("/api/v1/chaos")
    async def triggers(request: Request) -> dict[str, dict[str, int]]:
        space = (await box.visitor(request)).space
        return await told({name: code for name, (_, code) in _STAGES.items()}, space)

    @router.put("/api/v1/chaos")
    async def change(request: Request) -> dict[str, dict[str, int]]:
        space = (await box.visitor(request, WRITE)).space
        own = faults()
        body = await body_of(request)
        wanted = {name: _trigger(body.get(name.lower()), name) for name in _STAGES}
        for one in await own.all(space):
            if any(_is_of(one.rule, name) for name in _STAGES):
                await own.remove(one.id)
        for name, (code, percent) in wanted.items():
            if percent:
                await own.add(replace(_rule(name, code, percent), namespace=space))
        return await told({name: code for name, (code, _) in wanted.items()}, space)


def _trigger(value: object, name: str) -> tuple[int, int]:
    """Its code and its percentage. Raises `Refusal`."""
    if value is None:
        return _STAGES[name][1], 0
    if not isinstance(value, dict):
        raise Refusal(f"{name} should be an object")
    given: dict[str, Any] = {str(key).lower(): one for key, one in value.items()}
    code, percent = given.get("errorcode") or _STAGES[name][1], given.get("probability") or 0
    if type(code) is not int or not 400 <= code <= 599:
        raise Refusal("error code must be between 400 and 599")
    if type(percent) is not int or not 0 <= percent <= 100:
        raise Refusal("probability must be between 0 and 100")
    return code, percent


def _rule(name: str, code: int, percent: int) -> Rule:
    return Rule(
        door="smtp",
        stage=_STAGES[name][0],
        reply=_reply(name, code),
        probability=percent / 100,
        seed=secrets.randbelow(1 << 32),
    )


def _reply(name: str, code: int) -> str:
    return f"{code} {code // 100}.3.0 chaos: {name.lower()}"


def _is_of(rule: Rule, name: str) -> bool:
    """Whether it is one of ours: by what it says."""
    stage, code = rule.stage, rule.reply[:3]
    return stage == _STAGES[name][0] and code.isdigit() and rule.reply == _reply(name, int(code))
