"""The servers that are measured: this program, other versions of it, private instances of peers, or any that runs."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.clients import Server

ROOT: Final = Path(__file__).parents[1]
PATIENCE: Final = 30.0
"""Seconds that a server has to start and to stop."""


class NotThere(Exception):
    """A server cannot be measured here; why."""


@dataclass(frozen=True, slots=True)
class Target:
    """A server that runs."""

    server: Server
    roots: tuple[int, ...] = ()
    """Its topmost processes; without them neither CPU nor memory is known."""
    is_peer: bool = False
    """Another project's."""
    about: str = ""
    launch: Callable[[], AbstractContextManager[Target]] | None = None
    """Starts a second one like it, with nothing in it; it is listening when the block is entered."""
    launch_with: Callable[[Sequence[str]], AbstractContextManager[Target]] | None = None
    """The same for these people alone, with passwords that are hashed; None where passwords are only compared."""
    data: Path | None = None
    """Where a server of ours keeps its mail."""

    @property
    def name(self) -> str:
        return self.server.name


def parse(text: str) -> Target:
    """NAME=HOST:SMTP:POP3:IMAP:USER:PASSWORD[:PID+PID]; `-` for a protocol that there is not, L24 for LMTP on 24.

    Raises `ValueError`.
    """
    name, _, rest = text.partition("=")
    fields = rest.split(":")
    if not name or len(fields) not in (6, 7):
        raise ValueError(f"{text}: a target is NAME=HOST:SMTP:POP3:IMAP:USER:PASSWORD[:PID+PID]")
    host, smtp, pop3, imap, user, password, *pids = fields

    def port(written: str) -> int:
        return 0 if written == "-" else int(written.removeprefix("L"))

    server = Server(name, host, port(smtp), port(pop3), port(imap), user, password, lmtp=smtp.startswith("L"))
    return Target(server, tuple(int(pid) for pid in "".join(pids).split("+") if pid), is_peer=True)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def wait_for(port: int, greeting: bytes, *, patience: float = PATIENCE) -> None:
    """Return once a server greets. Raises `NotThere`."""
    until = time.monotonic() + patience
    while time.monotonic() < until:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 5) as one:
            one.settimeout(5)
            if one.recv(512).startswith(greeting):
                return
        time.sleep(0.01)
    raise NotThere(f"nothing greets at port {port}")


# This program


@contextmanager
def ours(
    name: str = "ours",
    *,
    checkout: Path = ROOT,
    workers: int = 0,
    data: Path | None = None,
    accounts: Sequence[str] = (),
) -> Iterator[Target]:
    """This program in a process of its own; its mail is thrown away afterwards, unless `data` is given.

    It is a sink, or with `accounts` a server for these people, whose passwords are hashed as always. Without `workers` it has
    as many as it has by itself, and a server has one.
    """
    with tempfile.TemporaryDirectory(prefix="mailsystem-bench-") as place:
        home = Path(place)
        kept = data or home / "data"
        ready = home / "ready.json"
        environment = {key: value for key, value in os.environ.items() if not key.startswith("MAILSYSTEM_")}
        environment |= {"PYTHONPATH": str(checkout), "HOME": place}
        environment |= {"MAILSYSTEM_LIMITS__MESSAGE_SIZE": "2 GiB"}  # the large message, and its header
        if accounts:
            subprocess.run((sys.executable, "-c", _LET_IN, str(kept), *accounts), env=environment, check=True)
            workers = workers or int(_knows_workers(checkout))
        command = [
            *(sys.executable, "-m", "mailsystem", *(("serve", "smtp", "pop3", "imap") if accounts else ("sink",))),
            *("--data-dir", str(kept), "--host", "127.0.0.1", "--ready-file", str(ready), "--log-level", "warning"),
            *("--smtp-port", "0", "--pop3-port", "0", "--imap-port", "0"),
            *(("--workers", str(workers)) if workers else ()),
        ]
        with (home / "log").open("wb") as log:
            process = subprocess.Popen(
                command, env=environment, cwd=place, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        try:
            bound = _bound(process, ready, home / "log")
            smtp, pop3, imap = (bound[door]["port"] for door in ("smtp", "pop3", "imap"))
            server = Server(name, "127.0.0.1", smtp, pop3, imap)

            def another(people: Sequence[str] = ()) -> AbstractContextManager[Target]:
                return ours(name, checkout=checkout, workers=workers, accounts=people)

            yield Target(
                server, (process.pid,), about=_version(checkout), launch=another, launch_with=another, data=kept
            )
        finally:
            _end(process)


_LET_IN: Final = """
import asyncio, sys
from pathlib import Path
from mailsystem.directory.passwords import hash_password
from mailsystem.store import open_store

async def let_in(data, *people):
    hashed = await hash_password("pw")
    async with open_store(Path(data)) as store:
        for login in people:
            await store.accounts.add(login, hashed)

asyncio.run(let_in(*sys.argv[1:]))
"""


def _knows_workers(checkout: Path) -> bool:
    return "--workers" in (checkout / "mailsystem/cli/options.py").read_text()


def _bound(process: subprocess.Popen[bytes], ready: Path, log: Path) -> dict[str, dict[str, int]]:
    until = time.monotonic() + PATIENCE
    while True:
        with suppress(FileNotFoundError, json.JSONDecodeError):
            bound: dict[str, dict[str, int]] = json.loads(ready.read_text())
            return bound
        if process.poll() is not None or time.monotonic() > until:
            raise NotThere(f"this program does not start:\n{log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.002)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _version(checkout: Path) -> str:
    command = ("git", "-C", str(checkout), "describe", "--always", "--dirty")
    with suppress(OSError):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return f"mailsystem at {done.stdout.strip()}"
    return "mailsystem"


@contextmanager
def checked_out(commit: str) -> Iterator[Path]:
    """The project as it was at a commit, in a worktree that is gone afterwards. Raises `NotThere`."""
    with tempfile.TemporaryDirectory(prefix="mailsystem-bench-") as place:
        tree = Path(place) / "tree"
        git = ("git", "-C", str(ROOT), "worktree")
        done = subprocess.run((*git, "add", "--detach", str(tree), commit), capture_output=True, text=True, check=False)
        if done.returncode:
            raise NotThere(f"{commit} cannot be checked out: {done.stderr.strip()}")
        try:
            yield tree
        finally:
            subprocess.run((*git, "remove", "--force", str(tree)), capture_output=True, check=False)
