"""What all tests share: outside tools, certificates, and the real program running."""

from __future__ import annotations

import gc
import itertools
import os
import shutil
import sys
from collections.abc import Generator, Iterator
from pathlib import Path

import hypothesis
import pytest
import trustme
from argon2 import PasswordHasher

from mailsystem.directory import passwords

sys.path.insert(0, str(Path(__file__).parent))

import chromium as _chromium
import program
from order import dealt
from outside import Certificates, Tool, missing

# How long an example takes tells more of the machine than of us.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")

# The program refuses MAILSYSTEM_ variables that it does not know, and tests must not depend on anybody's settings; what is
# meant for us goes on, also to the workers, under a name of its own.
if os.environ.get("MAILSYSTEM_REQUIRE_JUDGES") == "1":
    os.environ["REQUIRE_JUDGES"] = "1"
for _name in [name for name in os.environ if name.startswith("MAILSYSTEM_")]:
    del os.environ[_name]


# On purpose a hash takes its time and 64 MB. Here it does in the programs that tests start, and where it is what is tested
# (tests/directory).
passwords._hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)

browser, chromium = _chromium.browser, _chromium.chromium


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is collected stays until the end, and none of it is garbage: it is not searched for some over and over."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    items[:] = dealt(
        items,
        workers=workers,
        is_slow=lambda item: item.get_closest_marker("slow") is not None,
        module=lambda item: item.path,
    )


@pytest.fixture(scope="session")
def tool() -> Tool:
    """`tool("swaks")` is the path of an outside program.

    Where it is missing the test is skipped; MAILSYSTEM_REQUIRE_JUDGES=1 makes that a failure.
    """

    def find(name: str) -> str:
        path = shutil.which(name)
        if path is None:
            missing(name)
        return path

    return find


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Certificates that only tests trust."""
    place = tmp_path_factory.mktemp("certificates")
    authority = trustme.CA()
    issued = authority.issue_cert("localhost", "127.0.0.1", "::1", common_name="localhost")  # fetchmail wants one
    made = Certificates(place / "authority.pem", place / "certificate.pem", place / "key.pem")
    authority.cert_pem.write_to_path(made.authority)
    made.key.touch(0o600)
    issued.private_key_pem.write_to_path(made.key)
    for blob in issued.cert_chain_pems:
        blob.write_to_path(made.certificate, append=True)
    return made


@pytest.fixture(scope="session")
def sink(tmp_path_factory: pytest.TempPathFactory) -> Iterator[program.Program]:
    """A running `mailsystem sink`, one for all tests of this process: use an address of your own (`address`)."""
    with program.sink(tmp_path_factory.mktemp("sink")) as running:
        yield running


_people = itertools.count(1)


@pytest.fixture
def address() -> str:
    """An address that no other test of this process uses."""
    return f"person{next(_people)}@example.org"
