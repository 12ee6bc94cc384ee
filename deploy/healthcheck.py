"""Says whether every door of a running mailsystem greets: `healthcheck.py READY_FILE`. Exits 0 when all do, else 1.

It needs nothing but Python, and it asks as a stranger does: it connects to each door that the ready file names and reads the
first line. The queue has no door: it is well as long as its process lives.
"""

from __future__ import annotations

import json
import os
import socket
import ssl
import sys
from pathlib import Path

GREETINGS = {
    "smtp": b"220",
    "submission": b"220",
    "submissions": b"220",
    "lmtp": b"220",
    "pop3": b"+OK",
    "pop3s": b"+OK",
    "imap": b"* OK",
    "imaps": b"* OK",
}
TLS_AT_ONCE = {"submissions", "pop3s", "imaps"}
ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""Where to knock at a door that listens on every address."""


def greets(door: str, place: dict) -> bool:
    """Whether the door gives its greeting within some seconds."""
    try:
        with connected(place) as peer:
            if door in TLS_AT_ONCE:
                # Whether it greets is the question; whose certificate it is, its clients see to.
                context = ssl.create_default_context()
                context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
                peer = context.wrap_socket(peer)
            with peer, peer.makefile("rb") as lines:
                return lines.readline().startswith(GREETINGS[door])
    except OSError:
        return False


def connected(place: dict) -> socket.socket:
    if "path" not in place:
        return socket.create_connection((ANY.get(place["host"], place["host"]), place["port"]), timeout=3)
    peer = socket.socket(socket.AF_UNIX)
    peer.settimeout(3)
    try:
        peer.connect(place["path"])
    except OSError:
        peer.close()
        raise
    return peer


def lives(pid: object) -> bool:
    """Whether there is such a process."""
    try:
        os.kill(int(str(pid)), 0)
    except PermissionError:
        return True
    except (OSError, ValueError):
        return False
    return True


def main() -> int:
    try:
        ready = json.loads(Path(sys.argv[1]).read_text())
    except (OSError, ValueError) as error:
        sys.stderr.write(f"not ready: {error}\n")
        return 1
    doors = {door: place for door, place in ready.items() if door in GREETINGS}
    silent = [door for door, place in doors.items() if not greets(door, place)]
    if silent:
        sys.stderr.write(f"silent: {', '.join(silent)}\n")
        return 1
    if not doors and not lives(ready.get("pid")):
        sys.stderr.write("its process is gone\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
