"""Says whether every door of a running mailsystem greets: `healthcheck.py READY_FILE`. Exits 0 when all do, else 1.

It needs nothing but Python, and it asks as a stranger does: it connects to each door that the ready file names and reads the
first line.
"""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path

GREETINGS = {"smtp": b"220", "pop3": b"+OK", "imap": b"* OK"}
ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""Where to knock at a door that listens on every address."""


def greets(role: str, host: str, port: int) -> bool:
    """Whether the door gives its greeting within some seconds."""
    try:
        with socket.create_connection((ANY.get(host, host), port), timeout=3) as peer, peer.makefile("rb") as lines:
            return lines.readline().startswith(GREETINGS[role])
    except OSError:
        return False


def main() -> int:
    try:
        ready = json.loads(Path(sys.argv[1]).read_text())
    except (OSError, ValueError) as error:
        sys.stderr.write(f"not ready: {error}\n")
        return 1
    doors = {role: place for role, place in ready.items() if role in GREETINGS}
    silent = [role for role, place in doors.items() if not greets(role, place["host"], place["port"])]
    if silent or not doors:
        sys.stderr.write(f"silent: {', '.join(silent) or 'every door'}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
