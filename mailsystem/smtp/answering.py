"""Mail to some addresses of a sink is answered at once: by a bounce, an automatic reply, a complaint."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mailsystem.delivery import Delivery
from mailsystem.faults import Faults, Writing
from mailsystem.mail.address import Address
from mailsystem.mail.clock import Clock
from mailsystem.mail.errors import MailError
from mailsystem.store import Spool
from mailsystem.telemetry import Trace

if TYPE_CHECKING:
    from mailsystem.faults.generators import Occasion

_MOST: Final = 10
"""Answers to one message."""
_WHOLE: Final = 1 << 20
"""Octets of a message that is read as a whole, so that it can be returned."""
_BEGINNING: Final = 1 << 16
"""Octets of a message that is too large to be returned: its header, as a rule."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What is to be written once the message is here."""

    kind: Writing
    occasion: Occasion


@dataclass(frozen=True, slots=True)
class Answering:
    """Who writes."""

    faults: Faults
    delivery: Delivery
    clock: Clock
    hostname: str

    async def prepare(
        self, sender: Address | None, recipients: Iterable[Address], spool: Spool, peer: str
    ) -> list[Answer]:
        """What the recipients ask for. Called while the message can still be read."""
        if not sender:
            return []  # RFC 5321 4.5.5: nobody answers the null sender
        wanted = [(kind, each) for each in recipients if (kind := self.faults.writing(each)) is not None][:_MOST]
        if not wanted:
            return []
        from mailsystem.faults.generators import Occasion  # only now: few sinks ever need it

        message, whole = await _read(spool)
        return [
            Answer(
                kind,
                Occasion(
                    to=sender,
                    by=each,
                    message=message,
                    whole=whole,
                    hostname=self.hostname,
                    now=self.clock.now(),
                    token=secrets.token_hex(16),
                    peer=peer,
                ),
            )
            for kind, each in wanted
        ]

    async def write(self, answers: Sequence[Answer], trace: Trace) -> None:
        """Deliver them. What cannot be is told to the trace alone: the message itself has been taken."""
        if not answers:
            return
        from mailsystem.faults.generators import written

        for answer in answers:
            octets = written(answer.kind, answer.occasion)
            if octets is None:
                continue
            try:
                await self.delivery.report(answer.occasion.to, octets, trace=trace)
            except MailError as error:
                trace.event("not answered", kind=answer.kind, recipient=str(answer.occasion.to), reason=str(error))


async def _read(spool: Spool) -> tuple[bytes, bool]:
    """The message, or its beginning, and whether that is all."""
    held = spool.octets()
    if held is not None:
        if spool.size <= _WHOLE:
            return b"".join(held), True
        return bytes(memoryview(b"".join(held))[:_BEGINNING]), False
    await spool.settle()
    path = spool.path
    return (await asyncio.to_thread(_beginning, path), False) if path is not None else (b"", False)


def _beginning(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_BEGINNING)
