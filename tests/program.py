"""The real program in a process of its own, as its users start it: `mailsystem sink`, `mailsystem serve …`."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from argon2 import PasswordHasher

from mailsystem.app import MAILBOXES
from mailsystem.directory import derive_keys
from mailsystem.store import open_store

HOST = "127.0.0.1"
PATIENCE = 60.0
"""Seconds after which a process that is not ready, or does not end, has failed the test."""


def _secure_ports(args: Sequence[str]) -> list[str]:
    """Free ports for what a server with a certificate opens besides."""
    flags = ("--submission-port", "--submissions-port", "--pop3s-port", "--imaps-port")
    return [word for flag in flags if flag not in args for word in (flag, "0")]


class Place(NamedTuple):
    """Where a door listens."""

    host: str
    port: int


def is_alive(pid: int) -> bool:
    """Whether there is such a process; one that has ended and waits for somebody to ask how is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def environment(home: Path, **extra: str) -> dict[str, str]:
    """The environment of a program under test: none of the machine's own mail or MAILSYSTEM_ settings come through."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MAILSYSTEM_", "MP_", "XDG_"))}
    return {**kept, "HOME": str(home), "PYTHONUNBUFFERED": "1", "NO_COLOR": "1", **extra}


def command(*args: str, home: Path, stdin: str = "", expect: int | None = 0, **extra: str) -> str:
    """Run `mailsystem <args>` to its end and give its output. Fails when its exit status is not the one expected."""
    done = subprocess.run(
        [sys.executable, "-m", "mailsystem", *args],
        input=stdin,
        capture_output=True,
        text=True,
        cwd=home,
        env=environment(home, **extra),
        timeout=PATIENCE,
    )
    assert expect is None or done.returncode == expect, (
        f"mailsystem {args}: {done.returncode}\n{done.stdout}{done.stderr}"
    )
    return done.stdout if expect == 0 else done.stdout + done.stderr


class Program:
    """A process of `mailsystem` that serves. Use it in a `with`; it is stopped by its own pid."""

    def __init__(
        self, args: Sequence[str], *, home: Path, data_dir: Path, env: Mapping[str, str] | None = None
    ) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.home = home
        self.data_dir = data_dir
        number = sum(1 for _ in home.glob("ready-*"))
        while True:
            self.ready_file = home / f"ready-{number}.json"
            self._err_file = home / f"stderr-{number}.log"
            if not self._err_file.exists():
                break
            number += 1
        self.started = time.monotonic()
        with self._err_file.open("wb") as err:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "mailsystem", *args),
                    *("--data-dir", str(data_dir), "--host", HOST),
                    *("--smtp-port", "0", "--pop3-port", "0", "--imap-port", "0"),
                    *(_secure_ports(args) if args[0] == "serve" and "MAILSYSTEM_TLS__CERT" in (env or {}) else ()),
                    *("--ready-file", str(self.ready_file)),
                ],
                stdin=subprocess.DEVNULL,
                stdout=err,
                stderr=err,
                cwd=home,
                env=environment(home, **(env or {})),
            )
        self.ready: dict[str, Any] = {}

    def wait_ready(self) -> Program:
        """Return once everything listens."""
        while True:
            with contextlib.suppress(FileNotFoundError, json.JSONDecodeError):
                self.ready = json.loads(self.ready_file.read_text())
                break
            if self.process.poll() is not None:
                raise AssertionError(f"the program ended with {self.process.returncode}:\n{self.output()}")
            if time.monotonic() - self.started > PATIENCE:
                self.kill()
                raise AssertionError(f"the program was not ready in {PATIENCE} s:\n{self.output()}")
            time.sleep(0.005)
        self.seconds_to_ready = time.monotonic() - self.started
        return self

    def __enter__(self) -> Program:
        return self.wait_ready()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def smtp(self) -> Place:
        return self._place("smtp")

    @property
    def submission(self) -> Place:
        """Where our own people send: a server's with a certificate."""
        return self._place("submission")

    @property
    def submissions(self) -> Place:
        return self._place("submissions")

    @property
    def pop3(self) -> Place:
        return self._place("pop3")

    @property
    def imap(self) -> Place:
        return self._place("imap")

    def _place(self, door: str) -> Place:
        bound = self.ready[door]
        return Place(bound["host"], bound["port"])

    def stop(self) -> int:
        """End it as Ctrl-C does and give its exit status; one that does not end is killed and fails the test."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.kill()
                raise AssertionError(f"the program did not stop:\n{self.output()}") from None
        return self.process.returncode

    def kill(self) -> None:
        """As bad luck does: SIGKILL, nothing is flushed or said."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def output(self) -> str:
        """All that it has said so far, on stdout and stderr."""
        return self._err_file.read_text(errors="replace")

    def log(self) -> list[dict[str, Any]]:
        """The events of its JSON log."""
        events = []
        for line in self.output().splitlines():
            with contextlib.suppress(json.JSONDecodeError):
                event = json.loads(line)
                if isinstance(event, dict):
                    events.append(event)
        return events

    def memory(self) -> int:
        """Resident octets now."""
        return self._status("VmRSS")

    def peak_memory(self) -> int:
        """The most resident octets since its start or the last `reset_peak`."""
        return self._status("VmHWM")

    def reset_peak(self) -> None:
        """Let `peak_memory` count from now (Linux: proc(5), clear_refs)."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def _status(self, name: str) -> int:
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(name + ":"):
                return int(line.split()[1]) * 1024
        raise AssertionError(f"no {name} for {self.pid}")


def sink(home: Path, *, env: Mapping[str, str] | None = None, args: Sequence[str] = ()) -> Program:
    """`mailsystem sink` on free ports."""
    return Program(["sink", *args], home=home, data_dir=home / "data", env=env)


def serve(
    home: Path,
    *roles: str,
    data_dir: Path | None = None,
    env: Mapping[str, str] | None = None,
    args: Sequence[str] = (),
) -> Program:
    """`mailsystem serve <roles>` on free ports."""
    return Program(["serve", *roles, *args], home=home, data_dir=data_dir or home / "data", env=env)


@contextlib.contextmanager
def together(*programs: Program) -> Iterator[tuple[Program, ...]]:
    """Several processes that were all started at once; all are stopped, whatever happens to one of them."""
    with contextlib.ExitStack() as stack:
        for one in programs:
            stack.callback(one.stop)
        yield tuple(one.wait_ready() for one in programs)


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with an account."""

    login: str
    password: str


