"""What the attacks share: one real house with every door, certificates and people, and a watch over it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import program
import pytest
from outside import Certificates

sys.path.insert(0, str(Path(__file__).parent))

from attacked import PASSWORD, Target, opened


@pytest.fixture(scope="session")
def target(tmp_path_factory: pytest.TempPathFactory, certificates: Certificates) -> Iterator[Target]:
    """The house that is attacked. Afterwards it must have had no bug, and must not have given a password away."""
    with opened(tmp_path_factory.mktemp("attacked"), certificates) as target:
        yield target
        assert target.house.program.process.poll() is None, "it lives"
        bugs = [event for event in target.house.program.log() if event["event"] == "bug"]
        assert not bugs, bugs
        assert PASSWORD not in target.house.program.output()


@pytest.fixture
def victim(target: Target) -> program.Person:
    """Somebody new, whose mailboxes are empty."""
    return target.somebody()


@pytest.fixture(scope="session")
def bystander(target: Target) -> Iterator[program.Person]:
    """Somebody to whom attackers would write if they could: nothing must ever arrive."""
    somebody = target.somebody()
    yield somebody
    assert target.inbox(somebody) == []
