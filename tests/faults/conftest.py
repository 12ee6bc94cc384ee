"""A running sink, and rules that come to it from another process: from the test's own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import program
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from faulty import Rules


@pytest.fixture(scope="session")
def faulty_sink(tmp_path_factory: pytest.TempPathFactory) -> Iterator[program.Program]:
    with program.sink(tmp_path_factory.mktemp("faulty"), args=("--log-format", "json")) as running:
        yield running


@pytest.fixture
def rules(faulty_sink: program.Program) -> Iterator[Rules]:
    """They are all gone when the test is over."""
    made = Rules(faulty_sink.data_dir)
    yield made
    made.clear()
    assert not [event for event in faulty_sink.log() if event["event"] == "bug"]
