"""What the judges share: one real house with people, domains and TLS, and a way to run an outside program."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import program
import pytest
from outside import Certificates, Run

sys.path.insert(0, str(Path(__file__).parent))

from overheard import Overheard


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory, certificates: Certificates) -> Iterator[program.House]:
    home = tmp_path_factory.mktemp("house")
    program.add_domain("example.org", data_dir=home / "data")
    env = {
        "MAILSYSTEM_TLS__CERT": str(certificates.certificate),
        "MAILSYSTEM_TLS__KEY": str(certificates.key),
        "MAILSYSTEM_LOG__FORMAT": "json",  # what `Overheard` reads
        "MAILSYSTEM_LOG__LEVEL": "debug",
        "MAILSYSTEM_LOG__LINES": "true",
    }
    with program.serve(home, env=env) as running:
        yield program.House(running, certificates.authority)
        bugs = [event for event in running.log() if event["event"] == "bug"]
        assert not bugs, "whatever a client says, it is never a bug of ours"


_people = itertools.count(1)


@pytest.fixture
def person(house: program.House) -> program.Person:
    """Somebody new at example.org."""
    return house.add(f"person{next(_people)}@example.org")


@pytest.fixture
def overheard(house: program.House, person: program.Person) -> Overheard:
    """What the clients of `person` and the house say to each other."""
    return Overheard(house.program, person.login)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """`run(path, *args)`: an outside program with its home in `tmp_path`; fails unless it ends with `expect`."""

    def go(
        *command: str,
        stdin: bytes = b"",
        expect: int | None = 0,
        env: Mapping[str, str] | None = None,
        timeout: float = 60,
    ) -> subprocess.CompletedProcess[bytes]:
        done = subprocess.run(
            command,
            input=stdin,
            capture_output=True,
            cwd=tmp_path,
            env=program.environment(tmp_path, **(env or {})),
            timeout=timeout,
        )
        told = f"{command} ended with {done.returncode}\n{done.stdout[-4000:]!r}\n{done.stderr[-4000:]!r}"
        assert expect is None or done.returncode == expect, told
        return done

    return go
