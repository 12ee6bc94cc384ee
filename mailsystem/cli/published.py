"""Whether DNS has what it must have, as far as a command asks it: bounded, and never a reason to fail."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from mailsystem.queue.resolving import Dns
    from mailsystem.settings import Settings
    from mailsystem.store import SigningKey

PATIENCE: Final = 5.0
"""Seconds for one question."""


class NotPublished(Exception):
    """DNS does not have a key, or does not say; the text tells which."""


def resolver(settings: Settings) -> Dns:
    """Asks whom the queue asks."""
    from mailsystem.queue.resolving import Dns
    from mailsystem.settings.queue import name_server

    return Dns([name_server(each) for each in settings.queue.nameservers], patience=PATIENCE)


async def key_fault(key: SigningKey, asked: Dns) -> str | None:
    """What is wrong with the record of a key; None where it is right. Raises `LookupFailed`."""
    from mailsystem.mailauth import record_of
    from mailsystem.mailauth.records import is_published

    try:
        record = record_of(key)
    except ValueError:
        return f"the key {key.selector} cannot be read"
    found = [each.value for each in (await asked.ask(record.name, "TXT")).records]
    if not found:
        return f"DNS has no {record.name}"
    return None if is_published(record, found) else f"DNS has another key at {record.name}"


async def must_be_published(keys: Sequence[SigningKey], settings: Settings) -> None:
    """Raises `NotPublished`."""
    from mailsystem.queue.resolving import LookupFailed

    asked = resolver(settings)
    for key in keys:
        try:
            fault = await key_fault(key, asked)
        except LookupFailed as error:
            raise NotPublished(
                f"whether DNS has {key.selector}._domainkey.{key.domain} cannot be told: {error}"
            ) from None
        if fault is not None:
            raise NotPublished(fault)
