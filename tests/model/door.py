"""One IMAP door over a store, in a process of its own: `door.py DIRECTORY`. It says at which port, and then of each bug in a
line, until nobody listens to it any more."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from mailsystem.directory import AccountsDirectory
from mailsystem.imap.server import serving
from mailsystem.store import open_store
from mailsystem.telemetry import Event, Trace


def tell(event: Event) -> None:
    if event.name == "bug":
        print(event.data, flush=True)


async def main(directory: Path) -> None:
    trace = Trace([tell])
    async with open_store(directory, trace=trace) as store:
        people = AccountsDirectory(store, default_domain="example.org")
        people._renewing = False
        door = serving(store, people, trace, host="127.0.0.1", port=0, grace=0.2, bad_commands=10**6)
        async with door as bound:
            print(bound.port, flush=True)
            await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
