"""No input makes a session do anything but reply or close.

FUZZ_SECONDS=60 says for how long to look, where atheris is installed with its feedback from the code that was reached, and
otherwise by chance alone. Without it there is a short look.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib import util
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sessions import SEEDS, WORDS, Doors, Protocol, in_memory

SECONDS = float(os.environ.get("FUZZ_SECONDS", "0"))
SHARE: dict[Protocol, float] = {"smtp": 1, "pop3": 0.3, "imap": 0.3}
"""Of the seconds."""
HERE = Path(__file__).parent
HOWS = st.sampled_from(range(32))


@pytest.fixture(scope="module")
def doors() -> Iterator[Doors]:
    doors = Doors()
    yield doors
    doors.close()


@pytest.mark.parametrize("protocol", SHARE)
def test_sessions_as_they_should_be_are_understood(protocol: Protocol, doors: Doors) -> None:
    for seed in SEEDS[protocol]:
        for how in (0, 1, 2, 4, 5, 15, 24, 28):
            assert doors.try_out(protocol, bytes([how]) + seed)
    if protocol == "smtp":
        whole = doors.try_out("smtp", bytes([24]) + SEEDS["smtp"][0])
        assert whole.count(b"\r\n250 2.") >= 3, whole


@pytest.mark.parametrize("protocol", SHARE)
def test_no_input_makes_anything_but_replies(protocol: Protocol, doors: Doors) -> None:
    seeds = [line + b"\r\n" for seed in SEEDS[protocol] for line in seed.split(b"\r\n")]
    pieces = st.sampled_from(seeds) | st.sampled_from(WORDS[protocol]) | st.binary(max_size=8)
    inputs = st.builds(lambda how, said: bytes([how]) + b"".join(said), HOWS, st.lists(pieces, max_size=30))

    @settings(
        max_examples=60,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(inputs)
    def look(data: bytes) -> None:
        doors.try_out(protocol, data)

    until = time.monotonic() + (0 if util.find_spec("atheris") else SECONDS * SHARE[protocol])
    look()
    while time.monotonic() < until:
        look()


@pytest.fixture
def place() -> Iterator[Path]:
    with in_memory() as place:
        yield Path(place)


@pytest.mark.slow
@pytest.mark.parametrize("protocol", SHARE)
def test_atheris_finds_no_input_either(protocol: Protocol, tmp_path: Path, place: Path) -> None:
    if not util.find_spec("atheris"):
        pytest.skip("atheris is not installed; chance has looked for as long")
    seconds = max(1, int((SECONDS or 5) * SHARE[protocol]))
    done = subprocess.run(
        [
            *(sys.executable, str(HERE / "target.py"), protocol, str(place / "corpus")),
            *(
                f"-max_total_time={seconds}",
                "-max_len=2000",
                "-timeout=30",
                "-rss_limit_mb=2048",
                "-print_final_stats=1",
            ),
            f"-artifact_prefix={tmp_path}/",
        ],
        capture_output=True,
        text=True,
        timeout=seconds + 120,
        errors="replace",
    )
    told = f"{done.stdout[-3000:]}\n{done.stderr[-6000:]}"
    found = [file.read_bytes() for kind in ("crash", "timeout", "oom") for file in tmp_path.glob(f"{kind}-*")]
    assert done.returncode == 0, f"{found}\n{told}"
    assert "stat::number_of_executed_units" in told, told
    print(told[-1500:])
