"""What SpamAssassin thinks of a message: a client of spamd (its protocol 1.5, method REPORT)."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from mailsystem.checks.rule import shown

TIMEOUT: Final = 15.0
"""Seconds for all of it; spamd asks the network about some rules."""
LARGEST: Final = 8 << 20
"""Octets of a message that spamd is asked about."""
_MOST_SAID: Final = 256 << 10
"""Octets of an answer that are read."""
_MOST_RULES: Final = 500
_PIECE: Final = 64 << 10
_STATUS: Final = re.compile(r"SPAMD/[0-9.]{1,10} ([0-9]{1,3}) ?([^\r\n]{0,200})")
_VERDICT: Final = re.compile(
    r"(?im)^Spam:[ \t]*(true|yes|false|no)[ \t]*;[ \t]*(-?[0-9.]{1,12})[ \t]*/[ \t]*(-?[0-9.]{1,12})"
)
_RULE: Final = re.compile(r"[ \t]{0,8}(-?[0-9]{1,6}(?:\.[0-9]{1,4})?)[ \t]+([A-Za-z0-9_]{2,100})(?:[ \t]+(.*))?")
_FURTHER: Final = re.compile(r"[ \t]{10,}(\S.*)")


class NoAnswer(Exception):
    """Spamd did not say what it thinks; the text says why, in a sentence without a full stop."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A rule of SpamAssassin's that holds for a message."""

    name: str
    score: float
    description: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """What SpamAssassin thinks of a message."""

    is_spam: bool
    score: float
    rules: Sequence[Judged]


async def judged(octets: bytes, host: str, port: int, *, timeout: float = TIMEOUT) -> Judgement:
    """Ask the spamd at that place. Raises `NoAnswer`."""
    if len(octets) > LARGEST:
        raise NoAnswer(f"the message is larger than the {LARGEST} octets that spamd is asked about")
    try:
        async with asyncio.timeout(timeout):
            said = await _asked(octets, host, port)
    except TimeoutError:
        raise NoAnswer(f"spamd has not answered within {timeout:g} s") from None
    except OSError as error:
        raise NoAnswer(f"spamd cannot be asked: {error.strerror or error}") from None
    return parsed(said.decode("utf-8", "replace"))


async def _asked(octets: bytes, host: str, port: int) -> bytes:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(b"REPORT SPAMC/1.5\r\nContent-length: %d\r\n\r\n" % len(octets))
        for at in range(0, len(octets), _PIECE):
            writer.write(octets[at : at + _PIECE])
            await writer.drain()
        writer.write_eof()
        said = bytearray()
        while len(said) < _MOST_SAID and (piece := await reader.read(_PIECE)):
            said += piece
        return bytes(said[:_MOST_SAID])
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


def parsed(said: str) -> Judgement:
    """What spamd's answer says. Raises `NoAnswer`."""
    status = _STATUS.match(said)
    if status is None:
        raise NoAnswer("what answers there is no spamd")
    if int(status[1]):
        raise NoAnswer(f"spamd says {status[1]} {shown(status[2])}")
    head, _, report = said.replace("\r\n", "\n").partition("\n\n")
    verdict = _VERDICT.search(head)
    if verdict is None:
        raise NoAnswer("spamd does not say what it thinks")
    return Judgement(verdict[1].lower() in ("true", "yes"), _number(verdict[2]), _rules(report))


def _rules(report: str) -> list[Judged]:
    """Those of the table that a report ends with, whose long descriptions go on in further lines."""
    _, _, table = report.partition("Content analysis details")
    found: list[Judged] = []
    for line in table.split("\n")[1:]:
        if rule := _RULE.fullmatch(line):
            if len(found) == _MOST_RULES:
                break
            found.append(Judged(rule[2], _number(rule[1]), shown(rule[3] or "", 500)))
        elif found and (more := _FURTHER.fullmatch(line)):
            last = found[-1]
            found[-1] = Judged(last.name, last.score, shown(f"{last.description} {more[1]}", 500))
    return found


def _number(text: str) -> float:
    try:
        return round(float(text), 1)
    except ValueError:
        return 0.0
