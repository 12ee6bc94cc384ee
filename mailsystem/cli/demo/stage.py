"""The stage: whole servers on free ports of this machine, with their accounts, in a temporary directory."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mailsystem.cli.demo.play import PASSWORD

if TYPE_CHECKING:
    from mailsystem.app import Role, Running
    from mailsystem.settings import Settings
    from mailsystem.store.signing_keys import SigningKey
    from mailsystem.telemetry import Sink

HOST: Final = "127.0.0.1"


def settings_for(place: Path, hostname: str, **more: Any) -> Settings:
    """A server on this machine alone, with its files in `place`."""
    from mailsystem.settings import Imap, Log, Pop3, Settings, Smtp

    given: Mapping[str, Any] = {"smtp": Smtp(port=0), "pop3": Pop3(port=0), "imap": Imap(port=0), **more}
    return Settings(data_dir=place, host=HOST, hostname=hostname, log=Log(lines=True), **given)


@asynccontextmanager
async def house(
    settings: Settings,
    sink: Sink,
    *,
    roles: Collection[Role],
    people: Collection[str],
    password: str,
    mailboxes: Collection[str] = (),
) -> AsyncIterator[Running]:
    """A server with people who have accounts, and mailboxes besides the usual ones. `password` is everybody's, hashed."""
    from mailsystem.app import MAILBOXES, running

    async with running(settings, roles, own_certificate=True, sinks=[sink]) as house:
        for domain in {person.partition("@")[2] for person in people}:
            await house.store.accounts.add_domain(domain)
        for person in people:
            boxes = (*MAILBOXES, *((name, None) for name in mailboxes))
            await house.store.accounts.add(person, password, mailboxes=boxes)
        yield house


async def hashed() -> str:
    """The password, as accounts keep it."""
    from mailsystem.directory import hash_password

    return await hash_password(PASSWORD)


async def signing_keys(domain: str) -> Sequence[SigningKey]:
    """Keys by which what leaves a domain is signed (DKIM)."""
    from mailsystem.mailauth.keys import make_keys
    from mailsystem.store.signing_keys import KeyState

    return await asyncio.to_thread(make_keys, domain, time.time(), (), state=KeyState.ACTIVE)


def published(keys: Sequence[SigningKey]) -> Mapping[str, Sequence[str]]:
    """What has to be in the DNS for them, by name."""
    from mailsystem.mailauth.keys import record_of

    return {record.name: record.strings for record in map(record_of, keys)}


@asynccontextmanager
async def premises(*names: str) -> AsyncIterator[list[Path]]:
    """A directory for each server, for as long as it lives."""
    with tempfile.TemporaryDirectory(prefix="mailsystem-demo-") as place:
        places = [Path(place) / name for name in names]
        for each in places:
            each.mkdir(mode=0o700)
        yield places