@dataclass(frozen=True, slots=True)
class House:
    """A running `mailsystem serve` with a certificate, for the domain example.org."""

    program: Program
    authority: Path
    """The certificate authority that its clients must trust, as a PEM file."""

    def add(self, login: str, password: str = "correct horse") -> Person:
        add_user(login, password, data_dir=self.program.data_dir)
        return Person(login, password)

    def limit(self, person: Person, size: str) -> None:
        """Let somebody keep so much and no more."""
        place = ("--data-dir", str(self.program.data_dir))
        command("user", "quota", person.login, "--size", size, *place, home=self.program.home)


def add_domain(name: str, *, data_dir: Path) -> None:
    """As `mailsystem domain add --no-dkim` does, and without the start of a program."""

    async def add() -> None:
        async with open_store(data_dir, indexed=False, housekeeping=False) as store:
            await store.accounts.add_domain(name)

    asyncio.run(add())


def add_user(login: str, password: str, *, data_dir: Path) -> None:
    """As `mailsystem user add` does, and without the start of a program; each password is hashed once."""

    async def add() -> None:
        if password not in _secrets:
            _secrets[password] = PasswordHasher().hash(password), await derive_keys(password)
        hashed, scram = _secrets[password]
        async with open_store(data_dir, indexed=False, housekeeping=False) as store:
            await store.accounts.add(login, hashed, scram=scram, mailboxes=MAILBOXES)

    asyncio.run(add())


_secrets: dict[str, tuple[str, str]] = {}
