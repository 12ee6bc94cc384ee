"""Addresses that ask for a fault by themselves: `451-twice+anything@…`; and those that are answered by mail.

    magic   = [place "-"] what ["-" times] "+" anything
    place   = "data" / "body" / "stored"
    what    = code / "delay-" seconds / "disconnect"
    code    = ("4" / "5") 2DIGIT
    seconds = 1*4DIGIT
    times   = "once" / "twice" / 1*4DIGIT

    writing = ("bounce" / "autoreply" / "complaint") "+" anything

Upper and lower case are the same. Without a place it strikes at RCPT, with `data` at the command DATA (or BDAT), before the
message comes (RFC 5321 4.1.1.4: its 354 is one reply, and the one to the end of the message another); with `body` it is that
other reply, and with `stored` that happens once the message has been kept. `times` counts for the whole address.
"""

from __future__ import annotations

import re
from typing import Final, Literal, cast

from mailsystem.faults.rule import BODY, Rule
from mailsystem.mail.address import Address
from mailsystem.mail.errors import SyntaxFault

Writing = Literal["bounce", "autoreply", "complaint"]

_MAGIC: Final = re.compile(
    r"(?:(?P<place>data|body|stored)-)?(?:(?P<code>[45][0-9][0-9])|delay-(?P<seconds>[0-9]{1,4})|disconnect)"
    r"(?:-(?P<times>once|twice|[0-9]{1,4}))?\+.*",
    re.IGNORECASE,
)
_WRITING: Final = re.compile(r"(bounce|autoreply|complaint)\+.*", re.IGNORECASE)
_TIMES: Final = {"once": 1, "twice": 2}
_STAGES: Final = {"": "RCPT", "data": "DATA", "body": BODY, "stored": BODY}
_STATUS: Final = {
    421: "4.3.2",
    450: "4.2.1",
    451: "4.7.1",
    452: "4.2.2",
    550: "5.1.1",
    551: "5.1.6",
    552: "5.2.2",
    553: "5.1.3",
    554: "5.7.1",
}
"""The enhanced status (RFC 3463) that fits a code best."""


def of_address(address: Address) -> Rule | None:
    """What an address asks for; None for one like any other."""
    found = _MAGIC.fullmatch(address.local)
    if found is None:
        return None
    place, code, seconds, times = (found[name] for name in ("place", "code", "seconds", "times"))
    place = (place or "").lower()
    stored = place == "stored"
    if stored and seconds:
        return None
    try:
        return Rule(
            door="smtp",
            stage=_STAGES[place],
            recipient=address.key,
            reply=f"{code} {_STATUS.get(int(code), f'{code[0]}.0.0')} as the address asks" if code else "",
            delay=float(seconds or 0),
            disconnect="" if code or seconds else "before",
            performed=stored,
            times=_TIMES.get(times.lower()) or int(times) if times else None,
        )
    except SyntaxFault:  # a delay of nothing, or none of the times
        return None


def writing_of(address: Address) -> Writing | None:
    """What mail to an address is answered by."""
    found = _WRITING.fullmatch(address.local)
    return cast(Writing, found[1].lower()) if found is not None else None
