"""Mailpit's chaos: three stages of SMTP, each refused by a code and with a probability. Here they are rules like all others."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Final, NamedTuple

from mailsystem.faults.faults import Faults
from mailsystem.faults.rule import Rule


class Trigger(NamedTuple):
    """How one of them is refused, and how often."""

    code: int
    """From 400 to 599."""
    percent: int


OFF: Final[Mapping[str, Trigger]] = {
    "Sender": Trigger(451, 0),
    "Recipient": Trigger(451, 0),
    "Authentication": Trigger(535, 0),
}
"""Each, with the code by which it refuses unless another is named."""
_STAGES: Final = {"Sender": "MAIL", "Recipient": "RCPT", "Authentication": "AUTH"}


def triggers_of(text: str) -> dict[str, Trigger]:
    """Those that somebody named as `Sender:451:50,Recipient:550:100`, which is what they are known to look like."""
    names = {name.lower(): name for name in OFF}
    told = (one.strip().split(":") for one in text.split(",") if one.strip())
    return {names[name.lower()]: Trigger(int(code), int(percent)) for name, code, percent in told}


async def triggers(faults: Faults, space: str, codes: Mapping[str, Trigger] = OFF) -> dict[str, Trigger]:
    """What is in force in a space; one that is off has its code from `codes`."""
    found = {name: Trigger(codes[name].code, 0) for name in OFF}
    for one in await faults.all(space):
        for name in OFF:
            if _is_of(one.rule, name):
                found[name] = Trigger(int(one.rule.reply[:3]), round(one.rule.probability * 100))
    return found


async def trigger(faults: Faults, space: str, wanted: Mapping[str, Trigger]) -> None:
    """Have these in force there from now on, and no others. Raises `TooMany`."""
    for one in await faults.all(space):
        if any(_is_of(one.rule, name) for name in OFF):
            await faults.remove(one.id)
    for name, (code, percent) in wanted.items():
        if percent:
            await faults.add(
                Rule(
                    door="smtp",
                    stage=_STAGES[name],
                    reply=_reply(name, code),
                    probability=percent / 100,
                    seed=secrets.randbelow(1 << 32),
                    namespace=space,
                )
            )


def _reply(name: str, code: int) -> str:
    return f"{code} {code // 100}.3.0 chaos: {name.lower()}"


def _is_of(rule: Rule, name: str) -> bool:
    """Whether it is one of ours: by what it says."""
    code = rule.reply[:3]
    return rule.stage == _STAGES[name] and code.isdigit() and rule.reply == _reply(name, int(code))
